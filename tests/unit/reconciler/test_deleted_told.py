"""An execution that somebody deletes before it has ended is told as cancelled."""

from __future__ import annotations

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from tests.unit.reconciler.deletions import AT_ONCE, LOCK, REF, RUN, finalizers, reconcile, world
from workflowexecution.api.status import ConditionType, FailureReason, Outcome, Phase
from workflowexecution.domain import audit
from workflowexecution.domain.audit import Transition
from workflowexecution.runtime.controller import Result


@pytest.mark.parametrize("phase", ["", "Pending"])
async def test_one_that_was_never_started_is_said_to_be_cancelled(phase: str) -> None:
    made = world({"phase": phase})
    assert await reconcile(made) == AT_ONCE
    assert made.journal == ["read", "status"]
    found = made.status
    assert (found.phase, found.outcome) == (Phase.FAILED, Outcome.CANCELLED)
    assert (found.failure_reason, found.requires_manual_review) == (FailureReason.CANCELLED, False)
    assert found.message == "The execution was deleted before it had ended"
    assert found.condition(ConditionType.TEKTON_PIPELINE_COMPLETE) is None
    assert await reconcile(made) == Result()
    assert finalizers(made) is None


@pytest.mark.parametrize("there", [True, False], ids=["run-there", "run-gone"])
async def test_one_that_was_started_proves_nothing(there: bool) -> None:
    made = world({"phase": "Running", "pipelineRunRef": REF, "message": "going on"})
    if there:
        made.engine.show(RUN)
    assert await reconcile(made) == AT_ONCE
    found = made.status
    assert (found.outcome, found.failure_reason) == (Outcome.CANCELLED, FailureReason.CANCELLED)
    assert found.requires_manual_review
    fate = "its run goes with it" if there else "its run is gone"
    assert found.message == f"The execution was deleted before it had ended; {fate}"
    assert made.said(ConditionType.TEKTON_PIPELINE_COMPLETE).reason == "PipelineFailed"


@pytest.mark.parametrize("phase", ["", "Pending"])
@pytest.mark.parametrize("there", [True, False], ids=["run-there", "run-gone"])
async def test_one_whose_run_was_created_a_moment_before_has_started_it(
    phase: str, there: bool
) -> None:
    """Its creator died before it could say so: the run holds the target all the same."""
    made = world({"phase": phase})
    if there:
        made.engine.live[LOCK] = RUN
    else:
        made.engine.gone[RUN.owner_uid] = RUN
    assert await reconcile(made) == AT_ONCE
    found = made.status
    assert (found.phase, found.outcome) == (Phase.FAILED, Outcome.CANCELLED)
    assert found.requires_manual_review
    assert found.start_time == RUN.created_at
    assert found.pipeline_run_ref is not None
    assert found.pipeline_run_ref.uid == RUN.uid
    assert audit.due(found) == (Transition.CREATED, Transition.STARTED, Transition.FAILED)
    assert made.sync().was_running_when_deleted
    assert made.journal == ["read", "status"]


@pytest.mark.parametrize("behind_s", [0.4, 30.0])
async def test_an_end_by_deletion_is_never_told_before_the_deletion(behind_s: float) -> None:
    """A clock may be behind the server's unseen; what tells such an end from others is its time."""
    made = world({"phase": "Running", "pipelineRunRef": REF})
    made.clock.advance(-60 - behind_s)
    assert await reconcile(made) == AT_ONCE
    assert made.status.completion_time == builders.NOW
    assert made.sync().was_running_when_deleted
    assert made.sync().occupies


async def test_one_with_an_odd_spec_is_let_go_as_well() -> None:
    made = world({"phase": "Pending"})
    made.writer.stored[fakes.KEY]["spec"] = 7
    assert await reconcile(made) == AT_ONCE
    assert made.status.phase is Phase.FAILED

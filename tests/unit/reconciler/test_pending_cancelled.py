"""A pending execution that is cancelled: ended unstarted, once it has no run."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from tests.unit.reconciler.starts import AT_ONCE, CLAIMED, CREATED, HELD_FIRST, LOCK, reconcile
from workflowexecution.api import names
from workflowexecution.api.status import ConditionStatus, ConditionType, Outcome, Phase
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result

CANCEL = {"cancel": {"requestedBy": "ann", "reason": "wrong target"}}
CANCELLED = "The execution was cancelled by ann: wrong target"


@pytest.mark.parametrize(
    ("metadata", "journal"),
    [
        pytest.param({}, HELD_FIRST, id="never-seen"),
        pytest.param({"finalizers": [names.FINALIZER]}, ["status"], id="never-claimed"),
        pytest.param(CLAIMED, ["read", "status"], id="claimed"),
    ],
)
async def test_a_cancelled_one_is_never_started(
    metadata: dict[str, Any], journal: list[str]
) -> None:
    world = fakes.World(suspend=True)
    world.put(spec=CANCEL, metadata=metadata)
    assert await reconcile(world) == Result()
    assert world.journal == journal
    assert (world.status.phase, world.status.outcome) == (Phase.FAILED, Outcome.CANCELLED)
    assert (world.status.failure_reason, world.status.message) == ("Cancelled", CANCELLED)
    assert world.status.requires_manual_review is False
    details = world.status.failure_details
    assert details is not None
    assert "cancelled by 'ann': «wrong target». No" in details.natural_language_summary
    said = world.said(CREATED)
    assert (said.status, said.reason, said.message) == ("False", "Cancelled", CANCELLED)


async def test_a_cancelled_one_takes_on_the_run_that_a_former_life_has_started() -> None:
    world = fakes.World()
    world.put(spec=CANCEL, metadata=CLAIMED)
    world.engine.live[LOCK] = builders.run()
    assert await reconcile(world) == AT_ONCE
    assert world.status.phase is Phase.RUNNING


async def test_a_cancelled_one_leaves_the_run_of_another_alone() -> None:
    world = fakes.World()
    world.put(spec=CANCEL, metadata=CLAIMED)
    world.engine.live[LOCK] = builders.run(owner="other")
    assert await reconcile(world) == Result()
    assert world.journal == ["read", "status"]
    assert world.status.outcome is Outcome.CANCELLED


LOOK_AGAIN = Result(requeue_after_s=10.0, priority=queue.Priority.LOW)


@pytest.mark.parametrize(
    ("away", "error"),
    [
        pytest.param("no Tekton", errors.EndpointMissing, id="known-by-the-cache"),
        pytest.param("", errors.EndpointMissing, id="read"),
        pytest.param("", errors.Forbidden, id="closed"),
    ],
)
async def test_a_cancelled_one_waits_for_the_api_that_may_hold_its_run(
    away: str, error: type[errors.ApiError]
) -> None:
    """An API that is gone, or may not be read, is no missing run."""
    world = fakes.World()
    world.put(spec=CANCEL, metadata=CLAIMED)
    world.engine.not_installed = world.engine.shut = "no Tekton"
    world.engine.read_error, world.engine.away = answers.refusal(error), away
    assert await reconcile(world) == LOOK_AGAIN
    assert world.status.phase is Phase.PENDING
    said = world.said(ConditionType.ENGINE_AVAILABLE)
    assert (said.status, said.message) == (ConditionStatus.FALSE, "no Tekton")
    assert await reconcile(world) == LOOK_AGAIN
    assert world.journal.count("status") == 1
    world.engine.away, world.engine.read_error = "", None
    assert await reconcile(world) == Result()
    assert world.status.outcome is Outcome.CANCELLED


async def test_a_cancelled_one_asks_again_when_its_run_cannot_be_read() -> None:
    world = fakes.World()
    world.put(spec=CANCEL, metadata=CLAIMED)
    for error in (answers.refusal(errors.EndpointMissing), errors.TransportError("away")):
        world.engine.read_error = error
        with pytest.raises(type(error)):
            await reconcile(world)
    assert world.status.phase is None

"""What is said of a run that was stopped, and is gone: by then nothing tells why but the status."""

from __future__ import annotations

import contextlib

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from tests.unit.reconciler.mirrored import LOCK, SUCCESS, later
from tests.unit.reconciler.test_stopped import (
    CANCEL,
    CANCELLED,
    CONFIRMED,
    GOING_ON,
    Stopping,
)
from workflowexecution.api.status import ConditionStatus, Outcome, Phase
from workflowexecution.domain import stopping
from workflowexecution.reconciler import running
from workflowexecution.reconciler.tools import LOOK_AT_ONCE
from workflowexecution.runtime import errors
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime


async def test_a_stopped_run_that_is_gone_ends_it_for_the_reason_why() -> None:
    it = Stopping(spec=CANCEL)
    it.has()
    await it.reconcile()
    it.world.engine.cached.clear()
    it.world.engine.live.clear()
    it.world.engine.gone[fakes.UID] = builders.run(
        condition=GOING_ON, metadata={"annotations": it.marks()}
    )
    # Tekton may yet begin a pod for a task that its run has left behind.
    assert await it.reconcile() == Result(requeue_after_s=running.SETTLE_S)
    it.world.engine.live_tasks = ()
    assert await it.reconcile() == Result()
    assert it.world.status.outcome is Outcome.CANCELLED
    assert it.world.said(CONFIRMED).status is ConditionStatus.TRUE


async def test_a_stopped_run_that_went_unseen_is_what_its_execution_says_of_it() -> None:
    it = Stopping(spec=CANCEL)
    it.has()
    await it.reconcile()
    it.vanish()
    assert await it.reconcile() == Result()
    assert it.world.status.outcome is Outcome.CANCELLED
    assert it.world.status.failure_details is not None
    assert it.world.status.failure_details.message == CANCELLED


async def test_what_was_stopped_for_a_cause_that_went_unseen_was_cancelled_by_nobody() -> None:
    it = Stopping()
    it.has(timeout="1m")
    it.world.clock.advance(900)
    await it.reconcile()
    it.vanish()
    await it.reconcile()
    details = it.world.status.failure_details
    assert details is not None
    assert details.reason == "Unknown"
    assert "did not end the run within its timeout of 1m0s" in details.message


async def overdue_to_the_last() -> Stopping:
    """A run that Tekton does not end in its time, down to its deletion."""
    it = Stopping()
    it.world.clock.advance(900)
    it.has(timeout="1m")
    await it.reconcile()
    for _ in range(3):
        it.world.clock.advance(stopping.GRACE_S + stopping.FORCED_S)
        await later()
        it.has(timeout="1m", marks=it.marks())
        await it.reconcile()
    assert f"delete {LOCK}" in it.world.journal
    return it


@pytest.mark.parametrize("seen_gone", [True, False])
async def test_why_it_was_stopped_outlives_the_run_that_is_deleted(*, seen_gone: bool) -> None:
    """The cause stands on the run: where the program begins anew meanwhile, it goes with that."""
    it = await overdue_to_the_last()
    it.has(timeout="1m", marks=it.marks(), deleted=True)
    it.world.clock.advance(2 * stopping.DELETED_S)
    await later()
    await it.reconcile()
    assert it.world.said(CONFIRMED).reason == "StillAlive"
    it.world.engine.gone = dict(it.world.engine.cached) if seen_gone else {}
    it.vanish()
    await it.reconcile()
    now = it.world.status
    assert (now.outcome, now.failure_reason) == (Outcome.TIMEOUT, "DeadlineExceeded")
    assert now.failure_details is not None
    assert "still there" not in now.failure_details.message
    said = it.world.said(CONFIRMED)
    assert (said.status, said.message) == (ConditionStatus.TRUE, now.failure_details.message)


async def test_run_that_succeeds_at_last_has_no_failure_left() -> None:
    it = await overdue_to_the_last()
    assert it.world.status.failure_details is not None
    it.children = (builders.task(condition=("True", "Succeeded", "")),)
    it.has(SUCCESS, marks=it.marks())
    await it.reconcile()
    assert it.phase() is Phase.COMPLETED
    assert it.world.status.failure_details is None


async def test_whoever_deletes_a_run_that_is_being_stopped_takes_no_cause_with_it() -> None:
    it = Stopping()
    it.world.clock.advance(900)
    it.has(timeout="1m")
    await it.reconcile()
    it.has(timeout="1m", marks=it.marks(), deleted=True)
    assert await it.reconcile() == LOOK_AT_ONCE
    it.vanish()
    await it.reconcile()
    assert it.world.status.failure_reason == "DeadlineExceeded"


async def test_deletion_that_falls_due_during_a_look_waits_for_the_next() -> None:
    """By then what is known of the run is written first."""
    it = Stopping()
    it.world.clock.advance(900)
    it.has(timeout="1m")
    await it.reconcile()
    it.has(timeout="1m", marks=it.marks())
    it.world.clock.advance(stopping.FORCED_S - 1)
    case = it.world.case()
    it.world.clock.advance(1)
    await it.mirror.reconcile(case)
    assert f"delete {LOCK}" not in it.world.journal
    assert it.world.status.failure_details is None
    assert await it.reconcile() == LOOK_AT_ONCE
    assert it.world.status.failure_details is not None


@pytest.mark.parametrize("broken", ["pods", "status"])
async def test_what_has_to_end_is_deleted_though_nothing_can_be_written_of_it(broken: str) -> None:
    it = Stopping()
    it.world.clock.advance(900)
    it.has(timeout="1m")
    await it.reconcile()
    refused = answers.refusal(errors.Forbidden, "not allowed")
    if broken == "pods":
        it.world.engine.pods_error = refused
    else:
        it.world.writer.status_error = refused
    for _ in range(3):
        it.world.clock.advance(stopping.GRACE_S + stopping.FORCED_S)
        await later()
        it.has(timeout="1m", marks=it.marks())
        with contextlib.suppress(errors.Forbidden):
            await it.reconcile()
    assert f"delete {LOCK}" in it.world.journal
    details = it.world.status.failure_details
    assert (details is None) == (broken == "status")
    assert details is None or details.was_execution_failure


@pytest.mark.parametrize("error", [errors.Conflict, errors.Throttled])
async def test_nothing_is_deleted_before_a_write_that_is_only_to_be_made_again(
    error: type[errors.ApiError],
) -> None:
    it = Stopping()
    it.world.clock.advance(900)
    it.has(timeout="1m")
    await it.reconcile()
    it.world.clock.advance(stopping.GRACE_S + stopping.FORCED_S)
    it.has(timeout="1m", marks=it.marks())
    it.world.writer.status_error = answers.refusal(error)
    with pytest.raises(error):
        await it.reconcile()
    assert f"delete {LOCK}" not in it.world.journal


@pytest.mark.parametrize("seen_gone", [True, False])
async def test_one_that_is_cancelled_when_its_run_goes_already_was_cancelled(
    *, seen_gone: bool
) -> None:
    """Nobody has asked that run to end, and what it last said of its progress is no failure."""
    it = Stopping(spec=CANCEL)
    it.has(GOING_ON, deleted=True)
    await it.reconcile()
    asked = it.world.status
    assert asked.failure_details is None
    it.world.engine.gone = dict(it.world.engine.cached) if seen_gone else {}
    it.vanish()
    await it.reconcile()
    details = it.world.status.failure_details
    assert details is not None
    said = "was deleted by somebody else" if seen_gone else CANCELLED
    assert said in details.message

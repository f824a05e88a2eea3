"""A running execution whose run may not be told to end, not be nudged, or not even be deleted."""

from __future__ import annotations

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from tests.unit.reconciler.mirrored import LOCK, SUCCESS, later
from tests.unit.reconciler.test_stopped import (
    CANCEL,
    CANCELLED,
    CONFIRMED,
    Stopping,
)
from workflowexecution.api import names
from workflowexecution.api.status import ConditionStatus, Outcome, Phase
from workflowexecution.domain import stopping
from workflowexecution.reconciler import failures, ladder
from workflowexecution.reconciler.tools import LOOK_AT_ONCE
from workflowexecution.runtime import errors
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

DELETE = f"delete {LOCK}"
WEBHOOK = answers.refusal(errors.ServerError, "failed calling webhook: connection refused")
POLICY = answers.refusal(errors.Forbidden, "runs are immutable here")
PATIENCE_S = stopping.GRACE_S + stopping.FORCED_S
FORCED = {
    names.ANNOTATION_CANCEL_CAUSE: "user",
    names.ANNOTATION_CANCEL_REQUESTED_AT: builders.stamp(),
    names.ANNOTATION_CANCEL_FORCED_AT: builders.stamp(),
}


def cancelled(error: errors.ClusterError = WEBHOOK) -> Stopping:
    """A person wants its end, and the run may not be changed."""
    it = Stopping(spec=CANCEL)
    it.has()
    it.world.engine.change_error = error
    return it


def overdue(error: errors.ClusterError = WEBHOOK) -> Stopping:
    """Tekton has not ended the run in its time, and it may not be changed."""
    it = Stopping()
    it.world.clock.advance(900)
    it.has(timeout="1m")
    it.world.engine.change_error = error
    return it


async def fails(it: Stopping, error: errors.ClusterError = WEBHOOK, *, for_s: float) -> None:
    """It is tried again and again for so long, in vain."""
    for _ in range(int(for_s / 20)):
        with pytest.raises(type(error)):
            await it.reconcile()
        it.world.clock.advance(20)
        await later(20)


async def end_of_deleted(it: Stopping) -> str:
    """The run goes, and why it ended is said, in these words."""
    it.world.engine.gone = dict(it.world.engine.cached)
    it.vanish()
    await it.reconcile()
    details = it.world.status.failure_details
    assert details is not None
    return details.message


async def test_a_refusal_is_said_once_whatever_its_words_are() -> None:
    it = cancelled()
    with pytest.raises(errors.ServerError):
        await it.reconcile()
    said = it.world.said(CONFIRMED)
    assert (said.status, said.reason) == (ConditionStatus.UNKNOWN, "Cancelling")
    assert said.message.startswith(CANCELLED)
    assert "failed calling webhook" in said.message
    told = fakes.ABOUT + CANCELLED
    assert it.world.events.said == [("restart-payment", "Normal", "CancelRequested", told)]
    it.world.engine.change_error = POLICY
    with pytest.raises(errors.Forbidden):
        await it.reconcile()
    assert it.world.journal.count("status") == 1
    assert len(it.world.events.said) == 1


async def test_that_a_run_cannot_be_ended_is_not_taken_back_for_a_lost_answer() -> None:
    it = overdue()
    engine = it.world.engine
    engine.delete_error = WEBHOOK
    await fails(it, for_s=60)
    assert await it.reconcile() == LOOK_AT_ONCE
    await fails(it, for_s=100)
    assert it.world.said(CONFIRMED).reason == "StillAlive"
    writes = it.world.journal.count("status")
    engine.change_error = engine.delete_error = lost = errors.TransportError("lost")
    await fails(it, lost, for_s=20)
    engine.change_error = engine.delete_error = WEBHOOK
    await fails(it, for_s=200)
    assert it.world.said(CONFIRMED).reason == "StillAlive"
    assert it.world.journal.count("status") == writes


async def test_what_was_refused_is_no_reason_of_a_run_that_went_unseen() -> None:
    it = cancelled()
    with pytest.raises(errors.ServerError):
        await it.reconcile()
    it.vanish()
    await it.reconcile()
    details = it.world.status.failure_details
    assert details is not None
    assert details.message == CANCELLED


async def test_progress_is_told_while_the_stop_is_refused() -> None:
    it = cancelled()
    await later()
    with pytest.raises(errors.ServerError):
        await it.reconcile()
    it.has(("Unknown", "Running", "one task more"))
    await later()
    with pytest.raises(errors.ServerError):
        await it.reconcile()
    assert it.world.status.message == "one task more"
    assert "failed calling webhook" in it.world.said(CONFIRMED).message


async def test_a_refusal_that_passes_leads_to_an_end_in_order() -> None:
    it = cancelled()
    await fails(it, for_s=PATIENCE_S - 20)
    assert it.world.said(CONFIRMED).status is ConditionStatus.UNKNOWN
    it.world.engine.change_error = None
    assert await it.reconcile() == Result(requeue_after_s=ladder.AGAIN_S)
    assert it.world.engine.changes[-1]["spec"] == {"status": "CancelledRunFinally"}
    assert it.world.said(CONFIRMED).message == CANCELLED
    assert DELETE not in it.world.journal


async def test_a_refusal_that_passes_at_the_last_moment_leads_to_one_as_well() -> None:
    it = cancelled()
    await fails(it, for_s=PATIENCE_S)
    assert await it.reconcile() == LOOK_AT_ONCE
    it.world.engine.change_error = None
    await it.reconcile()
    assert it.world.engine.changes[-1]["spec"] == {"status": "CancelledRunFinally"}
    assert DELETE not in it.world.journal
    it.children = (builders.task(condition=("True", "Succeeded", "")),)
    it.has(SUCCESS, marks=it.marks())
    await it.reconcile()
    assert it.phase() is Phase.COMPLETED
    assert it.world.status.failure_details is None


@pytest.mark.parametrize("seen_gone", [True, False])
@pytest.mark.parametrize("error", [WEBHOOK, POLICY], ids=["webhook", "policy"])
async def test_a_cancelled_run_is_deleted_when_its_refusals_last(
    error: errors.ApiError, *, seen_gone: bool
) -> None:
    it = cancelled(error)
    await fails(it, error, for_s=PATIENCE_S)
    # Why it ends is written first: nothing on the run will tell.
    assert await it.reconcile() == LOOK_AT_ONCE
    assert it.world.status.failure_reason is None
    assert await it.reconcile() == Result(requeue_after_s=stopping.DELETED_S)
    assert it.world.journal[-2:] == [DELETE, "status"]
    it.has(deleted=True)
    await it.reconcile()
    assert it.phase() is Phase.RUNNING
    it.world.engine.gone = dict(it.world.engine.cached) if seen_gone else {}
    it.vanish()
    await it.reconcile()
    now = it.world.status
    assert (now.phase, now.outcome) == (Phase.FAILED, Outcome.CANCELLED)
    assert now.requires_manual_review
    assert now.failure_details is not None
    assert now.failure_details.message == CANCELLED
    said = it.world.said(CONFIRMED)
    assert (said.status, said.message) == (ConditionStatus.TRUE, CANCELLED)


async def deleted_without_a_word(it: Stopping, *, for_s: float) -> None:
    """The run goes, and neither it nor the status may say why."""
    it.world.writer.status_error = POLICY
    await fails(it, POLICY, for_s=for_s)
    with pytest.raises(errors.Forbidden):
        await it.reconcile()
    assert it.world.journal[-2:] == [DELETE, "status"]
    assert it.world.status.failure_details is None


@pytest.mark.parametrize("seen_gone", [True, False])
@pytest.mark.parametrize("which", ["cancelled", "overdue"])
async def test_whoever_deleted_it_is_known_though_nothing_could_be_written(
    which: str, *, seen_gone: bool
) -> None:
    it = cancelled() if which == "cancelled" else overdue()
    await deleted_without_a_word(it, for_s=PATIENCE_S if which == "cancelled" else 60)
    it.world.writer.status_error = None
    it.world.engine.gone = dict(it.world.engine.cached) if seen_gone else {}
    it.vanish()
    await it.reconcile()
    now = it.world.status
    ends = {"cancelled": (Outcome.CANCELLED, "Cancelled"),
            "overdue": (Outcome.TIMEOUT, "DeadlineExceeded")}  # fmt: skip
    details = now.failure_details
    assert details is not None
    assert (now.outcome, details.reason) == ends[which]
    assert it.world.said(CONFIRMED).status is ConditionStatus.TRUE


@pytest.mark.parametrize("which", ["cancelled", "overdue"])
async def test_words_that_were_refused_are_tried_again_while_the_run_goes(which: str) -> None:
    it = cancelled() if which == "cancelled" else overdue()
    await deleted_without_a_word(it, for_s=PATIENCE_S if which == "cancelled" else 60)
    it.has(timeout="1m", deleted=True)
    with pytest.raises(errors.Forbidden):
        await it.reconcile()
    it.world.writer.status_error = None
    assert await it.reconcile() == LOOK_AT_ONCE
    details = it.world.status.failure_details
    assert details is not None
    assert details.reason == ("Cancelled" if which == "cancelled" else "DeadlineExceeded")


async def test_a_run_whose_deletion_was_refused_is_deleted_by_somebody_else() -> None:
    it = overdue()
    it.world.writer.status_error = it.world.engine.delete_error = POLICY
    await fails(it, POLICY, for_s=80)
    assert DELETE in it.world.journal
    it.world.writer.status_error = None
    assert "was deleted by somebody else" in await end_of_deleted(it)


async def test_an_overdue_run_is_deleted_after_a_minute_of_refusals() -> None:
    it = overdue()
    await fails(it, for_s=failures.LASTING_S)
    assert await it.reconcile() == LOOK_AT_ONCE
    assert it.world.status.failure_details is not None
    await it.reconcile()
    assert DELETE in it.world.journal
    it.vanish()
    await it.reconcile()
    now = it.world.status
    assert (now.outcome, now.failure_reason) == (Outcome.TIMEOUT, "DeadlineExceeded")
    assert "API server refuses" not in (now.message or "")


@pytest.mark.parametrize(
    "error",
    [
        answers.refusal(errors.Conflict),
        answers.refusal(errors.Throttled),
        errors.ServerError(errors.Refusal(status=503)),
        errors.TransportError("lost"),
    ],
    ids=["conflict", "throttled", "gateway", "unanswered"],
)
async def test_nothing_follows_from_what_is_no_refusal(error: errors.ClusterError) -> None:
    it = overdue(error)
    await fails(it, error, for_s=10 * PATIENCE_S)
    assert {"status", DELETE}.isdisjoint(it.world.journal)
    assert it.world.events.said == []


async def test_a_run_that_may_not_even_be_deleted_is_said_to_go_on() -> None:
    it = Stopping(spec=CANCEL)
    it.has(marks=FORCED)
    it.world.clock.advance(stopping.FORCED_S)
    it.world.engine.delete_error = POLICY
    # The last words.
    assert await it.reconcile() == LOOK_AT_ONCE
    await fails(it, POLICY, for_s=failures.LASTING_S)
    said = it.world.said(CONFIRMED)
    assert (said.status, said.reason) == (ConditionStatus.UNKNOWN, "Cancelling")
    assert "runs are immutable here" in said.message
    for _ in range(2):
        with pytest.raises(errors.Forbidden):
            await it.reconcile()
    said = it.world.said(CONFIRMED)
    assert (said.status, said.reason) == (ConditionStatus.FALSE, "StillAlive")
    assert it.world.metrics.counted == ["cancel_stuck"]
    assert it.phase() is Phase.RUNNING


async def test_a_deletion_that_is_refused_once_is_not_said_to_be_in_vain() -> None:
    """However long the stop was refused before it."""
    it = cancelled()
    await fails(it, for_s=PATIENCE_S)
    it.world.engine.delete_error = WEBHOOK
    assert await it.reconcile() == LOOK_AT_ONCE
    await fails(it, for_s=failures.LASTING_S)
    said = it.world.said(CONFIRMED)
    assert (said.status, said.reason) == (ConditionStatus.UNKNOWN, "Cancelling")
    assert it.world.metrics.counted == []
    await fails(it, for_s=20)
    said = it.world.said(CONFIRMED)
    assert (said.status, said.reason) == (ConditionStatus.FALSE, "StillAlive")
    assert it.world.metrics.counted == ["cancel_stuck"]


async def test_a_deletion_that_is_taken_ends_its_row_of_refusals() -> None:
    it = cancelled()
    await fails(it, for_s=PATIENCE_S)
    assert await it.reconcile() == LOOK_AT_ONCE
    it.world.engine.delete_error = WEBHOOK
    await fails(it, for_s=20)
    it.world.engine.delete_error = None
    await it.reconcile()
    assert DELETE in it.world.journal
    # As where the cache is behind and it is deleted again.
    it.world.clock.advance(failures.LASTING_S)
    it.world.engine.delete_error = WEBHOOK
    await fails(it, for_s=20)
    assert it.world.said(CONFIRMED).status is ConditionStatus.UNKNOWN


async def test_whoever_cancels_what_is_stopped_already_is_named_though_both_are_refused() -> None:
    it = overdue()
    await fails(it, for_s=20)
    assert "within its timeout of 1m0s" in it.world.said(CONFIRMED).message
    it.world.writer.stored[fakes.KEY]["spec"] |= CANCEL
    await fails(it, for_s=20)
    assert it.world.said(CONFIRMED).message.startswith(CANCELLED)


async def test_a_long_reason_leaves_room_for_what_is_refused() -> None:
    """And is not written again with each try, though a secret of it is left out."""
    reason = "password=hunter2 " + "ä" * 500
    it = Stopping(spec={"cancel": {"requestedBy": "ann", "reason": reason}})
    it.has()
    it.world.engine.change_error = WEBHOOK
    await fails(it, for_s=60)
    said = it.world.said(CONFIRMED).message
    assert said.startswith("The execution was cancelled by ann: ")
    assert "failed calling webhook" in said
    assert "hunter2" not in said
    it.world.engine.change_error = POLICY
    await fails(it, POLICY, for_s=60)
    assert it.world.said(CONFIRMED).message == said
    assert it.world.journal.count("status") == 1

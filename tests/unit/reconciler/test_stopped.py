"""A running execution that is to end before its time, or stands still."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from tests.unit.reconciler.mirrored import (
    BUSY,
    FAILURE,
    LOCK,
    NEVER,
    ONE,
    REF,
    SUCCESS,
    Running,
    later,
)
from workflowexecution.api import names, tekton
from workflowexecution.api.status import ConditionStatus, ConditionType, Outcome, Phase
from workflowexecution.reconciler import ladder, running
from workflowexecution.runtime import errors
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

CHANGE = f"change {LOCK}"
AGAIN = Result(requeue_after_s=ladder.AGAIN_S)
CONFIRMED = ConditionType.CANCEL_CONFIRMED
CANCEL = {"cancel": {"requestedBy": "ann", "reason": "wrong target"}}
CANCELLED = "The execution was cancelled by ann: wrong target"
CANCELLED_RUN = ("False", "Cancelled", "PipelineRun was cancelled")
GOING_ON = ("Unknown", "Running", "going on")
RESOLVING = ("Unknown", "ResolvingPipelineRef", "resolving")
OTHER_DIGEST = "d" * 64


class Stopping(Running):
    """A running execution, the spec of which says more."""

    def __init__(self, *, spec: dict[str, Any] | None = None, **status: Any) -> None:  # noqa: ANN401 - members of a status
        super().__init__(**status)
        self.world.writer.stored[fakes.KEY]["spec"] |= spec or {}
        self.children: tuple[tekton.TaskRun, ...] = (BUSY,)
        self.status: dict[str, Any] = ONE

    def has(
        self,
        condition: tuple[str, str, str] | None = GOING_ON,
        *,
        timeout: str = "30m",
        marks: dict[str, str] | None = None,
        deleted: bool = False,
    ) -> None:
        """Let the run be so."""
        metadata: dict[str, Any] = {"annotations": marks or {}}
        if deleted:
            metadata["deletionTimestamp"] = builders.stamp(60)
        raw = builders.raw_run(condition=condition, status=self.status, metadata=metadata)
        raw["spec"] = {"timeouts": {"pipeline": timeout}}
        self.world.engine.show(tekton.project_pipelinerun(raw, tekton.PipelineRun), *self.children)

    def vanish(self) -> None:
        """The run goes with all that was of it, and nobody has seen it go."""
        self.world.engine.live.clear()
        self.world.engine.cached.clear()
        self.world.engine.working.clear()
        self.world.engine.live_tasks = ()

    def marks(self) -> dict[str, str]:
        """What the last change has written on the run."""
        found: dict[str, str] = self.world.engine.changes[-1]["metadata"]["annotations"]
        return found


async def test_a_cancelled_one_is_asked_to_end_and_says_so() -> None:
    it = Stopping(spec=CANCEL)
    it.has()
    assert await it.reconcile() == AGAIN
    assert it.world.journal == [CHANGE, "status"]
    assert it.world.engine.changes[0]["spec"] == {"status": "CancelledRunFinally"}
    assert it.phase() is Phase.RUNNING
    said = it.world.said(CONFIRMED)
    assert (said.status, said.reason, said.message) == ("Unknown", "Cancelling", CANCELLED)
    told = fakes.ABOUT + CANCELLED
    assert it.world.events.said == [("restart-payment", "Normal", "CancelRequested", told)]
    it.has(marks=it.marks())
    assert (await it.reconcile()).requeue_after_s == 300.0
    assert it.world.journal == [CHANGE, "status"]
    assert len(it.world.events.said) == 1


async def test_what_tasks_do_while_they_are_ended_is_written_as_seldom_as_ever() -> None:
    it = Stopping(spec=CANCEL)
    it.has()
    await later()
    await it.reconcile()
    marks, writes = it.marks(), it.world.journal.count("status")
    for number in range(4):
        it.has(("Unknown", "Running", f"{number} tasks are over"), marks=marks)
        assert (await it.reconcile()).requeue_after_s == 1.0
        assert it.world.journal.count("status") == writes
        # Never within a second of a transition.
        await later(0.25)
    # The ladder is come back to in time, whatever becomes of progress.
    assert (await it.reconcile()).requeue_after_s == 300.0
    assert it.world.journal.count("status") == writes + 1


async def test_the_ladder_waits_for_no_progress() -> None:
    it = Stopping(spec=CANCEL)
    it.has()
    await later()
    await it.reconcile()
    it.world.busy = True
    marks = it.marks()
    it.world.clock.advance(299.5)
    it.has(("Unknown", "Running", "more"), marks=marks)
    assert (await it.reconcile()).requeue_after_s == 0.5
    it.world.clock.advance(0.5)
    assert await it.reconcile() == AGAIN
    assert it.world.engine.changes[-1]["spec"] == {"status": "Cancelled"}


async def test_cancelled_is_said_only_when_nothing_works_any_more() -> None:
    marks = {names.ANNOTATION_CANCEL_CAUSE: "user"}
    it = Stopping(spec=CANCEL)
    it.world.engine.working = {REF["uid"]}
    it.children = (builders.task(condition=CANCELLED_RUN, steps=[builders.step(exit_code=1)]),)
    it.has(CANCELLED_RUN, marks=marks | {names.ANNOTATION_CANCEL_REQUESTED_AT: builders.stamp()})
    await it.reconcile()
    assert it.phase() is Phase.RUNNING
    assert it.world.status.condition(CONFIRMED) is None
    it.world.engine.working = set()
    assert await it.reconcile() == Result()
    now = it.world.status
    assert (now.phase, now.outcome) == (Phase.FAILED, Outcome.CANCELLED)
    assert now.requires_manual_review
    said = it.world.said(CONFIRMED)
    assert (said.status, said.message) == (ConditionStatus.TRUE, CANCELLED)
    assert now.failure_details is not None
    assert now.failure_details.message == CANCELLED


async def test_one_that_completes_all_the_same_is_completed() -> None:
    it = Stopping(spec=CANCEL)
    it.has()
    await it.reconcile()
    it.children = (builders.task(condition=("True", "Succeeded", "")),)
    it.has(SUCCESS, marks=it.marks())
    assert await it.reconcile() == Result()
    assert (it.phase(), it.world.status.outcome) == (Phase.COMPLETED, Outcome.SUCCESS)
    assert it.world.said(CONFIRMED).reason == "Completed"


async def test_one_that_fails_for_a_reason_of_its_own_is_failed_for_it() -> None:
    it = Stopping(spec=CANCEL)
    it.has()
    await it.reconcile()
    it.children = (builders.task(condition=FAILURE, steps=[builders.step(exit_code=3)]),)
    it.has(FAILURE, marks=it.marks())
    await it.reconcile()
    assert it.world.status.failure_reason == "TaskFailed"
    assert it.world.said(CONFIRMED).reason == "Completed"


@pytest.mark.parametrize("seen_before", [True, False], ids=["after-asking", "at-first-sight"])
async def test_a_run_that_will_not_die_keeps_the_lock_and_counts_once(seen_before: bool) -> None:
    it = Stopping(spec=CANCEL)
    if seen_before:
        it.has()
        await it.reconcile()
    raw = builders.raw_run(status=ONE, metadata={"deletionTimestamp": builders.stamp()})
    it.world.engine.show(tekton.project_pipelinerun(raw, tekton.PipelineRun), BUSY)
    for _ in range(2):
        assert (await it.reconcile()).requeue_after_s == ladder.STUCK_AGAIN_S
    assert it.phase() is Phase.RUNNING
    assert it.world.said(CONFIRMED).status is ConditionStatus.FALSE
    assert "the target stays locked" in it.world.said(CONFIRMED).message
    assert it.world.metrics.counted == ["cancel_stuck"]


async def test_a_run_over_its_timeout_and_the_grace_is_stopped() -> None:
    """Tekton had its time."""
    it = Stopping()
    it.has()
    seen = it.world.sync()
    it.world.clock.advance(1800 + 120 - 60 - 1)
    assert CHANGE not in it.world.journal
    it.world.clock.advance(1)
    assert it.mirror.put_off_s(seen) == 0.0
    assert await it.reconcile() == AGAIN
    assert it.world.engine.changes[0]["spec"] == {"status": "Cancelled"}
    it.children = (builders.task(condition=CANCELLED_RUN),)
    it.has(CANCELLED_RUN, marks=it.marks())
    await it.reconcile()
    assert it.world.status.outcome is Outcome.TIMEOUT
    assert it.world.status.failure_reason == "DeadlineExceeded"
    details = it.world.status.failure_details
    assert details is not None
    assert "Tekton did not do its part" in details.natural_language_summary


async def test_a_bundle_that_is_not_the_reviewed_one_is_stopped_while_it_is_live() -> None:
    reference = builders.raw_execution()["spec"]["workflowRef"]
    it = Stopping(spec={"workflowRef": reference | {"containerDigest": builders.DIGEST}})
    provenance = {"provenance": {"refSource": {"digest": {"sha256": OTHER_DIGEST}}}}
    it.status, it.children = provenance, ()
    it.has()
    assert await it.reconcile() == AGAIN
    assert it.world.engine.changes[0]["spec"] == {"status": "Cancelled"}
    it.has(CANCELLED_RUN, marks=it.marks())
    await it.reconcile()
    status = it.world.status
    assert (status.failure_reason, status.requires_manual_review) == ("ConfigurationError", False)
    assert (status.outcome, status.resolved_digest) == (Outcome.FAILED, f"sha256:{OTHER_DIGEST}")
    # A run existed and nothing of it ran: the target backs off.
    assert status.consecutive_failures == 1


async def put_off(**given: Any) -> Stopping:  # noqa: ANN401 - as Stopping takes it
    """One whose progress waits for others, so that it is not looked at."""
    it = Stopping(**given)
    await later()
    it.world.busy = True
    it.has()
    assert it.mirror.put_off_s(it.world.sync()) == 60.0
    return it


async def test_a_look_is_not_put_off_while_a_run_is_being_stopped() -> None:
    it = await put_off()
    it.has(marks={names.ANNOTATION_CANCEL_CAUSE: "deadline"})
    assert it.mirror.put_off_s(it.world.sync()) == 0.0
    it.has()
    it.world.writer.stored[fakes.KEY]["spec"] |= CANCEL
    assert it.mirror.put_off_s(it.world.sync()) == 0.0


async def test_a_look_is_not_put_off_when_another_bundle_runs_than_was_asked_for() -> None:
    reference = builders.raw_execution()["spec"]["workflowRef"]
    pinned = reference | {"containerDigest": builders.DIGEST}
    it = await put_off(spec={"workflowRef": pinned})
    it.status = {"provenance": {"refSource": {"digest": {"sha256": OTHER_DIGEST}}}}
    it.has()
    assert it.mirror.put_off_s(it.world.sync()) == 0.0


async def test_a_look_is_not_put_off_when_the_run_is_another_than_was_begun() -> None:
    it = await put_off()
    it.world.writer.stored[fakes.KEY]["status"]["pipelineRunRef"] = REF | {"uid": "another"}
    assert it.mirror.put_off_s(it.world.sync()) == 0.0


async def test_a_look_is_not_put_off_when_tekton_is_to_be_nudged_or_was_in_vain() -> None:
    it = Stopping()
    await later()
    it.world.busy = True
    it.children = ()
    it.has(RESOLVING)
    assert it.mirror.put_off_s(it.world.sync()) == 60.0
    it.world.clock.advance(600)
    said = {"type": "Progressing", "status": "False"}
    it.world.writer.stored[fakes.KEY]["status"]["conditions"] = [said]
    assert it.mirror.put_off_s(it.world.sync()) == 0.0
    it.has(RESOLVING, marks={names.ANNOTATION_NUDGED_AT: builders.stamp(660)})
    assert it.mirror.put_off_s(it.world.sync()) == 60.0
    it.world.clock.advance(590)
    assert it.mirror.put_off_s(it.world.sync()) == 11.0
    it.world.clock.advance(10)
    assert it.mirror.put_off_s(it.world.sync()) == 0.0


async def test_a_run_that_stands_still_says_what_it_waits_for_until_it_moves() -> None:
    it = Stopping()
    it.has()
    it.world.clock.advance(600)
    await later()
    await it.reconcile()
    said = it.world.said(ConditionType.PROGRESSING)
    assert (said.status, said.reason) == (ConditionStatus.FALSE, "Stalled")
    assert "step 'run' of task 'restart' is still running" in said.message
    it.mirror.forget(fakes.KEY)
    it.world.clock.advance(60)
    it.world.journal.clear()
    await it.reconcile()
    assert it.world.journal == []
    it.children = (builders.task(condition=("True", "Succeeded", "")),)
    it.world.clock.time = builders.NOW
    it.has(("Unknown", "Running", "more"))
    it.mirror = running.Mirror(it.world.tools)
    await it.reconcile()
    assert it.world.said(ConditionType.PROGRESSING).reason == "Moving"


async def test_a_run_that_does_not_leave_resolution_is_nudged_once_then_failed() -> None:
    it = Stopping()
    it.status, it.children = {}, ()
    it.has(RESOLVING, timeout="24h")
    it.world.clock.advance(600)
    await later()
    # It is come back to in time, though nothing of the run may ever change.
    assert (await it.reconcile()).requeue_after_s == 601.0
    assert it.world.engine.changes[-1].keys() == {"metadata"}
    it.has(RESOLVING, timeout="24h", marks=it.marks())
    it.world.clock.advance(599)
    await it.reconcile()
    assert it.world.journal.count(CHANGE) == 1
    it.world.clock.advance(2)
    assert await it.reconcile() == AGAIN
    assert it.world.engine.changes[-1]["spec"] == {"status": "Cancelled"}
    assert "did not resolve the pipeline within 20m0s" in it.world.said(CONFIRMED).message


async def test_an_end_looks_past_other_ends_only_while_clearances_are_known() -> None:
    """A count that cannot be told is not made up."""
    cleared = {"phase": "Failed", "completionTime": builders.stamp(-60), "consecutiveFailures": 2,
               "pipelineRunRef": REF, "failureDetails": {"wasExecutionFailure": False},
               "blockClearance": {"clearedAt": builders.stamp(-30)}}  # fmt: skip
    counts = []
    for guarded in (True, False):
        it = Stopping()
        it.world.other("other", status=cleared)
        it.world.guard.guarded = guarded
        it.children = (NEVER,)
        it.has(FAILURE)
        await it.reconcile()
        counts.append(it.world.status.consecutive_failures)
    assert counts == [1, 3]
    it = Stopping()
    it.world.other("other", status=cleared)
    it.world.guard.error = errors.TransportError("away")
    it.children = (NEVER,)
    it.has(FAILURE)
    with pytest.raises(errors.TransportError):
        await it.reconcile()
    assert it.phase() is Phase.RUNNING


async def test_a_success_waits_for_nobody_who_knows_of_clearances() -> None:
    it = Stopping()
    it.world.guard.error = errors.TransportError("away")
    it.children = (builders.task(condition=("True", "Succeeded", "")),)
    it.has(SUCCESS)
    assert await it.reconcile() == Result()
    assert it.phase() is Phase.COMPLETED
    assert it.world.status.locked_until is not None

"""An execution that somebody deletes."""

from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from workflowexecution.api import names, tekton
from workflowexecution.api.status import ConditionType, FailureReason, Outcome, Phase
from workflowexecution.domain import audit, locking, stopping
from workflowexecution.domain.audit import Transition
from workflowexecution.reconciler import deleted, failures, ladder
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result

LOCK = locking.run_name(builders.TARGET)
CHANGE, DELETE = f"change {LOCK}", f"delete {LOCK}"
AT_ONCE = Result(requeue_after_s=0.0)
LATER = Result(requeue_after_s=deleted.LOOK_AGAIN_S, priority=queue.Priority.LOW)
STUCK = Result(requeue_after_s=ladder.STUCK_AGAIN_S)
OVER = ("True", "Succeeded", "")
GONE_SOON = {"deletionTimestamp": builders.stamp()}
RUN, KEPT = builders.run(), builders.run(condition=OVER)
GOING = builders.run(condition=OVER, metadata=GONE_SOON)
LINGERING = builders.run(metadata=GONE_SOON)
REF = {"name": LOCK, "namespace": "kubernaut-workflows", "uid": RUN.uid}


def world(
    said: dict[str, Any] | None = None, *, finalizers: tuple[str, ...] = (names.FINALIZER,)
) -> fakes.World:
    made = fakes.World(deletion_give_up_s=600.0)
    metadata = {"deletionTimestamp": builders.stamp(), "finalizers": list(finalizers)}
    made.put(metadata=metadata, status=said or {"phase": "Completed"})
    return made


async def reconcile(made: fakes.World, failing: failures.Failures | None = None) -> Result:
    known = failures.Failures() if failing is None else failing
    return await deleted.reconcile(made.tools, made.sync(), known)


def finalizers(made: fakes.World) -> object:
    return made.writer.stored[fakes.KEY]["metadata"].get("finalizers")


def working(marks: dict[str, str]) -> tekton.PipelineRun:
    """A run with a task that has begun, long ago."""
    return builders.run(
        metadata={"annotations": marks, "creationTimestamp": builders.stamp(-(10**7))},
        status={"childReferences": [builders.child()]},
    )


async def test_one_that_nothing_of_ours_holds_is_left_alone() -> None:
    made = world(finalizers=("other/one",))
    assert await reconcile(made) == Result()
    assert made.journal == []


async def test_one_without_a_run_is_released() -> None:
    made = world(finalizers=("other/one", names.FINALIZER, names.LEGACY_FINALIZER))
    assert await reconcile(made) == Result()
    assert made.journal == ["read", "patch"]
    assert finalizers(made) == ["other/one"]
    told = fakes.ABOUT + "The execution is deleted; it was Completed"
    (said,) = made.events.said
    assert said == ("restart-payment", "Normal", "WorkflowExecutionDeleted", told)
    assert made.metrics.counted == []


@pytest.mark.parametrize(("since_s", "again_s"), [(0, 1.0), (20, 5.0), (200, deleted.LOOK_AGAIN_S)])
async def test_pods_that_outlive_the_run_are_looked_at_ever_less_often(
    since_s: float, again_s: float
) -> None:
    ended = {"phase": "Failed", "completionTime": builders.stamp(60), "pipelineRunRef": REF}
    made = world(ended)
    made.engine.working.add(RUN.uid)
    made.clock.advance(since_s)
    assert await reconcile(made) == LATER._replace(requeue_after_s=again_s)
    made.engine.working.clear()
    assert await reconcile(made) == Result()
    assert finalizers(made) is None


async def test_one_that_has_gone_meanwhile_is_done() -> None:
    made = world()
    made.writer.error = answers.refusal(errors.NotFound)
    assert await reconcile(made) == Result()
    assert made.events.said == []


@pytest.mark.parametrize("claimed", [False, True])
async def test_one_that_was_never_claimed_goes_without_the_engine(claimed: bool) -> None:
    made = world()
    metadata = made.writer.stored[fakes.KEY]["metadata"]
    metadata["labels"] = {names.LABEL_TARGET: "x"} if claimed else {}
    made.engine.read_error = answers.refusal(errors.EndpointMissing)
    if claimed:
        with pytest.raises(errors.EndpointMissing):
            await reconcile(made)
    else:
        await reconcile(made)
    assert (finalizers(made) is None) is not claimed


@pytest.mark.requirement("BR-WF-004", "No orphaned PipelineRuns")
async def test_its_run_is_deleted_and_waited_for_first() -> None:
    made = world()
    made.engine.show(KEPT)
    assert await reconcile(made) == LATER
    made.engine.show(GOING)
    assert await reconcile(made) == LATER
    assert made.journal == [DELETE]
    made.engine.cached.clear()
    made.engine.live.clear()
    assert await reconcile(made) == Result()
    assert finalizers(made) is None


async def test_a_run_that_the_cache_lacks_is_deleted_too() -> None:
    made = world()
    made.engine.live[LOCK] = KEPT
    assert await reconcile(made) == LATER
    assert made.journal == ["read", DELETE]


async def test_a_run_without_its_labels_is_known_by_its_uid() -> None:
    made = world({"phase": "Completed", "pipelineRunRef": REF})
    made.engine.live[LOCK] = builders.run(condition=OVER, metadata={"labels": {}})
    assert await reconcile(made) == LATER
    assert made.journal == ["read", DELETE]


@pytest.mark.requirement("BR-WF-004", "PipelineRun deleted when WorkflowExecution deleted")
async def test_a_live_run_of_a_deleted_one_goes_down_the_ladder() -> None:
    """One step a reconcile: asked to end, told to end, deleted; then it is waited for."""
    made = world()
    for marks, status_asked in [
        ({}, "CancelledRunFinally"),
        ({names.ANNOTATION_CANCEL_REQUESTED_AT: builders.stamp(60 - 300)}, "Cancelled"),
    ]:
        made.engine.show(working(marks))
        again = Result(requeue_after_s=ladder.AGAIN_S)
        assert await reconcile(made) == again
        assert made.engine.changes[-1]["spec"] == {"status": status_asked}
        cause = made.engine.changes[-1]["metadata"]["annotations"][names.ANNOTATION_CANCEL_CAUSE]
        assert cause == stopping.Cause.DELETED
    forced = {names.ANNOTATION_CANCEL_FORCED_AT: builders.stamp(60 - 120)}
    made.engine.show(working({names.ANNOTATION_CANCEL_REQUESTED_AT: builders.stamp()} | forced))
    assert (await reconcile(made)).requeue_after_s == stopping.DELETED_S
    assert made.journal == [CHANGE, CHANGE, DELETE]
    assert finalizers(made) == [names.FINALIZER]


async def test_the_run_of_another_is_never_touched() -> None:
    made = world()
    made.engine.live[LOCK] = builders.run(owner="other")
    assert await reconcile(made) == Result()
    assert made.journal == ["read", "patch"]


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


ENDED = {"phase": "Running", "startTime": builders.stamp(), "pipelineRunRef": REF}
DIGEST = "sha256:" + "a" * 64
BAD = ("False", "Failed", "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 0")


def deleted_at(seconds: float, said: dict[str, Any] = ENDED) -> fakes.World:
    """An execution that is deleted so long after its start, and of which no end was told."""
    made = world(said)
    stored = made.writer.stored[fakes.KEY]
    stored["metadata"]["deletionTimestamp"] = builders.stamp(seconds)
    stored["spec"]["workflowRef"]["containerDigest"] = DIGEST
    return made


@pytest.mark.parametrize("said", [ENDED, {"phase": "Pending"}], ids=["told", "not-told"])
@pytest.mark.parametrize("gone", [True, False], ids=["run-gone", "run-there"])
async def test_a_run_that_had_succeeded_before_the_deletion_has_succeeded(
    said: dict[str, Any], *, gone: bool
) -> None:
    made = deleted_at(31, said)
    run = builders.run(condition=OVER)
    if gone:
        made.engine.gone[run.owner_uid] = run
    else:
        made.engine.show(run)
    assert await reconcile(made) == AT_ONCE
    found = made.status
    assert (found.phase, found.outcome) == (Phase.COMPLETED, Outcome.SUCCESS)
    assert found.completion_time == run.completed_at
    assert not made.sync().was_running_when_deleted


@pytest.mark.parametrize(
    ("seconds", "condition", "digest"),
    [
        pytest.param(29, BAD, DIGEST, id="failed-after-the-deletion"),
        pytest.param(30, None, DIGEST, id="not-at-all"),
        pytest.param(30, OVER, "sha256:" + "b" * 64, id="of-another-bundle"),
    ],
)
async def test_no_other_run_has(
    seconds: float, condition: tuple[str, str, str] | None, digest: str
) -> None:
    made = deleted_at(seconds)
    source = {"refSource": {"digest": {"sha256": digest.removeprefix("sha256:")}}}
    made.engine.show(builders.run(condition=condition, status={"provenance": source}))
    assert await reconcile(made) == AT_ONCE
    assert made.status.phase is Phase.FAILED
    assert made.sync().was_running_when_deleted


@pytest.mark.parametrize("ahead_s", [0, 1, 3600])
async def test_a_success_is_one_whatever_the_clock_of_tekton_shows(ahead_s: int) -> None:
    made = deleted_at(30)
    late = {"completionTime": builders.stamp(30 + ahead_s)}
    made.engine.show(builders.run(condition=OVER, status=late))
    assert await reconcile(made) == AT_ONCE
    found = made.status
    assert (found.phase, found.outcome) == (Phase.COMPLETED, Outcome.SUCCESS)
    assert found.completion_time is not None
    assert found.completion_time <= made.clock.now()


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param(
            {"annotations": {names.ANNOTATION_CANCEL_REQUESTED_AT: builders.stamp(30)}}, id="asked"
        ),
        pytest.param(GONE_SOON, id="deleted"),
    ],
)
async def test_a_success_after_it_was_to_end_is_none_of_before_the_deletion(
    metadata: dict[str, Any],
) -> None:
    made = deleted_at(30)
    late = {"completionTime": builders.stamp(31)}
    made.engine.show(builders.run(condition=OVER, metadata=metadata, status=late))
    assert await reconcile(made) == AT_ONCE
    assert (made.status.phase, made.status.outcome) == (Phase.FAILED, Outcome.CANCELLED)


async def test_a_run_that_had_failed_before_the_deletion_is_told_as_it_failed() -> None:
    """What lingers of it holds the target, and may have begun unseen."""
    made = deleted_at(30)
    task = builders.task(condition=("False", "Failed", "bad"), steps=[builders.step(exit_code=3)])
    made.engine.show(builders.run(condition=BAD), task)
    assert await reconcile(made) == AT_ONCE
    found = made.status
    assert (found.outcome, found.failure_reason) == (Outcome.FAILED, FailureReason.TASK_FAILED)
    assert found.failure_details is not None
    assert found.failure_details.exit_code == 3
    assert found.requires_manual_review
    assert made.sync().was_running_when_deleted


async def test_what_was_written_down_of_it_before_stays() -> None:
    details = {
        "reason": "OOMKilled",
        "message": "too much",
        "failedAt": builders.stamp(20),
        "failedTaskIndex": 0,
        "failedTaskName": "restart",
        "wasExecutionFailure": True,
        "executionTimeBeforeFailure": "20s",
        "naturalLanguageSummary": "It was too much.",
    }
    made = deleted_at(30, {**ENDED, "failureDetails": details})
    made.engine.show(builders.run(condition=BAD))
    await reconcile(made)
    assert made.status.failure_reason is FailureReason.OOM_KILLED


async def test_one_that_the_program_had_stopped_was_stopped_for_that() -> None:
    made = deleted_at(30)
    marks = {names.ANNOTATION_CANCEL_CAUSE: "deadline"}
    over = ("False", "Cancelled", "PipelineRun was cancelled")
    made.engine.show(builders.run(condition=over, metadata={"annotations": marks}))
    await reconcile(made)
    assert made.status.outcome is Outcome.TIMEOUT
    # Nobody has looked whether nothing of it works any more.
    assert made.status.condition(ConditionType.CANCEL_CONFIRMED) is None


async def test_a_stop_that_its_run_forestalled_is_over_when_the_execution_is_deleted() -> None:
    open_stop = {"type": "CancelConfirmed", "status": "Unknown", "reason": "Cancelling",
                 "message": "m", "lastTransitionTime": builders.stamp()}  # fmt: skip
    made = deleted_at(31, {**ENDED, "conditions": [open_stop]})
    source = {"provenance": {"refSource": {"digest": {"sha256": "b" * 64}}}}
    marks = {names.ANNOTATION_CANCEL_CAUSE: "digest"}
    made.engine.show(builders.run(condition=BAD, status=source, metadata={"annotations": marks}))
    await reconcile(made)
    said = made.said(ConditionType.CANCEL_CONFIRMED)
    assert (said.status, said.reason) == ("False", "Completed")


async def test_what_lingered_is_not_said_to_be_over_by_a_deletion() -> None:
    lingers = {"type": "PodsHealthy", "status": "False", "reason": "PodsLingering",
               "message": "m", "lastTransitionTime": builders.stamp()}  # fmt: skip
    made = deleted_at(31, {**ENDED, "conditions": [lingers]})
    made.engine.show(builders.run(condition=BAD))
    await reconcile(made)
    assert made.said(ConditionType.PODS_HEALTHY).status == "False"


async def test_an_end_before_the_deletion_tells_how_far_the_run_had_come() -> None:
    made = deleted_at(31, {**ENDED, "progress": "0/1", "currentStep": "restart/run"})
    tasks = {
        "childReferences": [builders.child()],
        "pipelineSpec": {"tasks": [{"name": "restart"}]},
    }
    over = ("True", "Succeeded", "Tasks Completed: 1 (Failed: 0, Cancelled 0), Skipped: 0")
    done = builders.task(condition=OVER, steps=[builders.step(exit_code=0)])
    made.engine.show(builders.run(condition=over, status=tasks), done)
    await reconcile(made)
    found = made.status
    assert (found.progress, found.current_step, found.message) == ("1/1", None, over[2])
    assert [it.started for it in found.task_runs or ()] == [True]


async def test_the_end_of_a_run_with_the_labels_of_its_own_is_not_its_end() -> None:
    made = deleted_at(31)
    made.engine.show(builders.run(condition=OVER, metadata={"uid": "another"}))
    await reconcile(made)
    assert made.status.outcome is Outcome.CANCELLED


async def test_one_whose_run_went_first_waits_for_the_tasks_it_left() -> None:
    """Tekton may yet make a pod for one that is not over."""
    ended = {"phase": "Failed", "completionTime": builders.stamp(60), "pipelineRunRef": REF}
    made = world(ended)
    waiting = builders.task(condition=("Unknown", "Pending", ""), status={"podName": None})
    made.engine.live_tasks = (waiting,)
    assert (await reconcile(made)).requeue_after_s == 1.0
    made.engine.live_tasks = ()
    assert await reconcile(made) == Result()


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


@pytest.mark.parametrize(
    ("run", "before"),
    [pytest.param(GOING, LATER, id="ended"), pytest.param(LINGERING, STUCK, id="working")],
)
async def test_it_does_not_wait_for_ever_for_its_run_to_go(
    run: tekton.PipelineRun, before: Result
) -> None:
    """After `limits.deletionGiveUp` it goes; the run stays and holds the lock, and it counts."""
    made = world()
    made.engine.show(run)
    made.clock.advance(540)
    assert await reconcile(made) == before
    assert made.metrics.counted == []
    made.clock.advance(1)
    assert await reconcile(made) == Result()
    assert made.journal == ["read", "patch"]
    assert made.metrics.counted == ["deletion_given_up"]


async def test_a_deletion_time_that_cannot_be_read_is_never_overdue() -> None:
    made = world()
    made.writer.stored[fakes.KEY]["metadata"]["deletionTimestamp"] = "soon"
    made.engine.show(GOING)
    made.clock.advance(10**6)
    assert await reconcile(made) == LATER


async def test_one_that_is_let_go_before_its_run_is_told_and_counted() -> None:
    made = world()
    made.engine.show(GOING)
    made.clock.advance(600.1)
    assert await reconcile(made) == Result()
    ((_, kind, reason, message),) = made.events.said
    assert (reason, kind) == ("CleanupFailed", "Warning")
    assert message.startswith(fakes.ABOUT)
    assert f"kubernaut-workflows/{LOCK}" in message
    assert made.metrics.counted == ["deletion_given_up"]

"""An execution that somebody deletes: held until its run has gone, or for long enough."""

from __future__ import annotations

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from tests.unit.reconciler.deletions import (
    CHANGE,
    DELETE,
    GOING,
    GONE_SOON,
    KEPT,
    LATER,
    LOCK,
    OVER,
    REF,
    RUN,
    finalizers,
    reconcile,
    working,
    world,
)
from workflowexecution.api import names, tekton
from workflowexecution.domain import stopping
from workflowexecution.reconciler import deleted, ladder
from workflowexecution.runtime import errors
from workflowexecution.runtime.controller import Result

STUCK = Result(requeue_after_s=ladder.STUCK_AGAIN_S)
LINGERING = builders.run(metadata=GONE_SOON)


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


async def test_one_whose_run_went_first_waits_for_the_tasks_it_left() -> None:
    """Tekton may yet make a pod for one that is not over."""
    ended = {"phase": "Failed", "completionTime": builders.stamp(60), "pipelineRunRef": REF}
    made = world(ended)
    waiting = builders.task(condition=("Unknown", "Pending", ""), status={"podName": None})
    made.engine.live_tasks = (waiting,)
    assert (await reconcile(made)).requeue_after_s == 1.0
    made.engine.live_tasks = ()
    assert await reconcile(made) == Result()


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

"""A running execution: mirrored while it runs, and ended when its run has ended."""

import asyncio
import datetime
from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.api import tekton
from workflowexecution.api.status import ConditionStatus, ConditionType, Outcome, Phase
from workflowexecution.domain import locking
from workflowexecution.reconciler import running
from workflowexecution.runtime import queue
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

LOCK = locking.run_name(builders.TARGET)
COMPLETE = ConditionType.TEKTON_PIPELINE_COMPLETE
REF = {
    "apiVersion": "tekton.dev/v1",
    "kind": "PipelineRun",
    "namespace": "kubernaut-workflows",
    "name": LOCK,
    "uid": "run-of-restart-payment",
}
ONE = {"childReferences": [builders.child()], "pipelineSpec": {"tasks": [{"name": "restart"}]}}
SUCCESS = ("True", "Succeeded", "Tasks Completed: 1 (Failed: 0, Cancelled 0), Skipped: 0")
FAILURE = ("False", "Failed", "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 0")
DONE = builders.task(condition=("True", "Succeeded", ""), steps=[builders.step(exit_code=0)])
FAILED = builders.task(condition=("False", "Failed", "bad"), steps=[builders.step(exit_code=3)])
NEVER = builders.task(
    condition=("False", "TaskRunImagePullFailed", "no image"),
    steps=[builders.step(exit_code=1, ran=False)],
)
BUSY = builders.task(steps=[builders.step(running=True)])
# It has changed 59 s ago: no change of it may come for the rest of ten minutes.
WAITS = Result(requeue_after_s=542.0, priority=queue.Priority.LOW)


class Running:
    """A running execution with its mirror, long after its start."""

    def __init__(self, **status: Any) -> None:  # noqa: ANN401 - members of a status
        self.world = fakes.World()
        self.mirror = running.Mirror(self.world.tools)
        said = {"phase": "Running", "startTime": builders.stamp(), "pipelineRunRef": REF, **status}
        self.world.put(status=said)

    async def reconcile(self) -> Result:
        return await self.mirror.reconcile(self.world.case())

    def phase(self) -> Phase | None:
        return self.world.status.phase

    def show(self, condition: tuple[str, str, str] | None, *tasks: tekton.TaskRun) -> None:
        self.world.engine.show(builders.run(condition=condition, status=ONE), *tasks)


async def later(seconds: float = 60.0) -> None:
    await asyncio.sleep(seconds)


async def told() -> Running:
    """One whose progress has just been written."""
    it = Running()
    it.show(None, BUSY)
    await later()
    await it.reconcile()
    return it


@pytest.mark.parametrize(
    ("task", "said"),
    [
        pytest.param(FAILED, ("True", "PipelineStarted"), id="ran"),
        pytest.param(NEVER, ("False", "PipelineFailedToStart"), id="nothing-ran"),
    ],
)
async def test_a_failure_says_whether_the_run_had_ever_begun(
    task: tekton.TaskRun, said: tuple[str, str]
) -> None:
    it = Running()
    it.show(FAILURE, task)
    await it.reconcile()
    assert it.phase() is Phase.FAILED
    condition = it.world.said(ConditionType.TEKTON_PIPELINE_RUNNING)
    assert (condition.status, condition.reason) == said
    begun = f"Tekton started the run at {builders.stamp()}"
    details = it.world.status.failure_details
    assert details is not None
    never = f"The run ended before a step of it had begun: {details.message}"
    assert condition.message == (begun if task is FAILED else never)


async def test_progress_is_mirrored() -> None:
    it = Running()
    it.show(("Unknown", "Running", "going on"), BUSY)
    await later()
    assert await it.reconcile() == WAITS
    assert it.world.journal == ["status"]
    status = it.world.status
    assert (status.phase, status.progress, status.current_step) == (
        Phase.RUNNING,
        "0/1",
        "restart/run",
    )
    assert status.message == "going on"
    assert status.task_runs is not None
    assert status.task_runs[0].started


async def test_nothing_is_written_when_nothing_changed() -> None:
    it = await told()
    await later()
    assert await it.reconcile() == WAITS
    assert it.world.journal == ["status"]


async def test_progress_is_written_at_most_every_two_seconds() -> None:
    it = await told()
    it.show(("Unknown", "Running", "more"), BUSY)
    await later(0.5)
    assert await it.reconcile() == Result(requeue_after_s=1.5, priority=queue.Priority.LOW)
    await later(1.5)
    assert await it.reconcile() == WAITS
    assert it.world.journal == ["status", "status"]


async def test_progress_keeps_away_from_a_transition() -> None:
    it = Running()
    it.show(None, BUSY)
    await later()
    it.mirror.started(fakes.KEY)
    assert await it.reconcile() == Result(requeue_after_s=1.0, priority=queue.Priority.LOW)
    await later(1.0)
    assert await it.reconcile() == WAITS


async def test_progress_gives_way_to_other_keys() -> None:
    it = Running()
    it.show(None, BUSY)
    it.world.busy = True
    await later()
    assert await it.reconcile() == Result(requeue_after_s=60.0, priority=queue.Priority.LOW)
    assert (it.world.journal, it.world.woken) == ([], [])
    it.world.busy = False
    await later()
    assert it.world.woken == [fakes.KEY]
    assert await it.reconcile() == WAITS
    assert it.world.journal == ["status"]


async def test_a_look_that_found_nothing_is_not_made_again_until_something_changes() -> None:
    it = await told()
    await later()
    seen = it.world.sync()
    assert it.mirror.put_off_s(seen) == 0.0
    await it.reconcile()
    assert it.mirror.put_off_s(seen) == 60.0
    assert it.mirror.put_off_s(seen._replace(resource_version="77")) == 0.0
    it.show(None, DONE)
    assert it.mirror.put_off_s(seen) == 0.0
    it.show(("Unknown", "Running", "more"), BUSY)
    assert it.mirror.put_off_s(seen) == 0.0
    it.show(None, BUSY)
    assert it.mirror.put_off_s(seen) == 60.0
    await later()
    assert it.mirror.put_off_s(seen) == 0.0
    it.mirror.forget(fakes.KEY)
    assert it.mirror.put_off_s(seen) == 0.0


async def test_a_look_at_progress_is_put_off_before_anything_is_parsed() -> None:
    it = Running()
    seen = it.world.sync()
    await later()
    assert it.mirror.put_off_s(seen) == 0.0
    it.show(None, BUSY)
    assert it.mirror.put_off_s(seen) == 0.0
    it.world.busy = True
    assert it.mirror.put_off_s(seen) == 60.0
    it.world.busy = False
    await later(0.25)
    await it.reconcile()
    await later(0.25)
    assert it.mirror.put_off_s(seen) == 1.75
    await later(1.5)
    assert it.mirror.put_off_s(seen) == 1.0
    it.show(SUCCESS, DONE)
    assert it.mirror.put_off_s(seen) == 0.0
    it.show(None, BUSY)
    it.mirror.forget(fakes.KEY)
    assert it.mirror.put_off_s(seen) == 0.0


async def test_a_look_is_not_put_off_for_ever_under_lasting_load() -> None:
    it = Running()
    seen = it.world.sync()
    it.show(None, BUSY)
    it.world.busy = True
    await later()
    for _ in range(2):
        for second in range(60):
            assert it.mirror.put_off_s(seen) == 60.0 - second
            await later(1.0)
        assert it.mirror.put_off_s(seen) == 0.0


PULLS = {**builders.step(ran=False), "waiting": {"reason": "ErrImagePull"}}


async def test_a_warning_is_looked_for_and_written_whatever_others_write() -> None:
    it = Running()
    it.world.busy = True
    await later()
    it.show(("Unknown", "Running", "going on"), builders.task(steps=[PULLS]))
    assert it.mirror.put_off_s(it.world.sync()) == 0.0
    await it.reconcile()
    assert it.world.said(ConditionType.PODS_HEALTHY).status is ConditionStatus.FALSE
    # What is no news is progress like any other, and the news of the end is spaced out.
    assert it.mirror.put_off_s(it.world.sync()) == 2.0
    it.show(("Unknown", "Running", "going on"), BUSY)
    assert it.mirror.put_off_s(it.world.sync()) == 2.0
    assert await it.reconcile() == Result(requeue_after_s=2.0, priority=queue.Priority.LOW)
    await later(2.0)
    assert it.mirror.put_off_s(it.world.sync()) == 0.0
    await it.reconcile()
    assert it.world.said(ConditionType.PODS_HEALTHY).status is ConditionStatus.TRUE
    assert it.mirror.put_off_s(it.world.sync()) == 2.0
    await later(2.0)
    assert it.mirror.put_off_s(it.world.sync()) > 2.0


async def test_a_warning_waits_for_the_last_write_of_its_own_execution() -> None:
    it = await told()
    await later(0.5)
    it.show(("Unknown", "Running", "going on"), builders.task(steps=[PULLS]))
    assert it.mirror.put_off_s(it.world.sync()) == 1.5


async def test_a_run_that_stands_still_is_looked_at_though_others_wait() -> None:
    it = Running()
    it.world.busy = True
    await later()
    it.show(None, BUSY)
    it.world.clock.time = builders.NOW + datetime.timedelta(seconds=600)
    assert it.mirror.put_off_s(it.world.sync()) == 2.0
    it.world.clock.advance(1)
    assert it.mirror.put_off_s(it.world.sync()) == 0.0
    await it.reconcile()
    assert it.world.said(ConditionType.PROGRESSING).status is ConditionStatus.FALSE
    await later(2.0)
    assert it.mirror.put_off_s(it.world.sync()) == 60.0
    # What was warned of is over: the news of that waits for nobody either.
    it.world.clock.time = builders.NOW
    assert it.mirror.put_off_s(it.world.sync()) == 0.0
    await it.reconcile()
    assert it.world.said(ConditionType.PROGRESSING).status is ConditionStatus.TRUE
    await later(2.0)
    assert it.mirror.put_off_s(it.world.sync()) == 60.0


async def test_a_success_completes_it_without_another_read() -> None:
    it = Running()
    it.show(SUCCESS, DONE)
    assert await it.reconcile() == Result()
    assert it.world.journal == ["status"]
    status = it.world.status
    assert (status.phase, status.outcome, status.duration) == (
        Phase.COMPLETED,
        Outcome.SUCCESS,
        "30s",
    )
    assert (status.progress, status.current_step) == ("1/1", None)


async def test_a_failure_is_told_after_a_live_look_at_tasks_and_pods() -> None:
    it = Running()
    it.show(FAILURE, FAILED)
    assert await it.reconcile() == Result()
    pod = FAILED.pod_name
    assert it.world.journal == [
        "read_children",
        "has_live_pods",
        "read_pods",
        f"events {pod}",
        f"log {pod} run",
        "status",
    ]
    status = it.world.status
    assert (status.phase, status.outcome, status.failure_reason) == (
        Phase.FAILED,
        Outcome.FAILED,
        "TaskFailed",
    )
    assert status.requires_manual_review
    assert status.message == FAILURE[2]
    assert it.world.said(COMPLETE).reason == "TaskFailed"


async def test_a_failure_before_anything_ran_needs_nobody() -> None:
    it = Running()
    it.show(FAILURE, NEVER)
    await it.reconcile()
    assert it.world.status.failure_reason == "ImagePullBackOff"
    assert it.world.status.requires_manual_review is False
    assert it.world.said(COMPLETE).reason == "ImagePullFailed"


async def test_a_task_that_was_once_seen_started_proves_that_it_ran() -> None:
    entry = {"name": NEVER.name, "task": "restart", "phase": "Running", "started": True}
    it = Running(taskRuns=[entry])
    it.show(FAILURE, NEVER)
    await it.reconcile()
    assert it.world.status.requires_manual_review


@pytest.mark.parametrize(
    ("task", "condition"),
    [
        pytest.param(("Failed", "OOMKilled"), "OOMKilled", id="oom"),
        pytest.param(("ExceededNodeResources", "Error"), "ResourceExhausted", id="resources"),
        pytest.param(("TaskRunTimeout", "TaskRunTimeout"), "DeadlineExceeded", id="timeout"),
    ],
)
async def test_the_condition_says_what_ended_it(task: tuple[str, str], condition: str) -> None:
    it = Running()
    step = builders.step(exit_code=137, reason=task[1])
    it.show(FAILURE, builders.task(condition=("False", task[0], "m"), steps=[step]))
    await it.reconcile()
    assert it.world.said(COMPLETE).reason == condition


async def test_the_condition_says_that_it_was_forbidden() -> None:
    it = Running()
    it.world.engine.show(builders.run(condition=("False", "CreateRunFailed", "is forbidden: no")))
    await it.reconcile()
    assert it.world.said(COMPLETE).reason == "Forbidden"


async def test_a_task_that_the_cache_lacks_is_found_before_it_is_called_safe() -> None:
    it = Running()
    it.show(FAILURE, NEVER)
    other = builders.task("other", condition=("False", "Failed", ""), steps=[builders.step()])
    it.world.engine.live_tasks = (NEVER, other)
    await it.reconcile()
    assert it.world.status.requires_manual_review


@pytest.mark.parametrize(
    ("reason", "outcome", "condition"),
    [
        ("PipelineRunTimeout", Outcome.TIMEOUT, "DeadlineExceeded"),
        ("Cancelled", Outcome.CANCELLED, "PipelineFailed"),
        ("CouldntGetPipeline", Outcome.FAILED, "PipelineFailed"),
    ],
)
async def test_the_outcome_follows_the_reason(
    reason: str, outcome: Outcome, condition: str
) -> None:
    it = Running()
    it.world.engine.show(builders.run(condition=("False", reason, "m")))
    await it.reconcile()
    assert it.world.status.outcome is outcome
    assert it.world.said(COMPLETE).reason == condition


async def test_an_end_that_came_before_its_tasks_ends_waits_for_them_once() -> None:
    it = Running()
    it.show(SUCCESS, BUSY)
    wait = Result(requeue_after_s=running.SETTLE_S)
    assert await it.reconcile() == wait
    it.world.engine.live_tasks = (DONE,)
    assert await it.reconcile() == Result()
    assert it.world.journal == ["read_children", "status"]
    assert it.phase() is Phase.COMPLETED


async def test_a_failure_waits_while_a_task_or_a_pod_still_works() -> None:
    it = Running()
    it.show(FAILURE, BUSY)
    await it.reconcile()
    await later()
    waits = [(await it.reconcile()).requeue_after_s for _ in range(3)]
    assert waits == [0.5, 1.0, 2.0]
    assert it.phase() is Phase.RUNNING
    it.show(FAILURE, FAILED)
    it.world.engine.working = {REF["uid"]}
    await later()
    waits = [(await it.reconcile()).requeue_after_s for _ in range(4)]
    assert waits == [4.0, 8.0, running.UNWATCHED_S, running.UNWATCHED_S]
    it.world.engine.working = set()
    assert await it.reconcile() == Result()
    assert it.phase() is Phase.FAILED


async def test_a_child_that_is_gone_for_good_holds_nothing_up() -> None:
    it = Running()
    it.show(FAILURE)
    await it.reconcile()
    assert await it.reconcile() == Result()
    assert it.phase() is Phase.FAILED
    assert it.world.status.requires_manual_review


async def test_an_engine_that_was_away_is_said_to_be_back() -> None:
    it = Running()
    it.world.engine.away = "no Tekton"
    unwatched = Result(requeue_after_s=running.UNWATCHED_S, priority=queue.Priority.LOW)
    assert await it.reconcile() == unwatched
    assert it.world.said(ConditionType.ENGINE_AVAILABLE).status is ConditionStatus.FALSE
    it.world.engine.away = ""
    it.show(None, BUSY)
    await later()
    await it.reconcile()
    assert it.world.said(ConditionType.ENGINE_AVAILABLE).status is ConditionStatus.TRUE
    assert it.phase() is Phase.RUNNING


async def test_a_later_execution_of_the_same_name_starts_afresh() -> None:
    it = Running()
    it.show(FAILURE, BUSY)
    wait = Result(requeue_after_s=running.SETTLE_S)
    assert await it.reconcile() == wait
    it.show(FAILURE, FAILED)
    assert await it.reconcile() == Result()
    it.world.put(status={"phase": "Running", "pipelineRunRef": REF})
    it.show(FAILURE, BUSY)
    assert await it.reconcile() == wait


async def test_forgetting_forgets_when_it_was_written() -> None:
    it = Running()
    it.show(FAILURE, BUSY)
    await it.reconcile()
    it.mirror.forget(fakes.KEY)
    wait = Result(requeue_after_s=running.SETTLE_S)
    assert await it.reconcile() == wait


async def test_the_end_is_when_the_run_says() -> None:
    it = Running()
    run = builders.run(condition=SUCCESS, status={**ONE, "completionTime": None})
    it.world.engine.show(run, DONE)
    await it.reconcile()
    assert it.world.status.completion_time == it.world.clock.now()
    it = Running()
    it.show(SUCCESS, DONE)
    await it.reconcile()
    assert it.world.status.completion_time == builders.NOW + datetime.timedelta(seconds=30)

"""A running execution ends when its run has ended, and nothing of it works any more."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from tests.unit.reconciler.mirrored import (
    BUSY,
    DONE,
    FAILED,
    FAILURE,
    NEVER,
    ONE,
    REF,
    SUCCESS,
    Running,
    later,
)
from workflowexecution.api.status import ConditionType, Outcome, Phase
from workflowexecution.reconciler import running
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    from workflowexecution.api import tekton

pytestmark = pytest.mark.looptime

COMPLETE = ConditionType.TEKTON_PIPELINE_COMPLETE


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

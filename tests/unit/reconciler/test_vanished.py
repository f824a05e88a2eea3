"""A running execution whose run the cache has not: away, deleted, or not to be recognised."""

import datetime
from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes, mirrored
from tests.unit.reconciler.mirrored import (
    DONE,
    FAILED,
    FAILURE,
    NEVER,
    ONE,
    REF,
    SUCCESS,
    Running,
)
from workflowexecution.api import tekton
from workflowexecution.api.status import ConditionStatus, ConditionType, FailureReason, Phase
from workflowexecution.reconciler import running
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

UNWATCHED = Result(requeue_after_s=running.UNWATCHED_S)
AWAY = Result(requeue_after_s=running.UNWATCHED_S, priority=queue.Priority.LOW)


def run(condition: tuple[str, str, str] | None = None, **metadata: Any) -> tekton.PipelineRun:  # noqa: ANN401 - members of the metadata
    raw = builders.raw_run(condition=condition, status=ONE)
    raw["metadata"] |= metadata
    return tekton.project_pipelinerun(raw, tekton.PipelineRun)


async def test_an_api_that_is_gone_is_no_deletion() -> None:
    it = Running()
    it.world.engine.read_error = answers.refusal(errors.EndpointMissing, "no such API")
    it.world.engine.not_installed = "the API is gone"
    assert await it.reconcile() == AWAY
    assert it.world.said(ConditionType.ENGINE_AVAILABLE).message == "the API is gone"
    it.world.engine.read_error = None
    assert await it.reconcile() == AWAY
    # Seen on two ways, said once.
    assert it.world.journal == ["read", "uninstalled", "status", "read", "uninstalled"]
    assert it.phase() is Phase.RUNNING


async def test_a_run_that_may_not_be_read_is_no_deletion() -> None:
    it = Running()
    it.world.engine.read_error = answers.refusal(errors.Forbidden, "no")
    it.world.engine.shut = "no role there"
    assert await it.reconcile() == AWAY
    assert it.world.said(ConditionType.ENGINE_AVAILABLE).message == "no role there"
    assert it.phase() is Phase.RUNNING


async def test_an_api_that_is_away_for_a_moment_is_asked_again() -> None:
    it = Running()
    it.world.engine.read_error = answers.refusal(errors.EndpointMissing, "no such API")
    with pytest.raises(errors.EndpointMissing):
        await it.reconcile()
    assert it.phase() is Phase.RUNNING


async def test_a_server_that_does_not_answer_leaves_it_as_it_is() -> None:
    it = Running()
    it.world.engine.read_error = errors.TransportError("away")
    with pytest.raises(errors.TransportError):
        await it.reconcile()
    assert it.phase() is Phase.RUNNING


@pytest.mark.parametrize(
    "ref",
    [
        pytest.param(REF, id="by-reference"),
        pytest.param({**REF, "uid": ""}, id="by-label"),
        pytest.param(None, id="without-a-reference"),
    ],
)
async def test_a_run_that_the_cache_lacks_is_mirrored_from_the_server(
    ref: dict[str, str] | None,
) -> None:
    it = Running(pipelineRunRef=ref)
    it.world.engine.live[REF["name"]] = run()
    await mirrored.later()
    assert await it.reconcile() == UNWATCHED
    assert it.world.status.progress == "0/1"


async def test_a_run_whose_labels_were_taken_off_is_known_by_its_uid() -> None:
    it = Running()
    it.world.engine.live[REF["name"]] = run(labels={})
    await mirrored.later()
    assert await it.reconcile() == UNWATCHED


async def test_a_run_with_copied_labels_is_not_taken_for_it() -> None:
    it = Running()
    impostor = run(SUCCESS, uid="another")
    it.world.engine.show(impostor)
    it.world.engine.gone[fakes.UID] = impostor
    await it.reconcile()
    assert it.phase() is Phase.FAILED
    assert it.world.status.failure_reason is FailureReason.UNKNOWN


@pytest.mark.requirement("BR-WF-007", "NotFound handled without panic")
@pytest.mark.requirement("BR-WF-007", "WorkflowExecution marked Failed")
@pytest.mark.requirement("BR-WF-007", "No retry loop on deleted PipelineRun")
async def test_a_deleted_run_fails_it_once() -> None:
    it = Running(message="going on", taskRuns=[
        {"name": "t", "task": "restart", "phase": "Running", "started": True}
    ])  # fmt: skip
    assert await it.reconcile() == Result()
    status = it.world.status
    assert (status.phase, status.failure_reason) == (Phase.FAILED, FailureReason.UNKNOWN)
    said = f"PipelineRun {REF['name']} was deleted by somebody else"
    assert status.message == said
    assert status.failure_details is not None
    assert status.failure_details.message == said
    assert status.requires_manual_review
    assert status.task_runs is not None
    assert status.completion_time == it.world.clock.now()


async def test_a_deleted_run_tells_when_it_was_deleted() -> None:
    it = Running()
    it.world.engine.gone[fakes.UID] = run(deletionTimestamp=builders.stamp(20))
    await it.reconcile()
    assert it.world.status.message is not None
    assert it.world.status.message.endswith("deleted by somebody else at 2026-03-01T12:00:20Z")


async def test_a_deleted_run_that_had_succeeded_completes_it() -> None:
    it = Running()
    it.world.engine.gone[fakes.UID] = run(SUCCESS)
    it.world.engine.cached_tasks = (DONE,)
    assert await it.reconcile() == Result()
    assert it.phase() is Phase.COMPLETED
    assert it.world.status.completion_time == builders.NOW + datetime.timedelta(seconds=30)
    assert it.world.status.task_runs is not None


async def test_a_deleted_run_that_had_failed_counts_as_it_was() -> None:
    it = Running()
    it.world.engine.gone[fakes.UID] = run(FAILURE)
    it.world.engine.cached_tasks = (FAILED,)
    assert await it.reconcile() == Result()
    details = it.world.status.failure_details
    assert details is not None
    assert (details.reason, details.exit_code) == (FailureReason.TASK_FAILED, 3)


OTHER = builders.task(
    "other", condition=("False", "TaskRunCancelled", ""), status={"podName": None, "steps": None}
)


@pytest.mark.parametrize(
    ("left", "cached", "ran"),
    [
        pytest.param((NEVER,), (), False, id="all-tasks-left"),
        pytest.param((NEVER,), (NEVER,), False, id="all-tasks-left-and-cached"),
        pytest.param((), (), True, id="tasks-gone"),
        pytest.param((), (NEVER,), True, id="tasks-gone-but-cached"),
        pytest.param((NEVER,), (NEVER, OTHER), True, id="task-that-the-run-does-not-name-gone"),
    ],
)
async def test_a_deleted_run_proves_nothing_without_its_tasks(
    left: tuple[tekton.TaskRun, ...], cached: tuple[tekton.TaskRun, ...], ran: bool
) -> None:
    it = Running()
    it.world.engine.gone[fakes.UID] = run(FAILURE)
    it.world.engine.live_tasks, it.world.engine.cached_tasks = left, cached
    await it.reconcile()
    assert it.world.status.requires_manual_review is ran
    # What tells why it failed does not have to prove anything.
    told = "ImagePullBackOff" if left or cached else "Unknown"
    assert it.world.status.failure_reason == told


async def test_pods_of_a_deleted_run_are_waited_for() -> None:
    it = Running()
    it.world.engine.working = {REF["uid"]}
    waits = [(await it.reconcile()).requeue_after_s for _ in range(3)]
    assert waits == [0.5, 1.0, 2.0]
    assert it.phase() is Phase.RUNNING
    it.world.engine.working = set()
    assert await it.reconcile() == Result()
    assert it.phase() is Phase.FAILED


async def test_a_deleted_run_without_a_reference_has_no_pods_to_wait_for() -> None:
    it = Running(pipelineRunRef=None)
    assert await it.reconcile() == Result()
    assert "has_live_pods" not in it.world.journal
    assert it.phase() is Phase.FAILED


async def test_a_deleted_run_is_no_end_while_a_task_of_it_may_begin() -> None:
    """Its TaskRuns go after it, and until then Tekton makes pods for them."""
    it = Running()
    it.world.engine.gone[fakes.UID] = run(("False", "PipelineRunTimeout", "late"))
    it.world.engine.live_tasks = it.world.engine.cached_tasks = (
        builders.task(condition=("Unknown", "Pending", ""), status={"podName": None}),
    )
    assert await it.reconcile() == Result(requeue_after_s=running.SETTLE_S)
    assert it.phase() is Phase.RUNNING
    it.world.engine.live_tasks = ()
    assert await it.reconcile() == Result()
    assert it.phase() is Phase.FAILED
    assert it.world.status.requires_manual_review


async def test_whoever_waits_for_what_a_deleted_run_has_left_says_for_what() -> None:
    it = Running()
    it.world.engine.gone[fakes.UID] = run(FAILURE)
    waiting = builders.task(condition=("Unknown", "Pending", ""), status={"podName": None})
    it.world.engine.live_tasks = (waiting,)
    for _ in range(8):
        await it.reconcile()
    said = it.world.said(ConditionType.PODS_HEALTHY)
    assert (said.status, said.reason) == (ConditionStatus.FALSE, "PodsLingering")
    assert f"TaskRun {waiting.name}" in said.message
    assert it.world.journal.count("status") == 1
    it.world.engine.live_tasks = ()
    it.world.engine.working = {REF["uid"]}
    await it.reconcile()
    assert it.world.said(ConditionType.PODS_HEALTHY).message.endswith("waits to begin: a pod")
    it.world.engine.working.clear()
    await it.reconcile()
    assert it.phase() is Phase.FAILED
    assert it.world.said(ConditionType.PODS_HEALTHY).status is ConditionStatus.TRUE


async def test_an_engine_is_said_to_be_back_while_what_a_deleted_run_has_left_works() -> None:
    it = Running()
    it.world.engine.away = "no Tekton"
    await it.reconcile()
    it.world.engine.away = ""
    it.world.engine.working = {REF["uid"]}
    for _ in range(8):
        await it.reconcile()
    assert it.phase() is Phase.RUNNING
    assert it.world.said(ConditionType.ENGINE_AVAILABLE).status is ConditionStatus.TRUE
    assert it.world.journal.count("status") == 2

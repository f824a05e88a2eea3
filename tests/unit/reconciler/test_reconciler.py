"""The one reconcile function."""

import asyncio

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution import logcontext
from workflowexecution.api import names
from workflowexecution.api.status import Phase
from workflowexecution.domain import locking
from workflowexecution.reconciler import reconciler
from workflowexecution.reconciler.ended import DELETIONS_PER_S
from workflowexecution.runtime import queue, resource
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

LOCK = locking.run_name(builders.TARGET)
BUSY = builders.task(steps=[builders.step(running=True)])
SUCCEEDED = ("True", "Succeeded", "Tasks Completed: 1 (Failed: 0, Cancelled 0), Skipped: 0")


class One:
    """One execution in its world, and what reconciles it."""

    def __init__(self) -> None:
        self.world = fakes.World()
        self.reconciler = reconciler.WorkflowExecutionReconciler(self.world.tools)

    async def reconcile(self) -> Result:
        self.world.sync()
        return await self.reconciler.reconcile(fakes.KEY)

    def phase(self) -> Phase | None:
        return self.world.status.phase


async def test_one_that_is_gone_is_done_with() -> None:
    one = One()
    assert await one.reconciler.reconcile(fakes.KEY) == Result()
    assert one.world.journal == []


async def test_one_of_another_instance_is_left_alone() -> None:
    one = One()
    one.world.put(metadata={"labels": {names.LABEL_INSTANCE: "blue"}})
    assert await one.reconcile() == Result()
    assert one.world.journal == []


async def test_a_life_from_start_to_release() -> None:
    one = One()
    one.world.put()
    await one.reconcile()
    assert one.phase() is Phase.RUNNING
    one.world.engine.show(builders.run(condition=SUCCEEDED))
    await one.reconcile()
    assert one.phase() is Phase.COMPLETED
    assert (await one.reconcile()).priority is queue.Priority.LOW
    one.world.clock.advance(300)
    await one.reconcile()
    one.world.engine.cached.clear()
    await asyncio.sleep(1)
    await one.reconcile()
    stored = one.world.writer.stored[fakes.KEY]["metadata"]
    assert "finalizers" not in stored
    assert one.world.journal == ["patch", "create", "status", "status", f"delete {LOCK}", "patch"]


async def test_a_run_that_is_met_is_looked_at_at_once() -> None:
    one = One()
    one.world.put()
    one.world.engine.show(builders.run())
    assert await one.reconcile() == Result(requeue_after_s=0.0)


async def test_progress_keeps_away_from_the_start() -> None:
    one = One()
    one.world.put()
    await asyncio.sleep(60)
    await one.reconcile()
    one.world.engine.show(builders.run(), BUSY)
    assert await one.reconcile() == Result(requeue_after_s=1.0, priority=queue.Priority.LOW)
    await asyncio.sleep(1)
    assert await one.reconcile() == Result(requeue_after_s=542.0, priority=queue.Priority.LOW)
    assert one.world.status.task_runs is not None


async def test_one_that_is_deleted_is_let_go_in_any_phase() -> None:
    one = One()
    metadata = {"deletionTimestamp": builders.stamp(), "finalizers": [names.FINALIZER]}
    one.world.put(metadata=metadata, status={"phase": "Pending"})
    await one.reconcile()
    assert one.phase() is Phase.FAILED
    await one.reconcile()
    assert one.world.journal == ["read", "status", "read", "patch"]


@pytest.mark.parametrize("phase", ["Completed", "Failed", "Skipped"])
async def test_one_that_has_ended_stays_as_it_is(phase: str) -> None:
    one = One()
    ended = {"phase": phase, "completionTime": builders.stamp()}
    one.world.put(metadata={"finalizers": []}, status=ended)
    assert await one.reconcile() == Result()
    assert one.world.journal == []


async def test_lines_tell_which_execution_they_are_about() -> None:
    one = One()
    one.world.put(status={"phase": "Completed"})
    await one.reconcile()
    assert logcontext.merge(None, "info", {}) == {
        "namespace": "payment",
        "name": "restart-payment",
        "uid": fakes.UID,
        "correlation_id": "rr-1",
    }
    await one.reconciler.reconcile(resource.ObjectKey("no", "such"))
    assert logcontext.merge(None, "info", {}) == {}


async def test_what_is_remembered_of_a_running_one_goes_with_it() -> None:
    one = One()
    ref = {"name": LOCK, "namespace": "kubernaut-workflows", "uid": "run-of-restart-payment"}
    running = {"phase": "Running", "pipelineRunRef": ref}
    one.world.put(status=running)
    named = builders.run(condition=SUCCEEDED, status={"childReferences": [builders.child()]})
    one.world.engine.show(named, BUSY)
    wait = Result(requeue_after_s=0.5)
    assert await one.reconcile() == wait
    one.world.executions.remove(fakes.KEY)
    await one.reconciler.reconcile(fakes.KEY)
    assert await one.reconcile() == wait


@pytest.mark.parametrize("going", [False, True], ids=["gone", "going"])
async def test_one_that_is_gone_leaves_the_line_of_the_deletions(*, going: bool) -> None:
    one = One()
    ended = {"phase": "Completed", "completionTime": builders.stamp()}
    kept = {"finalizers": [names.FINALIZER]}
    keys = [one.world.other(it, metadata=kept, status=ended).key for it in ("first", "second")]
    waits = [(await one.reconciler.reconcile(key)).requeue_after_s for key in keys]
    assert waits == [None, 1 / DELETIONS_PER_S]
    if going:
        leaving = {"deletionTimestamp": builders.stamp(), "finalizers": []}
        one.world.other("second", metadata=leaving, status=ended)
    else:
        one.world.executions.remove(keys[1])
    assert await one.reconciler.reconcile(keys[1]) == Result()
    one.world.other("second", metadata=kept, status=ended)
    again = await one.reconciler.reconcile(keys[1])
    assert again.requeue_after_s == 2 / DELETIONS_PER_S

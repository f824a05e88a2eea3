"""An ended execution: its run is kept, then goes, and then the finalizer."""

import asyncio

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.api import names
from workflowexecution.domain import locking
from workflowexecution.reconciler import ended
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

LOCK = locking.run_name(builders.TARGET)
DELETE = f"delete {LOCK}"
ENDED = {"phase": "Completed", "completionTime": builders.stamp()}
RUN = builders.run(condition=("True", "Succeeded", ""))


def world(
    *, retention_s: float = 300.0, finalizers: list[str] | None = None, at: str = builders.stamp()
) -> tuple[fakes.World, ended.Retention]:
    """A world at a minute after the end of an execution, whose run is there."""
    made = fakes.World(run_retention_s=retention_s)
    kept = [names.FINALIZER] if finalizers is None else finalizers
    made.put(metadata={"finalizers": kept}, status=ENDED | {"completionTime": at})
    made.engine.show(RUN)
    return made, ended.Retention(made.tools)


async def test_a_run_is_kept_until_its_time_has_come() -> None:
    made, retention = world(retention_s=300.0)
    low = queue.Priority.LOW
    assert await retention.reconcile(made.sync()) == Result(requeue_after_s=240.0, priority=low)
    made.clock.advance(239.5)
    assert await retention.reconcile(made.sync()) == Result(requeue_after_s=0.5, priority=low)
    assert made.journal == []
    made.clock.advance(0.5)
    assert await retention.reconcile(made.sync()) == Result()
    assert made.journal == [DELETE]


async def test_a_run_is_kept_with_its_execution_when_retention_is_0() -> None:
    made, retention = world(retention_s=0.0)
    made.clock.advance(10**6)
    assert await retention.reconcile(made.sync()) == Result()
    assert made.journal == []


async def test_a_run_that_is_going_is_waited_for() -> None:
    made, retention = world()
    going = builders.raw_run()["metadata"] | {"deletionTimestamp": builders.stamp()}
    made.engine.show(builders.run(metadata=going))
    made.clock.advance(300)
    assert await retention.reconcile(made.sync()) == Result()
    assert made.journal == []


@pytest.mark.parametrize(
    "at",
    [
        pytest.param("", id="absent"),
        pytest.param("long ago", id="text"),
        pytest.param("2026-03-01T12:00:00", id="no-zone"),
    ],
)
async def test_an_end_that_cannot_be_read_is_long_ago(at: str) -> None:
    made, retention = world(at=at)
    assert await retention.reconcile(made.sync()) == Result()
    assert made.journal == [DELETE]


async def test_the_finalizer_goes_when_the_run_is_gone() -> None:
    made, retention = world(finalizers=["other/one", names.FINALIZER, names.LEGACY_FINALIZER])
    made.engine.cached.clear()
    assert await retention.reconcile(made.sync()) == Result()
    assert made.journal == ["patch"]
    assert made.writer.stored[fakes.KEY]["metadata"]["finalizers"] == ["other/one"]


async def test_no_empty_list_of_finalizers_is_left() -> None:
    made, retention = world()
    made.engine.cached.clear()
    await retention.reconcile(made.sync())
    assert "finalizers" not in made.writer.stored[fakes.KEY]["metadata"]
    assert await retention.reconcile(made.sync()) == Result()
    assert made.journal == ["patch"]


async def test_the_finalizer_stays_while_the_engine_is_away() -> None:
    made, retention = world()
    made.engine.cached.clear()
    made.engine.away = "no Tekton"
    assert await retention.reconcile(made.sync()) == Result()
    assert made.journal == []


async def test_deletions_and_releases_are_spaced_out() -> None:
    made, retention = world()
    made.clock.advance(300)
    assert await retention.reconcile(made.sync()) == Result()
    low = queue.Priority.LOW
    wait = Result(requeue_after_s=1 / ended.DELETIONS_PER_S, priority=low)
    assert await retention.reconcile(made.sync()) == wait
    made.engine.cached.clear()
    assert await retention.reconcile(made.sync()) == wait
    await asyncio.sleep(0.051)
    assert await retention.reconcile(made.sync()) == Result()
    assert made.journal == [DELETE, "patch"]


async def test_a_deletion_that_fails_is_tried_again() -> None:
    made, retention = world()
    made.clock.advance(300)
    made.engine.delete_error = errors.TransportError("lost")
    with pytest.raises(errors.TransportError):
        await retention.reconcile(made.sync())

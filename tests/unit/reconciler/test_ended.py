"""An ended execution: its run is kept, then goes, and then the finalizer."""

import asyncio

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.api import names, tekton
from workflowexecution.domain import locking
from workflowexecution.reconciler import ended, ladder
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

LOCK = locking.run_name(builders.TARGET)
DELETE = f"delete {LOCK}"
ENDED = {"phase": "Completed", "completionTime": builders.stamp()}
OVER = ("True", "Succeeded", "")
RUN = builders.run(condition=OVER)
AGAIN = Result(requeue_after_s=ladder.AGAIN_S, priority=queue.Priority.HIGH)
STALE = Result(requeue_after_s=ended.STALE_S, priority=queue.Priority.LOW)


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
    place = f"kubernaut-workflows/{LOCK}"
    said = f"PipelineRun {place} was kept long enough and is deleted"
    assert made.events.said == [("restart-payment", "LockReleased", said)]


async def test_a_run_is_kept_with_its_execution_when_retention_is_0() -> None:
    made, retention = world(retention_s=0.0)
    made.clock.advance(10**6)
    assert await retention.reconcile(made.sync()) == Result()
    assert made.journal == []


async def test_a_run_that_is_going_is_waited_for() -> None:
    made, retention = world()
    going = {"deletionTimestamp": builders.stamp()}
    made.engine.show(builders.run(condition=OVER, metadata=going))
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


async def test_a_run_that_begins_late_is_stopped_at_once_and_counted() -> None:
    """A live run of an execution that is over is cancelled, and counted once."""
    made, retention = world()
    made.engine.show(builders.run())
    assert await retention.reconcile(made.sync()) == AGAIN
    assert made.journal == ["read", f"change {LOCK}"]
    (change,) = made.engine.changes
    assert change["spec"] == {"status": "Cancelled"}
    assert change["metadata"]["annotations"][names.ANNOTATION_CANCEL_CAUSE] == "late"
    assert made.metrics.counted == ["late_run_cancelled"]
    marks = change["metadata"]["annotations"]
    made.engine.show(builders.run(metadata={"annotations": marks}))
    assert (await retention.reconcile(made.sync())).requeue_after_s == 120.0
    assert made.metrics.counted == ["late_run_cancelled"]
    assert made.status.phase == "Completed"


@pytest.mark.parametrize(
    "live",
    [
        pytest.param(None, id="gone"),
        pytest.param(RUN, id="ended"),
        pytest.param(builders.run(metadata={"uid": "another"}), id="of-another"),
    ],
)
async def test_a_run_is_stopped_late_only_when_the_server_says_so(
    live: tekton.PipelineRun | None,
) -> None:
    made, retention = world()
    made.engine.show(builders.run())
    if live is None:
        made.engine.live.clear()
    else:
        made.engine.live[LOCK] = live
    assert await retention.reconcile(made.sync()) == STALE
    assert made.journal == ["read"]
    assert made.metrics.counted == []


async def test_a_clearance_is_consumed_before_the_run_is_looked_at() -> None:
    made, retention = world()
    given = {"clearedAt": builders.stamp(5), "clearedBy": "ann", "clearReason": "looked at it",
             "clearMethod": "StatusField"}  # fmt: skip
    made.put(status=ENDED | {"blockClearance": given})
    await retention.reconcile(made.sync())
    assert made.status.clearance_recorded_at == made.clock.now()
    await retention.reconcile(made.sync())
    assert made.journal == ["read execution", "status"]

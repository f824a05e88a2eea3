"""An ended execution: its run is kept, then goes, and then the finalizer."""

import asyncio
import dataclasses

import pytest

from tests import builders
from tests.unit import quiet
from tests.unit.reconciler import answers, fakes
from workflowexecution.api import names, tekton
from workflowexecution.domain import locking
from workflowexecution.reconciler import duty, ended, ladder, surplus, view
from workflowexecution.runtime import controller, errors, queue, resource
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

LOCK = locking.run_name(builders.TARGET)
DELETE = f"delete {LOCK}"
ENDED = {"phase": "Completed", "completionTime": builders.stamp()}
OVER = ("True", "Succeeded", "")
RUN = builders.run(condition=OVER)
AGAIN = Result(requeue_after_s=ladder.AGAIN_S)
STALE = Result(requeue_after_s=surplus.STALE_S, priority=queue.Priority.LOW)


def world(
    *, retention_s: float = 300.0, finalizers: list[str] | None = None, at: str = builders.stamp()
) -> tuple[fakes.World, ended.Retention]:
    """A world at a minute after the end of an execution, whose run is there."""
    made = fakes.World(run_retention_s=retention_s)
    kept = [names.FINALIZER] if finalizers is None else finalizers
    made.put(metadata={"finalizers": kept}, status=ENDED | {"completionTime": at})
    made.engine.show(RUN)
    return made, ended.Retention(made.tools)


class Settling(duty.NoAudit):
    """Has acknowledgements to write each time."""

    def __init__(self, error: errors.ClusterError | None = None) -> None:
        self.error = error

    async def settle(self, seen: view.Execution) -> duty.Settled:
        if self.error is not None:
            raise self.error
        return duty.Settled.WRITTEN


@pytest.mark.parametrize(
    ("run", "result", "journal"),
    [
        pytest.param(RUN, Result(240.0, queue.Priority.LOW), [], id="kept"),
        pytest.param(builders.run(), AGAIN, ["read", f"change {LOCK}"], id="goes-on"),
        pytest.param(None, Result(), [], id="gone"),
    ],
)
async def test_an_acknowledgement_is_followed_by_what_no_other_version_changes(
    run: tekton.PipelineRun | None, result: Result, journal: list[str]
) -> None:
    made, _ = world()
    made.engine.cached.clear()
    if run is not None:
        made.engine.show(run)
    retention = ended.Retention(dataclasses.replace(made.tools, audit=Settling()))
    assert await retention.reconcile(made.sync()) == result
    assert made.journal == journal


@pytest.mark.parametrize(
    ("run", "journal"),
    [
        pytest.param(RUN, [DELETE], id="kept"),
        pytest.param(builders.run(), ["read", f"change {LOCK}"], id="goes-on"),
        pytest.param(None, [], id="gone"),
    ],
)
async def test_no_run_waits_for_an_acknowledgement_that_cannot_be_written(
    run: tekton.PipelineRun | None, journal: list[str]
) -> None:
    made, _ = world(retention_s=1.0)
    made.engine.cached.clear()
    if run is not None:
        made.engine.show(run)
    refusal = answers.refusal(errors.Forbidden)
    retention = ended.Retention(dataclasses.replace(made.tools, audit=Settling(refusal)))
    with pytest.raises(errors.Forbidden):
        await retention.reconcile(made.sync())
    assert made.journal == journal


class Crowd:
    """Ended executions whose runs are gone, all due at once; a controller works on them."""

    def __init__(self, size: int) -> None:
        self.made, self.retention = world()
        self.made.engine.cached.clear()
        self.queue = queue.WorkQueue()
        self.came = 0
        self.let_go: list[float] = []
        self.held: list[resource.ObjectKey] | None = None
        self._controller = controller.Controller(
            reconcile=self._reconcile, queue=self.queue, workers=10, reconcile_deadline_s=30.0,
            held=lambda key, priority: False, away=lambda: False, observer=quiet.Quiet(),
        )  # fmt: skip
        for number in range(size):
            kept = {"finalizers": [names.FINALIZER]}
            key = self.made.other(f"e-{number}", metadata=kept, status=ENDED).key
            self.queue.add(key, queue.Priority.LOW)

    async def work(self, seconds: float) -> None:
        task = asyncio.create_task(self._controller.run())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])

    def hold_up(self) -> None:
        self.held = []

    def go_on(self) -> None:
        held, self.held = self.held or [], None
        for key in held:
            self.queue.add(key, queue.Priority.LOW)

    def let_go_between(self, start: float, end: float) -> int:
        return sum(start <= at < end for at in self.let_go)

    async def _reconcile(self, key: resource.ObjectKey) -> Result:
        if self.held is not None:
            self.held.append(key)
            return Result()
        self.came += 1
        before = len(self.made.journal)
        seen = view.projection("", "")(self.made.writer.stored[key])
        result = await self.retention.reconcile(seen)
        now = asyncio.get_running_loop().time()
        self.let_go += [now] * (len(self.made.journal) - before)
        return result


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
    told = fakes.ABOUT + f"PipelineRun {place} was kept long enough and is deleted"
    assert made.events.said == [("restart-payment", "Normal", "LockReleased", told)]


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


async def test_a_run_is_kept_from_when_its_end_was_told_by_the_servers_time() -> None:
    """By the clock of Tekton, which may be behind, it ended long before."""
    made, retention = world(at=builders.stamp(-240))
    ready = {"type": "Ready", "status": "True", "reason": "Completed", "message": "",
             "lastTransitionTime": builders.stamp()}  # fmt: skip
    made.writer.stored[fakes.KEY]["status"]["conditions"] = [ready]
    kept = Result(240.0, queue.Priority.LOW)
    assert await retention.reconcile(made.sync()) == kept
    made.clock.advance(240)
    assert await retention.reconcile(made.sync()) == Result()
    assert made.journal == [DELETE]


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


@pytest.mark.parametrize("held_up_s", [0.0, 30.0], ids=["at-once", "after-an-outage"])
async def test_however_many_are_due_each_comes_when_its_turn_does(held_up_s: float) -> None:
    crowd = Crowd(1000)
    await crowd.work(1.0)
    crowd.hold_up()
    await crowd.work(held_up_s)
    crowd.go_on()
    came, let_go = crowd.came, len(crowd.let_go)
    await crowd.work(10.0)
    assert 195 <= len(crowd.let_go) - let_go <= 200
    assert all(crowd.let_go_between(at, at + 1) <= 20 for at in crowd.let_go)
    assert crowd.came - came <= 1000 + 400
    assert len(crowd.retention.line) == 1000 - len(crowd.let_go)


async def test_a_place_in_the_line_is_kept_until_it_is_used_or_forgotten() -> None:
    line = ended.Line()
    first, second, third = (resource.ObjectKey("payment", name) for name in "abc")
    assert [line.wait_s(key) for key in (first, second, third)] == [0.0, 0.05, 0.1]
    assert [line.wait_s(key) for key in (second, third, first)] == [0.05, 0.1, pytest.approx(0.15)]
    line.forget(third)
    line.forget(third)
    await asyncio.sleep(0.06)
    assert (line.wait_s(second), len(line)) == (0.0, 1)


async def test_those_that_come_late_to_the_line_do_not_all_go_at_once() -> None:
    line = ended.Line()
    keys = [resource.ObjectKey("payment", str(number)) for number in range(20)]
    for key in keys:
        line.wait_s(key)
    await asyncio.sleep(60)
    waits = [line.wait_s(key) for key in keys[1:]]
    assert waits == pytest.approx([number * 0.05 for number in range(19)])


async def test_who_comes_a_little_before_the_last_turn_is_over_keeps_its_place() -> None:
    line = ended.Line()
    first, second, third = (resource.ObjectKey("payment", name) for name in "abc")
    assert [line.wait_s(key) for key in (first, second, third)] == [0.0, 0.05, 0.1]
    await asyncio.sleep(0.06)
    assert line.wait_s(second) == 0.0
    await asyncio.sleep(0.04)
    assert line.wait_s(third) == pytest.approx(0.01)
    await asyncio.sleep(0.01)
    assert line.wait_s(third) == 0.0


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

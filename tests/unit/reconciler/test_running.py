"""A running execution: mirrored while it runs, as often as others leave it time."""

from __future__ import annotations

import datetime

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from tests.unit.reconciler.mirrored import BUSY, DONE, SUCCESS, Running, later
from workflowexecution.api.status import ConditionStatus, ConditionType, Phase
from workflowexecution.reconciler import running
from workflowexecution.runtime import queue
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

# It has changed 59 s ago: no change of it may come for the rest of ten minutes.
WAITS = Result(requeue_after_s=542.0, priority=queue.Priority.LOW)


async def told() -> Running:
    """One whose progress has just been written."""
    it = Running()
    it.show(None, BUSY)
    await later()
    await it.reconcile()
    return it


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

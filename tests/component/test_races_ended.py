"""Events and answers in an unlucky order: the end is written soon, and what is to go goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.component import world
from tests.component.races import CREATE, STATUS, fail_task, refusal, watch
from tests.fake import faults, kinds
from tests.fake.paths import Match
from workflowexecution.api import names

if TYPE_CHECKING:
    from tests.component.world import World

pytestmark = pytest.mark.looptime


async def test_kept_run_is_deleted_when_the_end_of_its_execution_cannot_be_read(
    here: World,
) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.end_run()
        await here.until_phase("Completed")
    odd = {"status": {"completionTime": "2026-03-01T12:00:00"}}
    here.cluster.patch(kinds.EXECUTIONS, world.TEAM, "restart-payment", odd, subresource="status")
    async with here.controller():
        await world.until(lambda: here.run() is None)


async def test_deleted_execution_goes_in_the_end_when_its_status_cannot_be_written(
    here: World,
) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.cluster.faults.add(refusal(422, "Invalid", "odd schema"), STATUS, times=None)
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        await world.until(lambda: here.execution() is None, within_s=900)


async def test_run_goes_too_when_the_execution_was_deleted_long_before_the_start(
    here: World,
) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
    here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
    await asyncio.sleep(3600)
    async with here.controller():
        assert await here.obey() == "Cancelled"
        await world.until(lambda: here.execution() is None)
    assert here.run() is None


async def test_status_tells_the_end_of_a_task_when_it_comes_just_after_the_runs(
    here: World,
) -> None:
    here.cluster.faults.add(faults.DelayEvents(30), watch("taskruns"), times=None)
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        name = fail_task(here)
        child = {"kind": "TaskRun", "name": name, "pipelineTaskName": "t"}
        here.end_run(childReferences=[child])
        status = await here.until_phase("Completed")
    assert [it["phase"] for it in status["taskRuns"]] == ["Failed"]


async def test_run_goes_with_its_execution_when_its_watch_has_not_told_of_it(here: World) -> None:
    here.cluster.faults.add(faults.DelayEvents(300), watch("pipelineruns"), times=None)
    here.cluster.faults.add(faults.ApplyThenDrop(), CREATE)
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        await here.obey()
        await world.until(lambda: here.run() is None, within_s=400)
        await world.until(lambda: here.execution() is None, within_s=400)


async def test_finalizers_of_others_stay_when_ours_comes_and_goes(here: World) -> None:
    async with here.controller():
        here.ask(metadata={"finalizers": ["example.com/theirs"]})
        await here.until_phase("Running")
        kept = (here.execution() or {})["metadata"]["finalizers"]
        assert kept == ["example.com/theirs", names.FINALIZER]
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        await here.obey()
        await world.until(lambda: here.run() is None)
        await asyncio.sleep(60)
    assert (here.execution() or {})["metadata"]["finalizers"] == ["example.com/theirs"]


@pytest.mark.parametrize("late", ["workflowexecutions", "pipelineruns", "taskruns"])
async def test_end_is_written_soon_when_one_watch_lags(here: World, late: str) -> None:
    here.cluster.faults.add(faults.DelayEvents(10), watch(late), times=None)
    async with here.controller():
        here.ask()
        await world.until(here.run)
        here.end_run()
        await here.until_phase("Completed")


async def test_end_is_written_soon_when_the_status_was_written_without_an_answer(
    here: World,
) -> None:
    here.cluster.faults.add(faults.ApplyThenDrop(), STATUS)
    async with here.controller():
        here.ask()
        await world.until(here.run)
        here.end_run()
        await here.until_phase("Completed")


async def test_end_is_written_when_it_comes_while_the_engine_seems_away(here: World) -> None:
    away = Match(resource="pipelineruns", agent=world.AGENT)
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.cluster.faults.add(faults.endpoint_missing(), away, times=None)
        here.cluster.faults.drop_watches(Match(resource="pipelineruns"))
        seen = here.cluster.requests.count(away)
        await world.until(lambda: here.cluster.requests.count(away) > seen + 2)
        here.end_run()
        here.cluster.faults.heal()
        await here.until_phase("Completed")


async def test_deletion_during_the_create_takes_the_run_with_it(here: World) -> None:
    held = here.cluster.faults.hold(CREATE)
    async with here.controller():
        here.ask()
        await held.reached.wait()
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        held.release()
        await here.obey()
        await world.until(lambda: here.execution() is None and here.run() is None)
    assert len(here.cluster.items(kinds.PIPELINE_RUNS)) == 0

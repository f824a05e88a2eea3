"""Events and answers in an unlucky order: none fails too early, nor with too little said."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.component import world
from tests.component.races import CREATE, details_of, fail_task, start_pod, watch
from tests.fake import definitions, faults, kinds
from tests.fake.paths import Match

if TYPE_CHECKING:
    from tests.component.world import World

pytestmark = pytest.mark.looptime

NO_BUNDLE = ("False", "CouldntGetPipeline", "no such bundle")


async def test_failure_counts_as_execution_when_the_task_watch_lags(here: World) -> None:
    here.cluster.faults.add(faults.DelayEvents(30), watch("taskruns"), times=None)
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        fail_task(here)
        here.end_run(world.FAILED)
        status = await here.until_phase("Failed")
    assert details_of(status)["wasExecutionFailure"] is True


async def test_failure_counts_as_execution_when_its_run_is_gone_but_a_task_ran(
    here: World,
) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.cluster.faults.add(faults.DelayEvents(5), watch("taskruns"), times=None)
        here.cluster.faults.drop_watches(Match(resource="taskruns"))
        await world.until(lambda: here.cluster.faults.open_streams(Match(resource="taskruns")))
        fail_task(here)
        here.end_run(NO_BUNDLE)
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        status = await here.until_phase("Failed")
    assert details_of(status)["wasExecutionFailure"] is True


async def test_execution_has_not_failed_while_a_pod_of_its_vanished_run_works(
    here: World,
) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        start_pod(here)
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        await asyncio.sleep(30)
        assert (here.execution() or {})["status"]["phase"] == "Running"
        here.cluster.delete(kinds.PODS, world.NAMESPACE, "p")
        await here.until_phase("Failed")


async def test_execution_has_not_failed_when_its_last_create_was_done_without_an_answer(
    here: World,
) -> None:
    here.cluster.faults.add(faults.DelayEvents(300), watch("pipelineruns"), times=None)
    failing = here.cluster.faults.add(faults.bad_gateway(), CREATE, times=None)
    async with here.controller():
        here.ask()
        await here.until_phase("Pending")
    failing.left = 0
    here.cluster.faults.add(faults.ApplyThenDrop(), CREATE)
    await asyncio.sleep(3600)
    async with here.controller():
        await here.until_phase("Running")


async def test_execution_has_not_failed_while_tekton_is_on_its_way_out(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        name = kinds.PIPELINE_RUNS.qualified
        hold = {"metadata": {"finalizers": ["example.com/hold"]}}
        here.cluster.patch(definitions.DEFINITIONS, "", name, hold)
        here.cluster.delete(definitions.DEFINITIONS, "", name)
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        await asyncio.sleep(60)
        status = (here.execution() or {})["status"]
    assert status["phase"] == "Running"
    assert "EngineUnavailable" in str(status["conditions"])


async def test_execution_has_not_failed_while_a_pod_of_its_failed_run_works(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        start_pod(here)
        here.end_run(world.FAILED)
        await asyncio.sleep(30)
        assert (here.execution() or {})["status"]["phase"] == "Running"
        here.cluster.delete(kinds.PODS, world.NAMESPACE, "p")
        await here.until_phase("Failed")

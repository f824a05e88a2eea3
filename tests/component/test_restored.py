"""The database is put back to a copy: nothing that ran in the lost time runs again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.component import world
from tests.fake import faults, kinds
from tests.fake.paths import Match

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.component.world import World

pytestmark = pytest.mark.looptime

NAME = "restart-payment"
KEPT_S = 90
STATUS = Match(verbs=("patch",), subresource="status", agent=world.AGENT)
MADE = Match(verbs=("create",), resource="pipelineruns", agent=world.AGENT)


@contextlib.asynccontextmanager
async def away(here: World) -> AsyncIterator[None]:
    """The server is not there for a few seconds."""
    here.cluster.faults.add(faults.Drop(), Match(agent=world.AGENT), times=None)
    here.cluster.faults.drop_watches(ending=faults.Ending.RESET)
    await asyncio.sleep(5)
    yield
    await asyncio.sleep(5)
    here.cluster.faults.heal()


def put_back(here: World) -> None:
    """The copy is of the time before anything was done about the execution."""
    if here.run() is not None:
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
    nothing = {"metadata": {"labels": None, "finalizers": None}}
    here.cluster.patch(kinds.EXECUTIONS, world.TEAM, NAME, nothing)
    here.cluster.patch(kinds.EXECUTIONS, world.TEAM, NAME, {"status": None}, subresource="status")


async def test_nothing_runs_again_when_its_run_had_gone_before_this_process_came(
    here: World,
) -> None:
    keeping = {"execution__runRetention": f"{KEPT_S}s"}
    async with here.controller(**keeping):
        here.ask()
        await here.until_phase("Running")
        here.end_run()
        await here.until_phase("Completed")
        await world.until(lambda: here.run() is None, within_s=2 * KEPT_S)
    async with here.controller(**keeping):
        await asyncio.sleep(5)
        async with away(here):
            put_back(here)
        status = await here.until_phase("Failed")
    assert status["failureDetails"]["wasExecutionFailure"]
    assert here.cluster.requests.count(MADE) == 1


async def test_nothing_runs_again_when_the_watch_had_not_told_of_its_run(here: World) -> None:
    async with here.controller():
        await asyncio.sleep(1)
        here.cluster.faults.silence_watches(Match(resource="pipelineruns", agent=world.AGENT))
        here.cluster.faults.add(faults.Drop(), STATUS, times=None)
        here.ask()
        await world.until(here.run)
        async with away(here):
            put_back(here)
        await here.until_phase("Failed")
    assert here.cluster.requests.count(MADE) == 1

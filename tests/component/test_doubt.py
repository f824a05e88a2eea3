"""One kind cannot be listed after an outage: that is told, and holds up no deletion for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.component import world
from tests.fake import faults, kinds
from tests.fake.paths import Match
from tests.support.program import free_port

if TYPE_CHECKING:
    from tests.component.world import World

pytestmark = pytest.mark.looptime

GIVE_UP_S = 600.0
REFUSED = faults.Answer(403, '{"kind":"Status","reason":"Forbidden","code":403}')


async def refuse_lists(here: World, resource: str) -> None:
    """The server is away for a moment, and back with a right less."""
    here.cluster.faults.add(faults.Drop(), Match(agent=world.AGENT), times=None)
    here.cluster.faults.drop_watches(ending=faults.Ending.RESET)
    await asyncio.sleep(5)
    here.cluster.faults.heal()
    refused = Match(verbs=("list",), resource=resource, agent=world.AGENT)
    here.cluster.faults.add(REFUSED, refused, times=None)


async def readiness(port: int) -> tuple[int, str]:
    """What the probe is answered, and why."""
    url = f"http://127.0.0.1:{port}/readyz"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        checks: dict[str, str] = (await answer.json())["checks"]
        return answer.status, checks["caches"]


async def test_cache_that_stays_in_doubt_is_named_by_the_readiness_probe(here: World) -> None:
    port = free_port()
    async with here.controller(controller__healthProbeAddr=f"127.0.0.1:{port}"):
        here.ask()
        await here.until_phase("Running")
        assert await readiness(port) == (200, "ok")
        await refuse_lists(here, "taskruns")
        await asyncio.sleep(30)
        status, why = await readiness(port)
        assert (status, "taskruns" in why, "pipelineruns" in why) == (503, True, False)
        here.cluster.faults.heal()
        await asyncio.sleep(40)
        assert await readiness(port) == (200, "ok")


@pytest.mark.parametrize(
    ("resource", "gone"),
    [
        pytest.param("taskruns", (True, True), id="tasks"),
        pytest.param("pipelineruns", (True, True), id="runs"),
        # Perhaps it has never been deleted.
        pytest.param("workflowexecutions", (False, False), id="executions"),
    ],
)
async def test_deleted_execution_does_not_wait_for_ever_for_a_cache_in_doubt(
    here: World, resource: str, gone: tuple[bool, bool]
) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        await refuse_lists(here, resource)
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        await asyncio.sleep(GIVE_UP_S - 60)
        assert here.execution() is not None
        # Its run has its time on the ladder.
        await asyncio.sleep(400)
        assert (here.execution() is None, here.run() is None) == gone


async def test_deletion_that_may_never_have_been_lets_nothing_go(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        # Its run does not go, so that the execution is to be let go without it in the end.
        stays = {"metadata": {"finalizers": ["example.com/stays"]}}
        here.cluster.patch(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN, stays)
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        await asyncio.sleep(GIVE_UP_S / 2)
        assert here.execution() is not None
        await refuse_lists(here, "workflowexecutions")
        before = len(here.writes())
        await asyncio.sleep(2 * GIVE_UP_S)
        assert (here.execution() is None, here.run() is None) == (False, False)
        assert len(here.writes()) == before
        here.cluster.faults.heal()
        await world.until(lambda: here.execution() is None)

"""What the readiness probe is answered, and why."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.component import world
from tests.fake import faults, kinds
from tests.fake.paths import Match
from tests.support.program import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.component.world import World

pytestmark = pytest.mark.looptime

LISTS = Match(verbs=("list",), resource="workflowexecutions", agent=world.AGENT)


class Probe:
    """Asks whether the program is ready."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/readyz"

    async def troubles(self) -> set[str]:
        """The checks that fail; the status goes with them."""
        async with aiohttp.ClientSession() as session, session.get(self._url) as answer:
            checks: dict[str, str] = (await answer.json())["checks"]
            found = {name for name, said in checks.items() if said != "ok"}
            assert answer.status == (503 if found else 200)
            return found


@contextlib.asynccontextmanager
async def probing(here: World) -> AsyncIterator[Probe]:
    port = free_port()
    async with here.controller(controller__healthProbeAddr=f"127.0.0.1:{port}"):
        yield Probe(port)


async def test_not_ready_before_the_executions_are_listed(here: World) -> None:
    held = here.cluster.faults.hold(LISTS)
    async with probing(here) as probe:
        await held.reached.wait()
        await asyncio.sleep(5)
        assert await probe.troubles() == {"executions"}
        held.release()
        await asyncio.sleep(1)
        assert await probe.troubles() == set()


async def test_not_ready_while_the_crd_is_not_there(here: World) -> None:
    here.cluster.remove_api(kinds.EXECUTIONS)
    async with probing(here) as probe:
        await asyncio.sleep(5)
        assert await probe.troubles() == {"executions"}


async def test_ready_all_along_while_nothing_happens(here: World) -> None:
    async with probing(here) as probe:
        await asyncio.sleep(5)
        for _ in range(180):
            await asyncio.sleep(20)
            assert await probe.troubles() == set()


@pytest.mark.parametrize(
    ("status", "plural", "verbs"),
    [
        pytest.param(403, "workflowexecutions", ("list", "watch"), id="403"),
        pytest.param(500, "taskruns", ("list", "watch"), id="500"),
        pytest.param(403, "taskruns", ("watch",), id="may-be-listed"),
    ],
)
async def test_not_ready_while_changes_are_not_heard_of(
    here: World, status: int, plural: str, verbs: tuple[str, ...]
) -> None:
    async with probing(here) as probe:
        await asyncio.sleep(5)
        refusal = faults.Answer(status, f'{{"kind":"Status","code":{status}}}')
        here.cluster.faults.add(
            refusal, Match(verbs=verbs, resource=plural, agent=world.AGENT), times=None
        )
        here.cluster.faults.drop_watches(ending=faults.Ending.EOF)
        await asyncio.sleep(200)
        for _ in range(20):
            await asyncio.sleep(45)
            assert "caches" in await probe.troubles()
        here.cluster.faults.heal()
        # The longest pause before the next try, and as long as a quiet stream must live to count.
        await asyncio.sleep(30 + 5 + 1)
        assert await probe.troubles() == set()


async def test_not_ready_while_the_server_does_not_answer(here: World) -> None:
    async with probing(here) as probe:
        here.ask()
        await here.until_phase("Running")
        assert await probe.troubles() == set()
        here.cluster.faults.add(faults.Drop(), Match(agent=world.AGENT), times=None)
        here.cluster.faults.drop_watches(ending=faults.Ending.RESET)
        await asyncio.sleep(30)
        assert "api" in await probe.troubles()
        here.cluster.faults.heal()
        await asyncio.sleep(30)
        assert await probe.troubles() == set()

"""Faults for a long time: memory and file descriptors stay where they are, and nothing is lost.

WFE_TEST_SOAK_S says for how many seconds (1800), WFE_TEST_SEED which faults (1). `make soak` prints
the figures.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fake import kinds
from tests.fake.scenarios import Scenario, Task
from tests.fake.stage import Pace
from tests.integration import tekton
from tests.integration.world import delete, until_gone
from tests.proxy import calls
from tests.proxy.rules import Point

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.fake.api import Endpoint
    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject, World
    from tests.proxy.proxy import Proxy
    from tests.support.program import Program

LOG = logging.getLogger(__name__)

LASTS_S = float(os.environ.get("WFE_TEST_SOAK_S", "1800"))
SEED = int(os.environ.get("WFE_TEST_SEED", "1"))
FAULT_EVERY_S = 10.0
ONE_EVERY_S = 1.0
KEPT_S = 30.0
END_S = 120.0
LOOK_EVERY_S = 5.0
SETTLED = 1 / 3
"""Of the time, after which memory has what it needs."""
MOST_MB_PER_HOUR = 20.0
MORE_FILES = 6
PACE = Pace(start_s=0.2, task_s=1.0, linger_s=0.2)
PAGE = os.sysconf("SC_PAGE_SIZE")


def well(run: JsonObject) -> Scenario:
    """Every run succeeds."""
    assert run
    return Scenario(tasks=(Task("apply"),))


@dataclasses.dataclass(frozen=True)
class Sample:
    """A process at a moment."""

    at_s: float
    mb: float
    files: int

    @classmethod
    def of(cls, pid: int, at_s: float) -> Sample:
        """Look at it now."""
        proc = Path(f"/proc/{pid}")
        pages = int((proc / "statm").read_text().split()[1])
        return cls(at_s, pages * PAGE / 1e6, len(list((proc / "fd").iterdir())))


def slope_mb_per_hour(samples: list[Sample]) -> float:
    """How fast memory grows, by least squares."""
    count = len(samples)
    at = sum(it.at_s for it in samples) / count
    mb = sum(it.mb for it in samples) / count
    spread = sum((it.at_s - at) ** 2 for it in samples)
    return 3600 * sum((it.at_s - at) * (it.mb - mb) for it in samples) / spread


class Mishaps:
    """What goes wrong, one thing after the other, each for a short time."""

    def __init__(self, proxy: Proxy, program: Program, chance: random.Random) -> None:
        self._proxy = proxy
        self._program = program
        self._chance = chance
        self.counts: dict[str, int] = {}

    async def run(self) -> None:
        """Let something go wrong each ten seconds, until cancelled."""
        ways: list[Callable[[], Awaitable[None]]] = [
            self.breaks, self.refuses, self.loses, self.lags, self.freezes, self.throttles,
        ]  # fmt: skip
        while True:
            way = self._chance.choice(ways)
            self.counts[way.__name__] = self.counts.get(way.__name__, 0) + 1
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(FAULT_EVERY_S))
                group.create_task(way())  # type: ignore[arg-type]  # all of them are coroutines

    async def breaks(self) -> None:
        """Every connection breaks."""
        self._proxy.break_connections()

    async def refuses(self) -> None:
        """Nobody is answered for four seconds, as by a server that is away."""
        rule = self._proxy.fail(lambda call: True, 0, Point.BEFORE, times=None)
        self._proxy.break_connections()
        await asyncio.sleep(4)
        rule.left = 0

    async def loses(self) -> None:
        """The answers to the next writes are lost, though they were done."""
        self._proxy.fail(lambda call: call.method != "GET", 0, Point.AFTER, times=3)

    async def lags(self) -> None:
        """What watches tell comes late."""
        rule = self._proxy.lag(calls.watches(), 3)
        await asyncio.sleep(8)
        rule.end()

    async def freezes(self) -> None:
        """The process does not run."""
        self._program.freeze()
        await asyncio.sleep(3)
        self._program.thaw()

    async def throttles(self) -> None:
        """The server is busy."""
        self._proxy.fail(lambda call: True, 429, Point.BEFORE, times=10)


async def one_after_the_other(world: World) -> None:
    """Ask for executions, each of which lives and goes."""
    number = 0
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(life(world, f"s-{number:05}"))
            number += 1
            await asyncio.sleep(ONE_EVERY_S)


async def life(world: World, name: str) -> None:
    """From the creation to the end, then its deletion."""
    await world.create(world.execution(name))
    await world.phase(name, "Completed", deadline_s=END_S)
    await asyncio.sleep(KEPT_S)
    place = kinds.EXECUTIONS, world.namespace, name
    await delete(world.api, place)
    await until_gone(world.api, place, deadline_s=END_S)


async def sample(program: Program, found: list[Sample]) -> None:
    """Look at the process again and again."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        assert program.process.poll() is None, program.tail()
        found.append(Sample.of(program.process.pid, loop.time() - begun))


def report(samples: list[Sample], counts: dict[str, int]) -> tuple[float, int]:
    """Print the figures; returns slope and growth of the number of open files."""
    settled = samples[int(len(samples) * SETTLED) :]
    slope = slope_mb_per_hour(settled)
    before = max(it.files for it in settled[: len(settled) // 2])
    more = max(it.files for it in settled[len(settled) // 2 :]) - before
    LOG.warning("faults: %s", counts)
    LOG.warning(
        "%.0f s: memory %.1f to %.1f MB, slope %.2f MB/h; open files at most %d, then %+d",
        samples[-1].at_s, settled[0].mb, settled[-1].mb, slope, before, more,
    )  # fmt: skip
    return slope, more


@pytest.mark.long
@pytest.mark.timeout(LASTS_S + 600)
async def test_memory_and_files_stay_where_they_are_through_faults(
    controllers: Controllers, endpoint: Endpoint
) -> None:
    world = controllers.world
    found: list[Sample] = []
    async with (
        controllers.proxy() as proxy,
        tekton.playing(endpoint, world.runs, choose=well, pace=PACE),
        controllers.running(by_way_of=proxy, execution={"cooldownPeriod": "0s"}) as program,
    ):
        mishaps = Mishaps(proxy, program, random.Random(SEED))
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(it)
                for it in (mishaps.run(), sample(program, found), one_after_the_other(world))
            ]
            await asyncio.sleep(LASTS_S)
            for task in running:
                task.cancel()
        slope, more = report(found, mishaps.counts)
        program.thaw()
        assert program.stop() == 0
    assert more <= MORE_FILES
    # A short one says nothing of a slope.
    assert slope < MOST_MB_PER_HOUR or LASTS_S < 600

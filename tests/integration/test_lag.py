"""Several controllers without leader election, some of which see the world late.

Each of them decides on what it has seen, and what it has seen is old: the locks hold all the same.
The audit log is the witness.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.fake.stage import Pace
from tests.integration import contest, tekton
from tests.integration.contest import Load
from tests.integration.story import CLAIM, Story
from tests.proxy import calls
from tests.support.executions import phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.fake.api import Endpoint
    from tests.integration.audit import AuditLog
    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject
    from tests.proxy.proxy import Proxy
    from tests.support.program import Program

requirement = pytest.mark.requirement

LOG = logging.getLogger(__name__)

COOLDOWN_S = 300.0
# A run takes about two seconds, and its pod outlives it by another one and a half.
PACE = Pace(start_s=0.2, task_s=1.5, linger_s=1.5)
# After the last late event has come, for what is done in answer to it.
SETTLED_S = 4.0


def statuses(executions: dict[str, JsonObject]) -> dict[str, JsonObject]:
    """What each execution says of itself."""
    return {name: each["status"] for name, each in executions.items()}


@dataclass(frozen=True)
class Fight:
    """So many controllers, most of which are late.

    Attributes:
        late: how many; one more is in time.
        cooldown_s: 0 lets one run follow the other on a target.
    """

    late: int
    lag_s: float
    cooldown_s: float

    @contextlib.asynccontextmanager
    async def running(
        self, controllers: Controllers, proxies: Sequence[Proxy]
    ) -> AsyncIterator[list[Program]]:
        """A controller for each proxy, and one without."""
        async with contextlib.AsyncExitStack() as stack:
            found = []
            for proxy in (None, *proxies):
                execution = {"cooldownPeriod": f"{self.cooldown_s:.0f}s"}
                manager = controllers.running(by_way_of=proxy, execution=execution)
                found.append(await stack.enter_async_context(manager))
            yield found

    async def over(
        self, controllers: Controllers, audit: AuditLog, *waves: Load
    ) -> tuple[Story, dict[str, JsonObject]]:
        """Let them fight over loads, one after the other.

        They are held while the first is created, and begin with the same knowledge; from then on
        the late ones see nothing before its time. Who is in time begins first, lest it finds
        everything done.
        """
        world, first, *others = controllers.world, *waves
        async with contextlib.AsyncExitStack() as stack:
            proxies = [
                await stack.enter_async_context(controllers.proxy()) for _ in range(self.late)
            ]
            programs = await stack.enter_async_context(self.running(controllers, proxies))
            for program in programs:
                program.freeze()
            took_s = await first.create(world)
            for proxy in proxies:
                proxy.lag(calls.watches(), self.lag_s)
            in_time, *blind = programs
            in_time.thaw()
            await audit.until_asked(in_time, {CLAIM})
            for program in blind:
                program.thaw()
            executions = await contest.decided(world, first)
            for load in others:
                await load.create(world)
                executions = await contest.decided(world, load)
            await asyncio.sleep(self.lag_s + SETTLED_S)
            story = Story(audit.requests(), world)
            # Finalizers go when runs do; what an end says stays.
            now = await contest.decided(world, first)
            assert statuses(executions) == statuses(now), "an end was changed"
        made = [story.created_by(program) for program in programs]
        LOG.info("%s created in %.2f s, runs by each: %s", first.executions, took_s, made)
        assert all(story.tried_by(program) for program in programs)
        assert story.foreign_writes(programs) == set()
        return story, executions


@pytest_asyncio.fixture
async def played(endpoint: Endpoint, controllers: Controllers) -> AsyncIterator[None]:
    """The runs of this test's controllers are played."""
    runs = controllers.world.runs
    async with tekton.playing(endpoint, runs, choose=contest.choose, pace=PACE):
        yield


def check(story: Story, executions: dict[str, JsonObject], cooldown_s: float) -> int:
    """One run at a time, one for each execution, true reasons; returns how many runs there were."""
    assert story.overlaps() == []
    assert story.cut_short() == []
    assert story.untrue(executions, cooldown_s) == []
    ran = [it for it in executions.values() if phase(it) != "Skipped"]
    wanted = ["Failed" if contest.is_bad(it) else "Completed" for it in ran]
    assert [phase(it) for it in ran] == wanted
    assert len({it["status"]["pipelineRunRef"]["uid"] for it in ran}) == len(ran)
    assert sum(len(lives) for lives in story.lives.values()) == len(ran)
    return len(ran)


FEW, MANY = Load(executions=60, targets=12), Load(executions=500, targets=100)
SMALL = pytest.param(FEW, 1, 5.0, id="small")
BIG = pytest.param(MANY, 2, 30.0, id="big", marks=[pytest.mark.long, pytest.mark.timeout(600)])


@pytest.mark.usefixtures("played")
@pytest.mark.parametrize(("load", "late", "lag_s"), [SMALL, BIG])
class TestLag:
    @requirement("BR-WE-009", "Prevent parallel execution on same target resource")
    async def test_each_target_is_worked_on_once_when_most_controllers_are_late(
        self, controllers: Controllers, audit: AuditLog, load: Load, late: int, lag_s: float
    ) -> None:
        fight = Fight(late, lag_s, COOLDOWN_S)
        story, executions = await fight.over(controllers, audit, load)
        assert check(story, executions, COOLDOWN_S) == load.targets

    async def test_no_run_begins_before_the_former_is_over_when_most_controllers_are_late(
        self, controllers: Controllers, audit: AuditLog, load: Load, late: int, lag_s: float
    ) -> None:
        fight = Fight(late, lag_s, 0.0)
        waves = [
            Load(load.executions // 3, load.targets, prefix) for prefix in ("a", "b", "c", "d")
        ]
        story, executions = await fight.over(controllers, audit, *waves)
        assert check(story, executions, 0.0) > load.targets


@pytest.mark.usefixtures("played")
@pytest.mark.parametrize(
    ("load", "lag_s"),
    [
        pytest.param(Load(executions=40, targets=40), 5.0, id="small", marks=pytest.mark.long),
        pytest.param(
            Load(executions=500, targets=500),
            30.0,
            id="big",
            marks=[pytest.mark.long, pytest.mark.timeout(600)],
        ),
    ],
)
async def test_each_execution_runs_once_when_every_target_is_its_own(
    controllers: Controllers, audit: AuditLog, load: Load, lag_s: float
) -> None:
    story, executions = await Fight(2, lag_s, COOLDOWN_S).over(controllers, audit, load)
    assert check(story, executions, COOLDOWN_S) == load.executions

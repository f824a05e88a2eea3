"""Several programs in one loop that elect a leader, each to be stopped, killed or cut off."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from tests.component.world import World, settings_of, virtual_now
from tests.fake import kinds
from tests.fake.paths import WRITES, Match
from workflowexecution import app
from workflowexecution.runtime import client, clock, fence, lease, resource
from workflowexecution.wiring import election

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fake.requestlog import Request
    from tests.fake.statuses import JsonObject

KEY = resource.ObjectKey("kubernaut-system", "workflowexecution.kubernaut.ai")
TIMING = lease.Timing(duration_s=15, renew_deadline_s=10, retry_period_s=2)
LEASES = "leases"


class NoWatchdog:
    """Nothing that ends the process of the tests."""

    def arm(self, in_s: float) -> None:
        """Let it live."""

    def disarm(self) -> None:
        """Let it live."""


class Replica:
    """A program that runs."""

    def __init__(self, world: World, name: str, task: asyncio.Task[None]) -> None:
        """Look at it from outside."""
        self._world = world
        self.name = name
        self.task = task

    async def kill(self) -> None:
        """Let it vanish without a word."""
        self.task.cancel()
        await asyncio.wait({self.task})

    async def ended(self, *, within_s: float = 60) -> BaseException | None:
        """Wait for its end; returns the error."""
        async with asyncio.timeout(within_s):
            await asyncio.wait({self.task})
        return self.task.exception()

    def writes(self) -> list[Request]:
        """What it has written, its lease and its events aside."""
        match = Match(verbs=WRITES.verbs, agent=f"{self.name}/")
        found = self._world.cluster.requests.matching(match)
        return [it for it in found if it.call.resource not in (LEASES, "events")]


def holder(world: World) -> str:
    """Who holds the lease; empty: nobody."""
    found: JsonObject = world.cluster.get(kinds.LEASES, *KEY) or {"spec": {}}
    return str(found["spec"].get("holderIdentity") or "")


@contextlib.asynccontextmanager
async def replica(world: World, name: str, **flags: Any) -> AsyncIterator[Replica]:  # noqa: ANN401
    """Run one; whatever becomes of it, it is not there afterwards."""
    way = await world.connect()
    guard = fence.LeaseFence(
        closes_after_s=TIMING.renew_deadline_s,
        ends_after_s=TIMING.ends_after_s,
        now=asyncio.get_running_loop().time,
    )
    api = client.Client(connection=way, user_agent=f"{name}/1", fence=guard)
    own = election.Election(
        api=client.Client(connection=way, user_agent=f"{name}/1"),
        fence=guard,
        watchdog=NoWatchdog(),
        timing=TIMING,
        key=KEY,
        identity=name,
    )
    cluster = app.Cluster(api, clock.ServerClock(now=virtual_now), name)
    program = app.App(settings_of(**flags), cluster, own)
    task = asyncio.create_task(program.run())
    try:
        yield Replica(world, name, task)
    finally:
        task.cancel()
        await asyncio.wait({task})
        await own.api.close()
        await api.close()

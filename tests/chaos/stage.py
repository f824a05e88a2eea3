"""What all rounds are played on: apiserver, PostgreSQL, Tekton, three ways, three programs."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.chaos import replicas
from tests.chaos.plan import REPLICAS
from tests.datastorage.server import DataStorage
from tests.datastorage.table import Table
from tests.fake import kinds
from tests.fake.api import Api, Endpoint, Refused
from tests.fake.stage import Pace
from tests.fake.tekton import choose_by_parameter
from tests.integration import tekton
from tests.integration.world import World, create_namespace
from tests.proxy.proxy import Proxy
from tests.support import executions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.chaos.replicas import Replica, Rest
    from tests.integration.world import Place
    from tests.stack.cluster import Stack

NAMESPACE, RUNS, LEASE = "chaos", "chaos-runs", "chaos"
LEASE_S, RENEW_S, RETRY_S = 3.0, 2.0, 0.5
STORE_TIMEOUT = "1s"
"""So a batch without an answer is asked for after 3 s, more than a store may stall."""
PACE = Pace(start_s=0.1, task_s=0.4, cancel_s=0.1, pod_s=0.1, linger_s=0.3)
_AGAIN_S = 0.5


@dataclass
class Stage:
    """The place of the rounds.

    Attributes:
        folder: of configurations, logs, and the trap.
        retired: replicas with former settings, whose logs are to be looked at once more.
        last: the last state of each execution that was seen, by name.
        ended: when each was first seen to have come to its end, by name.
        gone: when each was seen to go, by name.
        disturbed: replicas that may have lost their lease by what a round did to them.
        jumped: replicas whose clock was moved in this life.
        levels: what a process holds at rest, by its role.
        judged: the rows that the last verdict has seen, by their ids; the store has them still.
    """

    world: World
    audit_log: Path
    storage: DataStorage
    proxies: list[Proxy]
    folder: Path
    replicas: list[Replica] = field(default_factory=list)
    retired: list[Replica] = field(default_factory=list)
    last: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: dict[str, datetime.datetime] = field(default_factory=dict)
    gone: dict[str, datetime.datetime] = field(default_factory=dict)
    disturbed: set[int] = field(default_factory=set)
    jumped: set[int] = field(default_factory=set)
    levels: dict[str, Rest] = field(default_factory=dict)
    judged: set[str] = field(default_factory=set)
    cooldown_s: int = -1
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def lease(self) -> Place:
        """The lease of the replicas."""
        return kinds.LEASES, self.world.runs, LEASE

    async def holder(self) -> str:
        """Who holds the lease, dead or alive; empty: nobody."""
        reply = await self.world.api.get(*self.lease)
        if reply.status != 200:
            return ""
        return str(reply.body["spec"].get("holderIdentity") or "")

    async def leader(self) -> Replica | None:
        """Who holds the lease, by its own word and process."""
        holder = await self.holder()
        living = (it for it in self.replicas if it.program.process.poll() is None)
        return next((it for it in living if it.program.is_called(holder)), None)

    async def set_up(self, cooldown_s: int) -> None:
        """Have all replicas run with these settings, and ready."""
        if cooldown_s != self.cooldown_s:
            for replica in self.replicas:
                await replica.stop()
            self.retired += self.replicas
            ways = [replicas.kubeconfig_of(it, self.folder) for it in self.proxies]
            sections = self._sections(cooldown_s)
            self.replicas[:] = [
                replicas.Replica(number, self.folder, way, sections)
                for number, way in enumerate(ways)
            ]
            for replica in self.replicas:
                replica.start()
            self.cooldown_s = cooldown_s
        for replica in self.replicas:
            await replica.ready()

    async def tear_down(self) -> None:
        """End all replicas."""
        await asyncio.gather(*(it.stop() for it in self.replicas))

    def _sections(self, cooldown_s: int) -> dict[str, dict[str, Any]]:
        none = {"baseCooldown": "0s", "maxConsecutiveFailures": 0}
        buffer = {"flushInterval": "50ms"}
        return {
            "execution": {
                "namespace": self.world.runs,
                "cooldownPeriod": f"{cooldown_s}s",
                "runRetention": "0s",
            },
            "backoff": none,
            "audit": {"sink": "http"},
            "datastorage": {"url": self.storage.url, "timeout": STORE_TIMEOUT, "buffer": buffer},
            "limits": {"auditBeforeDeletion": "1s"},
            "controller": {
                "instance": self.world.instance,
                "leaderElection": True,
                "leaderElectionNamespace": self.world.runs,
                "leaderElectionId": LEASE,
                "leaseDuration": LEASE_S,
                "renewDeadline": RENEW_S,
                "retryPeriod": RETRY_S,
                "shutdownGrace": "3s",
            },
        }

    async def follow(self) -> None:
        """Keep the last state of every execution; never returns."""
        while True:
            with contextlib.suppress(Refused, OSError):
                await self._follow()
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        api, place = self.world.api, (kinds.EXECUTIONS, self.world.namespace)
        listed = (await api.list(*place)).accept()
        for found in listed["items"]:
            self._see(found)
        version = listed["metadata"]["resourceVersion"]
        async with api.watch(*place, resourceVersion=version) as watch:
            async for event in watch:
                self._see(event.object)
                if event.type == "DELETED":
                    name = event.object["metadata"]["name"]
                    self.gone[name] = datetime.datetime.now(datetime.UTC)
                self.news.set()

    def _see(self, found: dict[str, Any]) -> None:
        name = found["metadata"]["name"]
        self.last[name] = found
        if executions.has_ended(found):
            self.ended.setdefault(name, datetime.datetime.now(datetime.UTC))


@contextlib.asynccontextmanager
async def opened(stack: Stack, database: str, folder: Path) -> AsyncGenerator[Stage]:
    """A stage on a cluster that has this project's CRD and policies, with nobody on it yet."""
    endpoint = Endpoint(stack.server_url, stack.admin_token, str(stack.ca_file))
    table = await Table.open(database)
    await table.clear()
    async with contextlib.AsyncExitStack() as held:
        held.push_async_callback(table.close)
        api = await held.enter_async_context(Api(endpoint, agent="chaos"))
        world = World(api, NAMESPACE, runs=RUNS, instance="chaos")
        for name in (NAMESPACE, RUNS):
            await create_namespace(api, name)
        storage = await held.enter_async_context(DataStorage(table).running())
        proxies = [await held.enter_async_context(Proxy(endpoint)) for _ in range(REPLICAS)]
        choose = choose_by_parameter()
        await held.enter_async_context(tekton.playing(endpoint, RUNS, choose=choose, pace=PACE))
        stage = Stage(world, stack.audit_log, storage, proxies, folder)
        group = await held.enter_async_context(asyncio.TaskGroup())
        follower = group.create_task(stage.follow())
        try:
            yield stage
        finally:
            await stage.tear_down()
            follower.cancel()

"""Replicas that elect a leader over a fake cluster, in virtual time, each with its own clocks."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from typing import TYPE_CHECKING, Any

from tests.fake import kinds
from tests.fake.paths import Match
from tests.unit.runtime import sources
from workflowexecution.runtime import client, errors, fence, leader, lease, resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fake.cluster import FakeCluster
    from tests.fake.statuses import JsonObject
    from workflowexecution.runtime import connection

KEY = resource.ObjectKey("kubernaut-system", "the-lease")
TIMING = lease.Timing(duration_s=15, renew_deadline_s=10, retry_period_s=2)
START = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


class Watchdog:
    """Writes down until when it was put off."""

    def __init__(self) -> None:
        self.ends_at: float | None = None

    def arm(self, in_s: float) -> None:
        self.ends_at = sources.now() + in_s

    def disarm(self) -> None:
        self.ends_at = None


class Replica:
    """One process of several: an elector with a client, clocks and a watchdog of its own."""

    def __init__(self, way: connection.Connection, name: str, **options: Any) -> None:  # noqa: ANN401
        self.name = name
        self.timing: lease.Timing = options.pop("timing", TIMING)
        self.skew = datetime.timedelta(seconds=options.pop("skew_s", 0))
        self.asleep_s = 0.0
        self.idle = True
        self.watchdog = Watchdog()
        self.fence = fence.LeaseFence(
            closes_after_s=self.timing.renew_deadline_s,
            ends_after_s=self.timing.ends_after_s,
            now=lambda: 1e6 + sources.now() + self.asleep_s,
        )
        self.client = client.Client(connection=way, user_agent=f"{name}/1")
        self.elector = leader.Elector(
            client=options.pop("leases", self.client),
            key=KEY,
            identity=options.pop("identity", name),
            timing=self.timing,
            fence=self.fence,
            watchdog=self.watchdog,
            idle=lambda: self.idle,
            utc_now=lambda: START + self.skew + datetime.timedelta(seconds=sources.now()),
            uniform=lambda: 0.0,
        )
        self.task: asyncio.Task[None] | None = None

    @property
    def may_write(self) -> bool:
        """Whether the fence lets it."""
        try:
            self.fence.check()
        except errors.LeaseLost:
            return False
        return True

    def start(self) -> None:
        self.task = asyncio.create_task(self.elector.run())

    async def leads(self, *, within_s: float = 60) -> float:
        """Wait until it leads; returns when that was."""
        async with asyncio.timeout(within_s):
            await self.elector.wait_leading()
        return sources.now()

    async def ends(self, *, within_s: float = 60) -> BaseException | None:
        """Wait until it has ended; returns the error."""
        assert self.task is not None
        async with asyncio.timeout(within_s):
            await asyncio.wait({self.task})
        return self.task.exception()

    async def stop(self) -> None:
        """Let it end in peace."""
        self.elector.stop()
        assert await self.ends() is None

    async def kill(self) -> None:
        """Let it vanish without a word."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait({self.task})


class Bench:
    """A cluster and the replicas on it."""

    def __init__(self, cluster: FakeCluster, way: connection.Connection) -> None:
        self.cluster = cluster
        self.way = way
        self.replicas: list[Replica] = []

    def replica(self, name: str, **options: Any) -> Replica:  # noqa: ANN401 - handed on
        """A replica that has started."""
        made = Replica(self.way, name, **options)
        self.replicas.append(made)
        made.start()
        return made

    async def close(self) -> None:
        for replica in self.replicas:
            if replica.task is not None:
                replica.task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await replica.task
            await replica.client.close()

    @property
    def stored(self) -> JsonObject | None:
        return self.cluster.get(kinds.LEASES, *KEY)

    @property
    def spec(self) -> JsonObject:
        """What the lease says."""
        assert self.stored is not None
        spec: JsonObject = self.stored["spec"]
        return spec

    def put(self, **spec: object) -> None:
        """Make a lease, as somebody else would."""
        metadata = {"namespace": KEY.namespace, "name": KEY.name}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
        self.cluster.create({**body, "spec": spec})

    def edit(self, **spec: object) -> None:
        """Change the lease, as somebody else would."""
        self.cluster.patch(kinds.LEASES, *KEY, {"spec": spec})

    def delete(self) -> None:
        self.cluster.delete(kinds.LEASES, *KEY)

    def asked(self, name: str, *verbs: str) -> int:
        """How many requests a replica has made."""
        return len(self.cluster.requests.matching(Match(verbs=verbs, agent=f"{name}/1")))


def of(name: str, *verbs: str) -> Match:
    """The requests of one replica."""
    return Match(verbs=verbs, agent=f"{name}/1")


class Stub:
    """An API whose every call fails, with the times it was asked."""

    def __init__(self, error: errors.ClusterError | None = None, **answer: object) -> None:
        self.error = error
        self.answer: dict[str, Any] = dict(answer)
        self.asked_at: list[float] = []

    async def get(self, *_what: object) -> dict[str, Any]:
        self.asked_at.append(sources.now())
        if self.error is not None:
            raise self.error
        return self.answer

    create = merge_patch = get

    def watch(
        self, *_what: object, **_how: object
    ) -> contextlib.AbstractAsyncContextManager[AsyncIterator[Any]]:
        raise AssertionError("nothing to watch")

"""Controllers that elect a leader, work for them, and who did what when."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from typing import TYPE_CHECKING, Any

from tests.fake import kinds
from tests.integration.audit import by
from tests.integration.world import DEADLINE_S, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from tests.integration.audit import AuditLog, Request
    from tests.integration.controllers import Controllers
    from tests.proxy.proxy import Proxy
    from tests.support.program import Program

LEASE_S, RENEW_S, RETRY_S = 6.0, 4.0, 1.0
TAKEN_OVER_S = LEASE_S + 2
HANDED_OVER_S = 3.0
PER_SECOND = 20
_NAME = "the-lease"
_LOOK_EVERY_S = 0.1


def now() -> datetime.datetime:
    """The wall time, which is the apiserver's too."""
    return datetime.datetime.now(datetime.UTC)


class Leaders:
    """The controllers of a test and their lease."""

    def __init__(self, controllers: Controllers) -> None:
        self.controllers = controllers
        self.world = controllers.world
        self.place = kinds.LEASES, controllers.world.runs, _NAME

    @contextlib.asynccontextmanager
    async def replica(self, by_way_of: Proxy | None = None) -> AsyncGenerator[Program]:
        """Run one; it is ready, whether it leads or not."""
        controller = {
            "leaderElection": True,
            "leaderElectionNamespace": self.world.runs,
            "leaderElectionId": _NAME,
            "leaseDuration": LEASE_S,
            "renewDeadline": RENEW_S,
            "retryPeriod": RETRY_S,
        }
        async with self.controllers.running(by_way_of=by_way_of, controller=controller) as started:
            yield started

    @contextlib.asynccontextmanager
    async def replicas(self, count: int) -> AsyncGenerator[list[Program]]:
        """Run several, all ready; the first one leads."""
        async with contextlib.AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.replica()) for _ in range(count)]

    async def leader(self, *others: Program, deadline_s: float = DEADLINE_S) -> str:
        """Wait until somebody leads who is none of these; returns its identity."""

        def led(lease: dict[str, Any]) -> bool:
            holder = lease["spec"].get("holderIdentity")
            return bool(holder) and not any(is_of(it, holder) for it in others)

        found = await until(self.world.api, self.place, led, deadline_s=deadline_s)
        return str(found["spec"]["holderIdentity"])

    async def told(self, patch: dict[str, Any]) -> None:
        """Edit the lease as somebody would."""
        (await self.world.api.patch(*self.place, patch)).accept()

    @contextlib.asynccontextmanager
    async def load(self) -> AsyncGenerator[None]:
        """Ask for executions all the time, each on a target of its own."""

        async def ask() -> None:
            number = 0
            while True:
                await self.world.create(self.world.execution(f"load-{number}"))
                number += 1
                await asyncio.sleep(1 / PER_SECOND)

        async with asyncio.TaskGroup() as group:
            task = group.create_task(ask())
            try:
                yield
            finally:
                task.cancel()

    async def served(self) -> None:
        """Wait until custom resources are served, which is later than the server is ready."""
        async with asyncio.timeout(DEADLINE_S):
            for kind in (kinds.EXECUTIONS, kinds.PIPELINE_RUNS):
                # Version 0 is answered from the watch cache, which watches need as well.
                while (  # noqa: ASYNC110 - there is no event to wait for before watches work
                    await self.world.api.list(kind, resourceVersion="0")
                ).status != 200:
                    await asyncio.sleep(_LOOK_EVERY_S)

    async def works(self, name: str) -> None:
        """Ask for an execution and wait until it is Running, be there a backlog or not."""
        await self.world.create(self.world.execution(name))
        await self.world.phase(name, "Running")

    def acts(self, audit: AuditLog, program: Program) -> list[Request]:
        """What a controller has written, its lease aside."""
        written = audit.written(program, self.world.namespace, self.world.runs)
        return [it for it in written if it.resource != kinds.LEASES.plural]

    def asked_for_the_lease(self, audit: AuditLog, program: Program) -> list[str]:
        """The verbs of a controller's requests for its lease, watches that still run left out."""
        return [it.verb for it in by(program, audit.requests()) if it.name == _NAME]

    async def one_run_each(self) -> None:
        """Assert that no execution has two runs, and no run is without one."""
        runs = (await self.world.api.list(kinds.PIPELINE_RUNS, self.world.runs)).accept()["items"]
        # Listed later: executions and runs still come.
        listed = (await self.world.api.list(kinds.EXECUTIONS, self.world.namespace)).accept()
        label = "kubernaut.ai/workflow-execution-uid"
        owners = [it["metadata"]["labels"][label] for it in runs]
        assert len(set(owners)) == len(owners)
        assert set(owners) <= {it["metadata"]["uid"] for it in listed["items"]}


def is_of(program: Program, identity: str) -> bool:
    """Whether this is what a program calls itself; outside a pod it ends with the process id."""
    return identity.endswith(f"-{program.process.pid}")


def acted_after(when: datetime.datetime, acts: Sequence[Request]) -> float:
    """How many seconds after a moment the first of these requests came."""
    return (min(it.at for it in acts) - when).total_seconds()


def in_turn(earlier: Sequence[Request], later: Sequence[Request]) -> bool:
    """Whether all of one came before the first of the other."""
    return max(it.at for it in earlier) < min(it.at for it in later)

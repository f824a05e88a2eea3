"""Controllers that elect a leader, work for them, and who did what when."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.fake import kinds
from tests.integration import trail
from tests.integration.audit import by, runs_made
from tests.integration.world import DEADLINE_S, until
from tests.support import program
from workflowexecution.api import names

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from tests.integration.audit import AuditLog, Request
    from tests.integration.controllers import Controllers
    from tests.proxy.proxy import Proxy
    from tests.support.program import Program

LEASE_S, RENEW_S, RETRY_S = 12.0, 8.5, 1.0
"""No stall of two seconds costs a lease or changes how its loser ends: one try bears it, which has
(renew - 1.2 x retry) / 3, and so do the guards, who wait 3/4 x (lease - renew)."""
TAKEN_OVER_S = LEASE_S + 2
HANDED_OVER_S = 3.0
TURNS = 3
PER_SECOND = 20
# For a program to end on a machine that has much to do; who acts when, the audit log tells.
GONE_S = 15.0
SERVED_S = 60.0
# What has waited for a leader comes first.
BACKLOG_S = 60.0
_LOOK_EVERY_S = 0.1


def now() -> datetime.datetime:
    """The wall time, which is the apiserver's too."""
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class Took:
    """How long something took, and how long it may on a machine that does not stall."""

    seconds: float
    promised_s: float


class Leaders:
    """The controllers of a test and their lease."""

    def __init__(self, controllers: Controllers) -> None:
        self.controllers = controllers
        self.world = controllers.world
        name = f"{controllers.world.instance}.workflowexecution.kubernaut.ai"
        self.place = kinds.LEASES, controllers.world.runs, name

    @contextlib.asynccontextmanager
    async def replica(
        self, by_way_of: Proxy | None = None, *, module: str = program.PROGRAM
    ) -> AsyncGenerator[Program]:
        """Run one; it is ready, and leads unless another does."""
        controller = self.settings()
        async with self.controllers.running(
            by_way_of=by_way_of, module=module, controller=controller
        ) as started:
            # It is ready before it has asked for the lease, and the next one is to come too late.
            await self.leader()
            yield started

    def settings(self) -> dict[str, Any]:
        """What makes a controller one of these."""
        return {
            "leaderElection": True,
            "leaderElectionNamespace": self.world.runs,
            "leaseDuration": LEASE_S,
            "renewDeadline": RENEW_S,
            "retryPeriod": RETRY_S,
        }

    @contextlib.asynccontextmanager
    async def replicas(self, count: int) -> AsyncGenerator[list[Program]]:
        """Run several, all ready; the first one leads."""
        async with contextlib.AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.replica()) for _ in range(count)]

    async def leader(self, *others: Program, deadline_s: float = DEADLINE_S) -> str:
        """Wait until somebody leads who is none of these; returns its identity."""

        def led(lease: dict[str, Any]) -> bool:
            holder = lease["spec"].get("holderIdentity")
            return bool(holder) and not any(it.is_called(holder) for it in others)

        found = await until(self.world.api, self.place, led, deadline_s=deadline_s)
        return str(found["spec"]["holderIdentity"])

    async def told(self, patch: dict[str, Any]) -> None:
        """Edit the lease as somebody would."""
        (await self.world.api.patch(*self.place, patch)).accept()

    @contextlib.asynccontextmanager
    async def load(self, name: str = "load") -> AsyncGenerator[None]:
        """Ask for executions all the time, each on a target of its own."""

        async def ask() -> None:
            number = 0
            while True:
                await self.world.create(self.world.execution(f"{name}-{number}"))
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
        async with asyncio.timeout(SERVED_S):
            for kind in (kinds.EXECUTIONS, kinds.PIPELINE_RUNS):
                # Version 0 is answered from the watch cache, which watches need as well.
                while (  # noqa: ASYNC110 - there is no event to wait for before watches work
                    await self.world.api.list(kind, resourceVersion="0")
                ).status != 200:
                    await asyncio.sleep(_LOOK_EVERY_S)
            # One object is read from the database, which may be what was away.
            place = kinds.NAMESPACES, "", self.world.namespace
            while (await self.world.api.get(*place)).status != 200:  # noqa: ASYNC110 - as above
                await asyncio.sleep(_LOOK_EVERY_S)

    async def in_time(self, play: Callable[[int], Awaitable[Sequence[Took]]]) -> None:
        """Play until all that is promised to a machine that does not stall was kept in one turn.

        Args:
            play: a turn with replicas of its own; the rest of what it asserts holds in each.

        Raises:
            AssertionError: it was not, in any of three.
        """
        turns = []
        for number in range(TURNS):
            turns.append(await play(number))
            if all(it.seconds < it.promised_s for it in turns[-1]):
                return
            # Nobody is left who could have it, given back or not.
            await self.world.api.delete(*self.place)
        raise AssertionError(turns)

    async def works(self, name: str) -> None:
        """Ask for an execution and wait until it is Running, be there a backlog or not."""
        await self.world.create(self.world.execution(name))
        await self.world.phase(name, "Running", deadline_s=BACKLOG_S)

    def acts(self, audit: AuditLog, program: Program) -> list[Request]:
        """What a controller has written, its lease aside."""
        written = audit.written(program, self.world.namespace, self.world.runs)
        return [it for it in written if it.resource != kinds.LEASES.plural]

    async def acted(self, audit: AuditLog, program: Program) -> list[Request]:
        """The same, once there is anything: who sees an effect may be ahead of the log."""
        await trail.until(lambda: bool(self.acts(audit, program)))
        return self.acts(audit, program)

    async def in_turn(self, audit: AuditLog, *programs: Program) -> bool:
        """Whether all acts of each program came before the first of the next one."""
        acts = [await self.acted(audit, it) for it in programs]
        return all(in_turn(*pair) for pair in itertools.pairwise(acts))

    def asked_for_the_lease(self, audit: AuditLog, program: Program) -> list[str]:
        """The verbs of a controller's requests for its lease, watches that still run left out."""
        return [it.verb for it in by(program, audit.requests()) if it.name == self.place[2]]

    async def one_run_each(self, audit: AuditLog, *, log_is_whole: bool = True) -> None:
        """Assert that each execution there is gets a run, and none has ever got a second one.

        Args:
            audit: what it has counts, be the run gone by now.
            log_is_whole: without, a server was killed, which takes the last lines along.
        """
        asked = await self._executions()
        await self._all_have_runs(asked)
        made = runs_made(audit.requests(), self.world.runs)
        twice = [uid for uid, count in made.items() if count > 1]
        assert twice == [], twice
        # Listed later: executions and runs still come.
        strange = made.keys() - await self._executions()
        assert not strange, strange
        unseen = asked - made.keys() if log_is_whole else set()
        assert not unseen, unseen

    async def _all_have_runs(self, asked: set[str]) -> None:
        """Wait until each of these executions has a run."""
        deadline = asyncio.get_running_loop().time() + BACKLOG_S
        while without := asked - await self._owners():
            assert asyncio.get_running_loop().time() < deadline, f"{len(without)} without a run"
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _executions(self) -> set[str]:
        """The UIDs of those that are there."""
        listed = (await self.world.api.list(kinds.EXECUTIONS, self.world.namespace)).accept()
        return {it["metadata"]["uid"] for it in listed["items"]}

    async def _owners(self) -> set[str]:
        """The UIDs of the executions whose runs are there."""
        listed = (await self.world.api.list(kinds.PIPELINE_RUNS, self.world.runs)).accept()
        return {it["metadata"]["labels"][names.LABEL_EXECUTION_UID] for it in listed["items"]}


def acted_after(when: datetime.datetime, acts: Sequence[Request]) -> float:
    """How many seconds after a moment the first of these requests came."""
    return (min(it.at for it in acts) - when).total_seconds()


def in_turn(earlier: Sequence[Request], later: Sequence[Request]) -> bool:
    """Whether all of one came before the first of the other."""
    return max(it.at for it in earlier) < min(it.at for it in later)

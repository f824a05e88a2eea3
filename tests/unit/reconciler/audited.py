"""A world whose statuses are audited, and a trail that answers when it is told to."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from tests import builders
from tests.unit import background
from tests.unit.reconciler import fakes
from workflowexecution.api import names
from workflowexecution.api.status import ConditionStatus, ConditionType
from workflowexecution.domain import auditevent, status
from workflowexecution.reconciler import auditing, tools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from workflowexecution import ports
    from workflowexecution.runtime import errors
    from workflowexecution.runtime.resource import ObjectKey

HELD = {"finalizers": [names.FINALIZER]}
ENDED = {
    "phase": "Completed",
    "startTime": builders.stamp(1),
    "completionTime": builders.stamp(30),
}
ALL = ("created", "started", "completed")


class FakeTrail:
    """Takes what it is offered while there is room, and answers when it is told to."""

    def __init__(self) -> None:
        self.offers: list[tuple[str, bool]] = []
        self.events: dict[str, auditevent.Event] = {}
        self.full = False
        self.error: OSError | None = None
        self.prompt = False
        """Whether it answers before `offer` returns, as a log does."""
        self.listener: ports.AuditListener | None = None

    def has_room(self) -> bool:
        return not self.full

    def listen(self, listener: ports.AuditListener) -> None:
        self.listener = listener

    def offer(self, event: auditevent.Event, *, doubtful: bool) -> bool:
        if self.error is not None:
            raise self.error
        if not self.full:
            self.offers.append((event.transition.value, doubtful))
            self.events[event.transition.value] = event
            if self.prompt:
                self.record(event.transition.value)
        return not self.full

    def record(self, *transitions: str) -> None:
        assert self.listener is not None
        for it in transitions:
            self.listener.recorded(self.events[it])

    def refuse(self, transition: str) -> None:
        assert self.listener is not None
        self.listener.refused(self.events[transition], "400 bad")

    def shed(self, transition: str) -> None:
        assert self.listener is not None
        self.listener.shed(self.events[transition])


class FakeOutbox:
    def __init__(self) -> None:
        self.kept: list[str] = []
        self.error: Exception | None = None

    async def put(self, events: Sequence[auditevent.Event]) -> None:
        if self.error is not None:
            raise self.error
        self.kept += [it.transition.value for it in events]


class Bed:
    """A world whose statuses are audited."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401 - as raw_execution
        self.world = fakes.World()
        self.trail = FakeTrail()
        self.outbox = FakeOutbox()
        self.reads = 0
        self.woken: list[ObjectKey] = []
        self.busy = False
        self.logged: list[str] = []
        self.read_error: errors.ClusterError | None = None
        self.style = auditevent.Style()
        self.renew()
        self.world.put(**{"metadata": HELD, **parts})

    def renew(self) -> None:
        """Begin another life, which remembers nothing."""
        self.auditor = auditing.Auditor(
            trail=self.trail,
            outbox=self.outbox,
            executions=self.world.executions,
            reader=self,
            writer=self.world.writer,
            clock=self.world.clock,
            wake=self.woken.append,
            busy=lambda: self.busy,
            log=lambda event, why: self.logged.append(f"{event.transition}: {why}"),
            style=self.style,
            before_deletion_s=300.0,
        )
        self.tools = dataclasses.replace(
            self.world.tools, observers=(self.auditor,), audit=self.auditor
        )

    async def read(self, key: ObjectKey) -> dict[str, Any] | None:
        self.reads += 1
        if self.read_error is not None:
            raise self.read_error
        return self.world.writer.stored.get(key)

    def case(self) -> tools.Case:
        return tools.open_case(self.tools, self.world.sync())

    async def start(self) -> None:
        """Write that the run is there."""
        case = self.case()
        await tools.write(self.tools, case, tools.adopt(case, builders.run()))

    async def end(self) -> None:
        """Write that it has completed."""
        case = self.case()
        after = status.completed(case.status, case.moment, case.moment.now)
        await tools.write(self.tools, case, after)

    async def complete(self) -> None:
        """Write that it has completed, and have all its records answered."""
        await self.start()
        await self.end()
        self.trail.record(*ALL)

    @property
    def audited(self) -> tuple[str, ...]:
        return self.world.status.audited_transitions or ()

    def recorded(self) -> ConditionStatus:
        return self.world.said(ConditionType.AUDIT_RECORDED).status

    @contextlib.asynccontextmanager
    async def sweeping(self) -> AsyncIterator[None]:
        async with background.running(self.auditor.sweep(), for_s=0.5):
            yield

"""A trap that kills this process where it was told to, and clients that run into it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from tests.chaos import points
from tests.chaos.points import Point, When
from workflowexecution.adapters import auditclient
from workflowexecution.runtime import client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from pathlib import Path

    from workflowexecution.domain.auditevent import Event
    from workflowexecution.runtime.resource import JsonObject, ObjectKey, Resource

ARMED, FIRED, REACHED = "armed", "fired", "reached"
UNKNOWN_EXIT = 97


def _die() -> None:
    """End as a machine does that fails: no handler, no finally."""
    os.kill(os.getpid(), signal.SIGKILL)


class Trap:
    """Reads from a folder which point is armed; of several processes one gets to it first.

    The order is one line: a number that tells it from others, the point, and the how manieth time
    of all processes together: one that has to end on the way leaves the rest to the next.
    """

    def __init__(self, folder: Path, *, die: Callable[[], None] = _die) -> None:
        """Look for orders in this folder; `die` is not expected to return."""
        self._die = die
        self._armed = folder / ARMED
        self._fired = folder / FIRED
        self._folder = folder
        self._order = ""
        self._tally, self._times = folder, 0
        self._point: Point | None = None

    def reached(self, point: Point) -> None:
        """Die here if that is the order."""
        self._look()
        if point != self._point:
            return
        if self._count() < self._times:
            return
        with contextlib.suppress(OSError):
            # Who renames it was first.
            self._armed.rename(self._fired)
            self._die()
        self._point = None

    def _count(self) -> int:
        """How often the point was reached by now; no two processes get the same number."""
        with self._tally.open("ab", buffering=0) as tally:
            tally.write(b".")
            return tally.tell()

    def _look(self) -> None:
        try:
            order = self._armed.read_text()
        except OSError:
            order = ""
        if order == self._order:
            return
        self._order, self._point = order, None
        if order:
            number, name, times = order.split()
            self._point, self._times = points.parse(name), int(times)
            self._tally = self._folder / f"{REACHED}-{number}"

    @contextlib.asynccontextmanager
    async def around(self, kind: points.Kind) -> AsyncGenerator[None]:
        """Both points of a request that is sent within; one that fails has no second."""
        self.reached(Point(When.BEFORE, kind))
        yield
        self.reached(Point(When.AFTER, kind))


def _known(kind: Callable[[], points.Kind]) -> points.Kind:
    """The kind of a request; one that is of none ends the process, for all to see."""
    try:
        return kind()
    except (points.UnknownWrite, KeyError) as error:
        sys.stderr.write(f"a request of no kind: {error!r}\n")
        sys.stderr.flush()
        os._exit(UNKNOWN_EXIT)


def client_with(trap: Trap) -> type[client.Client]:
    """The client with the trap around its writes."""

    class Trapped(client.Client):
        async def create(
            self,
            resource: Resource,
            namespace: str,
            body: JsonObject,
            **how: Any,  # noqa: ANN401 - as it comes
        ) -> JsonObject:
            async with trap.around(_known(lambda: points.of_create(resource))):
                return await super().create(resource, namespace, body, **how)

        async def merge_patch(
            self,
            resource: Resource,
            key: ObjectKey,
            patch: JsonObject,
            *,
            subresource: str = "",
            **how: Any,  # noqa: ANN401 - as it comes
        ) -> JsonObject:
            kind = _known(lambda: points.of_patch(resource, patch, subresource))
            async with trap.around(kind):
                return await super().merge_patch(
                    resource, key, patch, subresource=subresource, **how
                )

        async def delete(self, resource: Resource, key: ObjectKey, **how: Any) -> JsonObject:  # noqa: ANN401 - as it comes
            async with trap.around(_known(lambda: points.of_delete(resource))):
                return await super().delete(resource, key, **how)

    return Trapped


def store_with(trap: Trap) -> type[auditclient.AuditClient]:
    """The audit store's client with the trap around its requests."""

    class Trapped(auditclient.AuditClient):
        async def send(self, documents: Sequence[Mapping[str, Any]]) -> None:
            async with trap.around(points.Kind.AUDIT_BATCH):
                await super().send(documents)

        async def find(self, event: Event) -> bool:
            async with trap.around(points.Kind.AUDIT_QUERY):
                return await super().find(event)

    return Trapped

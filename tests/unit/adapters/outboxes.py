"""An outbox in a cluster that keeps it, drained into a trail that answers as told."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from typing import TYPE_CHECKING, Any

from tests.fake import objects
from tests.unit import background
from tests.unit.adapters import audits, fakes
from workflowexecution.adapters import auditlog, drain, outbox
from workflowexecution.domain import auditevent
from workflowexecution.runtime import errors, resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from workflowexecution.domain.auditevent import Event

ONE, TWO = audits.event("one"), audits.event("two")


class FakeCluster(fakes.FakeClient):
    """Keeps ConfigMaps; the next errors come before one is touched, and writes take their time."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, dict[str, Any]] = {}
        self.errors: list[errors.ClusterError] = []
        self.writes = 0
        self.reads = 0
        self.write_s = 0.0

    async def get(
        self, resource: resource.Resource, key: resource.ObjectKey, *, deadline_s: float = 10.0
    ) -> resource.JsonObject:
        assert key.namespace == "kubernaut-system"
        self.reads += 1
        if key.name not in self.kept:
            raise fakes.refusal(errors.NotFound)
        return self.kept[key.name]

    async def create(
        self,
        resource: resource.Resource,
        namespace: str,
        body: resource.JsonObject,
        *,
        whole: bool = True,
        deadline_s: float = 15.0,
    ) -> resource.JsonObject:
        return await self._write(body)

    async def merge_patch(
        self,
        resource: resource.Resource,
        key: resource.ObjectKey,
        patch: resource.JsonObject,
        *,
        subresource: str = "",
        whole: bool = True,
        deadline_s: float = 10.0,
    ) -> resource.JsonObject:
        kept = self.kept[key.name]
        if patch["metadata"]["resourceVersion"] != kept["metadata"]["resourceVersion"]:
            raise fakes.refusal(errors.Conflict)
        return await self._write(objects.merge(kept, patch))

    async def _write(self, body: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(self.write_s)
        if self.errors:
            raise self.errors.pop(0)
        self.writes += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.writes)}
        self.kept[metadata["name"]] = {**body, "metadata": metadata}
        return self.kept[metadata["name"]]

    def put(self, name: str, **data: str) -> None:
        """Put something into a part, past everybody."""
        made = {"metadata": {"name": name, "resourceVersion": "0"}}
        kept = self.kept.setdefault(name, made)
        kept.setdefault("data", {}).update(data)

    @property
    def keys(self) -> list[str]:
        return sorted(key for it in self.kept.values() for key in it.get("data") or {})


class SlowTrail(auditlog.LogTrail):
    """Answers when it is told to, and has room when it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.offered: list[str] = []
        self.full = False
        self.error: OSError | None = None
        self.unwritable: set[str] = set()
        """Belong on a log that takes no line."""

    def offer(self, event: Event, *, doubtful: bool) -> bool:
        assert doubtful
        if self.error is not None:
            raise self.error
        if audits.name_of(event) in self.unwritable:
            raise OSError(errno.ENOSPC, "No space left on device")
        if not self.full:
            self.offered.append(audits.name_of(event))
        return not self.full

    def answer(self, what: str, *arguments: object) -> None:
        for listener in self._listeners:
            getattr(listener, what)(*arguments)


class Bed:
    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.outbox = outbox.ConfigMapOutbox(
            client=self.cluster, namespace="kubernaut-system", style=auditevent.Style()
        )
        self.trail = SlowTrail()
        self.drain = drain.Drain(outbox=self.outbox, trail=self.trail)

    def keep(self, part: int, *events: Event) -> None:
        """Put events into this part, past everybody."""
        data = {event.key: outbox._dump(event) for event in events}
        self.cluster.put(outbox.part_names()[part], **data)

    @contextlib.asynccontextmanager
    async def draining(self) -> AsyncIterator[None]:
        async with background.running(self.drain.run(), for_s=1):
            yield

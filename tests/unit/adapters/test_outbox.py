"""The outbox: a ConfigMap that is filled in one write, and drained."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.fake import objects
from tests.unit.adapters import audits, fakes
from workflowexecution import ports
from workflowexecution.adapters import auditlog, outbox
from workflowexecution.runtime import errors, resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from workflowexecution.domain.auditevent import Event

pytestmark = pytest.mark.looptime


class FakeCluster(fakes.FakeClient):
    """Keeps one ConfigMap; the next errors come before it is touched."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Any] | None = None
        self.errors: list[errors.ClusterError] = []
        self.writes = 0

    async def get(
        self, resource: resource.Resource, key: resource.ObjectKey, *, deadline_s: float = 10.0
    ) -> resource.JsonObject:
        assert key == ("kubernaut-system", outbox.NAME)
        if self.kept is None:
            raise fakes.refusal(errors.NotFound)
        return self.kept

    async def create(
        self,
        resource: resource.Resource,
        namespace: str,
        body: resource.JsonObject,
        *,
        deadline_s: float = 15.0,
    ) -> resource.JsonObject:
        return self._write(body)

    async def merge_patch(
        self,
        resource: resource.Resource,
        key: resource.ObjectKey,
        patch: resource.JsonObject,
        *,
        subresource: str = "",
        deadline_s: float = 10.0,
    ) -> resource.JsonObject:
        assert self.kept is not None
        if patch["metadata"]["resourceVersion"] != self.kept["metadata"]["resourceVersion"]:
            raise fakes.refusal(errors.Conflict)
        return self._write(objects.merge(self.kept, patch))

    def _write(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.errors:
            raise self.errors.pop(0)
        self.writes += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.writes)}
        self.kept = {**body, "metadata": metadata}
        return self.kept

    @property
    def keys(self) -> list[str]:
        return sorted((self.kept or {}).get("data") or {})


class SlowTrail(auditlog.LogTrail):
    """Answers when it is told to, and has room when it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.offered: list[str] = []
        self.full = False

    def offer(self, event: Event, *, doubtful: bool) -> bool:
        assert doubtful
        if not self.full:
            self.offered.append(audits.name_of(event))
        return not self.full

    def answer(self, what: str, *arguments: object) -> None:
        for listener in self._listeners:
            getattr(listener, what)(*arguments)


class Bed:
    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.outbox = outbox.ConfigMapOutbox(client=self.cluster, namespace="kubernaut-system")
        self.trail = SlowTrail()
        self.drain = outbox.Drain(outbox=self.outbox, trail=self.trail)

    @contextlib.asynccontextmanager
    async def draining(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.drain.run())
        await asyncio.sleep(1)
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


ONE, TWO = audits.event("one"), audits.event("two")


async def test_events_are_kept_in_one_write_and_read_back() -> None:
    bed = Bed()
    await bed.outbox.put([ONE, TWO])
    assert bed.cluster.writes == 1
    assert await bed.outbox.load() == {ONE.key: ONE, TWO.key: TWO}
    await bed.outbox.remove([ONE.key])
    assert bed.cluster.keys == [TWO.key]


@pytest.mark.parametrize(
    "error",
    [
        fakes.refusal(errors.Conflict),
        fakes.refusal(errors.AlreadyExists),
        errors.TransportError("lost"),
    ],
)
async def test_a_write_that_others_came_between_is_repeated(error: errors.ClusterError) -> None:
    bed = Bed()
    bed.cluster.errors = [error] * 4
    await bed.outbox.put([ONE])
    assert bed.cluster.keys == [ONE.key]
    bed.cluster.errors = [error] * 5
    with pytest.raises(type(error)):
        await bed.outbox.put([TWO])


async def test_a_full_outbox_takes_nothing_and_lets_go() -> None:
    bed = Bed()
    await bed.outbox.put([ONE])
    assert bed.cluster.kept is not None
    bed.cluster.kept["data"]["big"] = "x" * outbox.MAX_BYTES
    with pytest.raises(ports.OutboxFull, match="full"):
        await bed.outbox.put([TWO])
    await bed.outbox.remove([ONE.key])
    assert bed.cluster.keys == ["big"]


async def test_an_empty_outbox_is_not_made_for_a_removal() -> None:
    bed = Bed()
    await bed.outbox.remove(["x"])
    assert bed.cluster.writes == 0
    assert await bed.outbox.load() == {}


async def test_what_is_kept_is_offered_and_taken_off_when_it_is_answered() -> None:
    bed = Bed()
    await bed.outbox.put([ONE, TWO])
    async with bed.draining():
        assert bed.trail.offered == ["one", "two"]
        bed.trail.answer("recorded", ONE)
        await asyncio.sleep(1)
        assert bed.cluster.keys == [TWO.key]
        bed.trail.answer("refused", TWO, "400")
        bed.trail.answer("recorded", audits.event("stranger"))
        await asyncio.sleep(1)
        assert bed.cluster.keys == []
    assert bed.trail.offered == ["one", "two"]


async def test_what_comes_later_is_drained_at_once() -> None:
    bed = Bed()
    async with bed.draining():
        await bed.outbox.put([ONE])
        await asyncio.sleep(1)
        assert bed.trail.offered == ["one"]


async def test_what_finds_no_room_or_is_shed_is_offered_when_there_is_room() -> None:
    bed = Bed()
    bed.trail.full = True
    await bed.outbox.put([ONE])
    async with bed.draining():
        assert bed.trail.offered == []
        bed.trail.full = False
        bed.trail.answer("room")
        await asyncio.sleep(1)
        assert bed.trail.offered == ["one"]
        bed.trail.answer("shed", ONE)
        bed.trail.answer("room")
        await asyncio.sleep(1)
        assert bed.trail.offered == ["one", "one"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"uid":"u","transition":"x","document":{}}'])
async def test_an_entry_that_nobody_can_read_is_taken_off(text: str) -> None:
    bed = Bed()
    await bed.outbox.put([ONE])
    assert bed.cluster.kept is not None
    bed.cluster.kept["data"]["odd"] = text
    async with bed.draining():
        assert bed.cluster.keys == [ONE.key]


async def test_an_outbox_without_data_is_empty() -> None:
    bed = Bed()
    bed.cluster.kept = {"metadata": {"resourceVersion": "1"}}
    async with bed.draining():
        assert bed.trail.offered == []


async def test_a_cluster_that_fails_is_asked_again() -> None:
    bed = Bed()
    await bed.outbox.put([ONE])
    bed.cluster.errors = [fakes.refusal(errors.Forbidden)]
    async with bed.draining():
        bed.trail.answer("recorded", ONE)
        await asyncio.sleep(1)
        assert bed.cluster.keys == [ONE.key]
        await asyncio.sleep(60)
        assert bed.cluster.keys == []
    assert bed.trail.offered == ["one"]

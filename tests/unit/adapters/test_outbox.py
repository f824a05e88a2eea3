"""The outbox: a ConfigMap that is filled in one write, and drained."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.fake import objects
from tests.unit.adapters import audits, fakes
from workflowexecution import ports
from workflowexecution.adapters import auditlog, drain, outbox
from workflowexecution.domain import auditevent
from workflowexecution.runtime import errors, resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from workflowexecution.domain.auditevent import Event

pytestmark = pytest.mark.looptime


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
    assert await bed.outbox.load(0) == {ONE.key: ONE, TWO.key: TWO}
    await bed.outbox.remove(0, [ONE.key])
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
    for name in outbox.part_names():
        bed.cluster.put(name, **{f"big.{name}": "x" * outbox.MAX_BYTES})
    for _ in range(2):
        with pytest.raises(ports.OutboxFull, match="full"):
            await bed.outbox.put([TWO])
    # A part that was found full is not read again by the next who comes.
    assert bed.cluster.reads == 1 + outbox.PARTS
    await bed.outbox.remove(0, [ONE.key, f"big.{outbox.NAME}"])
    await bed.outbox.put([TWO])
    assert TWO.key in bed.cluster.kept[outbox.NAME]["data"]


async def test_an_outbox_that_is_found_empty_has_room_again() -> None:
    bed = Bed()
    for name in outbox.part_names():
        bed.cluster.put(name, big="x" * outbox.MAX_BYTES)
    with pytest.raises(ports.OutboxFull):
        await bed.outbox.put([ONE])
    # By hand, or by a removal whose answer was lost.
    bed.cluster.kept.clear()
    assert await bed.outbox.load(1) == {}
    await bed.outbox.put([ONE])
    assert bed.cluster.keys == [ONE.key]


async def test_those_who_come_between_are_given_time() -> None:
    bed = Bed()
    bed.cluster.errors = [fakes.refusal(errors.Conflict)] * 4
    began = asyncio.get_running_loop().time()
    await bed.outbox.put([ONE])
    assert 0 < asyncio.get_running_loop().time() - began < 2


async def test_what_does_not_fit_into_one_part_goes_into_the_next() -> None:
    bed = Bed()
    bed.cluster.put(outbox.NAME, big="x" * outbox.MAX_BYTES)
    await bed.outbox.put([ONE, TWO])
    assert await bed.outbox.load(1) == {ONE.key: ONE, TWO.key: TWO}


async def test_many_deletions_at_once_are_few_writes_and_lose_nothing() -> None:
    bed = Bed()
    bed.cluster.write_s = 0.1
    many = [audits.event(f"e-{number}") for number in range(600)]
    async with asyncio.TaskGroup() as group:
        for event in many:
            group.create_task(bed.outbox.put([event]))
    assert bed.cluster.keys == sorted(event.key for event in many)
    # The first one who came, then all others, in as many parts as they need.
    assert bed.cluster.writes == 1 + len(bed.cluster.kept)
    sizes = [sum(map(len, it["data"].values())) for it in bed.cluster.kept.values()]
    assert max(sizes) < outbox.MAX_BYTES
    async with bed.draining():
        for part in range(outbox.PARTS):
            for kept in (await bed.outbox.load(part)).values():
                bed.trail.answer("recorded", kept)
            await asyncio.sleep(1)
    assert bed.cluster.keys == []


async def test_who_waits_is_told_when_the_write_of_another_fails() -> None:
    bed = Bed()
    bed.cluster.write_s = 0.1
    bed.cluster.errors = [fakes.refusal(errors.Forbidden)]
    puts = [asyncio.create_task(bed.outbox.put([event])) for event in (ONE, TWO)]
    told = await asyncio.gather(*puts, return_exceptions=True)
    assert isinstance(told[0], errors.Forbidden)
    assert (told[1], bed.cluster.keys) == (None, [TWO.key])


async def test_who_has_gone_is_not_waited_for() -> None:
    bed = Bed()
    bed.cluster.write_s = 0.1
    first, second = (asyncio.create_task(bed.outbox.put([event])) for event in (ONE, TWO))
    await asyncio.sleep(0.05)
    second.cancel()
    await first
    await bed.outbox.put([audits.event("three")])
    assert TWO.key not in bed.cluster.keys


async def test_an_empty_outbox_is_not_made_for_a_removal() -> None:
    bed = Bed()
    await bed.outbox.remove(0, ["x"])
    assert bed.cluster.writes == 0
    assert await bed.outbox.load(0) == {}


async def test_what_is_kept_is_offered_and_taken_off_when_it_is_answered() -> None:
    bed = Bed()
    await bed.outbox.put([ONE, TWO])
    async with bed.draining():
        assert bed.trail.offered == ["one", "two"]
        bed.trail.answer("recorded", ONE)
        await asyncio.sleep(1)
        # Each write takes the whole part, so that what is under way is waited for.
        assert bed.cluster.keys == sorted([ONE.key, TWO.key])
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


async def test_what_a_full_log_does_not_take_is_offered_again() -> None:
    bed = Bed()
    bed.trail.error = OSError("no space left")
    await bed.outbox.put([ONE])
    async with bed.draining():
        assert bed.trail.offered == []
        bed.trail.error = None
        await asyncio.sleep(60)
        assert bed.trail.offered == ["one"]
        bed.trail.answer("recorded", ONE)
        await asyncio.sleep(1)
        assert bed.cluster.keys == []


async def test_a_record_that_a_full_log_does_not_take_keeps_no_other_one_waiting() -> None:
    bed = Bed()
    bed.trail.unwritable = {"one"}
    three = audits.event("three")
    bed.keep(0, ONE, three)
    bed.keep(1, TWO)
    async with bed.draining():
        for event in (three, TWO):
            bed.trail.answer("recorded", event)
            await asyncio.sleep(1)
        assert bed.trail.offered == ["three", "two"]
        assert bed.cluster.keys == [ONE.key]
        bed.trail.unwritable = set()
        await asyncio.sleep(30)
        assert bed.trail.offered == ["three", "two", "one"]


async def test_what_is_heard_of_others_keeps_no_part_at_hand() -> None:
    bed = Bed()
    three = audits.event("three")
    bed.keep(0, ONE, three)
    bed.keep(1, TWO)
    async with bed.draining():
        for _ in range(5):
            await asyncio.sleep(20)
            bed.trail.answer("room")
            bed.trail.answer("recorded", three)
        assert bed.trail.offered == ["one", "three", "two"]


async def test_a_part_whose_records_are_answered_one_after_the_other_is_not_left() -> None:
    bed = Bed()
    many = [audits.event(f"e-{number}") for number in range(5)]
    bed.keep(0, *many)
    bed.keep(1, TWO)
    async with bed.draining():
        for event in many:
            assert "two" not in bed.trail.offered
            await asyncio.sleep(50)
            bed.trail.answer("recorded", event)
        await asyncio.sleep(1)
        assert bed.trail.offered[-1] == "two"
        assert bed.cluster.writes == 1


async def test_a_record_without_an_answer_keeps_no_other_one_waiting() -> None:
    bed = Bed()
    three = audits.event("three")
    bed.keep(0, ONE)
    bed.keep(1, TWO)
    async with bed.draining():
        assert bed.trail.offered == ["one"]
        await bed.outbox.put([three])
        await asyncio.sleep(60)
        assert bed.trail.offered == ["one", "two"]
        bed.trail.answer("refused", TWO, "400")
        await asyncio.sleep(1)
        assert bed.cluster.keys == sorted([ONE.key, three.key])
        assert bed.trail.offered == ["one", "two", "three"]
        bed.trail.answer("recorded", three)
        await asyncio.sleep(240)
        assert bed.cluster.keys == [ONE.key]
        bed.trail.answer("recorded", ONE)
        await asyncio.sleep(120)
        assert bed.cluster.keys == []
    # Each once: what is under way is known whichever part is at hand.
    assert bed.trail.offered == ["one", "two", "three"]


@pytest.mark.parametrize("after_s", [65, 125], ids=["another-part", "no-part"])
async def test_what_is_answered_once_its_part_was_left_is_not_offered_again(after_s: float) -> None:
    bed = Bed()
    three = audits.event("three")
    bed.keep(0, ONE, TWO)
    bed.keep(1, three)
    async with bed.draining():
        await asyncio.sleep(after_s)
        assert bed.trail.offered == ["one", "two", "three"]
        bed.trail.answer("recorded", ONE)
        await asyncio.sleep(300)
        assert bed.cluster.keys == sorted([TWO.key, three.key])
    assert bed.trail.offered == ["one", "two", "three"]


LACKING = {
    "uid": "u",
    "transition": "created",
    "document": {"event_data": {"event_key": "u.created"}},
}
# A record, but not that of its key.
MISPLACED = {"uid": "u", "transition": "created", "document": audits.event("two").document}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"document":{}}', json.dumps(LACKING), json.dumps(MISPLACED)],
    ids=["no-json", "list", "empty", "no-record", "lacking", "misplaced"],
)
async def test_an_entry_that_nobody_can_read_is_taken_off(text: str) -> None:
    bed = Bed()
    await bed.outbox.put([ONE])
    bed.cluster.put(outbox.NAME, **{"u.created": text})
    async with bed.draining():
        assert bed.cluster.keys == [ONE.key]


async def test_what_is_kept_leaves_as_the_settings_are_now() -> None:
    bed = Bed()
    await bed.outbox.put([ONE])
    style = auditevent.Style(category="workflow")
    later = outbox.ConfigMapOutbox(client=bed.cluster, namespace="kubernaut-system", style=style)
    kept = (await later.load(0))[ONE.key]
    assert kept is not None
    assert kept.document == ONE.document | {"event_category": "workflow"}


async def test_an_outbox_without_data_is_empty() -> None:
    bed = Bed()
    bed.cluster.kept[outbox.NAME] = {"metadata": {"resourceVersion": "1"}}
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

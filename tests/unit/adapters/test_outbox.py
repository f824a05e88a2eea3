"""The outbox: a ConfigMap that is filled in one write, and read back."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.adapters import audits, fakes
from tests.unit.adapters.outboxes import ONE, TWO, Bed
from workflowexecution import ports
from workflowexecution.adapters import outbox
from workflowexecution.domain import auditevent
from workflowexecution.runtime import errors

pytestmark = pytest.mark.looptime


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


async def test_what_is_kept_leaves_as_the_settings_are_now() -> None:
    bed = Bed()
    await bed.outbox.put([ONE])
    style = auditevent.Style(category="workflow")
    later = outbox.ConfigMapOutbox(client=bed.cluster, namespace="kubernaut-system", style=style)
    kept = (await later.load(0))[ONE.key]
    assert kept is not None
    assert kept.document == ONE.document | {"event_category": "workflow"}

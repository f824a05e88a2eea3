"""The outbox is drained: each record is offered, and taken off when it is answered."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.unit.adapters import audits, fakes
from tests.unit.adapters.outboxes import ONE, TWO, Bed
from workflowexecution.adapters import outbox
from workflowexecution.runtime import errors

pytestmark = pytest.mark.looptime


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

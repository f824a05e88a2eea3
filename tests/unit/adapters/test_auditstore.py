"""Batches on their way into a store: when they go, when they wait, and when there is room."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.adapters import audits
from tests.unit.adapters.audittrails import Bed
from workflowexecution.adapters import breaker
from workflowexecution.adapters.auditclient import Outcome, Unavailable

pytestmark = pytest.mark.looptime


@pytest.mark.requirement("BR-WF-005", "Audit records written to Data Storage")
async def test_a_full_batch_goes_at_once_and_a_smaller_one_after_its_interval() -> None:
    bed = Bed()
    async with bed.running():
        bed.offer("a", "b", "c", "d", "e")
        await asyncio.sleep(0.01)
        assert bed.store.batches == [["a", "b", "c", "d"]]
        await asyncio.sleep(1.0)
        assert bed.store.batches[1:] == [["e"]]
    assert bed.listener.heard == [f"recorded {name}" for name in "abcde"]
    assert (bed.trail.pending, bed.trail.counts.recorded) == (0, 5)


async def test_an_event_on_its_way_is_taken_once() -> None:
    bed = Bed()
    bed.offer("a")
    assert bed.offer("a") == [True]
    async with bed.running(2.0):
        assert bed.store.rows == ["a"]


async def test_what_the_dialect_cannot_say_is_recorded_on_the_log() -> None:
    bed = Bed()
    assert bed.trail.offer(audits.event("a", taken=False), doubtful=False)
    assert bed.listener.heard == ["recorded a"]
    assert (bed.trail.counts.untaken, bed.trail.pending) == (1, 0)


async def test_a_batch_that_was_not_taken_is_sent_again_unasked() -> None:
    bed = Bed()
    bed.store.errors = [Unavailable("429", retry_after_s=20.0)]
    bed.offer("a", "b")
    async with bed.running(20.9):
        assert bed.store.rows == []
        await asyncio.sleep(6)
    assert bed.store.rows == ["a", "b"]
    assert bed.store.asked == []


async def test_an_outage_opens_the_breaker_sheds_the_surplus_and_calls_for_it_after() -> None:
    bed = Bed()
    bed.store.down = Unavailable("refused")
    bed.offer(*"abcdefgh")
    async with bed.running(40.0):
        assert not bed.trail.is_working
        assert [it for it in bed.listener.heard if it.startswith("shed")] == [
            f"shed {name}" for name in "efgh"
        ]
        assert bed.trail.pending == 4
        assert bed.offer("x") == [False]
        assert not bed.trail.has_room()
        bed.store.down = None
        await asyncio.sleep(60)
        assert bed.store.rows == list("abcd")
        assert bed.listener.heard[-1] == "room"
        assert bed.trail.breaker_state is breaker.State.CLOSED
        assert bed.trail.has_room()


async def test_a_silent_store_opens_the_breaker_too() -> None:
    bed = Bed(batch_size=1)
    bed.store.down = Unavailable("timeout", outcome=Outcome.UNDECIDED)
    bed.offer(*"abcdefg")
    async with bed.running(60.0):
        assert bed.trail.breaker_state is not breaker.State.CLOSED


async def test_a_full_buffer_turns_away_and_calls_when_half_of_it_is_free() -> None:
    bed = Bed(buffer_size=4)
    assert bed.offer(*"abcde") == [True, True, True, True, False]
    async with bed.running(0.1):
        assert bed.listener.heard[-1] == "room"


async def test_a_store_that_asks_for_hours_is_tried_again_after_a_minute() -> None:
    bed = Bed()
    bed.store.errors = [Unavailable("429", retry_after_s=36000.0)]
    bed.offer(*"abcd")
    async with bed.running(76.0):
        assert bed.store.rows == list("abcd")

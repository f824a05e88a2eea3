"""A stop sends what is there, and waits for no store that is away."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.adapters.audittrails import Bed
from workflowexecution.adapters.auditclient import Failing, Outcome, Silent, Unavailable

pytestmark = pytest.mark.looptime


async def test_a_stop_sends_what_is_there() -> None:
    bed = Bed(flush_interval_s=3600.0)
    bed.offer(*"abc")
    task = asyncio.create_task(bed.trail.run())
    await asyncio.sleep(1)
    bed.trail.stop()
    await asyncio.wait_for(task, 1)
    assert bed.store.rows == list("abc")


async def test_a_stop_does_not_wait_for_a_store_that_is_away() -> None:
    bed = Bed()
    bed.store.down = Unavailable("refused")
    bed.offer("a")
    task = asyncio.create_task(bed.trail.run())
    await asyncio.sleep(60)
    bed.trail.stop()
    await asyncio.wait_for(task, 31)
    assert bed.trail.pending == 1


async def test_a_stop_ends_the_wait_that_the_store_has_asked_for() -> None:
    bed = Bed()
    bed.store.down = Unavailable("429", retry_after_s=3600.0)
    bed.offer(*"abcdefgh")
    task = asyncio.create_task(bed.trail.run())
    await asyncio.sleep(10)
    assert len(bed.store.batches) == 1
    bed.trail.stop()
    await asyncio.wait_for(task, 0.1)
    # Once more, and nothing else to a store that is not there.
    assert bed.store.batches == [list("abcd")] * 2
    assert bed.trail.pending == 8


async def test_a_stop_in_a_wait_sends_what_the_store_takes_again() -> None:
    bed = Bed()
    bed.store.errors = [Unavailable("429", retry_after_s=3600.0)]
    bed.offer(*"abcdefgh")
    task = asyncio.create_task(bed.trail.run())
    await asyncio.sleep(10)
    bed.trail.stop()
    await asyncio.wait_for(task, 0.1)
    assert bed.store.rows == list("abcdefgh")


async def test_a_stop_tries_a_store_that_is_not_there_once() -> None:
    bed = Bed(flush_interval_s=3600.0)
    bed.store.down = Unavailable("refused")
    bed.offer(*"abc")
    task = asyncio.create_task(bed.trail.run())
    await asyncio.sleep(1)
    bed.trail.stop()
    await asyncio.wait_for(task, 1)
    assert (bed.store.batches, bed.trail.pending) == ([list("abc")], 3)


@pytest.mark.parametrize("error", [Failing("500"), Silent("TimeoutError")], ids=["fails", "silent"])
async def test_a_stop_while_others_are_asked_for_in_vain_sends_what_is_in_no_doubt(
    error: Failing,
) -> None:
    bed = Bed(settle_s=0.0)
    bed.store.query_error, bed.store.silent_s = error, 3.0
    bed.offer("x", "y", doubtful=True)
    task = asyncio.create_task(bed.trail.run())
    await asyncio.sleep(2)
    bed.offer(*"abcdefgh")
    bed.trail.stop()
    # The rest of the questions that are under way, and no others.
    await asyncio.wait_for(task, 6)
    assert bed.store.rows == list("abcdefgh")
    assert bed.trail.pending == 2


async def test_a_stop_while_others_are_asked_for_sends_once_what_the_store_does_not_take() -> None:
    bed = Bed(settle_s=0.0)
    bed.store.query_error, bed.store.silent_s = Failing("500"), 5.0
    bed.store.down = Failing("500", outcome=Outcome.NOTHING)
    bed.offer("x", "y", doubtful=True)
    task = asyncio.create_task(bed.trail.run())
    await asyncio.sleep(3)
    bed.offer(*"abcdefgh")
    bed.trail.stop()
    await asyncio.wait_for(task, 30)
    assert bed.store.batches == [list("abcd")]
    assert bed.trail.pending == 10

"""Room for records that are in no doubt, beside those in doubt that nobody answers for."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.adapters.audittrails import Bed
from workflowexecution.adapters.auditclient import Failing, Silent, Unavailable

pytestmark = pytest.mark.looptime

DOUBTFUL = [f"x{number}" for number in range(20)]


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize(
    "error", [Failing("query: 500"), Silent("TimeoutError")], ids=["fails", "silent"]
)
async def test_what_is_in_no_doubt_is_sent_though_no_question_is_answered_about_all_others(
    error: Failing, batch_size: int
) -> None:
    bed = Bed(settle_s=0.0, batch_size=batch_size, buffer_size=20)
    bed.store.query_error, bed.store.silent_s = error, 10.0
    bed.offer(*DOUBTFUL, doubtful=True)
    async with bed.running():
        for number in range(40):
            assert bed.offer(f"{number}") == [True]
            # The longest pause of a store that is left alone, and four questions in vain.
            await asyncio.sleep(90)
            assert bed.store.rows[-1] == f"{number}"
            assert bed.trail.pending <= 20
        # Those in doubt that were let go for it are offered again, and are sent once.
        bed.store.query_error = None
        bed.offer(*DOUBTFUL, doubtful=True)
        await asyncio.sleep(120)
        bed.offer(*DOUBTFUL, doubtful=True)
        await asyncio.sleep(120)
    assert sorted(bed.store.rows[40:]) == sorted(DOUBTFUL)
    assert bed.trail.pending == 0


async def test_a_store_that_is_left_alone_keeps_a_batch_and_one_of_what_is_in_no_doubt() -> None:
    bed = Bed(settle_s=0.0)
    bed.store.query_error = bed.store.down = Unavailable("503")
    bed.offer(*DOUBTFUL, doubtful=True)
    async with bed.running(40.0):
        assert not bed.trail.is_working
        assert bed.trail.pending == 4
        assert (bed.trail.has_room(), bed.offer("y", doubtful=True)) == (False, [False])
        assert bed.offer(*"abcde") == [True] * 4 + [False]
        assert bed.trail.pending == 8
        bed.listener.heard.clear()
        await asyncio.sleep(40)
        # A record in doubt is no worse off when it is offered again.
        assert bed.listener.heard == [f"shed x{number}" for number in range(4)]
        assert bed.trail.pending == 4
        bed.store.query_error = bed.store.down = None
        await asyncio.sleep(40)
        assert bed.store.rows == list("abcd")
        assert bed.listener.heard[-1] == "room"


async def test_what_is_in_doubt_has_its_part_of_each_batch() -> None:
    bed = Bed(settle_s=0.0)
    bed.offer("x", "y", "z", doubtful=True)
    bed.offer(*"abcdefgh")
    async with bed.running():
        await asyncio.sleep(1.1)
    assert bed.store.batches == [list("abxy"), list("cdze"), list("fgh")]


async def test_what_the_store_fails_of_is_found_though_each_batch_of_new_records_has_one() -> None:
    bed = Bed(settle_s=0.0)
    names = [f"{number}" for number in range(900)]
    bed.store.poison = set(names[::3])
    bed.store.down = Unavailable("refused")
    bed.offer(*names[:8])
    async with bed.running(60.0):
        bed.store.down = None
        for name in names[8:]:
            bed.offer(name)
            await asyncio.sleep(1.0)
    assert len(bed.store.rows) > 200

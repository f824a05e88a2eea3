"""Records that may have been stored: they are asked for before they are sent again."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.adapters.audittrails import SETTLE_S, Bed
from workflowexecution.adapters import auditclient
from workflowexecution.adapters.auditclient import Outcome, Unavailable

pytestmark = pytest.mark.looptime


async def test_a_batch_that_was_stored_all_the_same_is_not_sent_again() -> None:
    bed = Bed()
    bed.store.stores_anyway = True
    bed.store.errors = [Unavailable("500", outcome=Outcome.UNKNOWN)]
    bed.offer("a", "b")
    async with bed.running(5.0):
        assert bed.store.rows == ["a", "b"]
    assert bed.store.asked == ["a", "b"]
    assert (bed.trail.counts.recorded, bed.trail.counts.found) == (2, 2)


async def test_only_what_is_missing_is_sent_again() -> None:
    bed = Bed()
    bed.store.errors = [Unavailable("500", outcome=Outcome.UNKNOWN)]
    bed.store.rows = ["a"]
    bed.offer("a", "b")
    async with bed.running(5.0):
        assert bed.store.batches == [["a", "b"], ["b"]]


async def test_a_request_without_an_answer_is_let_settle_before_it_is_asked_for() -> None:
    bed = Bed()
    bed.store.errors = [Unavailable("timeout", outcome=Outcome.UNDECIDED)]
    bed.offer("a")
    async with bed.running(SETTLE_S):
        assert (bed.store.asked, len(bed.store.batches)) == ([], 1)
        bed.offer("b")
        await asyncio.sleep(0.9)
        # Stored late, by the server that was given up.
        bed.store.rows.append("a")
        await asyncio.sleep(3)
    assert bed.store.batches[1:] == [["b"]]
    assert sorted(bed.store.rows) == ["a", "b"]


async def test_what_an_earlier_life_may_have_sent_is_let_settle_and_asked_for() -> None:
    bed = Bed()
    bed.store.rows = ["a"]
    bed.offer("a", "b", doubtful=True)
    async with bed.running(SETTLE_S - 1):
        assert bed.store.asked == []
        await asyncio.sleep(2)
    assert bed.store.asked == ["a", "b"]
    assert bed.store.batches == [["b"]]


async def test_what_another_leader_may_have_sent_is_let_settle_from_when_it_is_followed() -> None:
    bed = Bed()
    await asyncio.sleep(10 * SETTLE_S)
    bed.store.rows = ["a"]
    bed.offer("a", "b", doubtful=True)
    async with bed.running():
        await asyncio.sleep(0)
        bed.offer("c", doubtful=True)
        await asyncio.sleep(SETTLE_S - 1)
        assert (bed.store.asked, bed.store.batches) == ([], [])
        await asyncio.sleep(2)
    assert bed.store.asked == ["a", "b", "c"]
    assert bed.store.batches == [["b", "c"]]


async def test_a_store_that_cannot_be_asked_is_sent_everything() -> None:
    bed = Bed(settle_s=0.0)
    bed.store.query_error = auditclient.NotAskable("403")
    bed.offer("a", "b", doubtful=True)
    async with bed.running(4.0):
        # The second record that is not answered shows it.
        assert (bed.store.asked, bed.store.rows) == (["a", "a", "b"], ["a", "b"])
        bed.offer("c", doubtful=True)
        await asyncio.sleep(2.0)
        assert bed.store.rows == ["a", "b", "c"]
        assert len(bed.store.batches) == 2


async def test_a_question_that_is_refused_once_is_asked_again_before_anything_is_sent() -> None:
    bed = Bed(settle_s=0.0)
    bed.store.rows = ["a"]
    bed.store.query_errors = [auditclient.NotAskable("404")]
    bed.offer("a", "b", doubtful=True)
    async with bed.running(4.0):
        assert bed.store.asked == ["a", "a", "b"]
        assert bed.store.batches == [["b"]]


async def test_a_doubt_outlives_questions_and_sendings_that_are_refused() -> None:
    bed = Bed(settle_s=0.0)
    bed.store.stored_first = 1
    refused = Unavailable("403")
    bed.store.errors = [Unavailable("500", outcome=Outcome.UNKNOWN), refused, refused]
    bed.store.query_errors = [auditclient.NotAskable("403")] * 3
    bed.offer("a")
    async with bed.running(40.0):
        assert bed.store.rows == ["a"]
        assert bed.listener.heard == ["recorded a"]
    assert len(bed.store.batches) == 3
    assert (bed.trail.counts.recorded, bed.trail.counts.found) == (1, 1)


async def test_a_question_that_fails_is_asked_again() -> None:
    bed = Bed(settle_s=0.0)
    bed.store.query_error = Unavailable("503")
    bed.offer("a", doubtful=True)
    async with bed.running(2.0):
        assert bed.store.batches == []
        bed.store.query_error = None
        await asyncio.sleep(5)
    assert bed.store.rows == ["a"]


async def test_one_question_that_is_refused_doubles_no_other_record() -> None:
    bed = Bed(settle_s=0.0)
    bed.store.rows = list("abcd")
    bed.store.unaskable = {"a": auditclient.NotAskable("400 odd")}
    bed.offer(*"abcd", doubtful=True)
    async with bed.running(10.0):
        assert bed.store.rows == list("abcda")
    assert bed.trail.counts.found == 3

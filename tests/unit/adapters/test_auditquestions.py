"""Questions of which a store fails, among those that it answers."""

from __future__ import annotations

import asyncio

import pytest
import structlog.testing

from tests.unit.adapters import audits
from tests.unit.adapters.audittrails import SETTLE_S, Bed
from workflowexecution.adapters import auditparcels, auditquestions
from workflowexecution.adapters.auditclient import Failing, Outcome, Silent

pytestmark = pytest.mark.looptime

CHOKED = Failing("query: 500 choked")
SILENT = Silent("TimeoutError")


async def test_a_question_of_which_the_store_fails_keeps_no_other_record_back() -> None:
    bed = Bed(settle_s=0.0)
    bed.store.unaskable = {"a": Failing("500 choked")}
    bed.offer(*"abcd", doubtful=True)
    async with bed.running(30.0):
        assert sorted(bed.store.rows) == list("bcd")
        await bed.offer_each(5.0, times=240)
    assert "refused a: 500 choked" in bed.listener.heard
    assert "a" not in bed.store.rows
    assert bed.trail.pending == 0


async def test_questions_of_which_the_store_fails_one_after_the_other_are_an_outage() -> None:
    bed = Bed(settle_s=0.0)
    bed.store.query_error = Failing("500")
    bed.offer(*"abcd", doubtful=True)
    async with bed.running(120.0):
        assert len(bed.store.asked) == 2 * bed.trail.counts.failed_attempts
        assert bed.store.batches == []
        bed.store.query_error = None
        await asyncio.sleep(60)
    assert sorted(bed.store.rows) == list("abcd")


@pytest.mark.parametrize("doubtful", [True, False])
async def test_questions_about_one_execution_that_fail_keep_no_other_record_back(
    *, doubtful: bool
) -> None:
    bed = Bed(settle_s=0.0, batch_size=8)
    bed.store.unaskable = dict.fromkeys(("x1", "x2", "x3"), CHOKED)
    bed.offer("x1", "x2", "x3", doubtful=True, of="x")
    bed.offer("a", "b", doubtful=doubtful)
    async with bed.running(30.0):
        assert sorted(bed.store.rows) == ["a", "b"]
        assert bed.trail.is_working
        # As those of any other, they are put aside where all else goes through.
        await bed.offer_each(5.0, times=240)
    assert bed.trail.counts.refused == 3
    assert bed.trail.pending == 0


@pytest.mark.parametrize("batch_size", [8, 100])
async def test_failing_questions_about_several_executions_go_behind_all_others(
    batch_size: int,
) -> None:
    bed = Bed(settle_s=0.0, batch_size=batch_size)
    for execution in "xyz":
        names = [f"{execution}{number}" for number in range(3)]
        bed.store.unaskable |= dict.fromkeys(names, CHOKED)
        bed.offer(*names, doubtful=True, of=execution)
    bed.offer(*"abcd", doubtful=True)
    async with bed.running(600.0):
        assert sorted(bed.store.rows) == list("abcd")
        assert bed.trail.counts.refused == 0
        assert bed.trail.pending == 9


async def test_a_store_that_answers_other_questions_is_not_away() -> None:
    bed = Bed(settle_s=0.0)
    stored = [f"stored-{number}" for number in range(40)]
    bed.store.rows = list(stored)
    bed.store.unaskable = {"x": CHOKED, "y": CHOKED}
    bed.offer("x", "y", *stored, doubtful=True)
    async with bed.running(10.0):
        assert bed.trail.counts.found == 40
        # Of two that fail alone the store is not away, either.
        await asyncio.sleep(600)
        assert bed.trail.is_working
        bed.offer("a")
        await asyncio.sleep(2)
    assert bed.store.rows == [*stored, "a"]


@pytest.mark.parametrize("in_life", [True, False])
async def test_questions_that_all_fail_keep_no_record_back_that_is_in_no_doubt(
    *, in_life: bool
) -> None:
    bed = Bed(settle_s=0.0, batch_size=100)
    bed.store.unaskable = {"x": CHOKED, "y": CHOKED}
    bed.store.errors = [Failing("500", outcome=Outcome.UNKNOWN)] * in_life
    bed.offer("x", "y", doubtful=not in_life)
    async with bed.running(60.0):
        await bed.offer_each(60.0, times=50)
        assert bed.store.rows == [f"each-{number + 1}" for number in range(50)]
        assert bed.trail.is_working
        assert (bed.trail.counts.refused, bed.trail.pending) == (0, 2)
        bed.store.unaskable = {}
        await asyncio.sleep(120)
    assert sorted(bed.store.rows[50:]) == ["x", "y"]


def in_doubt(name: str, of: str) -> auditparcels.Parcel:
    """One of a remediation's records."""
    event = audits.event(name, remediationRequestRef={"name": of, "namespace": "payment"})
    return auditparcels.Parcel(event, 0.0, doubtful=True, ripe_at=0.0)


@pytest.mark.parametrize("are_suspects", [False, True])
async def test_questions_that_go_unasked_are_no_word_on_their_records(
    *, are_suspects: bool
) -> None:
    bed = Bed()
    bed.store.query_error = CHOKED
    parcels = [in_doubt(name, name[0]) for name in ("x", "x2", "y", "z")]
    for parcel in parcels:
        parcel.is_suspect = are_suspects
    seen = auditparcels.Seen()
    questions = auditquestions.Questions(bed.store, found=parcels.remove, seen=seen)
    failing = await questions.clear(parcels, clock=lambda: 0.0)
    assert bed.store.asked == ["x", "y"]
    told = [not isinstance(failing[it.event.key], Silent) for it in parcels]
    assert told == [True, False, False, False]
    assert questions.unasked == {parcels[1].event.key, parcels[3].event.key}


async def test_slow_failures_of_questions_about_one_execution_delay_others_by_two_at_most() -> None:
    bed = Bed(settle_s=0.0, batch_size=100, buffer_size=1000)
    names = [f"x{number}" for number in range(50)]
    bed.store.unaskable = dict.fromkeys(names, CHOKED)
    bed.store.silent_s = 9.0
    bed.offer(*names, doubtful=True, of="x")
    async with bed.running():
        for number in range(60):
            bed.offer(f"{number}")
            await asyncio.sleep(19.0)
            assert bed.store.rows[-1] == f"{number}"
        assert bed.trail.is_working
        # They take turns.
        assert set(bed.store.asked) == set(names)
        bed.store.unaskable = {}
        await asyncio.sleep(120)
    assert sorted(bed.store.rows[60:]) == sorted(names)


async def test_no_record_is_put_aside_while_the_store_takes_records_and_no_question() -> None:
    bed = Bed(settle_s=0.0, batch_size=100)
    bed.store.query_error = CHOKED
    bed.store.rows = list("vwxyz")
    async with bed.running():
        for name in "vwxyz":
            bed.offer(name, doubtful=True)
            await bed.offer_each(5.0, times=12)
        await bed.offer_each(5.0, times=400)
        assert (bed.trail.counts.refused, bed.trail.pending) == (0, 5)
        bed.store.query_error = None
        await asyncio.sleep(120)
    assert bed.trail.counts.found == 5
    assert len(bed.store.rows) == len(set(bed.store.rows))


async def test_records_of_two_executions_are_put_aside_where_other_questions_are_answered() -> None:
    bed = Bed(settle_s=0.0, batch_size=100)
    bed.store.unaskable = {"x": CHOKED, "y": CHOKED}
    bed.offer("x", "y", doubtful=True)
    async with bed.running():
        for number in range(400):
            bed.offer(f"{number}", doubtful=True)
            await asyncio.sleep(5.0)
    assert (bed.trail.counts.refused, bed.trail.counts.recorded) == (2, 400)


async def test_silence_about_one_execution_delays_others_by_two_questions_at_most() -> None:
    bed = Bed(settle_s=0.0)
    bed.store.unaskable = dict.fromkeys(("x1", "x2", "x3"), SILENT)
    bed.store.silent_s = 10.0
    bed.offer("x1", "x2", "x3", doubtful=True, of="x")
    async with bed.running():
        for number in range(100):
            bed.offer(f"{number}")
            await asyncio.sleep(25.0)
            assert f"{number}" in bed.store.rows
        assert bed.trail.is_working
        bed.store.unaskable = {}
        await asyncio.sleep(120)
    assert sorted(bed.store.rows)[-3:] == ["x1", "x2", "x3"]
    assert bed.trail.counts.refused == 0


async def test_others_in_doubt_are_asked_for_before_the_one_that_met_silence() -> None:
    bed = Bed(settle_s=0.0)
    bed.store.unaskable = {"x": SILENT}
    bed.store.silent_s = 10.0
    bed.store.rows = ["a"]
    bed.offer("x", "a", "b", doubtful=True)
    async with bed.running(30.0):
        assert bed.store.asked[:4] == ["x", "a", "b", "x"]
        assert bed.store.rows == ["a", "b"]


@pytest.mark.parametrize("error", [CHOKED, SILENT], ids=["fails", "silent"])
async def test_a_store_that_answers_no_question_is_told_once_and_so_is_its_return(
    error: Failing,
) -> None:
    bed = Bed(settle_s=0.0)
    bed.store.query_error = error
    bed.offer("x", "y", doubtful=True)
    with structlog.testing.capture_logs() as logs:
        async with bed.running():
            await bed.offer_each(60.0, times=10)
            bed.store.query_error = None
            await asyncio.sleep(120)
    # Nor is it said of each record that the store fails of it alone.
    told = [it for it in logs if "quest" in str(it) or "of an event" in it["event"]]
    assert [(it["log_level"], it["event"], it.get("error")) for it in told] == [
        ("warning", "Audit store answers no question: records in doubt wait", str(error)),
        ("info", "Audit store answers questions again", None),
    ]


async def test_a_store_that_fails_of_questions_by_chance_is_hardly_told_to_answer_none() -> None:
    bed = Bed(batch_size=100, buffer_size=1000)
    bed.store.chances = (0.0, 0.5)
    bed.offer(*(f"x{number}" for number in range(800)), doubtful=True)
    with structlog.testing.capture_logs() as logs:
        async with bed.running(SETTLE_S):
            await bed.offer_each(1.0, times=100)
    assert sum("no question" in it["event"] for it in logs) < 10


async def test_a_record_that_fails_alone_is_told_once_other_questions_are_answered_again() -> None:
    bed = Bed(settle_s=0.0)
    bed.store.query_error = CHOKED
    bed.offer("x", "y", "z", doubtful=True)
    with structlog.testing.capture_logs() as logs:
        async with bed.running():
            await bed.offer_each(20.0, times=20)
            assert "fails of an event" not in str(logs)
            bed.store.query_error, bed.store.unaskable = None, {"y": CHOKED}
            await bed.offer_each(20.0, times=20)
    keys = [it["event_key"] for it in logs if "of an event" in it["event"]]
    assert keys == [audits.event("y").key]


async def test_no_record_is_put_aside_while_every_question_meets_silence() -> None:
    bed = Bed(settle_s=0.0)
    bed.store.query_error = SILENT
    bed.offer(*"abc", doubtful=True)
    async with bed.running():
        await bed.offer_each(5.0, times=720)
        assert (bed.trail.counts.refused, bed.trail.pending) == (0, 3)
        bed.store.query_error = None
        await asyncio.sleep(120)
    assert {"a", "b", "c"} < set(bed.store.rows)


async def hopeless_and_there(bed: Bed) -> None:
    """The store fails of "a" until it is hopeless, and has stored it at the last try after all."""
    bed.store.poison = {"a"}
    bed.offer("a")
    while not any(it.is_hopeless for it in bed.trail._waiting.values()):
        await bed.offer_each(5.0, times=1)
    bed.store.rows.append("a")


async def test_a_hopeless_record_is_not_put_aside_while_nobody_says_whether_it_is_there() -> None:
    bed = Bed()
    async with bed.running():
        await hopeless_and_there(bed)
        bed.store.unaskable = {"a": SILENT}
        await bed.offer_each(5.0, times=60)
        assert (bed.trail.counts.refused, bed.trail.pending) == (0, 1)
        bed.store.unaskable = {}
        await bed.offer_each(5.0, times=24)
    assert "recorded a" in bed.listener.heard
    assert bed.trail.counts.refused == 0


async def test_a_hopeless_record_is_not_put_aside_while_no_question_is_answered() -> None:
    bed = Bed(settle_s=0.0)
    async with bed.running():
        await hopeless_and_there(bed)
        bed.store.query_error = CHOKED
        bed.offer("x", doubtful=True)
        await bed.offer_each(5.0, times=60)
        assert (bed.trail.counts.refused, bed.trail.pending) == (0, 2)
        bed.store.query_error = None
        await bed.offer_each(5.0, times=24)
    assert "recorded a" in bed.listener.heard
    assert bed.trail.counts.refused == 0

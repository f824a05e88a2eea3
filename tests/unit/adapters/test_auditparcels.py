"""Records that a store refuses or fails of, among those that it takes."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

import pytest
import structlog.testing

from tests.unit.adapters import audits
from tests.unit.adapters.audittrails import Bed
from workflowexecution.adapters import auditlog, breaker
from workflowexecution.adapters.auditclient import Failing, Outcome, Silent

if TYPE_CHECKING:
    from workflowexecution.domain.auditevent import Event

pytestmark = pytest.mark.looptime


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No record can be written to the log, until it is undone."""

    def write(event: Event, *, why: str = "") -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(auditlog, "write", write)
    return monkeypatch


async def test_a_bad_event_is_found_and_put_aside() -> None:
    bed = Bed()
    bed.store.bad = {"b"}
    bed.offer("a", "b", "c", "d")
    async with bed.running(1.0):
        assert bed.store.rows == ["a", "c", "d"]
    assert bed.store.batches == [["a", "b", "c", "d"], ["a", "b"], ["a"], ["b"], ["c", "d"]]
    assert "refused b: 400 bad" in bed.listener.heard
    assert (bed.trail.counts.refused, bed.trail.pending) == (1, 0)


async def test_a_record_of_which_the_store_fails_keeps_no_other_one_back() -> None:
    bed = Bed()
    bed.store.poison = {"b"}
    bed.offer(*"abcd")
    async with bed.running(30.0):
        assert sorted(bed.store.rows) == list("acd")
        assert bed.trail.pending == 1
        # Only while others go through is it to blame.
        await asyncio.sleep(3600)
        assert bed.trail.counts.refused == 0
        # Nor does it tell anything of the store.
        assert bed.trail.breaker_state is breaker.State.CLOSED
        await bed.offer_each(20.0, times=24)
        assert bed.trail.counts.refused == 0
        await bed.offer_each(20.0, times=24)
        assert bed.listener.heard.count("refused b: 500 choked") == 1
        assert (bed.trail.counts.refused, bed.trail.pending) == (1, 0)


async def test_a_record_that_was_stored_though_the_store_failed_of_it_is_not_refused() -> None:
    bed = Bed()
    bed.store.poison = {"a"}
    async with bed.running():
        bed.offer("a")
        await bed.offer_each(5.0, times=120)
        assert bed.trail.pending == 1
        # What its tries have failed of until now is there after all.
        bed.store.rows.append("a")
        await bed.offer_each(5.0, times=120)
    assert bed.store.rows.count("a") == 1
    assert "recorded a" in bed.listener.heard
    assert bed.trail.counts.refused == 0


async def test_a_store_that_fails_of_everything_refuses_nothing() -> None:
    bed = Bed()
    bed.store.down = Failing("500", outcome=Outcome.UNKNOWN)
    bed.offer(*"abcd")
    async with bed.running(600.0):
        # Two requests an attempt at most.
        assert len(bed.store.batches) < 80
        bed.store.down = None
        await asyncio.sleep(60)
    assert sorted(bed.store.rows) == list("abcd")
    assert bed.trail.counts.refused == 0


async def test_a_refused_record_beside_one_of_which_the_store_fails_is_put_aside() -> None:
    bed = Bed()
    bed.store.bad, bed.store.poison = {"a"}, {"b"}
    bed.offer(*"abcd")
    async with bed.running(30.0):
        assert sorted(bed.store.rows) == list("cd")
        assert "refused a: 400 bad" in bed.listener.heard
        assert bed.trail.pending == 1


async def test_a_record_that_fails_alone_delays_none_of_the_others() -> None:
    bed = Bed()
    bed.store.poison = {"b"}
    bed.offer(*"abcd")
    async with bed.running(3.0):
        for number in range(300):
            bed.offer(str(number))
            await asyncio.sleep(1.1)
            assert bed.store.rows[-1] == str(number)
            assert bed.trail.breaker_state is breaker.State.CLOSED
        # Ever more seldom itself.
        assert bed.store.batches.count(["b"]) < 14


async def test_a_record_that_fails_alone_is_told_once() -> None:
    bed = Bed()
    bed.store.poison = {"b"}
    bed.offer(*"ab")
    with structlog.testing.capture_logs() as logs:
        async with bed.running():
            await bed.offer_each(20.0, times=20)
    assert [(it["log_level"], it["event"], it["error"]) for it in logs] == [
        ("warning", "Audit store fails of an event alone: it is tried by itself", "500 choked")
    ]


@pytest.mark.parametrize(
    ("sending", "asking", "every_s"),
    [(0.8, 0.8, 1.0), (0.3, 0.3, 1.0), (0.5, 0.0, 1.0), (0.3, 0.3, 60.0), (0.02, 1.0, 1.0)],
    ids=["mostly", "at-times", "sends", "with-few-records", "questions"],
)
async def test_a_store_that_fails_by_chance_refuses_nothing(
    sending: float, asking: float, every_s: float
) -> None:
    bed = Bed(batch_size=100, buffer_size=10000)
    bed.store.chances = (sending, asking)
    async with bed.running():
        await bed.offer_each(every_s, times=1200)
        bed.store.chances = (0.0, 0.0)
        await asyncio.sleep(300)
    assert (bed.trail.counts.refused, bed.trail.pending) == (0, 0)
    assert len(bed.store.rows) == len(set(bed.store.rows))


async def test_several_records_of_which_the_store_fails_are_found_in_a_stream_of_others() -> None:
    bed = Bed(batch_size=8)
    bed.store.poison = {"0", "1", "4", "5"}
    async with bed.running(1.0):
        for number in range(60):
            await asyncio.sleep(60 if number < 20 else 2)
            assert bed.offer(str(number)) == [True]
        await bed.offer_each(5.0, times=240)
        bed.store.rows = [it for it in bed.store.rows if not it.startswith("each")]
    wanted = [str(number) for number in range(60)]
    assert sorted(bed.store.rows + list(bed.store.poison)) == sorted(wanted)
    assert bed.trail.counts.refused == 4


@pytest.mark.parametrize("asked", [False, True], ids=["sendings", "questions"])
async def test_the_two_that_fail_once_an_outage_is_over_keep_no_other_one_back(
    *, asked: bool
) -> None:
    bed = Bed(settle_s=0.0, batch_size=8)
    error = Failing("500", outcome=Outcome.NOTHING if asked else Outcome.UNKNOWN)
    bed.offer(*"abcdefgh", doubtful=asked)
    bed.store.query_error, bed.store.down = (error, None) if asked else (None, error)
    async with bed.running(1800.0):
        first = [audits.name_of(it.event) for it in bed.trail._waiting.values()][:2]
        bed.store.query_error = bed.store.down = None
        bed.store.unaskable = dict.fromkeys(first, error) if asked else {}
        bed.store.poison = set() if asked else set(first)
        await asyncio.sleep(600)
        assert sorted(bed.store.rows + first) == list("abcdefgh")
        assert bed.trail.is_working


async def test_a_stop_while_one_that_fails_is_tried_sends_what_came_since() -> None:
    bed = Bed(settle_s=0.0, batch_size=100)
    names = [f"x{number}" for number in range(8)]
    bed.store.silent_s = 10.0
    bed.store.unaskable = dict.fromkeys(names, Silent("TimeoutError"))
    bed.offer(*names, doubtful=True, of="x")
    task = asyncio.create_task(bed.trail.run())
    await bed.offer_each(5.0, times=120)
    await asyncio.sleep(25)
    bed.offer("last")
    bed.trail.stop()
    # Nor are those that fail tried one after the other.
    await asyncio.wait_for(task, 31)
    assert bed.store.rows[-1] == "last"
    assert bed.trail.pending == 8


async def test_a_refused_record_that_no_log_takes_stays_due(full_disk: pytest.MonkeyPatch) -> None:
    bed = Bed()
    bed.store.bad = {"b"}
    bed.offer(*"abcd")
    async with bed.running(3600.0):
        assert bed.store.rows == ["a", "c", "d"]
        assert bed.listener.heard == [f"recorded {name}" for name in "acd"]
        assert (bed.trail.counts.refused, bed.trail.pending) == (0, 1)
        # Ever more seldom, and a minute after the last try at most.
        assert 60 < bed.store.batches.count(["b"]) < 70
        full_disk.undo()
        await asyncio.sleep(62)
    assert bed.listener.heard[3:] == ["refused b: 400 bad"]
    assert (bed.trail.counts.refused, bed.trail.pending) == (1, 0)


async def test_a_hopeless_record_that_no_log_takes_stays_due(full_disk: pytest.MonkeyPatch) -> None:
    bed = Bed()
    bed.store.poison = {"b"}
    bed.offer(*"ab")
    async with bed.running():
        await bed.offer_each(20.0, times=60)
        assert (bed.trail.counts.refused, bed.trail.pending) == (0, 1)
        full_disk.undo()
        await bed.offer_each(20.0, times=4)
    assert bed.listener.heard.count("refused b: 500 choked") == 1
    assert bed.trail.pending == 0


@pytest.mark.usefixtures("full_disk")
async def test_a_hopeless_record_that_no_log_takes_is_sent_when_the_store_takes_it_again() -> None:
    bed = Bed()
    bed.store.poison = {"b"}
    bed.offer(*"ab")
    async with bed.running():
        await bed.offer_each(20.0, times=60)
        assert any(it.is_hopeless for it in bed.trail._waiting.values())
        bed.store.poison = set()
        await bed.offer_each(20.0, times=6)
    assert bed.store.rows.count("b") == 1
    assert "recorded b" in bed.listener.heard
    assert (bed.trail.counts.refused, bed.trail.pending) == (0, 0)

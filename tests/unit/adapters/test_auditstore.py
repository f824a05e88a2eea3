"""Batches on their way into a store that fails in every way it can."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.adapters import audits
from workflowexecution.adapters import auditclient, auditstore, breaker
from workflowexecution.adapters.auditclient import Failing, Outcome, Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from workflowexecution.domain.auditevent import Event

pytestmark = pytest.mark.looptime

SETTLE_S = 30.0


class FakeStore:
    """Stores what it is sent, and then answers as told, one error an attempt."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.batches: list[list[str]] = []
        self.asked: list[str] = []
        self.errors: list[auditclient.StoreError] = []
        self.down: auditclient.StoreError | None = None
        self.stores_anyway = False
        self.stored_first = 0
        """How many of the first batches are stored whatever is answered."""
        self.bad: set[str] = set()
        self.poison: set[str] = set()
        """Of a batch with one of these the store fails."""
        self.unaskable: dict[str, auditclient.StoreError] = {}
        self.silent_s = 0.0
        """How long a question waits that fails, or whose answer does not come."""
        self.query_error: auditclient.StoreError | None = None
        self.query_errors: list[auditclient.StoreError] = []
        self.chances = (0.0, 0.0)
        """Of a sending, and of a question, to fail."""
        self.random = random.Random(7)

    async def send(self, documents: Sequence[dict[str, Any]]) -> None:
        names = [str(it["event_data"]["execution_name"]) for it in documents]
        self.batches.append(names)
        error = self.errors.pop(0) if self.errors else self.down
        if error is None and self.bad & set(names):
            error = Rejected("400 bad")
        if error is None and self.random.random() < self.chances[0]:
            error = Failing("500 pool", outcome=Outcome.UNKNOWN)
        if error is None and self.poison & set(names):
            error = Failing("500 choked", outcome=Outcome.UNKNOWN)
        if error is None or self.stores_anyway or len(self.batches) <= self.stored_first:
            self.rows += names
        if error is not None:
            raise error

    async def find(self, event: Event) -> bool:
        self.asked.append(audits.name_of(event))
        error = self.query_errors.pop(0) if self.query_errors else self.query_error
        error = error or self.unaskable.get(audits.name_of(event))
        if error is None and self.random.random() < self.chances[1]:
            error = Failing("500 pool")
        if error is not None:
            await asyncio.sleep(self.silent_s)
            raise error
        return audits.name_of(event) in self.rows


class Bed:
    """A trail over the store."""

    def __init__(self, **limits: Any) -> None:  # noqa: ANN401 - members of the limits
        settled: dict[str, Any] = {
            "buffer_size": 100,
            "batch_size": 4,
            "flush_interval_s": 1.0,
            "max_retries": 3,
            "settle_s": SETTLE_S,
        }
        self.store = FakeStore()
        self.trail = auditstore.HttpTrail(
            store=self.store,
            limits=auditstore.Limits(**(settled | limits)),
            clock=asyncio.get_running_loop().time,
        )
        self.listener = audits.Listener()
        self.trail.listen(self.listener)
        self.each = 0

    def offer(self, *names: str, doubtful: bool = False, of: str = "") -> list[bool]:
        """Offer records, each of a remediation of its own, or all of one."""
        refs = {name: {"name": of or name, "namespace": "payment"} for name in names}
        events = [audits.event(name, remediationRequestRef=ref) for name, ref in refs.items()]
        return [self.trail.offer(event, doubtful=doubtful) for event in events]

    async def offer_each(self, every_s: float, *, times: int) -> None:
        """Records that nothing is wrong with, one after the other."""
        for _ in range(times):
            self.each += 1
            self.offer(f"each-{self.each}")
            await asyncio.sleep(every_s)

    @contextlib.asynccontextmanager
    async def running(self, for_s: float = 0.0) -> AsyncIterator[None]:
        task = asyncio.create_task(self.trail.run())
        try:
            await asyncio.sleep(for_s)
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


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


async def test_one_question_that_is_refused_doubles_no_other_record() -> None:
    bed = Bed(settle_s=0.0)
    bed.store.rows = list("abcd")
    bed.store.unaskable = {"a": auditclient.NotAskable("400 odd")}
    bed.offer(*"abcd", doubtful=True)
    async with bed.running(10.0):
        assert bed.store.rows == list("abcda")
    assert bed.trail.counts.found == 3


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


async def test_a_store_that_asks_for_hours_is_tried_again_after_a_minute() -> None:
    bed = Bed()
    bed.store.errors = [Unavailable("429", retry_after_s=36000.0)]
    bed.offer(*"abcd")
    async with bed.running(76.0):
        assert bed.store.rows == list("abcd")


async def test_a_stop_tries_a_store_that_is_not_there_once() -> None:
    bed = Bed(flush_interval_s=3600.0)
    bed.store.down = Unavailable("refused")
    bed.offer(*"abc")
    task = asyncio.create_task(bed.trail.run())
    await asyncio.sleep(1)
    bed.trail.stop()
    await asyncio.wait_for(task, 1)
    assert (bed.store.batches, bed.trail.pending) == ([list("abc")], 3)

import asyncio
import itertools

import pytest

from tests.unit.runtime import objects
from workflowexecution.runtime import queue, resource

pytestmark = pytest.mark.looptime

Priority = queue.Priority


def upper_edge() -> float:
    return 1.0


def keys(names: str) -> list[resource.ObjectKey]:
    return [objects.key(name) for name in names]


def now() -> float:
    return asyncio.get_running_loop().time()


async def take(work: queue.WorkQueue, count: int = 1) -> str:
    """Take keys and give each back at once; returns their names."""
    names = ""
    for _ in range(count):
        key = await work.get()
        names += key.name
        work.done(key)
    return names


async def serve(work: queue.WorkQueue) -> None:
    """Take a key, as the first worker does, so that those after it wait for one."""
    work.add(objects.key("first"))
    assert await take(work) == "first"


class Seen:
    """An observer that writes down what it sees."""

    def __init__(self) -> None:
        self.events: list[tuple[str, float]] = []

    def added(self, priority: Priority) -> None:
        self.events.append(("added", priority))

    def started(self, wait_s: float) -> None:
        self.events.append(("started", wait_s))

    def done(self, work_s: float) -> None:
        self.events.append(("done", work_s))

    def retried(self) -> None:
        self.events.append(("retried", 0))


async def test_get_hands_out_keys_in_order_of_arrival() -> None:
    work = queue.WorkQueue()
    for key in keys("cab"):
        work.add(key)
    assert await take(work, 3) == "cab"


async def test_add_does_nothing_when_the_key_waits_already() -> None:
    work = queue.WorkQueue()
    for key in keys("aba"):
        work.add(key)
    assert len(work) == 2
    assert await take(work, 2) == "ab"
    assert len(work) == 0


async def test_get_waits_for_a_key() -> None:
    work = queue.WorkQueue()
    asyncio.get_running_loop().call_later(5, work.add, objects.key())
    assert await work.get() == objects.key()
    assert now() == 5


async def test_key_added_during_its_work_is_handed_out_after_it() -> None:
    work = queue.WorkQueue()
    work.add(objects.key())
    key = await work.get()
    work.add(key)
    assert len(work) == 1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10):
            await work.get()
    work.done(key)
    assert await work.get() == key


async def test_key_added_during_its_work_takes_the_most_urgent_priority() -> None:
    work = queue.WorkQueue()
    work.add(objects.key("a"))
    key = await work.get()
    work.add(key, Priority.LOW)
    work.add(key, Priority.URGENT)
    work.add(key, Priority.NORMAL)
    work.add(objects.key("b"), Priority.HIGH)
    work.done(key)
    assert await take(work, 2) == "ab"


async def test_more_urgent_keys_go_first() -> None:
    work = queue.WorkQueue()
    for key, priority in zip(keys("dcba"), reversed(Priority), strict=True):
        work.add(key, priority)
    assert await take(work, 4) == "abcd"


async def test_waiting_key_moves_forward_when_it_becomes_urgent() -> None:
    work = queue.WorkQueue()
    work.add(objects.key("a"))
    work.add(objects.key("b"))
    work.add(objects.key("b"), Priority.URGENT)
    work.add(objects.key("b"), Priority.LOW)
    assert await take(work, 2) == "ba"
    assert len(work) == 0


async def test_oldest_key_is_handed_out_after_eight_overtook() -> None:
    work = queue.WorkQueue()
    work.add(objects.key("x"), Priority.LOW)
    for name in "abcdefghij":
        work.add(objects.key(name), Priority.URGENT)
    assert await take(work, 11) == "abcdefghxij"


async def test_an_end_that_has_waited_a_second_goes_before_starts() -> None:
    work = queue.WorkQueue()
    for name, priority in (("d", Priority.LOW), ("c", Priority.NORMAL), ("b", Priority.HIGH)):
        work.add(objects.key(name), priority)
    await asyncio.sleep(0.99)
    assert await take(work, 1) == "b"
    work.add(objects.key("b"), Priority.HIGH)
    await asyncio.sleep(0.01)
    work.add(objects.key("a"), Priority.URGENT)
    assert await take(work, 3) == "acb"


async def test_key_that_is_worked_on_has_a_class() -> None:
    work = queue.WorkQueue()
    work.add(objects.key("a"), Priority.LOW)
    key = await work.get()
    assert work.priority_of(key) is Priority.LOW


async def test_add_after_waits() -> None:
    work = queue.WorkQueue()
    work.add_after(objects.key(), 30)
    assert len(work) == 0
    await work.get()
    assert now() == 30


async def test_add_after_adds_at_once_when_there_is_no_delay() -> None:
    work = queue.WorkQueue()
    work.add_after(objects.key(), 0)
    assert len(work) == 1


@pytest.mark.parametrize("delays", list(itertools.permutations([10, 20, 30])))
async def test_earliest_delay_counts(delays: tuple[int, ...]) -> None:
    work = queue.WorkQueue()
    for delay in delays:
        work.add_after(objects.key(), delay)
    await take(work)
    assert now() == 10
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(100):
            await work.get()


async def test_delays_of_several_keys_end_one_by_one() -> None:
    work = queue.WorkQueue()
    for name, delay in (("a", 20), ("b", 10), ("c", 30)):
        work.add_after(objects.key(name), delay)
    ends = [(await take(work), now()) for _ in range(3)]
    assert ends == [("b", 10), ("a", 20), ("c", 30)]


async def test_replaced_delay_does_not_end_a_later_one() -> None:
    work = queue.WorkQueue()
    work.add_after(objects.key(), 20)
    work.add_after(objects.key(), 10)
    await take(work)
    work.add_after(objects.key(), 30)
    await take(work)
    assert now() == 40


@pytest.mark.parametrize("delays", [(10, 20), (20, 10)])
async def test_delayed_key_keeps_the_most_urgent_priority(delays: tuple[int, int]) -> None:
    work = queue.WorkQueue()
    work.add_after(objects.key("a"), delays[0], Priority.LOW)
    work.add_after(objects.key("a"), delays[1], Priority.URGENT)
    await asyncio.sleep(9)
    work.add(objects.key("b"), Priority.HIGH)
    await asyncio.sleep(2)
    assert await take(work, 2) == "ab"


async def test_replaced_delays_do_not_pile_up() -> None:
    work = queue.WorkQueue()
    for step in range(1000):
        work.add_after(objects.key(), 5000 - step)
    assert len(work._heap) <= 65
    await work.get()
    assert now() == 4001


async def test_backoff_doubles_up_to_the_cap_until_forgotten() -> None:
    work = queue.WorkQueue(backoff_base_s=1, backoff_cap_s=5, uniform=upper_edge)
    key = objects.key()
    assert [work.add_backoff(key) for _ in range(4)] == [1, 2, 4, 5]
    assert work.failures(key) == 4
    work.forget(key)
    assert work.failures(key) == 0
    assert work.add_backoff(key) == 1


async def test_backoff_is_jittered_downwards_to_half() -> None:
    work = queue.WorkQueue(backoff_base_s=1, uniform=lambda: 0.0)
    assert work.add_backoff(objects.key()) == 0.5


async def test_backoff_is_counted_for_each_key() -> None:
    work = queue.WorkQueue(backoff_base_s=1, uniform=upper_edge)
    work.add_backoff(objects.key("a"))
    assert work.add_backoff(objects.key("b")) == 1


async def test_backoff_keeps_what_the_server_asked_for() -> None:
    work = queue.WorkQueue(uniform=upper_edge)
    assert work.add_backoff(objects.key(), at_least_s=8) == 10
    await work.get()
    assert now() == 10


async def test_backoff_keeps_the_priority_of_the_work() -> None:
    work = queue.WorkQueue(uniform=upper_edge)
    work.add(objects.key("a"), Priority.URGENT)
    key = await work.get()
    work.add_backoff(key)
    work.done(key)
    work.add(objects.key("b"), Priority.HIGH)
    await asyncio.sleep(1)
    assert await take(work, 2) == "ab"


async def test_observer_sees_waits_and_work() -> None:
    seen = Seen()
    work = queue.WorkQueue(observer=seen)
    await serve(work)
    seen.events.clear()
    work.add(objects.key(), Priority.HIGH)
    work.add(objects.key(), Priority.HIGH)
    await asyncio.sleep(3)
    key = await work.get()
    await asyncio.sleep(4)
    work.done(key)
    assert seen.events == [("added", 1), ("started", 3), ("done", 4)]


async def test_nothing_waits_before_somebody_takes_keys() -> None:
    seen = Seen()
    work = queue.WorkQueue(observer=seen)
    for key in keys("ab"):
        work.add(key)
    await asyncio.sleep(3600)
    assert (len(work), work.depth, work.oldest_s()) == (2, 0, 0)
    await work.get()
    assert (work.depth, work.oldest_s()) == (1, 0)
    await asyncio.sleep(3)
    assert work.oldest_s() == 3
    await work.get()
    assert [it for it in seen.events if it[0] == "started"] == [("started", 0), ("started", 3)]


async def test_observer_sees_retries_but_no_other_delay() -> None:
    seen = Seen()
    work = queue.WorkQueue(observer=seen, uniform=upper_edge)
    work.add_after(objects.key(), 1)
    work.add_backoff(objects.key())
    work.add_backoff(objects.key())
    assert seen.events == [("retried", 0), ("retried", 0)]


async def test_work_that_is_not_done_has_an_age() -> None:
    work = queue.WorkQueue()
    assert work.working_s() == []
    work.add(objects.key("a"))
    work.add(objects.key("b"))
    first = await work.get()
    await asyncio.sleep(3)
    await work.get()
    await asyncio.sleep(1)
    assert work.working_s() == [4, 1]
    work.done(first)
    assert work.working_s() == [1]


async def test_oldest_key_is_the_one_that_has_waited_longest() -> None:
    work = queue.WorkQueue()
    await serve(work)
    assert work.oldest_s() == 0
    work.add(objects.key("a"), Priority.LOW)
    await asyncio.sleep(3)
    work.add(objects.key("b"))
    work.add_after(objects.key("c"), 60)
    await asyncio.sleep(1)
    assert work.oldest_s() == 4
    await work.get()
    assert work.oldest_s() == 4
    await work.get()
    assert work.oldest_s() == 0


async def test_wait_counts_from_arrival_when_the_key_becomes_urgent_later() -> None:
    seen = Seen()
    work = queue.WorkQueue(observer=seen)
    await serve(work)
    work.add(objects.key())
    await asyncio.sleep(3)
    work.add(objects.key(), Priority.URGENT)
    await work.get()
    assert ("started", 3) in seen.events


async def test_done_raises_when_the_key_is_not_being_worked_on() -> None:
    with pytest.raises(KeyError):
        queue.WorkQueue().done(objects.key())


async def test_is_waiting_counts_only_what_is_more_urgent() -> None:
    work = queue.WorkQueue()
    (key,) = keys("a")
    work.add(key, Priority.LOW)
    assert not work.is_waiting(before=Priority.LOW)
    work.add(key, Priority.NORMAL)
    assert work.is_waiting(before=Priority.LOW)
    assert not work.is_waiting(before=Priority.NORMAL)
    assert await take(work) == "a"
    assert not work.is_waiting(before=Priority.LOW)


async def test_is_working_counts_only_what_is_more_urgent() -> None:
    work = queue.WorkQueue()
    a, b = keys("ab")
    work.add(a, Priority.LOW)
    assert await work.get() == a
    assert not work.is_working(before=Priority.LOW)
    work.add(b, Priority.NORMAL)
    assert not work.is_working(before=Priority.LOW)
    assert await work.get() == b
    assert work.is_working(before=Priority.LOW)
    assert not work.is_working(before=Priority.NORMAL)
    work.done(b)
    assert not work.is_working(before=Priority.LOW)

"""The queue's end, its waiters when they are cancelled, and a queue that nobody serves."""

import asyncio
import tracemalloc

import pytest

from tests.unit.runtime import objects
from tests.unit.runtime.test_queue import take
from workflowexecution.runtime import queue, resource

pytestmark = pytest.mark.looptime


async def getters(
    group: asyncio.TaskGroup, work: queue.WorkQueue, count: int
) -> list[asyncio.Task[resource.ObjectKey]]:
    tasks = [group.create_task(work.get()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_shut_down_drops_what_waits_and_takes_nothing_more() -> None:
    work = queue.WorkQueue()
    work.add(objects.key("a"))
    working = await work.get()
    work.add(working)
    work.add(objects.key("b"))
    work.add_after(objects.key("c"), 1)
    work.shut_down()
    work.add(objects.key("d"))
    work.add_after(objects.key("e"), 1)
    assert len(work) == 0
    await asyncio.sleep(2)
    assert len(work) == 0
    with pytest.raises(queue.QueueClosed):
        await work.get()
    work.done(working)
    assert len(work) == 0


async def test_shut_down_wakes_all_who_wait() -> None:
    work = queue.WorkQueue()
    asyncio.get_running_loop().call_later(5, work.shut_down)
    results = await asyncio.gather(work.get(), work.get(), work.get(), return_exceptions=True)
    assert [type(result) for result in results] == [queue.QueueClosed] * 3


async def test_cancelled_get_leaves_the_key_to_the_next() -> None:
    work = queue.WorkQueue()
    async with asyncio.TaskGroup() as group:
        first, second = await getters(group, work, 2)
        first.cancel()
        work.add(objects.key())
        assert await second == objects.key()


async def test_wake_up_goes_on_when_get_is_cancelled_in_the_same_turn() -> None:
    work = queue.WorkQueue()
    async with asyncio.TaskGroup() as group:
        first, second = await getters(group, work, 2)
        work.add(objects.key())
        first.cancel()
        assert await second == objects.key()
        assert first.cancelled()


async def test_woken_getter_waits_on_when_another_was_faster() -> None:
    work = queue.WorkQueue()
    async with asyncio.TaskGroup() as group:
        (slow,) = await getters(group, work, 1)
        work.add(objects.key("a"))
        assert await work.get() == objects.key("a")
        await asyncio.sleep(1)
        assert not slow.done()
        work.add(objects.key("b"))
        assert await slow == objects.key("b")


async def test_queue_that_nobody_serves_keeps_what_is_not_dropped() -> None:
    work = queue.WorkQueue()
    for number in range(1000):
        key = objects.key(str(number))
        work.add(key, queue.Priority.LOW)
        work.add(key, queue.Priority.HIGH)
        work.add_after(key, 5)
        if number % 10:
            assert work.drop(key)
    assert [await take(work) for _ in range(len(work))] == [str(it) for it in range(0, 1000, 10)]
    await asyncio.sleep(6)
    assert len(work) == 100


async def test_queue_that_nobody_serves_keeps_no_memory_of_what_is_dropped() -> None:
    work = queue.WorkQueue()
    tracemalloc.start()
    try:
        for number in range(3000):
            key = objects.key(str(number))
            work.add(key, queue.Priority.LOW)
            work.add(key, queue.Priority.HIGH)
            work.drop(key)
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


async def test_queue_that_is_served_drops_nothing() -> None:
    work = queue.WorkQueue()
    work.add(objects.key("a"))
    work.add(objects.key("b"))
    assert await take(work) == "a"
    assert not work.drop(objects.key("b"))
    assert await take(work) == "b"

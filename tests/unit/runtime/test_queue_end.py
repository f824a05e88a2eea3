"""The queue's end, and its waiters when they are cancelled."""

import asyncio
import contextlib

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


async def test_shut_down_hands_out_what_waits_and_then_ends() -> None:
    work = queue.WorkQueue()
    work.add(objects.key("a"))
    work.add_after(objects.key("b"), 1)
    work.shut_down()
    work.add(objects.key("c"))
    work.add_after(objects.key("d"), 1)
    assert await take(work) == "a"
    with pytest.raises(queue.QueueClosed):
        await work.get()
    assert work.delayed == 0


async def test_shut_down_drops_what_waits_when_it_does_not_drain() -> None:
    work = queue.WorkQueue()
    work.add(objects.key("a"))
    working = await work.get()
    work.add(working)
    work.add(objects.key("b"))
    work.shut_down(drain=False)
    assert len(work) == 0
    with pytest.raises(queue.QueueClosed):
        await work.get()
    work.done(working)


async def test_shut_down_wakes_all_who_wait() -> None:
    work = queue.WorkQueue()
    asyncio.get_running_loop().call_later(5, work.shut_down)
    results = await asyncio.gather(work.get(), work.get(), work.get(), return_exceptions=True)
    assert [type(result) for result in results] == [queue.QueueClosed] * 3


async def test_drained_queue_waits_for_a_key_that_was_added_during_its_work() -> None:
    work = queue.WorkQueue()
    work.add(objects.key())
    key = await work.get()
    work.add(key)
    work.shut_down()
    handed_out: list[resource.ObjectKey] = []

    async def worker() -> None:
        with contextlib.suppress(queue.QueueClosed):
            while True:
                handed_out.append(await work.get())
                await asyncio.sleep(1)
                work.done(key)

    async with asyncio.TaskGroup() as group:
        group.create_task(worker())
        group.create_task(worker())
        await asyncio.sleep(1)
        assert handed_out == []
        work.done(key)
    assert handed_out == [key]


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

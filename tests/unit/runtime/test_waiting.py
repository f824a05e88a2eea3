import asyncio

import pytest

from workflowexecution.runtime import clock, waiting

pytestmark = pytest.mark.looptime


async def test_wait_ends_with_the_event() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(2, event.set)
    assert await waiting.set_within(event, 5)
    assert clock.loop_time() == 2


async def test_wait_ends_with_its_limit_when_nothing_comes() -> None:
    assert not await waiting.set_within(asyncio.Event(), 5)
    assert clock.loop_time() == 5


async def test_wait_goes_on_without_a_limit() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(10_000, event.set)
    assert await waiting.set_within(event, None)


@pytest.mark.parametrize("seconds", [0, -1])
async def test_wait_of_no_time_tells_whether_the_event_has_come(seconds: float) -> None:
    event = asyncio.Event()
    assert not await waiting.set_within(event, seconds)
    event.set()
    assert await waiting.set_within(event, seconds)
    assert clock.loop_time() == 0


async def test_forever_ends_with_its_cancellation_alone() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10_000):
            await waiting.forever()

import asyncio
import time

import pytest

from workflowexecution.runtime import looplag


@pytest.mark.looptime
async def test_lag_is_nothing_when_the_loop_is_free() -> None:
    seen: list[float] = []
    async with asyncio.TaskGroup() as group:
        lag = looplag.LoopLag(observe=seen.append)
        assert lag.overdue_s == float("-inf")
        measuring = group.create_task(lag.run())
        await asyncio.sleep(3.5)
        assert lag.overdue_s == -0.5
        measuring.cancel()
    assert seen == [0.0, 0.0, 0.0]


async def test_lag_is_the_time_that_a_callback_takes_from_the_loop() -> None:
    seen: asyncio.Queue[float] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        lag = looplag.LoopLag(observe=seen.put_nowait)
        measuring = group.create_task(lag.run())
        await asyncio.sleep(0)
        # A tenth of a second before the turn that is measured.
        loop.call_at(loop.time() - lag.overdue_s - 0.1, time.sleep, 0.3)
        lag_s = await seen.get()
        measuring.cancel()
    assert lag_s >= 0.15

"""What the tests ask of virtual time."""

from __future__ import annotations

import asyncio

import pytest

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize("already", [0.0, 60.0, 1e5, 1e8])
async def test_a_timer_is_not_so_early_that_something_is_left_for_ever(already: float) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(already)
    due = loop.time() + 1 + 5e-10
    await asyncio.sleep(due - loop.time())
    # One tick of virtual time may be missing; half a nanosecond of it would never pass.
    await asyncio.sleep(max(0.0, due - loop.time()))
    assert loop.time() >= due

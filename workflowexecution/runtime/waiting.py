"""Waits: for an event with a limit, and for nothing at all."""

import asyncio
import contextlib


async def set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for an event, but no longer than this; without a limit as long as it takes.

    Returns:
        Whether the event has come.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await event.wait()
    return False


async def forever() -> None:
    """Do nothing until cancelled."""
    await asyncio.get_running_loop().create_future()

"""What runs beside a test for as long as a block lasts."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine


@contextlib.asynccontextmanager
async def running(work: Coroutine[Any, Any, None], *, for_s: float = 0.0) -> AsyncIterator[None]:
    """Let it run for a while, then beside the block; it is cancelled at its end."""
    task = asyncio.create_task(work)
    try:
        await asyncio.sleep(for_s)
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

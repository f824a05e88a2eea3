"""Lists that come page by page: the server makes the next page while this one is worked on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from workflowexecution.runtime import client, resource

_ITEMS_PER_TURN = 50

Fetch = Callable[[str], Coroutine[Any, Any, client.ListPage]]
"""Reads the page of a continue token, the first one of an empty token."""


async def read(fetch: Fetch, take: Callable[[resource.JsonObject], None]) -> str:
    """Read a list and give each object of it to be taken; returns the version of its first page.

    Each object is let go once it is taken, so that hardly more than one page is held at a time.
    After 50 objects other tasks get their turn.

    Raises:
        Exception: whatever fetching or taking raises; nothing goes on after that.
    """
    page = await fetch("")
    version = page.resource_version
    while page.continue_token:
        async with _meanwhile(fetch(page.continue_token)) as coming:
            await _take_all(page.items, take)
            page = await coming
    await _take_all(page.items, take)
    return version


async def _take_all(
    items: list[resource.JsonObject], take: Callable[[resource.JsonObject], None]
) -> None:
    items.reverse()
    while items:
        await asyncio.sleep(0)
        for _ in range(min(_ITEMS_PER_TURN, len(items))):
            take(items.pop())


@contextlib.asynccontextmanager
async def _meanwhile(
    work: Coroutine[Any, Any, client.ListPage],
) -> AsyncIterator[Awaitable[client.ListPage]]:
    """Have some work done beside what the block does; it ends with the block at the latest."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

"""Lists that come page by page: the server makes the next page while this one is worked on."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from workflowexecution.runtime import client, resource

_ITEMS_PER_TURN = 50


class Fetch(Protocol):
    """A list to be read: `Client.list_page` with everything but the token."""

    def __call__(self, *, continue_token: str) -> Coroutine[Any, Any, client.ListPage]:
        """Read the page of a token, the first one of an empty token."""
        ...


async def read(fetch: Fetch, take: Callable[[resource.JsonObject], None]) -> str:
    """Read a list and give each object of it to be taken; returns the version of its first page.

    Each object is let go once it is taken; two pages are held only where the next one is faster
    than that. After 50 objects other tasks get their turn.

    Raises:
        Exception: whatever fetching or taking raises; nothing goes on after that.
    """
    page = await fetch(continue_token="")
    version = page.resource_version
    while page.continue_token:
        page = await _beside(fetch(continue_token=page.continue_token), _take_all(page.items, take))
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


async def _beside(
    fetching: Coroutine[Any, Any, client.ListPage], work: Awaitable[None]
) -> client.ListPage:
    """Fetch while the work is done; the page comes when both are over, and neither outlives it."""
    task = asyncio.create_task(fetching)
    try:
        await work
        return await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # A failure knows this frame, and the task the failure: together they would hold the list.
        del task

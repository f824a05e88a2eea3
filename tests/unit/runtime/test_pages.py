"""Lists page by page, of which the next page comes while one is worked on."""

import asyncio
import contextlib
import gc
import weakref
from typing import Any

import pytest

from workflowexecution.runtime import client, errors, pages

GONE = errors.TransportError("gone")


class Item(dict[str, Any]):
    """An object of which it can be seen whether anybody holds it."""


def items(*names: str) -> list[dict[str, Any]]:
    return [Item(name=name) for name in names]


class Server:
    """Has pages by their tokens; an error among them is raised, and what is not there hangs."""

    def __init__(self, **found: client.ListPage | Exception) -> None:
        self.pages = found
        self.journal: list[str] = []

    async def fetch(self, *, continue_token: str) -> client.ListPage:
        self.journal.append(f"ask {continue_token}")
        try:
            return await self._answer(continue_token)
        except asyncio.CancelledError:
            self.journal.append(f"give up {continue_token}")
            raise

    async def _answer(self, token: str) -> client.ListPage:
        await asyncio.sleep(0)
        page = self.pages.get(token or "first")
        if page is None:
            await asyncio.Event().wait()
        if isinstance(page, Exception):
            raise page
        assert page is not None
        return page

    def take(self, item: dict[str, Any]) -> None:
        self.journal.append(f"take {item['name']}")


async def test_next_page_is_asked_for_before_one_is_taken_and_all_is_taken_in_order() -> None:
    server = Server(
        first=client.ListPage(items("a", "b"), "5", "t1"),
        t1=client.ListPage(items("c"), "6", "t2"),
        t2=client.ListPage([], "7", ""),
    )
    assert await pages.read(server.fetch, server.take) == "5"
    asked = ["ask ", "ask t1", "take a", "take b", "ask t2", "take c"]
    assert server.journal == asked


async def test_what_was_taken_is_let_go_before_the_next_is() -> None:
    names = [f"n-{number}" for number in range(120)]
    server = Server(first=client.ListPage(items(*names), "5", ""))
    held: list[weakref.ref[Any]] = []

    def take(item: dict[str, Any]) -> None:
        assert all(it() is None for it in held)
        held.append(weakref.ref(item))

    await pages.read(server.fetch, take)
    assert len(held) == len(names)


async def test_others_get_their_turn_while_a_page_is_taken() -> None:
    server = Server(first=client.ListPage(items(*(["x"] * 120)), "5", ""))
    taken: list[int] = []

    async def look() -> None:
        while True:
            taken.append(server.journal.count("take x"))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    await pages.read(server.fetch, server.take)
    looking.cancel()
    assert {0, 50, 100} <= set(taken)


async def test_page_that_fails_ends_it_after_the_one_before() -> None:
    server = Server(first=client.ListPage(items("a"), "5", "t1"), t1=GONE)
    with pytest.raises(errors.TransportError, match="gone"):
        await pages.read(server.fetch, server.take)
    assert server.journal == ["ask ", "ask t1", "take a"]


async def test_failure_holds_nothing_of_what_was_taken() -> None:
    """Objects that hold each other would be there until the collector comes, which is seldom."""

    async def fail() -> weakref.ref[Any]:
        listing: list[dict[str, Any]] = []

        async def fetch(*, continue_token: str) -> client.ListPage:
            if continue_token:
                raise errors.TransportError("gone")
            return client.ListPage(items("a"), "5", "t1")

        with contextlib.suppress(errors.TransportError):
            await pages.read(fetch, listing.append)
        return weakref.ref(listing[0])

    gc.disable()
    try:
        held = await fail()
        # What has just been handed over is the loop's until its next turn.
        await asyncio.sleep(0)
        assert held() is None
    finally:
        gc.enable()


async def test_first_page_that_fails_ends_it() -> None:
    with pytest.raises(errors.TransportError, match="gone"):
        await pages.read(Server(first=GONE).fetch, lambda item: None)


async def test_nothing_is_asked_for_any_more_when_taking_fails() -> None:
    server = Server(first=client.ListPage(items("a"), "5", "t1"))

    def refuse(item: dict[str, Any]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await pages.read(server.fetch, refuse)
    assert server.journal == ["ask ", "ask t1", "give up t1"]


async def test_nothing_is_asked_for_any_more_when_it_is_cancelled() -> None:
    server = Server(first=client.ListPage(items("a"), "5", "t1"))
    taken = asyncio.Event()
    reading = asyncio.create_task(pages.read(server.fetch, lambda item: taken.set()))
    await taken.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert server.journal[-1] == "give up t1"

"""Who observes the transport hears of each answer, and of each that did not come."""

import asyncio

import pytest

from tests.unit.runtime import servers
from tests.unit.runtime.conftest import Pair
from workflowexecution.runtime import errors

pytestmark = pytest.mark.looptime


async def test_date_of_every_answer_is_told(pair: Pair) -> None:
    async def dated(exchange: servers.Exchange) -> None:
        status = 200 if len(pair.server.seen) == 1 else 500
        await exchange.reply({}, status=status, Date="then")

    pair.answer(dated)
    await pair.client.get_json("/x")
    await asyncio.sleep(4)
    with pytest.raises(errors.ServerError):
        await pair.client.get_json("/x")
    assert pair.dates == [("then", 0), ("then", 4)]


class Seen:
    """An observer that writes down what it sees."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []

    def answered(self, method: str, status: int, *, relayed: bool = False) -> None:
        self.events.append((f"relayed {method}" if relayed else method, status))

    def unanswered(self, method: str, *, relayed: bool = False) -> None:
        self.answered(method, 0, relayed=relayed)


async def test_observer_sees_each_answer_refusals_included(pair: Pair) -> None:
    seen = Seen()
    pair.client.observe(seen)
    await pair.client.get_json("/x")

    async def refuse(exchange: servers.Exchange) -> None:
        await exchange.reply({}, status=409)

    pair.answer(refuse)
    with pytest.raises(errors.ApiError):
        await pair.client.post_json("/x", {})
    assert seen.events == [("GET", 200), ("POST", 409)]


async def test_observer_sees_that_no_answer_came(pair: Pair) -> None:
    seen = Seen()
    pair.client.observe(seen)

    async def be_silent(exchange: servers.Exchange) -> None:
        await exchange.stay_silent()

    pair.answer(be_silent)
    with pytest.raises(errors.TransportError):
        await pair.client.post_json("/x", {}, deadline_s=2)
    with pytest.raises(errors.TransportError):
        await pair.client.get_text("/log", max_bytes=10, deadline_s=2)
    assert seen.events == [("POST", 0), ("relayed GET", 0)]


async def test_request_that_is_given_up_by_others_says_nothing_of_the_server(pair: Pair) -> None:
    seen = Seen()
    pair.client.observe(seen)

    async def be_silent(exchange: servers.Exchange) -> None:
        await exchange.stay_silent()

    pair.answer(be_silent)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await pair.client.post_json("/x", {}, deadline_s=2)
    assert seen.events == []

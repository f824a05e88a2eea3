"""What is known of a request without a usable answer: whether it was sent, and may be again."""

import asyncio
import socket

import aiohttp
import pytest

from tests.unit.runtime import objects, servers
from tests.unit.runtime.conftest import Connect, Pair
from workflowexecution.runtime import client, errors, fence, transport

pytestmark = pytest.mark.looptime

CALLS = {
    method: transport.Call(method, "/x", None, b"{}") for method in ("PATCH", "POST", "DELETE")
}
OK = b"HTTP/1.1 200 OK\r\n"


class Open(fence.NoFence):
    """A fence that somebody has, and that is open."""


async def test_answer_whose_connection_is_closed_in_silence_is_lost(
    pair: Pair, connect: Connect
) -> None:
    async def half(exchange: servers.Exchange) -> None:
        await exchange.raw(OK + b"Content-Length: 9\r\n\r\n{")
        await exchange.stay_silent()

    async def closed(response: aiohttp.ClientResponse) -> bytes:
        # As aiohttp does itself when the rest of a request cannot be written.
        protocol = response.connection.protocol if response.connection else None
        assert protocol is not None
        protocol.close()
        return await transport.read_all(response)

    way = transport.Transport(
        connection=await connect(pair.server.url), user_agent="t", observe_date=None,
        max_connections=1,
    )  # fmt: skip
    pair.answer(half)
    with pytest.raises(errors.TransportError, match="RuntimeError: Connection closed") as failure:
        await way.exchange(CALLS["PATCH"], 9, closed)
    await way.close()
    assert failure.value.sent


async def test_refused_connection_says_that_nothing_was_sent(connect: Connect) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with servers.talking_to(await connect(url)) as asking:
            with pytest.raises(errors.TransportError) as caught:
                await asking.post_json("/x", {})
    assert not caught.value.sent


async def test_host_that_can_be_none_says_that_nothing_was_sent(connect: Connect) -> None:
    async with servers.talking_to(await connect("http://a..b")) as opened:
        with pytest.raises(errors.TransportError, match="UnicodeError") as caught:
            await opened.get_json("/x")
    assert not caught.value.sent


async def test_closed_client_says_that_nothing_was_sent(pair: Pair) -> None:
    await pair.client.close()
    with pytest.raises(errors.TransportError, match="closed") as caught:
        await pair.client.get_json("/x")
    assert not caught.value.sent


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK + b"Content-Length: 99\r\n\r\n{", id="short-body"),
        pytest.param(b"HTTP/1.1 500 X\r\nContent-Length: 99\r\n\r\n{", id="short-refusal"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", id="cut"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", id="chunk"),
        pytest.param(OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", id="gzip"),
        pytest.param(b"garbage\r\n\r\n", id="no-http"),
        pytest.param(OK + b"A: " + b"x" * 20_000 + b"\r\n\r\n", id="long-header"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_broken_answer_is_no_usable_answer(pair: Pair, answer: bytes) -> None:
    async def broken(exchange: servers.Exchange) -> None:
        await exchange.raw(answer)
        exchange.writer.close()

    pair.answer(broken)
    with pytest.raises(errors.TransportError):
        await pair.client.get_json("/x")


async def drop_second(exchange: servers.Exchange) -> None:
    """Answer the first request of a connection; drop the connection at the second."""
    if exchange.path == "/warm":
        await exchange.reply({})
    else:
        exchange.writer.close()


@pytest.mark.parametrize("method", CALLS)
async def test_write_is_never_sent_twice_when_a_kept_connection_is_dropped(
    connect: Connect, method: str
) -> None:
    async with servers.serving(drop_second) as server:
        link = transport.Transport(
            connection=await connect(server.url),
            user_agent="t",
            observe_date=None,
            max_connections=9,
        )
        await link.exchange(transport.Call("GET", "/warm"), 9)
        with pytest.raises(errors.TransportError) as caught:
            await link.exchange(CALLS[method], 9)
        await link.close()
    assert caught.value.sent
    assert [seen.method for seen in server.seen] == ["GET", method]


async def test_read_is_repeated_when_a_kept_connection_is_dropped(pair: Pair) -> None:
    async def drop_once(exchange: servers.Exchange) -> None:
        if len(pair.server.seen) == 2:
            exchange.writer.close()
        else:
            await exchange.reply({})

    pair.answer(drop_once)
    await pair.client.get_json("/x")
    assert await pair.client.get_json("/x") == {}
    assert len(pair.server.seen) == 3


async def test_refused_deletion_says_that_nothing_was_sent(connect: Connect) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with servers.talking_to(await connect(url)) as asking:
            with pytest.raises(errors.TransportError) as caught:
                await asking.delete(objects.WIDGETS, objects.key(), uid="u")
    assert not caught.value.sent


@pytest.mark.parametrize(
    ("guard", "deadline_s", "unsettled"),
    [
        pytest.param(Open(), 2, True, id="timed-out"),
        pytest.param(Open(), 20, True, id="cancelled"),
        pytest.param(fence.NoFence(), 2, False, id="of-no-lease"),
    ],
)
async def test_write_without_an_answer_is_unsettled_for_a_minute(
    connect: Connect, guard: fence.Fence, deadline_s: float, *, unsettled: bool
) -> None:
    async def be_silent(exchange: servers.Exchange) -> None:
        await exchange.stay_silent()

    async with servers.serving(be_silent) as server:
        asking = client.Client(connection=await connect(server.url), user_agent="x", fence=guard)
        assert not asking.has_unsettled_writes
        with pytest.raises((errors.TransportError, TimeoutError)):
            async with asyncio.timeout(5):
                await asking.create(objects.WIDGETS, "space", {}, deadline_s=deadline_s)
        assert asking.has_unsettled_writes is unsettled
        await asyncio.sleep(61)
        assert not asking.has_unsettled_writes
        await asking.close()


async def test_write_is_settled_that_was_answered_or_never_sent(connect: Connect) -> None:
    async def accept(exchange: servers.Exchange) -> None:
        await exchange.reply({})

    async with servers.serving(accept) as server:
        asking = client.Client(connection=await connect(server.url), user_agent="x", fence=Open())
        await asking.create(objects.WIDGETS, "space", {})
        assert not asking.has_unsettled_writes
    with pytest.raises(errors.TransportError):
        await asking.create(objects.WIDGETS, "space", {})
    assert not asking.has_unsettled_writes
    await asking.close()

"""An exchange with the server: its deadline, its connection, and the errors it may end in."""

import asyncio
import inspect
import socket
import ssl

import aiohttp
import aiohttp.http_exceptions
import pytest

from tests.unit.runtime import servers
from tests.unit.runtime.conftest import Connect, Pair
from workflowexecution.runtime import errors, transport

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize("deadline_s", [0.5, 3, 15])
async def test_request_ends_at_its_deadline(pair: Pair, deadline_s: float) -> None:
    pair.answer(servers.Exchange.stay_silent)
    began = asyncio.get_running_loop().time()
    with pytest.raises(errors.TransportError):
        await pair.client.get_json("/x", deadline_s=deadline_s)
    assert asyncio.get_running_loop().time() - began == deadline_s


async def test_deadline_counts_the_wait_for_a_free_connection(connect: Connect) -> None:
    async with servers.serving(servers.Exchange.stay_silent) as server:
        way = await connect(server.url)
        narrow = transport.Transport(
            connection=way, user_agent="t", observe_date=None, max_connections=1
        )
        results = await asyncio.gather(
            *(narrow.exchange(transport.Call("GET", "/x"), 3) for _ in range(3)),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [errors.TransportError] * 3
        assert asyncio.get_running_loop().time() == 3
        await narrow.close()


async def test_cancelled_request_gives_its_connection_up(pair: Pair) -> None:
    pair.answer(servers.Exchange.stay_silent)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await pair.client.get_json("/x")


async def test_answer_of_which_the_rest_does_not_come_gives_its_connection_up(pair: Pair) -> None:
    given_up = asyncio.Event()

    async def halting(exchange: servers.Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(b"x")
        await exchange.wait_closed()
        given_up.set()

    pair.answer(halting)
    with pytest.raises(errors.TransportError):
        await pair.client.get_text("/log", max_bytes=10, deadline_s=2)
    async with asyncio.timeout(1):
        await given_up.wait()


async def test_redirect_is_not_followed(pair: Pair) -> None:
    async def elsewhere(exchange: servers.Exchange) -> None:
        await exchange.reply(b"", status=307, Location="/elsewhere")

    pair.answer(elsewhere)
    with pytest.raises(errors.ServerError):
        await pair.client.get_json("/x")
    assert len(pair.server.seen) == 1


async def test_connections_are_kept_between_requests(pair: Pair) -> None:
    for _ in range(3):
        await pair.client.get_json("/x")
    assert pair.server.connections == 1


def library_errors() -> list[type[BaseException]]:
    modules = (aiohttp, aiohttp.http_exceptions, ssl, socket)
    found = [
        thing
        for module in modules
        for thing in vars(module).values()
        if inspect.isclass(thing) and issubclass(thing, Exception)
    ]
    # Of websockets and multipart answers, which are not used.
    unused = (aiohttp.WSMessageTypeError, aiohttp.WebSocketError, aiohttp.EofStream, Warning)
    public = {one for one in found if not one.__name__.startswith("_")}
    return sorted({one for one in public if not issubclass(one, unused)}, key=repr)


@pytest.mark.parametrize("kind", library_errors(), ids=lambda kind: kind.__name__)
def test_no_error_of_the_libraries_is_unmapped(kind: type[BaseException]) -> None:
    assert issubclass(kind, transport.FOREIGN_ERRORS)


@pytest.mark.parametrize(
    "kind", [ConnectionResetError, TimeoutError, ConnectionAbortedError, OSError]
)
def test_error_text_is_bounded_and_names_the_class(kind: type[OSError]) -> None:
    error = transport.transport_error(kind("x" * 1000))
    assert str(error).startswith(f"{kind.__name__}: x")
    assert len(str(error)) == 300
    assert error.sent

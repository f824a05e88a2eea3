import asyncio
import inspect
import socket
import ssl

import aiohttp
import aiohttp.http_exceptions
import pytest

from tests.unit.runtime import objects, servers
from tests.unit.runtime.conftest import Connect, Pair
from workflowexecution.runtime import client, connection, errors, fence, transport

pytestmark = pytest.mark.looptime

CALLS = {
    method: transport.Call(method, "/x", None, b"{}") for method in ("PATCH", "POST", "DELETE")
}


OK = b"HTTP/1.1 200 OK\r\n"


class Open(fence.NoFence):
    """A fence that somebody has, and that is open."""


class Rotating:
    """Credentials that have another value each time one is rejected, as long as there are any."""

    def __init__(self, *values: str) -> None:
        self.values = list(values)
        self.rejected: list[str] = []
        self.kept = False
        self.closed = False

    async def authorization(self) -> str:
        return self.values[0]

    async def renew(self, rejected: str) -> bool:
        self.rejected.append(rejected)
        if len(self.values) > 1:
            self.values.pop(0)
        return self.values[0] != rejected

    async def keep(self) -> None:
        self.kept = True

    async def close(self) -> None:
        self.closed = True


def unauthorized_unless(good: str) -> servers.Handler:
    async def handler(exchange: servers.Exchange) -> None:
        ok = exchange.headers.get("authorization") == good
        await exchange.reply({}, status=200 if ok else 401)

    return handler


def rotating(way: connection.Connection, credentials: Rotating) -> connection.Connection:
    return connection.Connection(way.configuration, credentials)


async def test_rejected_credentials_are_renewed_and_the_request_repeated(connect: Connect) -> None:
    credentials = Rotating("old", "new")
    async with servers.serving(unauthorized_unless("new")) as server:
        way = rotating(await connect(server.url), credentials)
        async with servers.talking_to(way) as asking:
            assert await asking.get_json("/x") == {}
    assert credentials.rejected == ["old"]
    assert [seen.headers["authorization"] for seen in server.seen] == ["old", "new"]


async def test_request_is_repeated_only_once(connect: Connect) -> None:
    credentials = Rotating("old", "new", "newer")
    async with servers.serving(unauthorized_unless("newer")) as server:
        way = rotating(await connect(server.url), credentials)
        async with servers.talking_to(way) as asking:
            with pytest.raises(errors.Unauthorized):
                await asking.get_json("/x")
    assert len(server.seen) == 2


async def test_watch_is_opened_again_with_renewed_credentials(connect: Connect) -> None:
    credentials = Rotating("old", "new")
    async with servers.serving(unauthorized_unless("new")) as server:
        way = rotating(await connect(server.url), credentials)
        async with (
            servers.talking_to(way) as asking,
            asking.watch(objects.WIDGETS, resource_version="1", timeout_s=9, idle_s=9),
        ):
            assert len(server.seen) == 2


async def test_no_authorization_is_sent_when_there_is_none(connect: Connect) -> None:
    async def empty(exchange: servers.Exchange) -> None:
        await exchange.reply({})

    async with (
        servers.serving(empty) as server,
        servers.talking_to(await connect(server.url)) as asking,
    ):
        await asking.get_json("/x")
    assert "authorization" not in server.seen[0].headers


@pytest.mark.parametrize("deadline_s", [0.5, 3, 15])
async def test_request_ends_at_its_deadline(pair: Pair, deadline_s: float) -> None:
    pair.answer(servers.Exchange.stay_silent)
    began = asyncio.get_running_loop().time()
    with pytest.raises(errors.TransportError):
        await pair.client.get_json("/x", deadline_s=deadline_s)
    assert asyncio.get_running_loop().time() - began == deadline_s


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


async def test_credentials_are_kept_and_closed_by_whoever_runs_the_client(
    pair: Pair, connect: Connect
) -> None:
    kept = Rotating("x")
    way = rotating(await connect(pair.server.url), kept)
    async with servers.talking_to(way) as asking:
        await asking.keep_credentials()
        assert not kept.closed
    assert (kept.kept, kept.closed) == (True, True)

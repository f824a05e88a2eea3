import asyncio
import contextlib
import logging
import pathlib
import ssl
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.unit.runtime.authority import Authority
from workflowexecution.runtime import listener

HEAD = b"Host: x\r\nConnection: close\r\n"
GET = b"GET /here HTTP/1.1\r\n" + HEAD


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param(":8081", (None, 8081), id="all-interfaces"),
        pytest.param("0.0.0.0:80", ("0.0.0.0", 80), id="ipv4"),
        pytest.param("[::1]:80", ("::1", 80), id="ipv6"),
        pytest.param("localhost:0", ("localhost", 0), id="name"),
    ],
)
def test_address_is_split_into_host_and_port(
    address: str, expected: tuple[str | None, int]
) -> None:
    assert listener.parse_address(address) == expected


@pytest.mark.parametrize("address", ["", "localhost", "host:port"])
def test_address_without_a_port_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        listener.parse_address(address)


async def answer(request: web.Request) -> web.Response:
    return web.Response(text="here")


async def fail(request: web.Request) -> web.Response:
    raise LookupError


@contextlib.asynccontextmanager
async def listening(
    handler: listener.Handler = answer, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """The port of a listener that has one path."""
    served = listener.Listener(address="127.0.0.1:0", routes={"/here": handler}, tls=tls)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(served.run())
        await served.wait_listening()
        yield served.port
        running.cancel()


async def said_to(port: int, request: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """All that is answered to bytes that are a request, or are none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(GET + b"\r\n", 200, id="usual"),
        pytest.param(b"HEAD /here HTTP/1.1\r\n" + HEAD + b"\r\n", 200, id="head"),
        pytest.param(GET + b"Accept: \xff;;q=\r\nRange: x\r\n\r\n", 200, id="odd-accept"),
        pytest.param(GET + b"Authorization: \xff\xfe\r\n\r\n", 200, id="no-utf-8"),
        pytest.param(
            GET + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 200, id="odd-body"
        ),
        pytest.param(
            b"POST /here HTTP/1.1\r\n" + HEAD + b"Content-Length: 3\r\n\r\nabc", 405, id="post"
        ),
        pytest.param(b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n", 404, id="options"),
        pytest.param(GET + b"Expect: much\r\n\r\n", 417, id="expectation"),
        pytest.param(GET + b"Authorization: Bearer a\x00b\r\n\r\n", 400, id="null-in-header"),
        pytest.param(GET + b"A: " + b"b" * 20_000 + b"\r\n\r\n", 400, id="huge-header"),
        pytest.param(GET + b"a: b\r\n" * 5_000 + b"\r\n", 400, id="many-headers"),
        pytest.param(GET + b"no header\r\n\r\n", 400, id="no-header"),
        pytest.param(GET + b"Content-Length: -1\r\n\r\n", 400, id="negative-length"),
        pytest.param(GET + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, id="odd-chunk"),
        pytest.param(b"GET /here HTTP/1.1\r\n\r\n", 400, id="no-host"),
        pytest.param(b"GET http://[::1 HTTP/1.1\r\n" + HEAD + b"\r\n", 400, id="no-address"),
        pytest.param(b"GET /here?\xff HTTP/1.1\r\n" + HEAD + b"\r\n", 400, id="odd-query"),
        pytest.param(b"G\xffT /here HTTP/1.1\r\n" + HEAD + b"\r\n", 400, id="odd-method"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="tls"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="http-2"),
    ],
)
async def test_odd_request_is_answered_and_leaves_nothing_in_the_log(
    caplog: pytest.LogCaptureFixture, request_: bytes, status: int
) -> None:
    async with listening() as port:
        said = await said_to(port, request_)
    assert int(said.split()[1]) == status
    assert [it.message for it in caplog.records if it.levelno > logging.DEBUG] == []


@pytest.mark.looptime
@pytest.mark.parametrize(
    "said", [pytest.param(b"", id="silent"), pytest.param(b"GET /here HTTP/1.1\r\n", id="half")]
)
async def test_connection_on_which_nobody_asks_is_closed(said: bytes) -> None:
    async with listening() as port:
        assert await said_to(port, said) == b""
        assert asyncio.get_running_loop().time() < 20


async def test_oldest_connections_go_when_there_are_too_many() -> None:
    async with listening() as port, contextlib.AsyncExitStack() as stack:
        opened = []
        for _ in range(70):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            opened.append(reader)
            # An answer tells that the connection has been taken on.
            writer.write(b"GET /here HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"here")
        async with asyncio.timeout(2):
            assert [await gone.read() for gone in opened[:6]] == [b""] * 6
        assert not any(kept.at_eof() for kept in opened[6:])
        assert (await said_to(port, GET + b"\r\n")).endswith(b"here")


async def test_connection_on_which_an_answer_is_waited_for_goes_last() -> None:
    asked, let_go = asyncio.Event(), asyncio.Event()

    async def answer_late(request: web.Request) -> web.Response:
        asked.set()
        await let_go.wait()
        return await answer(request)

    async with listening(answer_late) as port, contextlib.AsyncExitStack() as stack:
        waiting = asyncio.create_task(said_to(port, GET + b"\r\n"))
        await asked.wait()
        opened = []
        for _ in range(70):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            opened.append(reader)
        async with asyncio.timeout(2):
            assert [await gone.read() for gone in opened[:7]] == [b""] * 7
            let_go.set()
            assert (await waiting).endswith(b"here")
        assert not any(kept.at_eof() for kept in opened[7:])


@pytest.mark.usefixtures("parted")
async def test_oldest_connections_go_before_their_handshake_too(tmp_path: pathlib.Path) -> None:
    authority = Authority(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("server"))
    trusting = ssl.create_default_context(cafile=str(authority.ca))
    trusting.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    async with listening(tls=tls) as port, contextlib.AsyncExitStack() as stack:
        opened = []
        for _ in range(70):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            opened.append(reader)
        async with asyncio.timeout(2):
            assert (await said_to(port, GET + b"\r\n", trusting)).endswith(b"here")
            assert [await gone.read() for gone in opened[:7]] == [b""] * 7
        assert not any(kept.at_eof() for kept in opened[7:])


async def test_connections_that_have_gone_take_no_room() -> None:
    async with listening() as port, contextlib.AsyncExitStack() as stack:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(writer.close)
        for _ in range(70):
            assert (await said_to(port, GET + b"\r\n")).endswith(b"here")
        assert not reader.at_eof()


async def test_what_fails_in_the_program_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with listening(fail) as port:
        said = await said_to(port, GET + b"\r\n")
    assert int(said.split()[1]) == 500
    (record,) = (it for it in caplog.records if it.levelno > logging.DEBUG)
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError

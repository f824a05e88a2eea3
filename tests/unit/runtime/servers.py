"""An HTTP server on a real socket whose every byte a test decides."""

import asyncio
import contextlib
import json
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import client_proto

from workflowexecution.runtime import client, connection


class Exchange:
    """One received request, and the ways to answer it."""

    def __init__(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        first, *lines = head.decode().split("\r\n")
        self.method, target, _ = first.split(" ")
        self.path, _, query = target.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query))
        self.headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        self.body = b""
        self.reader = reader
        self.writer = writer

    async def raw(self, content: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(content)
        await self.writer.drain()

    async def reply(
        self,
        content: object = b"",
        *,
        status: int = 200,
        **headers: str,
    ) -> None:
        """Answer with bytes as they are, or with anything else as JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = "\r\n".join([f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *lines])
        await self.raw(head.encode() + b"\r\n\r\n" + body)

    async def begin_stream(self) -> None:
        """Begin an answer in chunks."""
        await self.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    async def chunk(self, content: bytes) -> None:
        """Send a chunk; an empty one ends the stream."""
        await self.raw(b"%x\r\n%s\r\n" % (len(content), content))

    async def events(self, *events: tuple[str, dict[str, Any]]) -> None:
        """Send watch events, all in one chunk."""
        lines = [json.dumps({"type": kind, "object": obj}) for kind, obj in events]
        await self.chunk("".join(f"{line}\n" for line in lines).encode())

    def abort(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the client hangs up."""
        await self.reader.read()

    async def stay_silent(self) -> None:
        """Never answer."""
        await asyncio.get_running_loop().create_future()


Handler = Callable[[Exchange], Awaitable[None]]


class Server:
    """Answers with a handler and remembers what it was asked."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.seen: list[Exchange] = []
        self.connections = 0
        self.url = ""

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
                exchange = Exchange(head, reader, writer)
                size = int(exchange.headers.get("content-length", "0"))
                exchange.body = await reader.readexactly(size)
                self.seen.append(exchange)
                await self.handler(exchange)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Server]:
    """Run a server on a free port of the loopback interface."""
    server = Server(handler)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.get_running_loop().create_task(server.accept(reader, writer)))

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # An aborted socket is closed in the next turn.
        await asyncio.sleep(0)


def kubeconfig(
    server: str, user: dict[str, object] | None = None, **cluster: object
) -> dict[str, Any]:
    """Build a kubeconfig with one context."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "it", "user": "me"}}],
        "clusters": [{"name": "it", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "me", "user": user or {}}],
    }


@contextlib.asynccontextmanager
async def talking_to(
    way: connection.Connection,
    observe_date: Callable[[str, float], None] | None = None,
) -> AsyncIterator[client.Client]:
    """Open a client and close it in the end."""
    opened = client.Client(connection=way, user_agent="tester/1", observe_date=observe_date)
    try:
        yield opened
    finally:
        await opened.close()


def close_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close the connection under each body that is read in parts, before it is read.

    So does aiohttp itself when the rest of a request cannot be written.
    """
    read = aiohttp.StreamReader.readany

    async def closed(stream: aiohttp.StreamReader) -> bytes:
        protocol = stream._protocol
        assert isinstance(protocol, client_proto.ResponseHandler)
        protocol.close()
        return await read(stream)

    monkeypatch.setattr(aiohttp.StreamReader, "readany", closed)

"""One connection of a program, with the one to the server that goes with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from tests.proxy import calls, wire
from tests.proxy.rules import Point

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.proxy.calls import Call
    from tests.proxy.rules import Lag, Rules

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Broken(Exception):
    """The connection to the program is to be broken."""


class Passage:
    """Passes requests on one after the other, as they come."""

    def __init__(
        self, in_force: Rules, program: Stream, connect: Callable[[], Awaitable[Stream]]
    ) -> None:
        """Pass on from this connection to one that is opened when it is needed."""
        self._rules = in_force
        self._reader, self._writer = program
        self._connect = connect
        self._server: Stream | None = None

    async def serve(self) -> None:
        """Pass on until the connection ends.

        Raises:
            Broken: a rule says so.
            OSError: a side has broken the connection.
            wire.Malformed: what came is not HTTP.
        """
        try:
            while (head := await wire.read_head(self._reader)) is not None:
                body = b"".join([piece async for piece in wire.pieces(self._reader, head)])
                await self._pass(calls.of(head, wire.content(body, head)), head.raw + body)
        finally:
            if self._server is not None:
                self._server[1].transport.abort()

    async def _pass(self, call: Call, request: bytes) -> None:
        """Pass one request on, and its answer back, by the rules."""
        hold, answer = self._rules.hold_of(call), self._rules.answer_of(call)
        if hold is not None and hold.point is Point.BEFORE and not await hold.hold():
            raise Broken
        if answer is not None and answer.point is Point.BEFORE:
            return await self._fail(answer.status)
        reader, head = await self._ask(request)
        if hold is not None:
            hold.note(head.status)
        if call.is_watch and head.status == 200:
            return await self._stream(call, reader, head)
        raw = head.raw
        async for piece in wire.pieces(reader, head, answers=call.method):
            raw += piece
        if hold is not None and hold.point is Point.AFTER and not await hold.hold():
            raise Broken
        if answer is not None:
            return await self._fail(answer.status)
        await self._reply(raw)
        return None

    async def _ask(self, request: bytes) -> tuple[asyncio.StreamReader, wire.Head]:
        if self._server is None or self._server[0].at_eof():
            self._server = await self._connect()
        reader, writer = self._server
        writer.write(request)
        await writer.drain()
        head = await wire.read_head(reader)
        if head is None:
            raise Broken
        return reader, head

    async def _reply(self, raw: bytes) -> None:
        self._writer.write(raw)
        await self._writer.drain()

    async def _fail(self, status: int) -> None:
        """Answer as an API server in trouble does.

        Raises:
            Broken: there is to be no answer.
        """
        if status == 0:
            raise Broken
        said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status}
        body = orjson.dumps({**said, "message": "the proxy says so", "reason": "InternalError"})
        head = f"HTTP/1.1 {status} Proxy\r\nContent-Type: application/json\r\n"
        await self._reply(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def _stream(self, call: Call, reader: asyncio.StreamReader, head: wire.Head) -> None:
        """Pass the events of a watch on, late if so ruled, until either side ends it.

        Raises:
            Broken: the program has gone away.
        """
        await self._reply(head.raw)
        late: asyncio.Queue[tuple[float, Lag | None, bytes]] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(self._watch_leaving())
            sending = group.create_task(self._send(late))
            loop = asyncio.get_running_loop()
            async for piece in wire.pieces(reader, head, answers=call.method):
                lag = self._rules.lag_of(call)
                late.put_nowait((loop.time() + lag.seconds if lag else 0.0, lag, piece))
            late.put_nowait((0.0, None, b""))
            await sending
            leaving.cancel()

    async def _send(self, late: asyncio.Queue[tuple[float, Lag | None, bytes]]) -> None:
        """Send pieces when they are due; none overtakes another."""
        while True:
            due, lag, piece = await late.get()
            if not piece:
                return
            if lag is not None:
                await lag.wait(due)
            await self._reply(piece)

    async def _watch_leaving(self) -> None:
        """Notice that the program has gone away: it says nothing while it watches.

        Raises:
            Broken: it has.
        """
        await self._reader.read(1)
        raise Broken

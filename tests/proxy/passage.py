"""One connection of a program, with the one to the server that goes with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.proxy import calls, mishaps, replies, wire
from tests.proxy.rules import Point
from tests.proxy.shape import Shape
from tests.support import sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.proxy.calls import Call
    from tests.proxy.mishaps import Breach, Tale
    from tests.proxy.rules import Answer, Hold, Lag, Rules

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Late = asyncio.Queue[tuple[float, "Lag | None", bytes]]


class Broken(Exception):
    """The connection to the program is to be broken."""


class Over(Exception):
    """The connection to the program ends in order, with all that was sent."""


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
        except* Over:
            self._writer.close()
            await self._writer.wait_closed()
        finally:
            if self._server is not None:
                self._server[1].transport.abort()

    async def _pass(self, call: Call, request: bytes) -> None:
        """Pass one request on, and its answer back, by the rules."""
        await self._swallow(call)
        hold, answer = self._rules.hold_of(call), self._rules.answer_of(call)
        await self._held(hold, Point.BEFORE)
        if answer is not None and answer.point is Point.BEFORE:
            return await self._fail(answer)
        past = self._rules.recall(call)
        if past is not None:
            return await self._reply(past)
        reader, head = await self._ask(request)
        if hold is not None:
            hold.note(head.status)
        if call.is_watch and head.status == 200:
            return await self._stream(call, reader, head)
        raw = head.raw
        async for piece in wire.pieces(reader, head, answers=call.method):
            raw += piece
        self._rules.note(call, raw)
        await self._held(hold, Point.AFTER)
        await self._swallow(call)
        if (delay := self._rules.delay_of(call)) is not None:
            await delay.wait()
        if answer is not None:
            return await self._fail(answer)
        return await self._answer(call, raw, len(head.raw))

    async def _answer(self, call: Call, raw: bytes, head_bytes: int) -> None:
        """Give the server's answer, up to where a rule ends it."""
        breach = self._rules.breach_of(call)
        if breach is None:
            return await self._reply(raw)
        await self._reply(raw[: head_bytes + breach.after_bytes])
        return self._break(breach)

    async def _held(self, hold: Hold | None, point: Point) -> None:
        """Wait where a hold has caught the request, or its answer.

        Raises:
            Broken: it was dropped.
        """
        if hold is not None and hold.point is point and not await hold.hold():
            raise Broken

    async def _swallow(self, call: Call) -> None:
        """Let it get lost where a hole is, and the connection with it when the hole is over.

        Raises:
            Broken: it is.
        """
        hole = self._rules.hole_of(call)
        if hole is not None:
            await hole.wait()
            raise Broken

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

    async def _fail(self, answer: Answer) -> None:
        """Answer as a server in trouble does.

        Raises:
            Broken: there is to be no answer.
            Over: and there is to be no further one.
        """
        if not answer.raw:
            raise Broken
        await self._reply(answer.raw)
        if replies.CLOSES in answer.raw:
            raise Over

    def _break(self, by: Breach | Tale) -> None:
        """End the connection as a rule wants it.

        Raises:
            Broken: by RST.
            Over: in order.
        """
        if not isinstance(by, mishaps.Breach) or not by.reset:
            raise Over
        sockets.reset_when_closed(self._writer.transport)
        raise Broken

    async def _stream(self, call: Call, reader: asyncio.StreamReader, head: wire.Head) -> None:
        """Pass the events of a watch on, late if so ruled, until either side ends it.

        Raises:
            Broken: the program has gone away, or a rule says so.
            Over: a rule ends it.
        """
        await self._reply(head.raw)
        late: Late = asyncio.Queue()
        shape = Shape(self._rules, call)
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(self._watch_leaving())
            sending = group.create_task(self._send(call, late))
            self._put(call, late, shape.begin())
            await self._shaped(call, late, shape, wire.pieces(reader, head, answers=call.method))
            late.put_nowait((0.0, None, b""))
            await sending
            leaving.cancel()
        if shape.over is not None:
            self._break(shape.over)

    async def _shaped(
        self, call: Call, late: Late, shape: Shape, pieces: AsyncIterator[bytes]
    ) -> None:
        """Have what comes sent in its shape, until the stream or a rule is at its end."""
        while not shape.is_over:
            piece = await anext(pieces, None)
            if piece is None:
                return
            self._put(call, late, shape.feed(piece))

    def _put(self, call: Call, late: Late, made: list[bytes]) -> None:
        """Have pieces sent, each when it is due."""
        now = asyncio.get_running_loop().time()
        for piece in filter(None, made):
            lag = self._rules.lag_of(call)
            late.put_nowait((now + lag.seconds if lag else 0.0, lag, piece))

    async def _send(self, call: Call, late: Late) -> None:
        """Send pieces when they are due; none overtakes another."""
        while True:
            due, lag, piece = await late.get()
            if not piece:
                return
            if lag is not None:
                await lag.wait(due)
            await self._swallow(call)
            await self._reply(piece)

    async def _watch_leaving(self) -> None:
        """Notice that the program has gone away: it says nothing while it watches.

        Raises:
            Broken: it has.
        """
        await self._reader.read(1)
        raise Broken

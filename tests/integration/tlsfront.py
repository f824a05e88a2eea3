"""A door of TLS before the apiserver, whose certificate can be replaced while it is open."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import urllib.parse
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from tests.fake.api import Endpoint

_PIECE = 1 << 16


class TlsFront:
    """Passes bytes on between TLS with its own certificate and TLS with the server's."""

    def __init__(self, endpoint: Endpoint, certificate: tuple[Path, Path]) -> None:
        """Stand before this server, with a certificate and its key."""
        parts = urllib.parse.urlsplit(endpoint.url)
        self._server = parts.hostname or "", parts.port or 0
        self._out = ssl.create_default_context(cafile=endpoint.ca_file)
        self._in = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.show(certificate)
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        """Listen on a port of its own."""
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._in)
        self.url = f"https://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the door."""
        assert self._listener is not None
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def show(self, certificate: tuple[Path, Path]) -> None:
        """Show this certificate to whoever comes from now on."""
        self._in.load_cert_chain(*certificate)

    def break_connections(self) -> None:
        """Break what is open."""
        for writer in self._open:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            with contextlib.suppress(OSError):
                await self._join(reader, writer)
        finally:
            self._tasks.discard(task)
            self._open.discard(writer)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._server, ssl=self._out)
        try:
            ways = (_pump(reader, back), _pump(there, writer))
            tasks = [asyncio.ensure_future(it) for it in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            back.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()

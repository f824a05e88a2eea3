"""The proxy itself: connections from a program, each with one of its own to the server."""

from __future__ import annotations

import asyncio
import ssl
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.proxy import mishaps, passage, rules, wire
from tests.stack import kubeconfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tests.fake.api import Endpoint
    from tests.proxy.calls import Call
    from tests.proxy.rules import Answer, Hold, Lag, Point

_HOST = "127.0.0.1"
_ENDED = (passage.Broken, wire.Malformed, OSError, asyncio.IncompleteReadError)


class Proxy:
    """Passes every request on as it is, unless a rule says otherwise.

    Speaks plain HTTP to the program, and to the server what its address says. Programs that are to
    be treated differently get a proxy each.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Pass requests on to this server."""
        self._endpoint = endpoint
        parts = urllib.parse.urlsplit(endpoint.url)
        self._server = parts.hostname or "", parts.port or 0
        self._tls = None
        if parts.scheme == "https":
            self._tls = ssl.create_default_context(cafile=endpoint.ca_file)
        self._rules = rules.Rules()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._listener: asyncio.Server | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        """Listen on a port of its own."""
        self._listener = await asyncio.start_server(self._accept, _HOST, 0)
        port = self._listener.sockets[0].getsockname()[1]
        self.url = f"http://{_HOST}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drop what is held, and stop."""
        assert self._listener is not None
        self._listener.close()
        self._rules.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def write_kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig of the server's user, by way of this proxy."""
        port = self.url.rpartition(":")[2]
        return kubeconfig.write(
            folder / f"proxy-{port}.kubeconfig",
            server_url=self.url,
            ca_file=Path(self._endpoint.ca_file),
            user="admin",
            token=self._endpoint.token,
        )

    def hold(self, fits: Callable[[Call], bool], point: Point) -> Hold:
        """Hold the first request that fits, or its answer."""
        made = rules.Hold(fits, point)
        self._rules.holds.append(made)
        return made

    def fail(
        self,
        fits: Callable[[Call], bool],
        status: int = 0,
        point: Point = rules.Point.AFTER,
        *,
        times: int | None = 1,
        reply: bytes = b"",
    ) -> Answer:
        """Answer the next requests that fit with a failure; status 0 breaks their connections."""
        made = rules.Answer(fits, status, point, times, reply)
        self._rules.answers.append(made)
        return made

    def lag(self, fits: Callable[[Call], bool], seconds: float) -> Lag:
        """Let the events of watches come late, of those that are open too."""
        made = rules.Lag(fits, seconds)
        self._rules.lags.append(made)
        return made

    def swallow(self, fits: Callable[[Call], bool]) -> mishaps.Hole:
        """Swallow what fits, both ways, in streams that are open too."""
        made = mishaps.Hole(fits)
        self._rules.holes.append(made)
        return made

    def delay(self, fits: Callable[[Call], bool], seconds: float) -> mishaps.Delay:
        """Let every answer come late."""
        made = mishaps.Delay(fits, seconds)
        self._rules.delays.append(made)
        return made

    def record(self, fits: Callable[[Call], bool]) -> mishaps.Recording:
        """Note the answers to reads, to give them again once the recording is frozen."""
        made = mishaps.Recording(fits)
        self._rules.recordings.append(made)
        return made

    def cut(
        self,
        fits: Callable[[Call], bool],
        *,
        after_bytes: int = 0,
        reset: bool = False,
        times: int | None = 1,
    ) -> mishaps.Breach:
        """End the next answers that fit before their time."""
        made = mishaps.Breach(fits, after_bytes, reset=reset, left=times)
        self._rules.breaches.append(made)
        return made

    def tell(
        self,
        fits: Callable[[Call], bool],
        line: bytes,
        *,
        after_events: int = 0,
        times: int | None = 1,
    ) -> mishaps.Tale:
        """Put an event into the next watches that fit, and end them there."""
        made = mishaps.Tale(fits, line, after_events, times)
        self._rules.tales.append(made)
        return made

    def swell(self, fits: Callable[[Call], bool], size: int, *, times: int = 1) -> mishaps.Swelling:
        """Make the next events of watches that fit longer by so many bytes."""
        made = mishaps.Swelling(fits, size, times)
        self._rules.swellings.append(made)
        return made

    def break_connections(self) -> None:
        """Break every connection that is open now; new ones are accepted."""
        for writer in self._open:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            await passage.Passage(self._rules, (reader, writer), self._connect).serve()
        except* _ENDED:
            # As its two sides wanted it, or as a rule did.
            pass
        finally:
            self._tasks.discard(task)
            self._open.discard(writer)
            writer.transport.abort()

    async def _connect(self) -> passage.Stream:
        host, port = self._server
        return await asyncio.open_connection(host, port, ssl=self._tls)

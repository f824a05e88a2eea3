"""A small HTTP server that lives as long as the service that runs it."""

import asyncio
import contextlib
import functools
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError

from workflowexecution.runtime import waiting

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CLOSE_S = 1.0
_SILENT_S = 15.0
"""A connection on which nobody asks for so long is closed: each is a file, of which a process has
few, and requests of its own need them."""
_HANDSHAKE_S = 10.0
_MOST = 64
"""Connections at the same time, those whose handshake goes on among them; an older one goes for a
newer, and one on which an answer is waited for last. A probe or a scrape needs one of its own, and
a moment."""
_BACKLOG = 32
_OF_THE_ASKER = (HttpProcessingError, web.RequestPayloadError)


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether an error is the program's own, and not that of a request."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, _OF_THE_ASKER)


# Who sends what is no HTTP is told so. The library also logs it as an error, with a traceback that
# quotes the header: whoever reaches the port could fill the log, or bring tokens into it.
_server_log = logging.getLogger("aiohttp.server.listener")
_server_log.addFilter(_is_ours)


def parse_address(address: str) -> tuple[str | None, int]:
    """Split `host:port`; without a host (`:8081`) all interfaces are meant, as None.

    Raises:
        ValueError: there is no port.
    """
    host, _, port = address.rpartition(":")
    return host.strip("[]") or None, int(port)


class Listener:
    """Answers GET requests on an address; other paths are 404."""

    def __init__(
        self, *, address: str, routes: Mapping[str, Handler], tls: ssl.SSLContext | None = None
    ) -> None:
        """Prepare the endpoint.

        Args:
            address: `host:port`, or `:port` for all interfaces; port 0 takes a free one.
            routes: path to what answers there.
            tls: speak TLS with this; default: plain HTTP.

        Raises:
            ValueError: the address has no port.
        """
        self._host, self._port = parse_address(address)
        self._routes = routes
        self._tls = tls
        self._listening = asyncio.Event()

    @property
    def port(self) -> int:
        """The port listened on, once it is."""
        return self._port

    async def wait_listening(self) -> None:
        """Wait until requests are answered."""
        await self._listening.wait()

    async def run(self) -> None:
        """Answer until cancelled.

        Raises:
            OSError: the address cannot be listened on.
        """
        room = _Room()
        application = web.Application(middlewares=[room.note])
        for path, handler in self._routes.items():
            application.router.add_get(path, handler)
        runner = web.AppRunner(
            application,
            access_log=None,
            logger=_server_log,
            shutdown_timeout=_CLOSE_S,
            keepalive_timeout=_SILENT_S,
        )
        await runner.setup()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(runner.cleanup)
            server = await self._listen(runner, room)
            stack.callback(server.close)
            self._port = server.sockets[0].getsockname()[1]
            self._listening.set()
            await waiting.forever()

    async def _listen(self, runner: web.AppRunner, room: "_Room") -> asyncio.Server:
        """Take connections, as many as there is room for.

        A site of the library's would take any number, and wait a minute for each handshake.
        """
        assert runner.server is not None  # noqa: S101 - for the type: the runner is set up
        speaks_tls = self._tls is not None
        return await asyncio.get_running_loop().create_server(
            functools.partial(room.accept, runner.server),
            self._host,
            self._port,
            ssl=self._tls,
            ssl_handshake_timeout=_HANDSHAKE_S if speaks_tls else None,
            ssl_shutdown_timeout=_CLOSE_S if speaks_tls else None,
            backlog=_BACKLOG,
        )


class _Room:
    """The connections that there are, oldest first.

    Lock-free: it changes only between awaits.
    """

    def __init__(self) -> None:
        """Begin empty."""
        # The library does not know a connection before its handshake is done. asyncio has a task
        # for each until then, which asks for the protocol and closes the connection if cancelled.
        self._peers: dict[web.RequestHandler, asyncio.Task[Any]] = {}
        self._waited_for: set[web.RequestHandler] = set()

    @web.middleware
    async def note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Know that an answer is waited for, until there is one."""
        self._waited_for.add(request.protocol)
        try:
            return await handler(request)
        finally:
            self._waited_for.discard(request.protocol)

    def accept(self, server: web.Server) -> web.RequestHandler:
        """Give a new connection its protocol, and make room for it."""
        there = set(server.connections)
        for peer, opening in [*self._peers.items()]:
            if peer not in there and opening.done():
                del self._peers[peer]
        too_many = max(0, len(self._peers) - _MOST + 1)
        for peer in sorted(self._peers, key=self._waited_for.__contains__)[:too_many]:
            opening = self._peers.pop(peer)
            if peer in there:
                peer.force_close()
            else:
                opening.cancel()
        accepted, task = server(), asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type: no callback accepts
        self._peers[accepted] = task
        return accepted

"""A proxy before the apiserver, where a test can stop single requests or their answers."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import orjson
from aiohttp import web

from tests.stack import kubeconfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tests.fake.api import Api, Endpoint

JsonObject = dict[str, Any]

CAUGHT_S = 15.0
_MAX_BODY = 16 << 20
_HOP_BY_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length"})


class Point(enum.Enum):
    """Where a trap holds a request: before the server has it, or its answer."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class Call:
    """A request on its way."""

    method: str
    path: str
    body: JsonObject


@dataclass(eq=False)
class Trap:
    """Catches the first request that fits; it is never answered."""

    fits: Callable[[Call], bool]
    point: Point
    caught: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        """Wait until a request is in the trap."""
        async with asyncio.timeout(CAUGHT_S):
            await self.caught.wait()

    def drop(self) -> None:
        """End the connection of what is in the trap."""
        self.dropped.set()


class Proxy:
    """Passes every request on as it is, over plain HTTP to the program and TLS to the server."""

    def __init__(self, api: Api, endpoint: Endpoint) -> None:
        """Pass requests on over the test's own session."""
        self._api = api
        self._endpoint = endpoint
        self._port = 0
        self._traps: list[Trap] = []
        application = web.Application(client_max_size=_MAX_BODY)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        """Listen."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drop what is held, and stop."""
        for trap in self._traps:
            trap.drop()
        await self._runner.cleanup()

    def write_kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig of the same user, by way of this proxy."""
        return kubeconfig.write(
            folder / f"proxy-{self._port}.kubeconfig",
            server_url=f"http://127.0.0.1:{self._port}",
            ca_file=Path(self._endpoint.ca_file),
            user="admin",
            token=self._endpoint.token,
        )

    def trap(self, fits: Callable[[Call], bool], point: Point) -> Trap:
        """Set a trap for one request."""
        made = Trap(fits, point)
        self._traps.append(made)
        return made

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        call = Call(request.method, request.path, orjson.loads(raw) if raw else {})
        trap = next((it for it in self._traps if not it.caught.is_set() and it.fits(call)), None)
        if trap is not None and trap.point is Point.BEFORE:
            return await _hold(request, trap)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        url = self._endpoint.url + request.path_qs
        async with self._api.session.request(
            request.method, url, data=raw or None, headers=headers
        ) as answer:
            if trap is not None:
                await answer.read()
                return await _hold(request, trap)
            return await _pass_on(request, answer)


async def _hold(request: web.Request, trap: Trap) -> web.Response:
    trap.caught.set()
    await trap.dropped.wait()
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _pass_on(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    kept = {"Content-Type", "Date", "Retry-After"}
    headers = {k: v for k, v in answer.headers.items() if k in kept}
    response = web.StreamResponse(status=answer.status, headers=headers)
    # The program may be gone before the answer is.
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    return response

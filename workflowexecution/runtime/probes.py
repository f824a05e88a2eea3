"""The health endpoint: is the process alive, and is it ready."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import orjson
from aiohttp import web

LIVENESS_PATHS = ("/health", "/healthz", "/livez")
READINESS_PATHS = ("/ready", "/readyz")

Check = Callable[[], str | None]
"""None when all is well, else the reason why not; synchronous, cheap, and without a network."""

_CLOSE_S = 1.0


def parse_address(address: str) -> tuple[str | None, int]:
    """Split `host:port`; without a host (`:8081`) all interfaces are meant, as None.

    Raises:
        ValueError: there is no port.
    """
    host, _, port = address.rpartition(":")
    return host.strip("[]") or None, int(port)


class Probes:
    """Answers probes, without authentication: 200 when all checks pass, 503 otherwise.

    The body is JSON: `status`, and under `checks` each check with `ok` or its reason.
    """

    def __init__(
        self, *, address: str, liveness: Mapping[str, Check], readiness: Mapping[str, Check]
    ) -> None:
        """Prepare the endpoint.

        Args:
            address: `host:port`, or `:port` for all interfaces; port 0 takes a free one.
            liveness: check name to check; a failing one lets the kubelet restart the process.
            readiness: check name to check; a failing one takes the process out of service.

        Raises:
            ValueError: the address has no port.
        """
        self._host, self._port = parse_address(address)
        self._liveness = liveness
        self._readiness = readiness
        self._listening = asyncio.Event()

    @property
    def port(self) -> int:
        """The port listened on, once it is."""
        return self._port

    async def wait_listening(self) -> None:
        """Wait until probes are answered."""
        await self._listening.wait()

    async def run(self) -> None:
        """Answer until cancelled.

        Raises:
            OSError: the address cannot be listened on.
        """
        application = web.Application()
        for path in LIVENESS_PATHS:
            application.router.add_get(path, self._live)
        for path in READINESS_PATHS:
            application.router.add_get(path, self._ready)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=_CLOSE_S)
        await runner.setup()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, self._host, self._port).start()
            self._port = runner.addresses[0][1]
            self._listening.set()
            await asyncio.get_running_loop().create_future()

    async def _live(self, request: web.Request) -> web.Response:
        return _answer(self._liveness)

    async def _ready(self, request: web.Request) -> web.Response:
        return _answer(self._readiness)


def _answer(checks: Mapping[str, Check]) -> web.Response:
    results = {name: check() for name, check in checks.items()}
    failing = any(reason is not None for reason in results.values())
    body = {
        "status": "failing" if failing else "ok",
        "checks": {name: reason or "ok" for name, reason in results.items()},
    }
    return web.Response(
        body=orjson.dumps(body),
        status=503 if failing else 200,
        content_type="application/json",
    )

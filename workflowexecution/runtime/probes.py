"""The health endpoint: is the process alive, and is it ready."""

from collections.abc import Callable, Mapping

import orjson
from aiohttp import web

from workflowexecution.runtime import listener

LIVENESS_PATHS = ("/health", "/healthz", "/livez")
READINESS_PATHS = ("/ready", "/readyz")

Check = Callable[[], str | None]
"""None when all is well, else the reason why not; synchronous, cheap, and without a network."""


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
        self._liveness = liveness
        self._readiness = readiness
        routes: dict[str, listener.Handler] = dict.fromkeys(LIVENESS_PATHS, self._live)
        routes |= dict.fromkeys(READINESS_PATHS, self._ready)
        self._listener = listener.Listener(address=address, routes=routes)

    @property
    def port(self) -> int:
        """The port listened on, once it is."""
        return self._listener.port

    async def wait_listening(self) -> None:
        """Wait until probes are answered."""
        await self._listener.wait_listening()

    async def run(self) -> None:
        """Answer until cancelled.

        Raises:
            OSError: the address cannot be listened on.
        """
        await self._listener.run()

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

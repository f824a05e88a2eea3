"""The metrics endpoint: who may read them, and what they read."""

import asyncio
import enum
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from workflowexecution.runtime import listener, servingcert

PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Verdict(enum.Enum):
    """What becomes of a request; the value is the HTTP status."""

    ADMITTED = 200
    UNKNOWN = 401
    """Nobody knows who asks."""
    FORBIDDEN = 403
    """Who asks is known, and may not."""
    UNAVAILABLE = 503
    """Nobody can tell now."""


_WORDS = {
    Verdict.UNKNOWN: "a bearer token is needed that the cluster knows\n",
    Verdict.FORBIDDEN: "the account may not get the path /metrics\n",
    Verdict.UNAVAILABLE: "the API server does not say who may read this\n",
}

Admit = Callable[[str], Awaitable[Verdict]]
"""Judges the Authorization header of a request, empty when there is none."""


SCRAPE_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
"""What Prometheus sends with each scrape, and whoever scrapes in its place, and no person does."""


class Render(Protocol):
    """Gives all metrics in Prometheus' text format, as of now."""

    def __call__(self, *, scraped: bool) -> bytes:
        """The text; `scraped` tells whether it is for a Prometheus."""
        ...


async def admit_anyone(authorization: str) -> Verdict:
    """Ask for nothing."""
    return Verdict.ADMITTED


class MetricsServer:
    """Answers `/metrics` to those who may read it."""

    def __init__(
        self,
        *,
        address: str,
        render: Render,
        admit: Admit = admit_anyone,
        certificate: servingcert.ServingCertificate | None = None,
    ) -> None:
        """Prepare the endpoint.

        Args:
            address: `host:port`, or `:port` for all interfaces; port 0 takes a free one.
            render: gives the metrics.
            admit: judges each request; default: everyone may.
            certificate: speak TLS with it; default: plain HTTP.

        Raises:
            ValueError: the address has no port.
        """
        self._render = render
        self._admit = admit
        self._certificate = certificate
        self._listener = listener.Listener(
            address=address,
            routes={PATH: self._answer},
            tls=None if certificate is None else certificate.context,
        )

    @property
    def port(self) -> int:
        """The port listened on, once it is."""
        return self._listener.port

    async def wait_listening(self) -> None:
        """Wait until requests are answered."""
        await self._listener.wait_listening()

    async def run(self) -> None:
        """Answer until cancelled.

        Raises:
            ExceptionGroup: of the OSError, when the address cannot be listened on.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listener.run(), name="metrics-listener")
            if self._certificate is not None:
                group.create_task(self._certificate.run(), name="metrics-certificate")

    async def _answer(self, request: web.Request) -> web.Response:
        verdict = await self._admit(request.headers.get("Authorization", ""))
        if verdict is Verdict.ADMITTED:
            body = self._render(scraped=SCRAPE_HEADER in request.headers)
            return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})
        headers = {"WWW-Authenticate": "Bearer"} if verdict is Verdict.UNKNOWN else {}
        return web.Response(text=_WORDS[verdict], status=verdict.value, headers=headers)

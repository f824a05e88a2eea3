"""Sends finished spans to a collector, by OTLP over HTTP.

The library's own exporter works in a thread with a blocking client, and holds the end of the
process up for as long as a collector does not answer. This one is a service of the event loop like
any other, and its memory and its every wait are bounded.

Source: OTLP 1.x, OTLP/HTTP with binary protobuf.
"""

from __future__ import annotations

import asyncio
import collections
import os
from typing import TYPE_CHECKING

import aiohttp
import structlog
from opentelemetry.exporter.otlp.proto.common import trace_encoder
from opentelemetry.sdk import trace as sdk
from opentelemetry.util import re as headers

from workflowexecution.runtime import waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_WAITING = 4096
MAX_BATCH = 512
GATHER_S = 1.0
DEADLINE_S = 10.0
AGAIN_AFTER_S = 5.0
LAST_S = 3.0
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
PATH = "/v1/traces"

_PROTOBUF = "application/x-protobuf"
_PASSING = frozenset({429, 502, 503, 504})

_log = structlog.get_logger(__name__)


class _Unsent(Exception):
    """The collector does not answer, or asks to come again."""


class Exporter(sdk.SpanProcessor):
    """Gathers spans for a second and sends them; what finds no room pushes the oldest out."""

    def __init__(self, *, endpoint: str, user_agent: str) -> None:
        """Send to this collector; the path of the protocol is added where it has none."""
        self.url = endpoint if _has_path(endpoint) else f"{endpoint.rstrip('/')}{PATH}"
        given = headers.parse_env_headers(os.environ.get(HEADERS, ""), liberal=True)
        self._headers = {**given, "Content-Type": _PROTOBUF, "User-Agent": user_agent}
        self._waiting: collections.deque[sdk.ReadableSpan] = collections.deque(maxlen=MAX_WAITING)
        self._some = asyncio.Event()
        self._stopping = asyncio.Event()
        self._troubled = False
        self._overflowed = False
        self.lost = 0
        """Spans that were pushed out, or that the collector refused."""

    def on_end(self, span: sdk.ReadableSpan) -> None:
        """Take a span."""
        if len(self._waiting) == MAX_WAITING:
            self._push_out(1)
        self._waiting.append(span)
        self._some.set()

    def stop(self) -> None:
        """Send what is there, as far as that takes no time, and let `run` return."""
        self._stopping.set()
        self._some.set()

    async def run(self) -> None:
        """Send until `stop`."""
        limits = aiohttp.ClientTimeout(total=DEADLINE_S)
        async with aiohttp.ClientSession(timeout=limits) as session:
            while not self._stopping.is_set():
                await self._some.wait()
                await waiting.set_within(self._stopping, GATHER_S)
                if not self._stopping.is_set() and not await self._drain(session):
                    await waiting.set_within(self._stopping, AGAIN_AFTER_S)
            try:
                async with asyncio.timeout(LAST_S):
                    await self._drain(session)
            except TimeoutError:
                pass
        if self._waiting or self.lost:
            _log.warning("Spans are lost", spans=len(self._waiting) + self.lost)

    async def _drain(self, session: aiohttp.ClientSession) -> bool:
        """Send all there is; returns whether the collector can be reached."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
            try:
                await self._send(session, batch)
            except _Unsent as error:
                self._put_back(batch)
                if not self._troubled:
                    _log.warning("Spans cannot be sent", url=self.url, error=str(error))
                self._troubled = True
                return False
            self._troubled = False
        self._overflowed = False
        self._some.clear()
        return True

    async def _send(
        self, session: aiohttp.ClientSession, batch: Sequence[sdk.ReadableSpan]
    ) -> None:
        """Send a batch; one that is refused is dropped.

        Raises:
            _Unsent: not now.
        """
        body = trace_encoder.encode_spans(batch).SerializeToString()
        try:
            async with session.post(self.url, data=body, headers=self._headers) as answer:
                status = answer.status
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # ValueError: a header or a host of the environment's or the settings' that can be none.
            raise _Unsent(str(error) or type(error).__name__) from error
        if status in _PASSING:
            raise _Unsent(str(status))
        if status >= 300:
            self.lost += len(batch)
            _log.warning("Spans are refused", url=self.url, status=status, spans=len(batch))

    def _put_back(self, batch: Sequence[sdk.ReadableSpan]) -> None:
        """Wait again, before what has come since; the oldest give way."""
        room = MAX_WAITING - len(self._waiting)
        kept = batch[max(0, len(batch) - room) :]
        if len(kept) < len(batch):
            self._push_out(len(batch) - len(kept))
        self._waiting.extendleft(reversed(kept))

    def _push_out(self, count: int) -> None:
        """Count spans that find no room, and tell of the first since everything was sent."""
        self.lost += count
        if not self._overflowed:
            _log.warning("Spans begin to be lost", url=self.url, waiting=MAX_WAITING)
        self._overflowed = True


def _has_path(url: str) -> bool:
    return "/" in url.partition("://")[2].rstrip("/")

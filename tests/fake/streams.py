"""Watches: from the history of changes to lines on a socket."""

import asyncio
import dataclasses
import math
from collections.abc import Iterator, Mapping

import orjson
from aiohttp import web

from tests.fake import listing, statuses
from tests.fake.faults import Ending, OpenStream
from tests.fake.paths import Target
from tests.fake.resources import Registry
from tests.fake.selectors import Predicate
from tests.fake.statuses import JsonObject
from tests.fake.storage import Change, Storage
from tests.support import sockets

# The longest a watch lives when the client names no time (the real server: 30 to 60 min).
_DEFAULT_TIMEOUT_S = 1800.0
# The last bookmark is sent that long before the end of the watch.
_BOOKMARK_MARGIN_S = 2.0
# What half a line is taken from when a watch has said nothing yet.
_SOME_LINE = b'{"type":"MODIFIED","object":{"metadata":{"name":"cut"}}}\n'


@dataclasses.dataclass(frozen=True, slots=True)
class WatchRequest:
    """What a client asked for: `start` None means all present objects first."""

    target: Target
    selects: Predicate
    start: int | None
    timeout_s: float
    bookmarks: bool


def parse_watch(target: Target, query: Mapping[str, str]) -> WatchRequest:
    """Read the parameters of a watch.

    Raises:
        StatusError: 400 for a selector, 500 for a version that is no number.
    """
    if "sendInitialEvents" in query:
        raise statuses.bad_request("sendInitialEvents is not served by the fake cluster")
    version = listing.parse_version(query.get("resourceVersion", ""), code=500)
    return WatchRequest(
        target=target,
        selects=listing.parse_selection(target, query),
        start=version or None,
        timeout_s=float(query.get("timeoutSeconds") or _DEFAULT_TIMEOUT_S),
        bookmarks=query.get("allowWatchBookmarks", "") in {"1", "true", "True"},
    )


def encode_event(kind: str, item: JsonObject) -> bytes:
    """Return one line of a watch."""
    return orjson.dumps({"type": kind, "object": item}) + b"\n"


def reset_connection(request: web.BaseRequest) -> None:
    """Close the socket so that the client sees a reset, not an end of file."""
    transport = request.transport
    if transport is None:
        return
    sockets.reset_when_closed(transport)
    transport.abort()


class Stream:
    """One running watch.

    It reads the history from its own position, so it needs no queue and misses nothing. It ends
    at its time, when its resource is no longer served, or by a fault.
    """

    def __init__(
        self,
        *,
        asked: WatchRequest,
        handle: OpenStream,
        storage: Storage,
        registry: Registry,
        bookmark_interval_s: float,
    ) -> None:
        self._asked = asked
        self._handle = handle
        self._storage = storage
        self._registry = registry
        self._interval_s = bookmark_interval_s
        self._position = 0
        self._written = 0
        self._since = storage.version if asked.start is None else asked.start
        self._last_line = _SOME_LINE

    async def serve(
        self, request: web.BaseRequest, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        """Answer the request with events until the watch ends."""
        response = web.StreamResponse(headers={"Content-Type": "application/json", **headers})
        response.enable_chunked_encoding()
        await response.prepare(request)
        observe = self._observe
        self._storage.subscribe(observe)
        try:
            await self._run(request, response)
        finally:
            self._storage.unsubscribe(observe)
        return response

    def _observe(self, change: Change) -> None:
        if change.resource.qualified == self._asked.target.resource.qualified:
            self._handle.notify()

    async def _run(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        if not await self._write(request, response, list(self._opening())):
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._asked.timeout_s
        bookmark_at = min(loop.time() + self._interval_s, deadline - _BOOKMARK_MARGIN_S)
        while True:
            if self._handle.ending is not None:
                await self._end(request, response, self._handle.ending)
                return
            lines, due_at = self._collect(loop.time())
            if self._asked.bookmarks and loop.time() >= bookmark_at and due_at is None:
                lines.extend(self._bookmark())
                bookmark_at = self._next_bookmark(loop.time(), deadline)
            if not await self._write(request, response, lines):
                return
            if not self._is_served() and due_at is None:
                return
            if loop.time() >= deadline and not self._handle.silent:
                return
            if due_at is None and self._asked.bookmarks:
                due_at = bookmark_at
            await self._handle.wait(self._pause(loop.time(), deadline, due_at))

    def _opening(self) -> Iterator[bytes]:
        """Catch up: the past since the start version, or all present objects.

        Without a start the present comes as ADDED events. A start that is too old gets an ERROR
        event, after which the watch has ended.
        """
        resource, start = self._asked.target.resource, self._asked.start
        self._position = len(self._storage.changes)
        if start is None:
            for item in self._storage.items(resource):
                if self._asked.selects(item):
                    yield encode_event("ADDED", item)
            return
        oldest = self._storage.oldest(resource)
        if start < oldest:
            self._handle.ending = self._handle.ending or Ending.EOF
            yield encode_event("ERROR", statuses.expired_version(start, oldest))
            return
        while self._position and self._storage.changes[self._position - 1].version > start:
            self._position -= 1

    def _collect(self, now: float) -> tuple[list[bytes], float | None]:
        """Return the lines to send now, and when the next known event is due, if one is."""
        if self._handle.silent:
            return [], None
        lines, self._handle.injected = self._handle.injected, []
        changes = self._storage.changes
        while self._position < len(changes):
            change = changes[self._position]
            due_at = change.at + self._handle.delay_s
            if self._handle.delay_s and due_at > now:
                return lines, due_at
            self._position += 1
            if change.resource.qualified == self._asked.target.resource.qualified:
                lines.extend(self._render(change))
        return lines, None

    def _render(self, change: Change) -> Iterator[bytes]:
        """Show a change as this watch sees it: leaving the selection looks like a deletion."""
        before = change.old is not None and self._asked.selects(change.old)
        after = change.type != "DELETED" and self._asked.selects(change.item)
        if after:
            yield encode_event("MODIFIED" if before else "ADDED", change.item)
        elif before and change.old is not None:
            last = change.old["metadata"] | {"resourceVersion": str(change.version)}
            yield encode_event("DELETED", change.old | {"metadata": last})

    def _bookmark(self) -> Iterator[bytes]:
        """Tell the newest version.

        As on the real server there is none while no version is newer than the watch's start.
        """
        resource = self._asked.target.resource
        version = self._storage.version
        if version > self._since:
            metadata = {"resourceVersion": str(version)}
            item = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
            yield encode_event("BOOKMARK", item)

    def _next_bookmark(self, now: float, deadline: float) -> float:
        last = deadline - _BOOKMARK_MARGIN_S
        return min(now + self._interval_s, last) if now < last else math.inf

    def _is_served(self) -> bool:
        return self._asked.target.resource in self._registry

    def _pause(self, now: float, deadline: float, due_at: float | None) -> float | None:
        if self._handle.silent:
            return None
        until = deadline if due_at is None else min(deadline, due_at)
        return max(0.0, until - now)

    async def _write(
        self, request: web.BaseRequest, response: web.StreamResponse, lines: list[bytes]
    ) -> bool:
        """Send the lines and tell whether the stream goes on."""
        if self._handle.silent:
            return True
        cut = self._handle.cut
        raw = b"".join(lines)
        if cut is not None and self._written + len(raw) >= cut.after_bytes:
            raw = raw[: cut.after_bytes - self._written]
            await self._send(response, raw)
            await self._end(request, response, cut.ending)
            return False
        await self._send(response, raw)
        if lines:
            self._last_line = lines[-1]
        return True

    async def _send(self, response: web.StreamResponse, raw: bytes) -> None:
        if raw:
            self._written += len(raw)
            await response.write(raw)

    async def _end(
        self, request: web.BaseRequest, response: web.StreamResponse, ending: Ending
    ) -> None:
        if ending in {Ending.MID_LINE, Ending.TRUNCATED}:
            await self._send(response, self._last_line[: len(self._last_line) // 2])
        if ending in {Ending.RESET, Ending.TRUNCATED}:
            reset_connection(request)

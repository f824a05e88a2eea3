"""The service itself: its endpoints, its answers, and the faults that a test asks for."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncpg
from aiohttp import web

from tests.datastorage import dialects
from tests.support import program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.datastorage.table import Table

MAX_PAGE = 1000


@dataclass
class Faults:
    """What goes wrong, until it is set back.

    Attributes:
        before_s: seconds before a batch is stored.
        after_s: seconds between that and the answer.
        broken_after: answer 500 to a batch that has been stored.
        broken: answer 500 to a batch, which is not stored.
        throttled_s: answer 429 with this Retry-After.
        tokens: accepted bearer tokens; None asks for none.
        refused: name of an execution whose records are not valid.
    """

    before_s: float = 0.0
    after_s: float = 0.0
    broken_after: bool = False
    broken: bool = False
    throttled_s: int = 0
    tokens: set[str] | None = None
    refused: str = ""


@dataclass
class Seen:
    """What was asked of it."""

    batches: list[int] = field(default_factory=list)
    """Size of each batch, stored or not."""
    doubtful: int = 0
    """How many of them were stored, and answered with 500."""
    queries: int = 0
    unauthorized: int = 0


class DataStorage:
    """The service on a port of its own, which it keeps while it is stopped."""

    def __init__(self, table: Table, *, dialect: str = "december", port: int = 0) -> None:
        self.table = table
        self.dialect = dialect
        self.faults = Faults()
        self.seen = Seen()
        # When each batch that is not stored yet is due to be, by the loop's clock.
        self._storing: list[float] = []
        # One that nobody else is given while it is stopped.
        self._port = port or program.free_port()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it is, running or not."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def is_running(self) -> bool:
        """Whether it answers."""
        return self._runner is not None

    async def start(self) -> None:
        """Answer from now on."""
        app = web.Application(middlewares=[self._authorized])
        app.router.add_post("/api/v1/audit/events/batch", self._batch)
        app.router.add_post("/api/v1/audit/events", self._single)
        app.router.add_get("/api/v1/audit/events", self._query)
        app.router.add_get("/readyz", self._ready)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()

    async def stop(self) -> None:
        """Refuse connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[DataStorage]:
        """Answer for a while."""
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    @web.middleware
    async def _authorized(self, request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401 - aiohttp's handler
        tokens = self.faults.tokens
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if tokens is not None and given not in tokens:
            self.seen.unauthorized += 1
            return problem(request, 401, "Unauthorized", "missing or invalid token")
        response: web.StreamResponse = await handler(request)
        return response

    async def _ready(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ready"})

    async def _batch(self, request: web.Request) -> web.Response:
        events = await _json(request)
        self.seen.batches.append(len(events) if isinstance(events, list) else 0)
        if self.faults.throttled_s:
            headers = {"Retry-After": str(self.faults.throttled_s)}
            return problem(request, 429, "Too Many Requests", "slow down", headers)
        if self.faults.broken:
            return problem(request, 500, "Database Error", "asked for by a test")
        if not isinstance(events, list) or not events:
            return problem(
                request, 400, "Validation Error", "a batch is an array that is not empty"
            )
        if self.dialect == "current" and len(events) > dialects.MAX_BATCH:
            return problem(
                request, 400, "Validation Error", f"more than {dialects.MAX_BATCH} events"
            )
        rows = []
        for index, event in enumerate(events):
            try:
                rows.append(self._row(event, single=False))
            except dialects.Invalid as error:
                return problem(request, 400, "Validation Error", f"event at index {index}: {error}")
        try:
            ids = await self._store(rows)
        except asyncpg.PostgresError as error:
            return problem(request, 500, "Database Error", str(error))
        await asyncio.sleep(self.faults.after_s)
        if self.faults.broken_after:
            self.seen.doubtful += 1
            return problem(request, 500, "Database Error", "asked for by a test, after storing")
        body = {"event_ids": ids, "message": f"{len(ids)} audit events created successfully"}
        return web.json_response(body, status=201)

    async def _single(self, request: web.Request) -> web.Response:
        try:
            row = self._row(await _json(request), single=True)
        except dialects.Invalid as error:
            return problem(request, 400, "Validation Error", str(error))
        (made,) = await self.table.insert([row])
        return web.json_response({"event_id": made, "message": "created"}, status=201)

    async def _query(self, request: web.Request) -> web.Response:
        self.seen.queries += 1
        try:
            limit = int(request.query.get("limit", "100"))
            offset = int(request.query.get("offset", "0"))
        except ValueError:
            return problem(request, 400, "Validation Error", "limit and offset must be integers")
        if not 1 <= limit <= MAX_PAGE or offset < 0:
            return problem(request, 400, "Validation Error", f"limit must be 1 to {MAX_PAGE}")
        await self._settled()
        rows, total = await self.table.query(request.query, limit=limit, offset=offset)
        page = {"limit": limit, "offset": offset, "total": total}
        page["has_more"] = offset + len(rows) < total
        return web.json_response({"data": rows, "pagination": page})

    async def _store(self, rows: list[dict[str, Any]]) -> list[str]:
        """Store after a pause, the length of which a test may have asked for."""
        due = asyncio.get_running_loop().time() + self.faults.before_s
        self._storing.append(due)
        try:
            await asyncio.sleep(self.faults.before_s)
            return await self.table.insert(rows)
        finally:
            self._storing.remove(due)

    async def _settled(self) -> None:
        """Wait for what is due to be stored by now, and for nothing that is not.

        Where this process did not run for a while both have their turn at once, and an answer of
        before would come after.
        """
        now = asyncio.get_running_loop().time()
        while any(due <= now for due in self._storing):  # noqa: ASYNC110 - ends with the insert
            await asyncio.sleep(0.01)

    def _row(self, event: object, *, single: bool) -> dict[str, Any]:
        if not isinstance(event, dict):
            raise dialects.Invalid("must be an object")
        if self.faults.refused and event.get("resource_id") == self.faults.refused:
            raise dialects.Invalid("asked for by a test")
        return dialects.DIALECTS[self.dialect](event, single=single)


def problem(
    request: web.Request,
    status: int,
    title: str,
    detail: str,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """A problem document of RFC 7807."""
    body = {
        "type": f"https://kubernaut.ai/problems/{title.lower().replace(' ', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.path,
    }
    return web.Response(
        status=status,
        text=json.dumps(body),
        content_type="application/problem+json",
        headers=headers,
    )


async def _json(request: web.Request) -> Any:  # noqa: ANN401 - raw JSON enters here
    try:
        return await request.json()
    except ValueError:
        return None

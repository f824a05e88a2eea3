"""The leanest client that will do: aiohttp and orjson, no caches, no retries.

A refused request ends the process that sent it: a measurement with failures in it is none.
"""

import types
from collections.abc import AsyncIterator
from typing import Any, Self

import aiohttp
import orjson

from tests.benchmark import access

JsonObject = dict[str, Any]

_REQUEST_TIMEOUT_S = 60.0
# Bookmarks come every minute; a stream without even those is broken.
_SILENCE_S = 150.0
_WATCH_LIFETIME_S = 3600
_READ_BUFFER = 1 << 20
_BAD_REQUEST = 400
_CONTENT_TYPES = {"PATCH": "application/merge-patch+json"}


class Refused(Exception):
    """The apiserver answered with an error."""


class Client:
    """Requests over a bounded number of connections, and watches beside them."""

    def __init__(self, way: access.Access, *, user_agent: str, connections: int) -> None:
        self._base = way.server_url
        self._ssl = way.ssl_context()
        self._headers = {
            "Authorization": f"Bearer {way.token}",
            "User-Agent": user_agent,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        self._session = self._open(connections)
        self._watches = self._open(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        await self._watches.close()
        await self._session.close()

    async def send(self, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
        """Send a request and return the answer; PATCH is a merge patch.

        Raises:
            Refused: the status is an error.
        """
        headers = {"Content-Type": _CONTENT_TYPES.get(method, "application/json")}
        content = None if body is None else orjson.dumps(body)
        async with self._session.request(
            method, self._base + path, data=content, headers=headers
        ) as answer:
            text = await answer.read()
        if answer.status >= _BAD_REQUEST:
            raise Refused(f"{method} {path} answered {answer.status}: {text[:500]!r}")
        decoded: JsonObject = orjson.loads(text)
        return decoded

    async def version_of(self, path: str) -> str:
        """Return the resourceVersion from which a watch sees what comes after this call."""
        answer = await self.send("GET", f"{path}?limit=1")
        return str(answer["metadata"]["resourceVersion"])

    async def watch(self, path: str, version: str) -> AsyncIterator[list[JsonObject]]:
        """Yield the events that follow a version, in batches as they arrive, bookmarks left out.

        A stream that the server ends, as it does after a change of the CRD, is opened again.

        Raises:
            Refused: the server does not know the version any more.
        """
        while True:
            async for batch in self._stream(path, version):
                version = batch[-1]["object"]["metadata"]["resourceVersion"]
                yield [event for event in batch if event["type"] != "BOOKMARK"]

    async def _stream(self, path: str, version: str) -> AsyncIterator[list[JsonObject]]:
        query = f"watch=1&allowWatchBookmarks=true&timeoutSeconds={_WATCH_LIFETIME_S}"
        url = f"{self._base}{path}?{query}&resourceVersion={version}"
        timeout = aiohttp.ClientTimeout(total=None, sock_read=_SILENCE_S)
        async with self._watches.get(url, timeout=timeout) as answer:
            rest = b""
            while chunk := await answer.content.readany():
                lines = (rest + chunk).split(b"\n")
                rest = lines.pop()
                batch = [orjson.loads(line) for line in lines]
                if any(event["type"] == "ERROR" for event in batch):
                    raise Refused(f"the watch of {path} ended: {batch[-1]}")
                if batch:
                    yield batch

    def _open(self, connections: int) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=self._ssl),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S),
            read_bufsize=_READ_BUFFER,
        )

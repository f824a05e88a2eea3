"""A small API client of the tests' own: for the simulated Tekton, the contract suite, the demo.

It adds nothing to HTTP but the address, the token and JSON, so that a test sees what came over the
wire. It is no example for the program: there are no retries and no deadlines but the caller's.
"""

import asyncio
import contextlib
import dataclasses
import io
import pathlib
import ssl
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Self

import aiohttp
import orjson
import yaml

from tests.fake.resources import ResourceType
from tests.fake.statuses import JsonObject

_MERGE_PATCH = "application/merge-patch+json"
_JSON = "application/json"


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an API server is and how to be let in; an empty field means none."""

    url: str
    token: str = ""
    ca_file: str = ""


def read_kubeconfig(path: pathlib.Path) -> Endpoint:
    """Return the endpoint of a kubeconfig's first cluster and user (token, CA file)."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    cluster = content["clusters"][0]["cluster"]
    user = content["users"][0]["user"]
    return Endpoint(
        url=cluster["server"],
        token=user.get("token", ""),
        ca_file=cluster.get("certificate-authority", ""),
    )


def write_kubeconfig(path: pathlib.Path, endpoint: Endpoint) -> None:
    """Write a kubeconfig for an endpoint."""
    cluster = {"server": endpoint.url}
    if endpoint.ca_file:
        cluster["certificate-authority"] = endpoint.ca_file
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": {"token": endpoint.token}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


class Refused(Exception):
    """The answer was not the expected success."""

    def __init__(self, reply: "Reply") -> None:
        super().__init__(f"{reply.status}: {reply.raw[:300]!r}")
        self.reply = reply


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> JsonObject:
        """The body as a JSON object."""
        parsed: JsonObject = orjson.loads(self.raw)
        return parsed

    @property
    def content_type(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("Content-Type", "").split(";")[0]

    def accept(self) -> JsonObject:
        """Return the body of a success.

        Raises:
            Refused: any status from 300 on.
        """
        if self.status >= 300:
            raise Refused(self)
        return self.body


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One line of a watch."""

    type: str
    object: JsonObject


class Watch:
    """An open watch: iterate it, or take a number of events."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._rest = b""
        self._ready: list[bytes] = []

    @property
    def rest(self) -> bytes:
        """What came after the last complete line."""
        return self._rest

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._ready:
            chunk = await self._response.content.readany()
            if not chunk:
                raise StopAsyncIteration
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._ready.extend(line for line in lines if line)
        parsed = orjson.loads(self._ready.pop(0))
        return Event(parsed["type"], parsed["object"])

    async def take(self, count: int) -> list[Event]:
        """Return the next `count` events, fewer at the end of the watch."""
        found: list[Event] = []
        while len(found) < count:
            try:
                found.append(await anext(self))
            except StopAsyncIteration:
                break
        return found


class Api:
    """One session with one server."""

    def __init__(self, endpoint: Endpoint, *, agent: str = "tests") -> None:
        self._url = endpoint.url
        self._headers = {"User-Agent": agent}
        if endpoint.token:
            self._headers["Authorization"] = f"Bearer {endpoint.token}"
        # Reading the system's certificates takes tens of milliseconds.
        secure = endpoint.url.startswith("https:")
        self._tls = ssl.create_default_context(cafile=endpoint.ca_file or None) if secure else True
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=1 << 20,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open session."""
        if self._session is None:
            raise RuntimeError("the API client has not been entered")
        return self._session

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | bytes | None = None,
        content_type: str = _JSON,
    ) -> Reply:
        """Send one request and read the whole answer, whatever it is."""
        raw = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        headers = {"Content-Type": content_type} if raw is not None else {}
        # aiohttp warns of large bodies unless they come as a file.
        data = io.BytesIO(raw) if raw is not None else None
        async with self.session.request(
            method, self._url + path, params=query, data=data, headers=headers
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def get(self, resource: ResourceType, namespace: str, name: str) -> Reply:
        """Read an object."""
        return await self.request("GET", resource.path(namespace, name))

    async def list(self, resource: ResourceType, namespace: str = "", **query: str) -> Reply:
        """List a collection."""
        return await self.request("GET", resource.path(namespace), query=query)

    async def create(self, resource: ResourceType, namespace: str, body: JsonObject) -> Reply:
        """Create an object; its apiVersion and kind are filled in."""
        full = {"apiVersion": resource.api_version, "kind": resource.kind} | body
        return await self.request("POST", resource.path(namespace), body=full)

    async def patch(
        self,
        resource: ResourceType,
        namespace: str,
        name: str,
        patch: JsonObject,
        *,
        subresource: str = "",
    ) -> Reply:
        """Apply a merge patch."""
        path = resource.path(namespace, name, subresource)
        return await self.request("PATCH", path, body=patch, content_type=_MERGE_PATCH)

    async def delete(
        self, resource: ResourceType, namespace: str, name: str, **options: object
    ) -> Reply:
        """Delete an object; options are those of DeleteOptions."""
        path = resource.path(namespace, name)
        return await self.request("DELETE", path, body=dict(options))

    @contextlib.asynccontextmanager
    async def watch(
        self, resource: ResourceType, namespace: str = "", **query: str
    ) -> AsyncIterator[Watch]:
        """Open a watch.

        Raises:
            Refused: the answer was no stream.
        """
        params = {"watch": "true"} | query
        async with self.session.get(
            self._url + resource.path(namespace), params=params
        ) as response:
            if response.status != 200:
                raw = await response.read()
                raise Refused(Reply(response.status, response.headers, raw))
            try:
                yield Watch(response)
            finally:
                await _abort(response)


async def _abort(response: aiohttp.ClientResponse) -> None:
    """Drop the connection of an unfinished answer at once, also under TLS.

    Closing it politely would go on in the background and outlive the event loop of a test.
    """
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
        await asyncio.sleep(0)

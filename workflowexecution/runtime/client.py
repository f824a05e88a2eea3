"""The client: the verbs of the API, in JSON, with errors of the tree."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import NamedTuple

import aiohttp
import orjson
import structlog

from workflowexecution.runtime import budget, connection, errors, fence, lines, resource, transport

_OPEN_MARGIN_S = 15.0
WRITE_DEADLINE_S = 15.0
"""Longer than an admission webhook has by default (10 s): the server is to say that it hangs."""

_EVENTS = "events"
_MAX_LINE_BYTES = 8 * 1024 * 1024

_log = structlog.get_logger(__name__)


class ListPage(NamedTuple):
    """One page of a list; an empty continue token marks the last one."""

    items: list[resource.JsonObject]
    resource_version: str
    continue_token: str


class WatchEvent(NamedTuple):
    """ADDED, MODIFIED, DELETED or BOOKMARK, and the object as it is then."""

    type: str
    object: resource.JsonObject


def _decode(payload: bytes) -> resource.JsonObject:
    """Parse an answer that must be a JSON object.

    Raises:
        errors.TransportError: it is not.
    """
    try:
        answer = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        message = "answer is not JSON"
        raise errors.TransportError(message) from error
    if not isinstance(answer, dict):
        message = "answer is not a JSON object"
        raise errors.TransportError(message)
    return answer


def _accepted(*, whole: bool) -> str:
    return transport.JSON if whole else transport.METADATA


def _selected(**params: str) -> dict[str, str]:
    return {name: value for name, value in params.items() if value}


class Client:
    """Talks to one API server, with connections of their own for watches.

    Deadlines are in seconds and bound one exchange, connecting and waiting for a free connection
    included; a 401 that other credentials may cure gives it a second one. Every verb raises
    `errors.ApiError` when the server refuses, and `errors.TransportError` when no usable answer
    comes. A read may be sent twice, on a connection that had died; a write never is.

    `create`, `merge_patch` and `delete` are the writes: each is refused with `errors.LeaseLost`
    when the fence is shut, and is given up when the lease that allowed it may end.
    """

    def __init__(
        self,
        *,
        connection: connection.Connection,
        user_agent: str,
        observe_date: Callable[[str, float], None] | None = None,
        max_connections: int = 32,
        fence: fence.Fence = fence.NoFence(),  # noqa: B008 - has no state
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        """Open the sessions; called in the running loop.

        Args:
            connection: the way to the server.
            user_agent: who asks, for the server's audit log.
            observe_date: gets the Date header of every answer and the loop time of its arrival.
            max_connections: connections at the same time, watches not counted.
            fence: asked directly before each write is sent; default: every write is allowed.
            trace_configs: hooks that see each request but those of watches.

        Raises:
            errors.ConnectionConfigError: certificates or proxy cannot be used.
        """
        self._fence = fence
        self._transport = transport.Transport(
            connection=connection,
            user_agent=user_agent,
            observe_date=observe_date,
            max_connections=max_connections,
            trace_configs=trace_configs,
        )
        self.skipped_lines = 0
        """Watch events that were skipped because they are longer than 8 MiB."""

    def observe(self, observer: transport.RequestObserver) -> None:
        """Tell this observer, and no other, of each request from now on."""
        self._transport.observe(observer)

    @property
    def has_unsettled_writes(self) -> bool:
        """Whether a write that the fence allowed was given up, and may still take effect."""
        return self._transport.has_unsettled_writes

    async def keep_credentials(self) -> None:
        """Renew the credentials before that is due, until cancelled; for all clients of a way."""
        await self._transport.keep_credentials()

    async def close(self) -> None:
        """Close all connections; calls after this raise TransportError."""
        await self._transport.close()

    async def get(
        self, resource: resource.Resource, key: resource.ObjectKey, *, deadline_s: float = 10.0
    ) -> resource.JsonObject:
        """Read one object from the server, not from any cache."""
        path = resource.path(namespace=key.namespace, name=key.name)
        return await self.get_json(path, deadline_s=deadline_s)

    async def find(
        self, resource: resource.Resource, key: resource.ObjectKey
    ) -> resource.JsonObject | None:
        """Read one object as `get` does; None when it is not there."""
        try:
            return await self.get(resource, key)
        except errors.NotFound:
            return None

    async def list_page(  # noqa: PLR0913 - the parameters of the API
        self,
        resource: resource.Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        deadline_s: float = 30.0,
    ) -> ListPage:
        """Read a page of a list; limit 0 asks for everything at once.

        Raises:
            errors.Gone: the continue token has expired.
        """
        params = _selected(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=str(limit or ""),
            **{"continue": continue_token},
        )
        path = resource.path(namespace=namespace)
        answer = await self.get_json(path, params=params, deadline_s=deadline_s)
        try:
            metadata = answer["metadata"]
            return ListPage(
                answer["items"] or [], metadata["resourceVersion"], metadata.get("continue") or ""
            )
        except (KeyError, TypeError) as error:
            message = "answer is not a list"
            raise errors.TransportError(message) from error

    @contextlib.asynccontextmanager
    async def watch(  # noqa: PLR0913 - the parameters of the API
        self,
        resource: resource.Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str,
        timeout_s: float,
        idle_s: float,
    ) -> AsyncIterator[AsyncIterator[list[WatchEvent]]]:
        """Watch changes from a version on; iterate what is given for batches of events.

        A batch is what one received chunk completed. The iteration ends when the server ends the
        stream.

        Args:
            resource: what to watch.
            namespace: empty for all.
            label_selector: empty for all.
            field_selector: empty for all.
            resource_version: the version after which events are wanted.
            timeout_s: the server is asked to end the stream after this, whole seconds.
            idle_s: a stream without a byte for so long is given up. Bookmarks come each minute.

        Raises:
            errors.Gone: the version is too old; also raised by the iteration.
            errors.ApiError: refused; also raised by the iteration for ERROR events.
            errors.TransportError: broken or silent; also raised by the iteration.
        """
        params = _selected(
            watch="1",
            allowWatchBookmarks="true",
            labelSelector=label_selector,
            fieldSelector=field_selector,
            resourceVersion=resource_version,
            timeoutSeconds=str(int(timeout_s)),
        )
        response = await self._transport.open_stream(
            transport.Call("GET", resource.path(namespace=namespace), params),
            total_s=timeout_s + idle_s + _OPEN_MARGIN_S,
            idle_s=idle_s,
        )
        try:
            async with contextlib.aclosing(self._batches(response)) as batches:
                yield batches
        finally:
            response.close()

    async def create(
        self,
        resource: resource.Resource,
        namespace: str,
        body: resource.JsonObject,
        *,
        whole: bool = True,
        deadline_s: float = WRITE_DEADLINE_S,
    ) -> resource.JsonObject:
        """Create an object and return it, or its metadata alone where no more is wanted.

        Raises:
            errors.AlreadyExists: the name is taken.
            errors.TransportError: it may have been created or not.
        """
        path = resource.path(namespace=namespace)
        rank = budget.Rank.NOTE if resource.plural == _EVENTS else budget.Rank.ACT
        call = transport.Call(
            "POST", path, None, orjson.dumps(body), transport.JSON, _accepted(whole=whole),
            self._fence, rank,
        )  # fmt: skip
        return _decode(await self._transport.exchange(call, deadline_s))

    async def merge_patch(
        self,
        resource: resource.Resource,
        key: resource.ObjectKey,
        patch: resource.JsonObject,
        *,
        subresource: str = "",
        whole: bool = True,
        deadline_s: float = WRITE_DEADLINE_S,
    ) -> resource.JsonObject:
        """Change fields of an object and return it, or its metadata alone where that is enough.

        `metadata.resourceVersion` is a precondition.

        Raises:
            errors.Conflict: the object has another version.
        """
        path = resource.path(namespace=key.namespace, name=key.name, subresource=subresource)
        rank = budget.Rank.TELL if subresource else budget.Rank.ACT
        rank = budget.Rank.NOTE if resource.plural == _EVENTS else rank
        call = transport.Call(
            "PATCH", path, None, orjson.dumps(patch), transport.MERGE_PATCH, _accepted(whole=whole),
            self._fence, rank,
        )  # fmt: skip
        return _decode(await self._transport.exchange(call, deadline_s))

    async def delete(
        self,
        resource: resource.Resource,
        key: resource.ObjectKey,
        *,
        uid: str,
        deadline_s: float = WRITE_DEADLINE_S,
    ) -> resource.JsonObject:
        """Delete exactly the object with that UID, what it owns first.

        Returns:
            The object, when it goes later; a Status, when it is gone.

        Raises:
            errors.NotFound: it is gone already.
            errors.Conflict: the name belongs to another object.
        """
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Foreground",
            "preconditions": {"uid": uid},
        }
        path = resource.path(namespace=key.namespace, name=key.name)
        call = transport.Call("DELETE", path, None, orjson.dumps(options), guard=self._fence)
        return _decode(await self._transport.exchange(call, deadline_s))

    async def get_json(
        self, path: str, *, params: Mapping[str, str] | None = None, deadline_s: float = 10.0
    ) -> resource.JsonObject:
        """Read a JSON object at a path."""
        call = transport.Call("GET", path, params)
        return _decode(await self._transport.exchange(call, deadline_s))

    async def post_json(
        self, path: str, body: resource.JsonObject, *, deadline_s: float = 10.0
    ) -> resource.JsonObject:
        """Ask a question that is posted, as reviews are, and return the answer.

        Nothing is stored by it, so the fence is not asked.
        """
        call = transport.Call("POST", path, None, orjson.dumps(body))
        return _decode(await self._transport.exchange(call, deadline_s))

    async def get_text(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        max_bytes: int,
        deadline_s: float = 10.0,
    ) -> str:
        """Read the text at a path; of a long one the last `max_bytes`, whatever they begin with.

        It is text that the server fetches from somebody else, as logs from kubelets.
        """

        async def read_end(response: aiohttp.ClientResponse) -> bytes:
            text = bytearray()
            while chunk := await transport.read_any(response):
                text += chunk
                del text[:-max_bytes]
            return bytes(text)

        call = transport.Call("GET", path, params, relayed=True)
        text = await self._transport.exchange(call, deadline_s, read_end)
        return text.decode(errors="replace")

    async def _batches(
        self, response: aiohttp.ClientResponse
    ) -> AsyncGenerator[list[WatchEvent], None]:
        splitter = lines.LineSplitter(_MAX_LINE_BYTES)
        while True:
            try:
                chunk = await transport.read_any(response)
            except transport.FOREIGN_ERRORS as error:
                raise transport.transport_error(error) from error
            if not chunk:
                return
            skipped = splitter.skipped
            batch: list[WatchEvent] = []
            failure = _parse(splitter.feed(chunk), batch)
            if splitter.skipped > skipped:
                self.skipped_lines += splitter.skipped - skipped
                _log.warning("Watch event is too long and skipped", path=response.url.path)
            if batch:
                yield batch
            if failure is not None:
                raise failure


def _parse(received: list[bytes], batch: list[WatchEvent]) -> errors.ClusterError | None:
    """Put the events into the batch, up to one that ends the stream, which is returned."""
    for line in received:
        event = _decode_event(line)
        if event is None:
            return errors.TransportError("watch event is malformed")
        if event.type == "ERROR":
            return errors.map_status(event.object)
        batch.append(event)
    return None


def _decode_event(line: bytes) -> WatchEvent | None:
    try:
        event = orjson.loads(line)
        decoded = WatchEvent(event["type"], event["object"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return decoded if isinstance(decoded.object, dict) else None

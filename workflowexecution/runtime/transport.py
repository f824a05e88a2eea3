"""Requests to the API server, with credentials, deadlines, and errors of the tree only."""

import asyncio
import ssl
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import aiohttp
import aiohttp.abc
import aiohttp.http
import multidict
import yarl
from aiohttp import hdrs

from workflowexecution.runtime import budget, clock, connection, deadlines, errors, fence

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
METADATA = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,{JSON}"
"""Asks for the metadata of an object alone; who cannot tell it apart answers with all of it.

Source: Kubernetes API concepts, "Metadata-only fetches"; it holds for the answers to writes, too.
"""

FOREIGN_ERRORS = (aiohttp.ClientError, OSError, UnicodeError, aiohttp.http.HttpProcessingError)
"""All that a session or a response raises, but for RuntimeError.

TimeoutError and the errors of ssl are OSErrors; UnicodeError comes from a host that can be none, as
`a..b`; HttpProcessingError from a broken chunk in the middle of a body.
"""

_SILENTLY_CLOSED = RuntimeError
"""What reading on raises where the connection was closed without an error.

So it is after an answer that came before all of the request was written.

Source: aiohttp streams.py `StreamReader._wait`.
"""

_NOT_SENT = (
    aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL, UnicodeError
)  # fmt: skip
_CONNECT_S = 10.0
_REQUESTS_PER_S = 1000.0
_BURST = 2000
_MAX_ERROR_CHARS = 300
_SETTLED_AFTER_S = 60.0
"""The API server gives up what it works on after a minute, as a rule."""

R = TypeVar("R")
Reader = Callable[[aiohttp.ClientResponse], Awaitable[R]]


class Call(NamedTuple):
    """One request without what all requests share; `relayed` is told to whoever observes it."""

    method: str
    path: str
    params: Mapping[str, str] | None = None
    body: bytes | None = None
    content_type: str = JSON
    accept: str = JSON
    guard: fence.Fence = fence.NoFence()
    rank: budget.Rank = budget.Rank.ACT
    relayed: bool = False


class _Body(aiohttp.BytesPayload):
    """A body that asks the fence as the last thing before it is put on the wire, head and all.

    Between the decision to write and this moment the request may have waited for a connection.
    """

    def __init__(self, content: bytes, guard: fence.Fence) -> None:
        super().__init__(content)
        self._guard = guard
        self.sent = False
        """Whether any of it may be on the wire."""

    async def write_with_length(
        self, writer: aiohttp.abc.AbstractStreamWriter, content_length: int | None
    ) -> None:
        self._guard.check()
        self.sent = True
        await super().write_with_length(writer, content_length)


class RequestObserver(Protocol):
    """Sees each request that was sent. Calls are synchronous and must be cheap.

    One that is `relayed` the server hands on to somebody else, as a kubelet: a bad answer, or none,
    tells nothing of the server.
    """

    def answered(self, method: str, status: int, *, relayed: bool = False) -> None:
        """Note the status of an answer."""

    def unanswered(self, method: str, *, relayed: bool = False) -> None:
        """Note that no answer came: the connection failed, or the deadline passed."""


class NoObserver:
    """Sees nothing."""

    def answered(self, method: str, status: int, *, relayed: bool = False) -> None:
        """Ignore it."""

    def unanswered(self, method: str, *, relayed: bool = False) -> None:
        """Ignore it."""


def _release(response: aiohttp.ClientResponse) -> None:
    """End a connection of which not all was read; any other is back in the pool already."""
    if not response.closed:
        response.close()


def transport_error(error: BaseException) -> errors.TransportError:
    """Turn one of FOREIGN_ERRORS into an error of the tree; to be chained with `from`."""
    text = f"{type(error).__name__}: {error}"[:_MAX_ERROR_CHARS]
    silent = isinstance(error, aiohttp.SocketTimeoutError)
    return errors.TransportError(text, sent=not isinstance(error, _NOT_SENT), silent=silent)


async def read_all(response: aiohttp.ClientResponse) -> bytes:
    """Read the whole answer.

    Raises:
        errors.TransportError: the connection was closed in silence.
        FOREIGN_ERRORS: it was lost in another way.
    """
    try:
        return await response.read()
    except _SILENTLY_CLOSED as error:
        raise transport_error(error) from error


async def read_any(response: aiohttp.ClientResponse) -> bytes:
    """Read what has come of an answer, at least something; nothing at its end.

    Raises:
        as `read_all`.
    """
    try:
        return await response.content.readany()
    except _SILENTLY_CLOSED as error:
        raise transport_error(error) from error


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a write again on its own.

    It repeats PUT and DELETE when a kept-alive connection turns out to be dead, though the first
    copy may have taken effect. An error that is not its own ends that loop.

    Source: aiohttp client.py `_retry_connection`, aio-libs/aiohttp#10790.
    """
    try:
        return await handler(request)
    except _NOT_SENT:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise transport_error(error) from error


def _is_never_late() -> bool:
    return False


_ONCE = (_send_once,)
_REPEATABLE = frozenset({"GET", "POST", "PATCH"})
"""GET may be sent twice; POST and PATCH are never repeated by aiohttp."""


class Transport:
    """Sends requests over two sets of connections: one for watches, one for everything else.

    A 401 renews the credentials once and, if there are others then, gives the request a second try;
    so does a server that is not trusted with the certificates.
    Answers are asked for without compression: packing and unpacking costs more CPU on both ends
    than it saves anywhere but on slow networks.
    """

    def __init__(
        self,
        *,
        connection: connection.Connection,
        user_agent: str,
        observe_date: Callable[[str, float], None] | None,
        max_connections: int,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        """Open the sessions; called in the running loop.

        Args:
            connection: the way to the server.
            user_agent: who asks, for the server's audit log.
            observe_date: gets the Date header of every answer and the loop time of its arrival.
            max_connections: connections at the same time, watches not counted.
            trace_configs: hooks that see each request but those of watches.

        Raises:
            errors.ConnectionConfigError: certificates or proxy cannot be used.
        """
        self._server = connection.server
        self._credentials = connection.credentials
        self._options = connection.request_options()
        self._trust = connection.load_trust()
        self._work = connection.open_session(limit=max_connections, trace_configs=trace_configs)
        # Unlimited, so that no watch ever waits for another one to end.
        self._watches = connection.open_session(limit=0)
        self._observe_date = observe_date
        self._observer: RequestObserver = NoObserver()
        self._budget = budget.Budget(per_s=_REQUESTS_PER_S, burst=_BURST)
        # The library's own kind, keys included: it makes no other one of it for each request.
        self._headers = multidict.CIMultiDict({
            hdrs.ACCEPT_ENCODING: "identity",
            hdrs.USER_AGENT: user_agent,
        })
        self._timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_S)
        self._deadlines = deadlines.Deadlines()
        self._unsettled_at = float("-inf")

    @property
    def has_unsettled_writes(self) -> bool:
        """Whether a guarded request that was sent and never answered may still take effect."""
        return clock.loop_time() - self._unsettled_at < _SETTLED_AFTER_S

    def observe(self, observer: RequestObserver) -> None:
        """Tell this observer, and no other, of each request from now on."""
        self._observer = observer

    async def keep_credentials(self) -> None:
        """Renew the credentials before that is due, until cancelled."""
        await self._credentials.keep()

    async def close(self) -> None:
        """Close all connections; requests after this raise TransportError."""
        await self._credentials.close()
        await self._watches.close()
        await self._work.close()

    async def exchange(
        self, call: Call, deadline_s: float, read: Reader[bytes] = read_all
    ) -> bytes:
        """Send a request and read the answer.

        Args:
            call: the request.
            deadline_s: bound of each try, connecting and waiting for a free connection included;
                the renewal of credentials has its own. Its guard may set a tighter one.
            read: what is read of the answer.

        Raises:
            errors.LeaseLost: the guard forbids it, and nothing was sent.
            errors.ApiError: the server refuses.
            errors.TransportError: no usable answer.
        """

        async def attempt(authorization: str) -> bytes:
            try:
                bound_s = min(deadline_s, call.guard.check())
                with self._deadlines.within(bound_s) as deadline:
                    await self._budget.take(call.rank)
                    response = await self._send(
                        self._work, call, authorization, self._timeout, deadline.expired
                    )
                    try:
                        return await read(response)
                    finally:
                        _release(response)
            except FOREIGN_ERRORS as error:
                raise transport_error(error) from error

        return await self._authorized(attempt)

    async def open_stream(
        self, call: Call, *, total_s: float, idle_s: float
    ) -> aiohttp.ClientResponse:
        """Send a request and return the answer unread; the caller closes it.

        Reading it, by `read_any`, raises FOREIGN_ERRORS, also after `idle_s` without a byte and
        after `total_s`.

        Raises:
            errors.ApiError: the server refuses.
            errors.TransportError: no usable answer.
        """
        limits = aiohttp.ClientTimeout(total=total_s, connect=_CONNECT_S, sock_read=idle_s)

        async def attempt(authorization: str) -> aiohttp.ClientResponse:
            try:
                return await self._send(self._watches, call, authorization, limits)
            except FOREIGN_ERRORS as error:
                raise transport_error(error) from error

        return await self._authorized(attempt)

    async def _authorized(self, attempt: Callable[[str], Awaitable[R]]) -> R:
        authorization = await self._credentials.authorization()
        try:
            return await attempt(authorization)
        except errors.Unauthorized:
            if not await self._credentials.renew(authorization):
                raise
        return await attempt(await self._credentials.authorization())

    async def _send(
        self,
        session: aiohttp.ClientSession,
        call: Call,
        authorization: str,
        limits: aiohttp.ClientTimeout,
        is_late: Callable[[], bool] = _is_never_late,
    ) -> aiohttp.ClientResponse:
        """Send a request and return the answer to be read, if it is not a refusal.

        A cancellation is the server's fault only when the request `is_late`.
        """
        if session.closed:
            message = "client is closed"
            raise errors.TransportError(message, sent=False)
        try:
            response = await self._trust.trusting(
                lambda tls: self._request(session, call, authorization, limits, tls)
            )
        except BaseException as error:
            if is_late() or not isinstance(error, asyncio.CancelledError):
                self._observer.unanswered(call.method, relayed=call.relayed)
            raise
        self._observer.answered(call.method, response.status, relayed=call.relayed)
        if self._observe_date is not None and (date := response.headers.get("Date")):
            self._observe_date(date, clock.loop_time())
        if response.status < 300:
            return response
        async with response:
            refusal = await read_all(response)
        raise errors.map_response(
            response.status,
            refusal,
            retry_after=response.headers.get("Retry-After"),
            is_read=call.method == "GET",
        )

    async def _request(
        self,
        session: aiohttp.ClientSession,
        call: Call,
        authorization: str,
        limits: aiohttp.ClientTimeout,
        tls: ssl.SSLContext,
    ) -> aiohttp.ClientResponse:
        query = f"?{urllib.parse.urlencode(call.params)}" if call.params else ""
        headers = self._headers.copy()
        headers[hdrs.ACCEPT] = call.accept
        if authorization:
            headers[hdrs.AUTHORIZATION] = authorization
        if call.body is not None:
            headers[hdrs.CONTENT_TYPE] = call.content_type
        body = None if call.body is None else _Body(call.body, call.guard)
        try:
            return await session.request(
                call.method,
                yarl.URL(f"{self._server}{call.path}{query}", encoded=True),
                data=body,
                headers=headers,
                timeout=limits,
                ssl=tls,
                allow_redirects=False,
                middlewares=() if call.method in _REPEATABLE else _ONCE,
                **self._options,
            )
        except BaseException as error:
            if body is not None and body.sent and type(call.guard) is not fence.NoFence:
                self._unsettled_at = clock.loop_time()
            # What a body raises, aiohttp takes for a failure of the connection.
            lost = isinstance(error, aiohttp.ClientConnectionError)
            if lost and isinstance(error.__cause__, errors.LeaseLost):
                raise error.__cause__ from None
            raise

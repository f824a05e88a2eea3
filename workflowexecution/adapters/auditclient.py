"""Requests to the Data Storage service, and what its answers mean for the records sent.

It keeps no key of ours and stores whatever it is sent, so what counts is whether a request may
have been obeyed: `Unavailable.outcome` says so.

Source: Data Storage OpenAPI (`POST /api/v1/audit/events/batch`, `GET /api/v1/audit/events`).
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import orjson

from workflowexecution.domain import auditevent
from workflowexecution.runtime import credentials, errors, transport, trust

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

    from workflowexecution.domain.auditevent import Event

BATCH_PATH = "/api/v1/audit/events/batch"
QUERY_PATH = "/api/v1/audit/events"

_PAGE = 100
_MAX_PAGES = 20
_MAX_DETAIL = 512
_MAX_ANSWER_BYTES = 16 * 1024 * 1024
# About the way to the server: no record of the batch is to blame. Every other refusal is about what
# is in it, and would be the same for ever.
_ABOUT_THE_WAY = frozenset({401, 403, 404, 405, 407, 408, 410, 415, 421, 425, 426, 429})
_PASSING = frozenset({401, 408, 429})
_GATEWAY_GAVE_UP = frozenset({502, 504})
# Answers of the service itself, or of what guards it, that a record in the request may cause.
_FAILING = frozenset({403, 500, 501, 505, 507})


class Outcome(Enum):
    """What a request that failed has done."""

    NOTHING = "nothing"
    """The server said so, or was never reached."""
    UNKNOWN = "unknown"
    """The server has ended its work, and may have stored everything."""
    UNDECIDED = "undecided"
    """It may still be at work."""


class StoreError(Exception):
    """The records were not acknowledged."""


class Unavailable(StoreError):
    """Not now: to be tried again."""

    def __init__(
        self, message: str, *, outcome: Outcome = Outcome.NOTHING, retry_after_s: float = 0.0
    ) -> None:
        """Say what may have happened, and how long the server asks to be left alone."""
        super().__init__(message)
        self.outcome = outcome
        self.retry_after_s = retry_after_s


class Failing(Unavailable):
    """Not now, and perhaps never: another request may go through, so it is no outage for sure."""


class Silent(Failing):
    """A question had no answer that tells of its record: its own fault, or none gets one."""


class Rejected(StoreError):
    """Never: one of these records at least is not what the server takes."""


class NotAskable(StoreError):
    """The server refuses the query: nobody can know what it has, now or ever."""


class _Request(NamedTuple):
    """A request without what all requests share."""

    method: str
    path: str
    data: bytes | None = None
    params: Mapping[str, str] | None = None


class _Answer(NamedTuple):
    status: int
    body: bytes
    retry_after_s: float


class AuditClient:
    """Talks to one Data Storage service.

    A request has one deadline, second tries included: a rejected token is read again from its file
    once a request, and so are the certificates when the server is not trusted.
    """

    def __init__(
        self,
        *,
        url: str,
        timeout_s: float,
        user_agent: str,
        token_file: str = "",
        ca_file: str = "",
    ) -> None:
        """Open a session; called in the running loop.

        Raises:
            errors.ConnectionConfigError: token or certificates cannot be read.
        """
        self._url = url.rstrip("/")
        self._credentials: credentials.Credentials = (
            credentials.TokenFile(token_file) if token_file else credentials.Fixed()
        )
        self._trust = _load_trust(ca_file)
        self._timeout_s = timeout_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=4),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"User-Agent": user_agent, "Content-Type": "application/json"},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def send(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Send a batch, which is stored as a whole or not at all.

        Raises:
            Unavailable: it is to be tried again, by what its outcome says.
            Failing: of that, what may be the fault of a record.
            Rejected: a record of it is not taken.
        """
        request = _Request("POST", BATCH_PATH, data=orjson.dumps(documents))
        status, body, retry_after_s = await self._exchange(request)
        if status in {200, 201, 202}:
            return
        said = f"{status} {_detail(body)}"
        if 400 <= status < 500 and status not in _ABOUT_THE_WAY:
            raise Rejected(said)
        kind = Failing if status in _FAILING else Unavailable
        raise kind(said, outcome=_outcome(status), retry_after_s=retry_after_s)

    async def find(self, event: Event) -> bool:
        """Whether the server has a record, asked for by correlation id and event type.

        Raises:
            Unavailable: it cannot be told now.
            Failing: of that, what may be the fault of the question; Silent without an answer. Also
                where the answer has no end in sight.
            NotAskable: the question is refused.
        """
        asked = {
            "correlation_id": event.document["correlation_id"],
            "event_type": event.document["event_type"],
            "limit": str(_PAGE),
        }
        for page in range(_MAX_PAGES):
            rows = await self._page({**asked, "offset": str(page * _PAGE)})
            if any(auditevent.is_same(event, row) for row in rows):
                return True
            if len(rows) < _PAGE:
                return False
        # It may be among the rest.
        message = f"query: not among the first {_MAX_PAGES * _PAGE} rows"
        raise Failing(message)

    async def _page(self, asked: Mapping[str, str]) -> list[Any]:
        request = _Request("GET", QUERY_PATH, params=asked)
        try:
            status, body, retry_after_s = await self._exchange(request)
        except Unavailable as error:
            if error.outcome is not Outcome.UNDECIDED:
                raise
            raise Silent(str(error)) from error
        if 400 <= status < 500 and status not in _PASSING:
            message = f"{status} {_detail(body)}"
            raise NotAskable(message)
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        if status != 200 or not isinstance(answer, dict):
            message = f"query: {status} {_detail(body)}"
            raise _kind_of_question(status)(message, retry_after_s=retry_after_s)
        rows = answer.get("data")
        return rows if isinstance(rows, list) else []

    async def _exchange(self, request: _Request) -> _Answer:
        """Send a request and read the answer.

        Raises:
            Unavailable: there is none.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._authorized(request)
        except (aiohttp.ClientConnectorError, UnicodeError) as error:
            # The connection was never made, in the second case as the host can be none.
            raise Unavailable(_words(error)) from error
        except (*transport.FOREIGN_ERRORS, errors.TransportError) as error:
            raise Unavailable(_words(error), outcome=Outcome.UNDECIDED) from error

    async def _authorized(self, request: _Request) -> _Answer:
        """Send a request; once more if the token was rejected and there is another one."""
        authorization = await self._credentials.authorization()
        answer = await self._send(request, authorization)
        if answer.status not in {401, 403} or not await self._credentials.renew(authorization):
            return answer
        return await self._send(request, await self._credentials.authorization())

    async def _send(self, request: _Request, authorization: str) -> _Answer:
        return await self._trust.trusting(lambda tls: self._request(request, authorization, tls))

    async def _request(self, request: _Request, authorization: str, tls: ssl.SSLContext) -> _Answer:
        async with self._session.request(
            request.method,
            self._url + request.path,
            data=request.data,
            params=request.params,
            headers={"Authorization": authorization} if authorization else None,
            ssl=tls,
            allow_redirects=False,
        ) as answer:
            body = await _whole(answer)
            return _Answer(answer.status, body, _seconds(answer.headers.get("Retry-After")))


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    """Read an answer to its end, in however many segments it comes.

    Raises:
        Unavailable: it has no measure.
    """
    body = bytearray()
    while segment := await transport.read_any(answer):
        body += segment
        if len(body) > _MAX_ANSWER_BYTES:
            message = f"{answer.status} with more than {_MAX_ANSWER_BYTES} bytes"
            raise Unavailable(message, outcome=Outcome.UNDECIDED)
    return bytes(body)


def _load_trust(ca_file: str) -> trust.Trust:
    try:
        return trust.Trust(trust.Files(ca=ca_file))
    except OSError as error:
        message = f"datastorage.caFile: {ca_file} cannot be read: {error}"
        raise errors.ConnectionConfigError(message) from error


def _outcome(status: int) -> Outcome:
    if status in _GATEWAY_GAVE_UP:
        return Outcome.UNDECIDED
    return Outcome.UNKNOWN if status >= 500 or status == 408 else Outcome.NOTHING


def _kind_of_question(status: int) -> type[Unavailable]:
    if status in _GATEWAY_GAVE_UP:
        return Silent
    return Failing if status in _FAILING else Unavailable


def _detail(body: bytes) -> str:
    """What a problem document says, else the beginning of the body."""
    try:
        problem = orjson.loads(body)
    except orjson.JSONDecodeError:
        problem = None
    text = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
    return str(text or body[:_MAX_DETAIL].decode("utf-8", "replace"))[:_MAX_DETAIL]


def _seconds(value: str | None) -> float:
    """Read seconds; the date form counts as absent."""
    try:
        seconds = float(value or 0)
    except ValueError:
        return 0.0
    return seconds if 0 < seconds < float("inf") else 0.0


def _words(error: BaseException) -> str:
    # Some texts are the address alone.
    said = str(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__

"""Who we are to the API server, and how that is renewed before and after it expires."""

import asyncio
import datetime
import pathlib
import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

import structlog

from workflowexecution.runtime import clock, errors, waiting

FETCH_LIMIT_S = 30.0
"""A plugin or provider that takes longer has failed."""

_REREAD_S = 60.0
_REFETCH_S = 10.0
_EARLY = datetime.timedelta(minutes=1)
_EARLIER = datetime.timedelta(seconds=90)
_KEEP_EVERY_S = 5.0

# A header holds no line break, and a token no space; the session would raise with every request.
_TOKEN = re.compile(r"[!-~]+")

_log = structlog.get_logger(__name__)


def is_token(text: str) -> bool:
    """Tell whether a text can be a token: RFC 6750 allows less, the API server's own files more."""
    return _TOKEN.fullmatch(text) is not None


def bearer(token: str, holder: str) -> str:
    """Return the header's value for a token, without space around it.

    Args:
        token: the token.
        holder: what it was found in, for people.

    Raises:
        errors.ConnectionConfigError: it is none. The text holds nothing of it.
    """
    token = token.strip()
    if not is_token(token):
        what = (
            "a line break, a space or another character that no token has" if token else "nothing"
        )
        message = f"the token of {holder} holds {what}"
        raise errors.ConnectionConfigError(message)
    return f"Bearer {token}"


class Credentials(Protocol):
    """Source of the Authorization header."""

    async def authorization(self) -> str:
        """Return the header's value now, renewed when that is due; empty: send none."""

    async def renew(self, rejected: str) -> bool:
        """Try to replace a value that the server rejected; tell whether there is another now."""

    async def keep(self) -> None:
        """Renew before that is due, so that no request waits for it; until cancelled."""

    async def close(self) -> None:
        """End what is under way; whoever waits for it goes on with what there is."""


class Fixed:
    """A value that never changes: an inline token, a password, or nothing at all."""

    def __init__(self, authorization: str = "") -> None:
        """Keep the header's value."""
        self._authorization = authorization

    async def authorization(self) -> str:
        """Return the value."""
        return self._authorization

    async def renew(self, rejected: str) -> bool:
        """Know nothing better."""
        return self._authorization != rejected

    async def keep(self) -> None:
        """Have nothing to do."""
        await waiting.forever()

    async def close(self) -> None:
        """Have nothing to end."""


class TokenFile:
    """A token that somebody else keeps fresh in a file, as the kubelet does.

    It is read each minute and whenever it was rejected. A file that cannot be read, is empty as in
    the moment of its replacement, or holds what is no token, leaves the old one in use.
    """

    def __init__(self, path: str) -> None:
        """Read the file for the first time.

        Raises:
            errors.ConnectionConfigError: there is no token to begin with.
        """
        self._path = pathlib.Path(path)
        self._authorization = ""
        self._reread_at = 0.0
        self._read()
        if not self._authorization:
            message = f"token file {path} is missing, unreadable, empty or no token"
            raise errors.ConnectionConfigError(message)

    async def authorization(self) -> str:
        """Return the token as a header's value."""
        now = clock.loop_time()
        if now >= self._reread_at:
            self._reread_at = now + _REREAD_S
            self._read()
        return self._authorization

    async def renew(self, rejected: str) -> bool:
        """Read the file at once."""
        self._read()
        return self._authorization != rejected

    async def keep(self) -> None:
        """Leave it to the requests, which read the file themselves."""
        await waiting.forever()

    async def close(self) -> None:
        """Have nothing to end."""

    def _read(self) -> None:
        """Take over what the file holds; a small local read that is not worth a thread."""
        try:
            token = self._path.read_text(encoding="ascii").strip()
            if token:
                self._authorization = bearer(token, "the file")
        except (OSError, UnicodeError, errors.ConnectionConfigError) as error:
            _log.warning("Token file cannot be read", path=str(self._path), error=str(error))


class Fetched(NamedTuple):
    """A header's value and until when it holds (None: not known)."""

    authorization: str
    expires_at: datetime.datetime | None = None


class FetchedToken:
    """A token from a program or a provider, fetched again a minute before it expires.

    Only one fetch runs at a time and at most one in ten seconds. Who comes meanwhile goes with the
    old token while it holds, else waits. A fetch that fails leaves the old token in use, and the
    server judges it. With `keep` the fetch begins half a minute earlier and no request waits for
    it.

    A fetch is nobody's: it is a task of its own, which goes on when whoever began it gives up, and
    ends with `close`. Else a deadline that is shorter than the plugin takes would end each fetch in
    the middle, again and again, and no token would ever come.
    """

    def __init__(
        self,
        *,
        first: Fetched,
        fetch: Callable[[], Awaitable[Fetched]],
        now: Callable[[], datetime.datetime],
    ) -> None:
        """Begin with what was fetched to connect.

        Args:
            first: the token to begin with.
            fetch: gets another; raises errors.ConnectionConfigError when it cannot.
            now: the wall time, in UTC.
        """
        self._token = first
        self._fetch = fetch
        self._now = now
        self._fetching: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._closed = False

    async def authorization(self) -> str:
        """Return the token as a header's value."""
        expires_at = self._token.expires_at
        if expires_at is None or self._now() < expires_at - _EARLY:
            return self._token.authorization
        if self._now() >= expires_at or self._fetching is None:
            await self._refresh(self._token.authorization)
        return self._token.authorization

    async def renew(self, rejected: str) -> bool:
        """Fetch another token, unless somebody has just done so."""
        await self._refresh(rejected)
        return self._token.authorization != rejected

    async def keep(self) -> None:
        """Fetch another token in time, again and again."""
        while True:
            expires_at = self._token.expires_at
            if expires_at is not None and self._now() >= expires_at - _EARLIER:
                await self._refresh(self._token.authorization)
            await asyncio.sleep(_KEEP_EVERY_S)

    async def close(self) -> None:
        """End the fetch that is under way, and begin no other."""
        self._closed = True
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait((self._fetching,))

    async def _refresh(self, known: str) -> None:
        """Have another token fetched, or wait until it is, if the known one is still in use."""
        if self._closed or self._token.authorization != known:
            return
        if self._fetching is None:
            loop = asyncio.get_running_loop()
            if loop.time() < self._not_before:
                return
            self._not_before = loop.time() + _REFETCH_S
            self._fetching = loop.create_task(self._take_another(), name="fetch-credentials")
        fetching = self._fetching
        # Unlike an await of the task itself this does not end it with whoever waits.
        await asyncio.wait((fetching,))
        if not fetching.cancelled():
            fetching.result()

    async def _take_another(self) -> None:
        try:
            self._token = await self._fetch()
        except errors.ConnectionConfigError as error:
            _log.warning("Credentials cannot be renewed", error=str(error))
        finally:
            self._fetching = None

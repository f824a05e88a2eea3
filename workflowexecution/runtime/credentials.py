"""Who we are to the API server, and how that is renewed before and after it expires."""

import asyncio
import datetime
import os
import pathlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

import orjson
import structlog

from workflowexecution.runtime import errors, resource

FETCH_LIMIT_S = 30.0
"""A plugin or provider that takes longer has failed."""

_REREAD_S = 60.0
_REFETCH_S = 10.0
_EARLY = datetime.timedelta(minutes=1)
_EARLIER = datetime.timedelta(seconds=90)
_KEEP_EVERY_S = 5.0
_STDERR_CHARS = 200

_log = structlog.get_logger(__name__)


class Credentials(Protocol):
    """Source of the Authorization header."""

    async def authorization(self) -> str:
        """Return the header's value now, renewed when that is due; empty: send none."""

    async def renew(self, rejected: str) -> bool:
        """Try to replace a value that the server rejected; tell whether there is another now."""

    async def keep(self) -> None:
        """Renew before that is due, so that no request waits for it; until cancelled."""


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
        await _forever()


class TokenFile:
    """A token that somebody else keeps fresh in a file, as the kubelet does.

    It is read each minute and whenever it was rejected. A file that cannot be read, or is empty as
    in the moment of its replacement, leaves the old token in use.
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
            message = f"token file {path} is missing, unreadable or empty"
            raise errors.ConnectionConfigError(message)

    async def authorization(self) -> str:
        """Return the token as a header's value."""
        now = asyncio.get_running_loop().time()
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
        await _forever()

    def _read(self) -> None:
        """Take over what the file holds; a small local read that is not worth a thread."""
        try:
            token = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeError) as error:
            _log.warning("Token file cannot be read", path=str(self._path), error=str(error))
            return
        if token:
            self._authorization = f"Bearer {token}"


class Fetched(NamedTuple):
    """A header's value and until when it holds (None: not known)."""

    authorization: str
    expires_at: datetime.datetime | None = None


class FetchedToken:
    """A token from a program or a provider, fetched again a minute before it expires.

    Only one fetch runs at a time and at most one in ten seconds. Who comes meanwhile goes with the
    old token while it holds, else waits. A fetch that fails leaves the old token in use, and the
    server judges it. With `keep` the fetch begins half a minute earlier and no request waits for
    it: a slow plugin does not outlast the deadline of the one that happened to come first.
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
        self._lock = asyncio.Lock()
        self._not_before = 0.0

    async def authorization(self) -> str:
        """Return the token as a header's value."""
        expires_at = self._token.expires_at
        if expires_at is None or self._now() < expires_at - _EARLY:
            return self._token.authorization
        if self._now() >= expires_at or not self._lock.locked():
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

    async def _refresh(self, known: str) -> None:
        async with self._lock:
            loop = asyncio.get_running_loop()
            if self._token.authorization != known or loop.time() < self._not_before:
                return
            self._not_before = loop.time() + _REFETCH_S
            try:
                self._token = await self._fetch()
            except errors.ConnectionConfigError as error:
                _log.warning("Credentials cannot be renewed", error=str(error))


class ExecPlugin:
    """A credential plugin of a kubeconfig's user.

    Source: kubernetes.io/docs/reference/access-authn-authz/authentication, client-go credential
    plugins.
    """

    def __init__(self, spec: Mapping[str, Any], *, folder: str, environ: Mapping[str, str]) -> None:
        """Take over the `exec` section.

        Args:
            spec: the section.
            folder: where the kubeconfig lies; a relative path with a slash starts there.
            environ: the environment that the section's own variables are added to.

        Raises:
            errors.ConnectionConfigError: the section lacks what it must have.
        """
        try:
            self._api_version = str(spec["apiVersion"])
            command = str(spec["command"])
            arguments = [str(argument) for argument in spec.get("args") or ()]
            added = {str(item["name"]): str(item["value"]) for item in spec.get("env") or ()}
        except (KeyError, TypeError) as error:
            message = "exec section of the kubeconfig is malformed"
            raise errors.ConnectionConfigError(message) from error
        if "/" in command:
            command = os.path.join(folder, command)  # noqa: PTH118 - may be absolute already
        self._command = (command, *arguments)
        info = {
            "apiVersion": self._api_version,
            "kind": "ExecCredential",
            "spec": {"interactive": False},
        }
        self._environ = {**environ, **added, "KUBERNETES_EXEC_INFO": orjson.dumps(info).decode()}

    async def run(self) -> resource.JsonObject:
        """Run the plugin once, for at most `FETCH_LIMIT_S`, and return its `status`.

        Raises:
            errors.ConnectionConfigError: it cannot be run, fails, or answers nonsense.
        """
        try:
            async with asyncio.timeout(FETCH_LIMIT_S):
                code, output, complaint = await self._communicate()
        except TimeoutError as error:
            message = f"credential plugin took longer than {FETCH_LIMIT_S:.0f} s"
            raise errors.ConnectionConfigError(message) from error
        except OSError as error:
            message = f"credential plugin cannot be run: {error}"
            raise errors.ConnectionConfigError(message) from error
        if code != 0:
            said = complaint.decode("utf-8", "replace").strip()[-_STDERR_CHARS:]
            message = f"credential plugin ended with code {code}: {said}"
            raise errors.ConnectionConfigError(message)
        return self._status(output)

    async def _communicate(self) -> tuple[int | None, bytes, bytes]:
        """Read both pipes together, so that a talkative plugin does not block on one."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            output, complaint = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            # A killed process ends at once; without the wait it stays a zombie.
            await process.wait()
            raise
        return process.returncode, output, complaint

    def _status(self, output: bytes) -> resource.JsonObject:
        try:
            answer = orjson.loads(output)
        except orjson.JSONDecodeError:
            # The cause would quote the output, which holds the secret.
            message = "credential plugin did not answer with JSON"
            raise errors.ConnectionConfigError(message) from None
        if not isinstance(answer, dict) or answer.get("apiVersion") != self._api_version:
            message = "credential plugin answered with another API version"
            raise errors.ConnectionConfigError(message)
        status = answer.get("status")
        if not isinstance(status, dict):
            message = "credential plugin answered without a status"
            raise errors.ConnectionConfigError(message)
        return status


def token_of(status: resource.JsonObject) -> Fetched:
    """Read the token of a plugin's status.

    Raises:
        errors.ConnectionConfigError: there is none, or its expiry is not a time.
    """
    token = status.get("token")
    if not isinstance(token, str) or not token.strip():
        message = "credential plugin gave no token"
        raise errors.ConnectionConfigError(message)
    expiry = status.get("expirationTimestamp")
    try:
        expires_at = None if expiry is None else datetime.datetime.fromisoformat(expiry)
    except (TypeError, ValueError) as error:
        message = "credential plugin gave an expiry that is not a time"
        raise errors.ConnectionConfigError(message) from error
    if expires_at is not None and expires_at.tzinfo is None:
        expires_at = expires_at.replace(tzinfo=datetime.UTC)
    return Fetched(f"Bearer {token.strip()}", expires_at)


async def _forever() -> None:
    await asyncio.get_running_loop().create_future()

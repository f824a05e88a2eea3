"""Credential plugins: programs that a kubeconfig names, and what they answer."""

import asyncio
import contextlib
import datetime
import os
import signal
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from workflowexecution.runtime import credentials, errors, resource

_STDERR_CHARS = 200
_STDOUT = 1
_KILLED_WITHIN_S = 1.0
"""A killed process ends at once, unless the kernel holds it, as for a disk that is away."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class _Listener(asyncio.SubprocessProtocol):
    """What a plugin says, and when it has ended.

    With an `asyncio.subprocess.Process` nobody can stop listening: its end is told only when the
    pipes are closed, which the plugin's children hold too.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.output = bytearray()
        self.complaint = bytearray()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        """It has exited, and both pipes are closed."""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        heard = self.output if fd == _STDOUT else self.complaint
        heard += data

    def process_exited(self) -> None:
        self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


class ExecPlugin:
    """A credential plugin of a kubeconfig's user.

    It runs in a session, and so a process group, of its own: when it is given up it ends with all
    that it has begun, such as a browser's helper or a command that a script waits for.

    Source: kubernetes.io/docs/reference/access-authn-authz/authentication, client-go credential
    plugins.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        *,
        folder: str,
        environ: Mapping[str, str],
        cluster: resource.JsonObject | None = None,
    ) -> None:
        """Take over the `exec` section.

        Args:
            spec: the section.
            folder: where the kubeconfig lies; a relative path with a slash starts there.
            environ: the environment that the section's own variables are added to.
            cluster: what it is told of the cluster; None: nothing.

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
            "spec": {"interactive": False, **({"cluster": cluster} if cluster else {})},
        }
        self._environ = {**environ, **added, "KUBERNETES_EXEC_INFO": orjson.dumps(info).decode()}

    async def run(self) -> resource.JsonObject:
        """Run the plugin once, for at most `credentials.FETCH_LIMIT_S`, and return its `status`.

        Raises:
            errors.ConnectionConfigError: it cannot be run, fails, or answers nonsense.
        """
        try:
            async with asyncio.timeout(credentials.FETCH_LIMIT_S):
                code, output, complaint = await self._communicate()
        except TimeoutError as error:
            message = f"credential plugin took longer than {credentials.FETCH_LIMIT_S:.0f} s"
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
        transport, listener = await asyncio.get_running_loop().subprocess_exec(
            _Listener,
            *self._command,
            env=self._environ,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            await asyncio.wait((listener.ended,))
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(transport.get_pid(), signal.SIGKILL)
            # Without the wait it stays a zombie.
            await asyncio.wait((listener.exited,), timeout=_KILLED_WITHIN_S)
            raise
        finally:
            # A child that has left the group lives on, and holds the other ends of the pipes.
            transport.close()
            await asyncio.wait((listener.ended,), timeout=_KILLED_WITHIN_S)
        return transport.get_returncode(), bytes(listener.output), bytes(listener.complaint)

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


def token_of(status: resource.JsonObject) -> credentials.Fetched:
    """Read the token of a plugin's status.

    Raises:
        errors.ConnectionConfigError: there is none, it can be none, or its expiry is not a time.
    """
    token = status.get("token")
    if not isinstance(token, str) or not token.strip():
        message = "credential plugin gave no token"
        raise errors.ConnectionConfigError(message)
    return credentials.Fetched(
        credentials.bearer(token, "the credential plugin"), expiry_of(status)
    )


class Certificate(NamedTuple):
    """What a plugin gives to be shown to the server, as PEM texts."""

    certificate: str
    key: str


def certificate_of(status: resource.JsonObject) -> Certificate | None:
    """Read the client certificate of a plugin's status; None: there is none.

    Raises:
        errors.ConnectionConfigError: it lacks its key, or the key it.
    """
    found = status.get("clientCertificateData"), status.get("clientKeyData")
    if not any(found):
        return None
    certificate, key = found
    if not (isinstance(certificate, str) and certificate and isinstance(key, str) and key):
        message = "credential plugin gave a client certificate without its key, or the reverse"
        raise errors.ConnectionConfigError(message)
    return Certificate(certificate, key)


def expiry_of(status: resource.JsonObject) -> datetime.datetime | None:
    """Read until when a plugin's answer holds; None: it does not say.

    Go's zero time, of the year 1, says nothing: what is written in Go prints it for a time that was
    never set. No token ended before there were clocks that could tell.

    Raises:
        errors.ConnectionConfigError: it is not a time.

    Source: client-go plugin/pkg/client/auth/exec/exec.go, `certsExpired`.
    """
    expiry = status.get("expirationTimestamp")
    if expiry is None:
        return None
    try:
        expires_at = datetime.datetime.fromisoformat(expiry)
    except (TypeError, ValueError) as error:
        message = "credential plugin gave an expiry that is not a time"
        raise errors.ConnectionConfigError(message) from error
    if expires_at.tzinfo is None:
        expires_at = expires_at.replace(tzinfo=datetime.UTC)
    return expires_at if expires_at >= _EPOCH else None

"""The error tree of the runtime, and how answers of the API server map to it.

::

    Exception
    |- ClusterError               talking to the cluster did not give what was asked for
    |  |- ApiError                the server answered, and refused
    |  |  |- BadRequest           400
    |  |  |- Unauthorized         401  after the credentials were renewed once
    |  |  |- Forbidden            403
    |  |  |  `- Unreadable        403  for a read: says nothing about what was asked for
    |  |  |- NotFound             404  the object is not there
    |  |  |- EndpointMissing      404  the API itself is not there: says nothing about any object
    |  |  |- Conflict             409  a precondition failed
    |  |  |- AlreadyExists        409  the name is taken
    |  |  |- Gone                 410  version or page token expired
    |  |  |- TooLarge             413  and the 500s by which etcd and gRPC say the same
    |  |  |- Invalid              422
    |  |  |- Throttled            429
    |  |  `- ServerError          5xx and every other status
    |  |- TransportError          no usable answer: the outcome of a write is unknown
    |  |- ConnectionConfigError   the way to the cluster is not configured, or wrongly
    |  `- LeaseLost               this process may not write any more
    `- TerminalError              the reconcile can never succeed; it is not retried
"""

import dataclasses
from typing import Any

import orjson

from workflowexecution.runtime import resource

_TOO_LARGE_TEXTS = ("request is too large", "message larger than max")
_MAX_TEXT = 512
# API servers ask for a second, or a few. Whoever asks for a day is a proxy that is set up wrongly,
# and to obey it would stop a watch, the events or an execution for long after it is mended.
_MAX_RETRY_AFTER_S = 60.0


class ClusterError(Exception):
    """Talking to the cluster did not give what was asked for."""


class TransportError(ClusterError):
    """No usable answer came: the outcome of a write is unknown.

    ``sent`` is False when the connection was never made, so that nothing can have happened.
    ``silent`` is True when it was given up since no byte came for longer than was allowed.
    """

    def __init__(self, message: str, *, sent: bool = True, silent: bool = False) -> None:
        """Describe the failure; ``message`` holds no credential and no body."""
        super().__init__(message)
        self.sent = sent
        self.silent = silent


class ConnectionConfigError(ClusterError):
    """The way to the cluster (kubeconfig, service account) is missing or wrong."""


class LeaseLost(ClusterError):
    """The lease may have ended: this process must not write."""


class TerminalError(Exception):
    """The reconcile can never succeed with this object; it is not retried."""


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """What the server said when it refused.

    ``reason`` and ``causes`` are the machine-readable reasons of a Status, ``is_status`` says
    whether the body was one, ``is_read`` whether nothing more was asked for than to read.
    """

    status: int
    reason: str = ""
    message: str = ""
    retry_after_s: float | None = None
    causes: tuple[str, ...] = ()
    is_status: bool = False
    is_read: bool = False


class ApiError(ClusterError):
    """The server answered, and refused. Subclasses say how; attributes say what it answered."""

    def __init__(self, refusal: Refusal) -> None:
        """Keep the refusal; its message becomes the error's text."""
        super().__init__(f"{refusal.status} {refusal.reason}: {refusal.message}")
        self.status = refusal.status
        self.reason = refusal.reason
        self.message = refusal.message
        self.retry_after_s = refusal.retry_after_s
        self.causes = refusal.causes
        self.is_status = refusal.is_status

    @property
    def resource_version_too_large(self) -> bool:
        """Whether the asked version lies ahead of the server, as after a restore of etcd."""
        return "ResourceVersionTooLarge" in self.causes


class BadRequest(ApiError):
    """400: the request makes no sense to the server."""


class Unauthorized(ApiError):
    """401, although the credentials were renewed and the call repeated once."""


class Forbidden(ApiError):
    """403: not allowed, or not possible in a namespace that is going away."""

    @property
    def namespace_terminating(self) -> bool:
        """Whether the namespace is being deleted: no grant of rights would help."""
        return "NamespaceTerminating" in self.causes


class Unreadable(Forbidden):
    """403 for a read: nothing is known of what was asked for."""


class NotFound(ApiError):
    """404 with a Status: the object, or the namespace to create it in, is not there."""


class EndpointMissing(ApiError):
    """404 without a Status: the API is not served. No statement about any object."""


class Conflict(ApiError):
    """409: the object has changed, or another precondition failed."""


class AlreadyExists(ApiError):
    """409 with reason AlreadyExists: the name is taken."""


class Gone(ApiError):
    """410, or reason Expired: the version or the page token is too old."""


class TooLarge(ApiError):
    """413, or a 500 in which etcd or gRPC say that the object is too large. Never retryable."""


class Invalid(ApiError):
    """422: the object breaks its schema or an admission rule."""


class Throttled(ApiError):
    """429: the server asks to come back after ``retry_after_s``, at most a minute, or None."""

    @property
    def storage_starting(self) -> bool:
        """Whether the server has only just found its database, or found it again.

        Source: apiserver storage/cacher/cacher.go, which has no other sign of it than its words.
        """
        return "storage is (re)initializing" in self.message


class ServerError(ApiError):
    """5xx, and every status that has no class of its own."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: EndpointMissing,
    409: Conflict,
    410: Gone,
    413: TooLarge,
    422: Invalid,
    429: Throttled,
}


def _classify(refusal: Refusal) -> type[ApiError]:
    if refusal.status == 403 and refusal.is_read:
        return Unreadable
    if refusal.reason in {"Expired", "Gone"}:
        return Gone
    if refusal.status == 404 and refusal.is_status:
        return NotFound
    if refusal.status == 409 and refusal.reason == "AlreadyExists":
        return AlreadyExists
    if refusal.status == 500 and any(text in refusal.message for text in _TOO_LARGE_TEXTS):
        return TooLarge
    return _BY_STATUS.get(refusal.status, ServerError)


def _text(value: Any) -> str:  # noqa: ANN401 - raw JSON enters here
    return value[:_MAX_TEXT] if isinstance(value, str) else ""


def _retry_after(value: Any) -> float | None:  # noqa: ANN401 - a header's text or raw JSON
    """Read seconds, bounded; the date form is not used by API servers and counts as absent."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return min(seconds, _MAX_RETRY_AFTER_S) if 0 < seconds < float("inf") else None


def map_status(
    body: resource.JsonObject,
    *,
    status: int = 0,
    retry_after: str | None = None,
    is_read: bool = False,
) -> ApiError:
    """Turn a Status object into an error; odd or missing fields are taken as empty.

    Args:
        body: the Status, from an answer or from an ERROR event.
        status: HTTP status of the answer, which counts more than the body's code; 0 when there is
            none, as in an ERROR event.
        retry_after: the Retry-After header, which counts more than the body's.
        is_read: whether a read was refused.
    """
    details = body.get("details")
    if not isinstance(details, dict):
        details = {}
    causes = details.get("causes")
    code = body.get("code")
    refusal = Refusal(
        status=status or (code if isinstance(code, int) else 500),
        reason=_text(body.get("reason")),
        message=_text(body.get("message")),
        retry_after_s=_retry_after(retry_after) or _retry_after(details.get("retryAfterSeconds")),
        causes=tuple(
            _text(cause.get("reason"))
            for cause in (causes if isinstance(causes, list) else ())
            if isinstance(cause, dict)
        ),
        is_status=True,
        is_read=is_read,
    )
    return _classify(refusal)(refusal)


def map_response(
    status: int, body: bytes, *, retry_after: str | None = None, is_read: bool = False
) -> ApiError:
    """Turn a refusing answer into an error: by status and headers, the body only if a Status.

    Under load and through proxies, refusals are plain text or HTML.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    if isinstance(parsed, dict) and parsed.get("kind") == "Status":
        return map_status(parsed, status=status, retry_after=retry_after, is_read=is_read)
    text = body[: 4 * _MAX_TEXT].decode("utf-8", "replace").strip()[:_MAX_TEXT]
    refusal = Refusal(
        status=status, message=text, retry_after_s=_retry_after(retry_after), is_read=is_read
    )
    return _classify(refusal)(refusal)

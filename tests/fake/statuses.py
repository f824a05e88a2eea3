"""The error bodies of a kube-apiserver, word for word as the real one sends them."""

from typing import Any

JsonObject = dict[str, Any]


class StatusError(Exception):
    """A refusal that the server answers as a `Status` object."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: JsonObject | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.headers = headers or {}
        self.body = build_status(code, reason, message, details)


class UnknownPath(Exception):
    """No API is served under that path: plain text 404, not a Status."""


def build_status(
    code: int, reason: str, message: str, details: JsonObject | None = None
) -> JsonObject:
    """Return a failure `Status`; an empty reason is left out, as the real server does."""
    body: JsonObject = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
    }
    if reason:
        body["reason"] = reason
    if details is not None:
        body["details"] = details
    body["code"] = code
    return body


def build_success(details: JsonObject) -> JsonObject:
    """Return the `Status` that answers a completed delete."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }


def build_details(group: str, kind: str, name: str = "") -> JsonObject:
    """Return `details` of a Status; empty parts are left out."""
    parts = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in parts.items() if value}


def qualify(group: str, name: str) -> str:
    """Return `name.group`, or the name alone in the core group."""
    return f"{name}.{group}" if group else name


def bad_request(message: str) -> StatusError:
    """A request that cannot be understood."""
    return StatusError(400, "BadRequest", message)


def not_found(group: str, plural: str, name: str) -> StatusError:
    """No object of that name."""
    message = f'{qualify(group, plural)} "{name}" not found'
    return StatusError(404, "NotFound", message, details=build_details(group, plural, name))


def already_exists(group: str, plural: str, name: str) -> StatusError:
    """The name is taken."""
    message = f'{qualify(group, plural)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, details=build_details(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str) -> StatusError:
    """A precondition does not hold."""
    message = f'Operation cannot be fulfilled on {qualify(group, plural)} "{name}": {why}'
    return StatusError(409, "Conflict", message, details=build_details(group, plural, name))


def invalid(group: str, kind: str, name: str, *causes: tuple[str, str, str]) -> StatusError:
    """Validation failed; each cause is (reason, message, field)."""
    listed = [{"reason": r, "message": m, "field": f} for r, m, f in causes]
    texts = [f"{f}: {m}" for _, m, f in causes]
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    message = f'{qualify(group, kind)} "{name}" is invalid: {text}'
    details = build_details(group, kind, name) | {"causes": listed}
    return StatusError(422, "Invalid", message, details=details)


def forbidden(group: str, plural: str, name: str, why: str, *causes: JsonObject) -> StatusError:
    """Not allowed; `causes` go into the details as they are."""
    subject = qualify(group, plural) + (f' "{name}"' if name else "")
    details = build_details(group, plural, name)
    if causes:
        details["causes"] = list(causes)
    return StatusError(403, "Forbidden", f"{subject} is forbidden: {why}", details=details)


def namespace_terminating(group: str, plural: str, name: str, namespace: str) -> StatusError:
    """A create in a namespace that is going away."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    return forbidden(group, plural, name, why, cause)


def unauthorized() -> StatusError:
    """No or an unknown bearer token."""
    return StatusError(401, "Unauthorized", "Unauthorized")


def version_too_large(asked: int, current: int) -> StatusError:
    """A list asks for a version that does not exist yet."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return StatusError(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {asked}, current: {current}",
        details={"causes": [cause], "retryAfterSeconds": 1},
        headers={"Retry-After": "1"},
    )


def expired_version(asked: int, oldest: int) -> JsonObject:
    """Return the Status object of the ERROR event for a version that is no longer kept."""
    return build_status(410, "Expired", f"too old resource version: {asked} ({oldest})")


def expired_continue() -> StatusError:
    """A page token whose list can no longer be told consistently."""
    return StatusError(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. "
        "You can start a new list without the continue parameter.",
    )


def too_large(size: int, *, limit: int, etcd_limit: int, grpc_limit: int) -> StatusError | None:
    """Return the refusal that fits a body of `size` bytes, if any.

    Below the request limit it is etcd that refuses, which shows as a 500 without a reason.
    """
    if size > limit:
        message = f"Request entity too large: limit is {limit}"
        return StatusError(413, "RequestEntityTooLarge", message)
    if size > grpc_limit:
        message = (
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max "
            f"({size} vs. {grpc_limit})"
        )
        return StatusError(500, "", message)
    if size > etcd_limit:
        return StatusError(500, "", "etcdserver: request is too large")
    return None

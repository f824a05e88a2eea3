"""The apiserver's audit log as the witness of who asked for what, and when."""

import collections
import dataclasses
import datetime
from collections.abc import Iterable
from pathlib import Path

import orjson

from tests.support import auditfile

_BAD_REQUEST = 400
_FINISHED = frozenset({"ResponseComplete", "Panic"})


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One answered request; times in seconds since the epoch, exact to the microsecond.

    `resource` includes the subresource, as `workflowexecutions/status`; a request for no resource
    has its path there.
    """

    agent: str
    verb: str
    resource: str
    name: str
    code: int
    received: float
    answered: float

    @property
    def kind(self) -> str:
        """Return verb and resource, by which requests are counted."""
        return f"{self.verb} {self.resource}"

    @property
    def succeeded(self) -> bool:
        """Tell whether the request did what it asked for."""
        return self.code < _BAD_REQUEST


class AuditLog:
    """Reads a growing audit log, each line once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.requests: list[Request] = []

    def refresh(self) -> list[Request]:
        """Return the requests that were answered since the last call, watches left out."""
        lines = auditfile.lines(self._path, self._offset)
        self._offset += sum(len(line) + 1 for line in lines)
        parsed = (_parse(line) for line in lines)
        new = [request for request in parsed if request is not None]
        self.requests += new
        return new


def by_kind(requests: Iterable[Request]) -> dict[str, int]:
    """Count requests by verb and resource, the most frequent first."""
    return dict(collections.Counter(request.kind for request in requests).most_common())


def _parse(line: bytes) -> Request | None:
    event = orjson.loads(line)
    if event["stage"] not in _FINISHED or event["verb"] == "watch":
        return None
    reference = event.get("objectRef", {})
    resource = reference.get("resource") or event["requestURI"]
    if subresource := reference.get("subresource"):
        resource += f"/{subresource}"
    return Request(
        agent=event.get("userAgent", ""),
        verb=event["verb"],
        resource=resource,
        name=reference.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        received=_seconds(event["requestReceivedTimestamp"]),
        answered=_seconds(event["stageTimestamp"]),
    )


def _seconds(timestamp: str) -> float:
    return datetime.datetime.fromisoformat(timestamp).timestamp()

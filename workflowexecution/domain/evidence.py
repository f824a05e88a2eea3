"""Evidence of a failure: the end of a step's log, and the events of its pod that matter.

Kept in the status, since pods and events go. Secrets are blanked before a text is cut to its
budget, so no cut lets a half of one through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workflowexecution.api import raw as rawjson
from workflowexecution.api import times
from workflowexecution.api.status import PodEvent
from workflowexecution.domain import logend, podevents, redaction, text

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Mapping

MAX_LOG_BYTES = 4096
MAX_LOG_LINES = 500
MAX_EVENTS = 10
MAX_EVENT_BYTES = 512

# What a kubelet answers in the place of the log of a container that is gone: the status is 200 by
# then. Source: kubernetes 1.34, pkg/kubelet/kuberuntime, `GetContainerLogs` and `ReadLogs`.
_NO_LOG = re.compile(
    r"(?:unable to retrieve container logs for [a-z\-]+://\w+"
    r"|failed to try resolving symlinks in path \"[^\"\n]+\": [^\n]+: no such file or directory)\s*"
)
# The part of the pod that an event is about, where that is a container.
_CONTAINER = re.compile(r"spec\.(?:containers|(?P<init>initContainers))\{(?P<name>.+)\}")


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose events are wanted: each run on a target gives its pods the same names.

    Attributes:
        uid: of the pod; empty where it was not read.
        since: when its task was created. An event object is of one pod, and what was written before
            is of an earlier run's.
        settled: containers of it that have begun: what had kept them from it is over.
    """

    uid: str = ""
    since: datetime.datetime | None = None
    settled: frozenset[str] = frozenset()


def is_no_log(text: str) -> bool:
    """Whether a kubelet says in the place of a log that it has none any more."""
    return _NO_LOG.fullmatch(text) is not None


def log_tail(log: str) -> tuple[str, bool]:
    """The redacted end of a log within its budget, and whether something was cut off before it."""
    # Before it is redacted: colours hide what belongs together.
    log = text.plain(log)
    # Counted before that, too: a key of many lines is one word then.
    whole = log.rstrip("\n")
    is_short = whole.count("\n") >= MAX_LOG_LINES
    end, is_end = logend.redacted(whole)
    lines = end.rstrip("\n").split("\n")
    tail, is_cut = text.tail("\n".join(lines[-MAX_LOG_LINES:]), MAX_LOG_BYTES)
    return tail, is_cut or is_end or is_short


def pod_events(raws: Iterable[Mapping[str, Any]], origin: Origin) -> tuple[PodEvent, ...]:
    """The events that tell what befell a pod, the latest last."""
    telling = (raw for raw in raws if raw.get("reason") in podevents.TELLING)
    found = sorted((raw for raw in telling if _is_of(raw, origin)), key=_rank)
    return tuple(_event(raw) for raw in found[-MAX_EVENTS:])


def _rank(raw: Mapping[str, Any]) -> tuple[float, str]:
    seen = _last_seen(raw)
    return seen.timestamp() if seen else 0.0, str(raw.get("reason"))


def _is_of(raw: Mapping[str, Any], origin: Origin) -> bool:
    """Whether an event is about this pod, not about an earlier one of its name."""
    involved = rawjson.mapping(raw.get("involvedObject"))
    if _is_settled(rawjson.text(involved.get("fieldPath")), origin):
        return False
    if origin.uid:
        return involved.get("uid") == origin.uid
    if origin.since is None:
        return True
    # By the server's clock where it can be: the other times are those of whoever tells.
    made = times.parse(rawjson.mapping(raw.get("metadata")).get("creationTimestamp"))
    at = made or _last_seen(raw)
    return at is not None and at >= origin.since


def _is_settled(path: str, origin: Origin) -> bool:
    """Whether an event is about a container that has begun.

    Those that prepare a pod are over when its first step begins; a sidecar may be among them.
    """
    container = _CONTAINER.fullmatch(path)
    if container is None:
        return False
    if container["init"] and not container["name"].startswith("sidecar-"):
        return any(it.startswith("step-") for it in origin.settled)
    return container["name"] in origin.settled


def _last_seen(raw: Mapping[str, Any]) -> datetime.datetime | None:
    again = rawjson.mapping(raw.get("series"))
    seen = (
        raw.get("lastTimestamp"), again.get("lastObservedTime"), raw.get("eventTime"),
        raw.get("firstTimestamp"),
    )  # fmt: skip
    return next((when for it in seen if (when := times.parse(it))), None)


def _event(raw: Mapping[str, Any]) -> PodEvent:
    count = raw.get("count") or rawjson.mapping(raw.get("series")).get("count")
    return PodEvent(
        reason=str(raw.get("reason")),
        message=text.cut(redaction.redact(str(raw.get("message") or "")), MAX_EVENT_BYTES),
        count=count if isinstance(count, int) else None,
        last_seen=_last_seen(raw),
    )

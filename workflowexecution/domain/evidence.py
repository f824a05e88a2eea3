"""Evidence of a failure: the end of a step's log, and the events of its pod that matter.

Kept in the status, since pods and events go. Secrets are blanked before anything is cut, so no cut
lets a half of one through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workflowexecution.api import tekton
from workflowexecution.api.status import PodEvent
from workflowexecution.domain import redaction, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_LOG_BYTES = 4096
MAX_EVENTS = 10
MAX_EVENT_BYTES = 512

# What happened to a pod from outside, or kept it from starting; a normal life is no evidence.
_TELLING = frozenset({
    "BackOff",
    "Evicted",
    "ExceededGracePeriod",
    "Failed",
    "FailedAttachVolume",
    "FailedCreatePodSandBox",
    "FailedMount",
    "FailedScheduling",
    "InspectFailed",
    "NodeNotReady",
    "NodeShutdown",
    "OOMKilling",
    "Preempted",
    "Preempting",
    "SystemOOM",
    "TaintManagerEviction",
    "TerminationByKubelet",
})


def log_tail(log: str) -> tuple[str, bool]:
    """The redacted end of a log within its budget, and whether something was cut off before it."""
    raw = redaction.redact(log).rstrip("\n").encode("utf-8", "replace")
    if len(raw) <= MAX_LOG_BYTES:
        return raw.decode("utf-8"), False
    return raw[-MAX_LOG_BYTES:].decode("utf-8", "ignore"), True


def pod_events(raws: Iterable[Mapping[str, Any]]) -> tuple[PodEvent, ...]:
    """The events that tell what befell a pod, the latest last."""
    found = [_event(raw) for raw in raws if raw.get("reason") in _TELLING]
    found.sort(key=lambda it: (it.last_seen.timestamp() if it.last_seen else 0.0, it.reason))
    return tuple(found[-MAX_EVENTS:])


def _event(raw: Mapping[str, Any]) -> PodEvent:
    series = raw.get("series")
    again = series if isinstance(series, dict) else {}
    count = raw.get("count") or again.get("count")
    times = (
        raw.get("lastTimestamp"), again.get("lastObservedTime"), raw.get("eventTime"),
        raw.get("firstTimestamp"),
    )  # fmt: skip
    return PodEvent(
        reason=str(raw.get("reason")),
        message=text.cut(redaction.redact(str(raw.get("message") or "")), MAX_EVENT_BYTES),
        count=count if isinstance(count, int) else None,
        last_seen=next((when for it in times if (when := tekton.parse_time(it))), None),
    )

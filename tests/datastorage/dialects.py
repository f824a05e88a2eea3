"""What each version of the service takes, and what it makes of it.

`december` checks presence under the older or the newer names, and no enum in a batch. `current` is
its OpenAPI document: enums, lengths, payloads by event type, of which unknown keys are dropped.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.datastorage.table import Row

OUTCOMES = frozenset({"success", "failure", "pending"})
CATEGORIES = frozenset({
    "gateway", "notification", "analysis", "aiagent", "signalprocessing", "workflow",
    "workflowexecution", "orchestration", "approval", "effectiveness", "actiontype", "apifrontend",
    "security", "agentsession",
})  # fmt: skip
TYPES = frozenset({
    "workflowexecution.selection.completed",
    "workflowexecution.execution.started",
    "workflowexecution.workflow.started",
    "workflowexecution.workflow.completed",
    "workflowexecution.workflow.failed",
})
CLEARED = "workflowexecution.block.cleared"
PHASES = frozenset({"Pending", "Running", "Completed", "Failed"})
FAILURE_REASONS = frozenset({
    "OOMKilled", "DeadlineExceeded", "Forbidden", "ResourceExhausted", "ConfigurationError",
    "ImagePullBackOff", "TaskFailed", "UnsupportedEngine", "Deduplicated", "Unknown",
})  # fmt: skip
REQUIRED = (
    "workflow_id", "workflow_version", "target_resource", "phase", "container_image",
    "execution_name",
)  # fmt: skip
OPTIONAL = (
    "workflow_name", "action_type", "started_at", "completed_at", "duration", "failure_reason",
    "failure_message", "failed_task_name", "error_details", "pipelinerun_name", "parameters",
    "retry_count",
)  # fmt: skip
CLEARANCE = ("workflow_name", "clear_reason", "cleared_at", "previous_state", "new_state")
MAX_BATCH = 500
FUTURE = datetime.timedelta(minutes=5)
PAST = datetime.timedelta(days=7)
_LENGTHS = {
    "event_type": 100, "event_category": 50, "event_action": 50, "correlation_id": 255,
    "actor_type": 50, "actor_id": 255, "resource_type": 100, "resource_id": 255, "namespace": 253,
}  # fmt: skip


class Invalid(Exception):
    """The event is not what this version takes."""


def december(event: dict[str, Any], *, single: bool = False) -> Row:
    """A row from an event of December's, by either name; the newer one wins.

    Raises:
        Invalid: a member is missing, or is not what it must be.
    """
    names = {
        "event_category": _either(event, "event_category", "service"),
        "event_action": _either(event, "event_action", "operation"),
        "event_outcome": _either(event, "event_outcome", "outcome"),
    }
    for name in ("version", "event_type", "correlation_id"):
        _present(event, name)
    if single and names["event_outcome"] not in OUTCOMES:
        raise Invalid(f"event_outcome: {names['event_outcome']!r} is not one of {sorted(OUTCOMES)}")
    category = names["event_category"]
    row = _row(event, names)
    row["actor_type"] = event.get("actor_type") or "service"
    row["actor_id"] = event.get("actor_id") or f"{category}-service"
    row["resource_type"] = event.get("resource_type") or category
    row["resource_id"] = event.get("resource_id") or event["correlation_id"]
    # This version has no key `namespace`.
    row["namespace"] = event.get("resource_namespace")
    row["event_data"] = _data(event)
    return row


def current(
    event: dict[str, Any], *, single: bool = True, now: datetime.datetime | None = None
) -> Row:
    """A row from an event as the OpenAPI document has it.

    Raises:
        Invalid: a member is missing, or is not what it must be.
    """
    names = {
        name: _present(event, name) for name in ("event_category", "event_action", "event_outcome")
    }
    for name in ("version", "event_type", "correlation_id"):
        _present(event, name)
    _one_of("event_category", names["event_category"], CATEGORIES)
    _one_of("event_outcome", names["event_outcome"], OUTCOMES)
    for name, longest in _LENGTHS.items():
        if len(str(event.get(name) or "")) > longest:
            raise Invalid(f"{name}: longer than {longest}")
    row = _row(event, names)
    age = (now or datetime.datetime.now(datetime.UTC)) - row["event_timestamp"]
    if age < -FUTURE or age > PAST:
        raise Invalid("event_timestamp: must be within 7 days past and 5 minutes future")
    for name in ("actor_type", "actor_id", "resource_type", "resource_id"):
        row[name] = event.get(name) or ""
    row["event_data"] = _payload(event["event_type"], _data(event))
    return row


DIALECTS: dict[str, Callable[..., Row]] = {"december": december, "current": current}


def _row(event: dict[str, Any], names: dict[str, str]) -> Row:
    text = _present(event, "event_timestamp")
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"event_timestamp: {text!r} is not RFC 3339") from error
    if when.tzinfo is None:
        raise Invalid(f"event_timestamp: {text!r} has no zone")
    optional = (
        "resource_name",
        "namespace",
        "severity",
        "duration_ms",
        "error_code",
        "error_message",
    )
    return {
        **{name: event.get(name) for name in optional},
        **names,
        "event_version": event["version"],
        "event_type": event["event_type"],
        "correlation_id": event["correlation_id"],
        "event_timestamp": when,
        "event_date": when.astimezone(datetime.UTC).date(),
    }


def _payload(event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    """The keys that this type's schema knows; others are dropped."""
    if event_type not in TYPES | {CLEARED}:
        raise Invalid(f"event_type: {event_type!r} is not known")
    if data.get("event_type") != event_type:
        raise Invalid("event_data.event_type: must be the event's type")
    if event_type == CLEARED:
        return {name: data[name] for name in ("event_type", *CLEARANCE) if name in data}
    for name in REQUIRED:
        if not data.get(name):
            raise Invalid(f"event_data.{name}: missing")
    _one_of("event_data.phase", data["phase"], PHASES)
    if "failure_reason" in data:
        _one_of("event_data.failure_reason", data["failure_reason"], FAILURE_REASONS)
    known = ("event_type", *REQUIRED, *OPTIONAL)
    return {name: data[name] for name in known if name in data}


def _data(event: dict[str, Any]) -> dict[str, Any]:
    data = event.get("event_data")
    if not isinstance(data, dict):
        raise Invalid("event_data: must be an object")
    return data


def _either(event: dict[str, Any], newer: str, older: str) -> str:
    value = event.get(newer) or event.get(older)
    if not isinstance(value, str) or not value:
        raise Invalid(f"{newer}: missing")
    return value


def _present(event: dict[str, Any], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not value:
        raise Invalid(f"{name}: missing")
    return value


def _one_of(name: str, value: object, known: frozenset[str]) -> None:
    if value not in known:
        raise Invalid(f"{name}: {value!r} is not one of {sorted(known)}")

"""The audit record of each transition: a function of the execution, the same whenever it is built.

So a record that is sent again, by this process or a later one, is byte for byte the first one, and
can be found by its `event_key`, or by type, resource and time where a server keeps no such key.

Source: ADR-034 (unified audit table); the payload keys are those of the Go implementation.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from workflowexecution.api import times
from workflowexecution.api.status import FailureReason
from workflowexecution.domain import auditpayload, text
from workflowexecution.domain.audit import Transition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workflowexecution.api.status import Status
    from workflowexecution.api.workflowexecution import WorkflowExecution

ACTOR = "workflowexecution-controller"
NO_WORD = "the dialect has no word for it"
"""Why a record that its server would not take is on the log."""
MAX_NAME_BYTES = 255
"""Of a name that has a column of its own."""
MAX_DURATION_MS = 2**31 - 1
"""What its column holds: 24.8 days."""

Dialect = Literal["december", "current"]

_DECEMBER = {
    Transition.CREATED: "workflowexecution.workflow.created",
    Transition.STARTED: "workflowexecution.workflow.started",
    Transition.COMPLETED: "workflowexecution.workflow.completed",
    Transition.FAILED: "workflowexecution.workflow.failed",
    Transition.SKIPPED: "workflowexecution.workflow.skipped",
    Transition.CLEARED: "workflowexecution.block.cleared",
}
_CURRENT = {
    Transition.STARTED: "workflowexecution.execution.started",
    Transition.COMPLETED: "workflowexecution.workflow.completed",
    Transition.FAILED: "workflowexecution.workflow.failed",
    Transition.CLEARED: "workflowexecution.block.cleared",
}
# What the newer server's schema calls an action.
_ACTIONS = {
    Transition.STARTED: "started",
    Transition.COMPLETED: "completed",
    Transition.FAILED: "failed",
    Transition.CLEARED: "block_cleared",
}
# Reasons that the newer server's enum lacks.
_UNKNOWN_TO_CURRENT = frozenset({FailureReason.CANCELLED.value})
# What no dialect spells in its own way.
_NEEDED = ("event_timestamp", "correlation_id", "resource_id", "namespace")
_COMMON = (
    "version", "actor_type", "actor_id", "resource_type", "severity", "duration_ms", *_NEEDED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Style:
    """How records are spelled.

    Attributes:
        dialect: which server reads them.
        category: their event category.
        skipped_outcome: outcome of a skipped execution: not every server takes `skipped`.
    """

    dialect: Dialect = "december"
    category: str = "workflowexecution"
    skipped_outcome: str = "success"


class Nature(NamedTuple):
    """What tells a record where its key is not kept: type, resource, namespace and time."""

    event_type: object
    resource_id: object
    namespace: object
    when: object


class Event(NamedTuple):
    """One audit record.

    Attributes:
        uid: of the execution.
        transition: what it tells of.
        document: as it is sent.
        taken: whether a server of the dialect takes such a record at all.
    """

    uid: str
    transition: Transition
    document: dict[str, Any]
    taken: bool = True

    @property
    def key(self) -> str:
        """Which record it is, in every process."""
        return event_key(self.uid, self.transition)


def event_key(uid: str, transition: Transition) -> str:
    """The deterministic identity of a record: an execution makes each transition once."""
    return f"{uid}.{transition.value}"


def key_of(row: Mapping[str, Any]) -> str:
    """The `event_key` of a row or document; empty where it is not kept."""
    data = row.get("event_data")
    key = data.get("event_key") if isinstance(data, dict) else None
    return key if isinstance(key, str) else ""


def nature_of(row: Mapping[str, Any]) -> Nature:
    """What a row says of itself where it has no key."""
    return Nature(
        _word(row.get("event_type")),
        _word(row.get("resource_id")),
        _word(row.get("namespace") or ""),
        _instant(row.get("event_timestamp")),
    )


def natures_of(event: Event) -> set[Nature]:
    """What a row of the record may say: older servers do not keep the namespace."""
    whole = nature_of(event.document)
    return {whole, whole._replace(namespace="")}


def is_same(event: Event, row: object) -> bool:
    """Whether a stored row is the record: by our key where it is kept, else by its natural key."""
    if not isinstance(row, dict):
        return False
    key = key_of(row)
    return key == event.key if key else nature_of(row) in natures_of(event)


def build(execution: WorkflowExecution, transition: Transition, style: Style) -> Event:
    """The record of a transition that the execution's status has made.

    A record that the current dialect cannot say is spelled as December's, for the log.
    """
    envelope = _plain(_envelope(execution, transition))
    uid = execution.metadata.uid
    data = {
        "remediation_id": correlation_id(execution),
        **_plain(auditpayload.build(execution, transition)),
        "event_key": event_key(uid, transition),
    }
    return _spelled(uid, envelope, data, style)


def rebuild(document: object, style: Style) -> Event:
    """The record of a document that was kept or logged, as this style spells it.

    Raises:
        ValueError: it is no record, or does not tell by its `event_key` which one it is.
    """
    sent = document if isinstance(document, dict) else {}
    data = sent.get("event_data")
    if not isinstance(data, dict):
        message = "not a record"
        raise ValueError(message)
    uid, _, transition = key_of(sent).partition(".")
    Transition(transition)
    envelope = {name: sent[name] for name in _COMMON if name in sent}
    if not all(isinstance(it, str) for it in (data.get("execution_name"), *map(sent.get, _NEEDED))):
        message = f"a record without one of {', '.join(_NEEDED)}"
        raise ValueError(message)
    datetime.datetime.fromisoformat(sent["event_timestamp"])
    return _spelled(
        uid, envelope, {key: it for key, it in data.items() if key != "event_type"}, style
    )


def correlation_id(execution: WorkflowExecution) -> str:
    """Name of the RemediationRequest, else of the execution."""
    name = execution.spec.remediation_request_ref.name or execution.metadata.name
    return text.cut(name, MAX_NAME_BYTES)


def _spelled(uid: str, envelope: dict[str, Any], data: dict[str, Any], style: Style) -> Event:
    """The record of what all dialects say alike."""
    transition = Transition(data["event_key"].removeprefix(f"{uid}."))
    current = style.dialect == "current"
    reason = str(data.get("failure_reason"))
    taken = not current or (transition in _CURRENT and reason not in _UNKNOWN_TO_CURRENT)
    spell = _current if current and taken else _december
    said = {
        "event_category": style.category,
        "event_outcome": _outcome(transition, style),
    }
    return Event(uid, transition, spell({**envelope, **said}, data, transition), taken)


def _december(
    envelope: dict[str, Any], data: dict[str, Any], transition: Transition
) -> dict[str, Any]:
    """Both the older and the newer names, of which such a server reads what it knows."""
    event_type = _DECEMBER[transition]
    action = event_type.removeprefix("workflowexecution.")
    errors = {
        "error_code": data.get("failure_reason"),
        "error_message": data.get("failure_message"),
    }
    return {
        **envelope,
        **(errors if errors["error_code"] else {}),
        "service": ACTOR,
        "event_type": event_type,
        "event_action": action,
        "operation": action,
        "outcome": envelope["event_outcome"],
        "resource_name": data["execution_name"],
        "event_data": data,
    }


def _current(
    envelope: dict[str, Any], data: dict[str, Any], transition: Transition
) -> dict[str, Any]:
    """What the newer server's schema names, its discriminator included."""
    event_type = _CURRENT[transition]
    return {
        **envelope,
        "event_type": event_type,
        "event_action": _ACTIONS[transition],
        "event_data": {"event_type": event_type, **data},
    }


def _envelope(execution: WorkflowExecution, transition: Transition) -> dict[str, Any]:
    status = execution.status
    by_person = transition is Transition.CLEARED
    clearance = status.block_clearance
    person = clearance.cleared_by if clearance is not None else ""
    envelope: dict[str, Any] = {
        "version": "1.0",
        "event_timestamp": times.stamp(_moment(execution, transition), precision="milliseconds"),
        "correlation_id": correlation_id(execution),
        "actor_type": "user" if by_person else "service",
        "actor_id": text.cut(person, MAX_NAME_BYTES) if by_person else ACTOR,
        "resource_type": "WorkflowExecution",
        "resource_id": execution.metadata.uid if by_person else execution.metadata.name,
        "namespace": execution.metadata.namespace,
        "severity": "warning" if transition is Transition.FAILED else "info",
    }
    if auditpayload.is_end(transition) and status.start_time and status.completion_time:
        took = (status.completion_time - status.start_time).total_seconds()
        envelope["duration_ms"] = min(max(0, round(took * 1000)), MAX_DURATION_MS)
    return envelope


def _moment(execution: WorkflowExecution, transition: Transition) -> datetime.datetime:
    """When the transition was made, by the status; what lacks its time takes the one before it."""
    return _said(execution.status, transition) or (
        execution.metadata.creation_timestamp or datetime.datetime.fromtimestamp(0, datetime.UTC)
    )


def _said(status: Status, transition: Transition) -> datetime.datetime | None:
    if transition is Transition.STARTED:
        return status.start_time
    if transition is Transition.CLEARED:
        return status.clearance_recorded_at
    is_end = auditpayload.is_end(transition)
    return status.completion_time or status.start_time if is_end else None


def _outcome(transition: Transition, style: Style) -> str:
    if transition is Transition.FAILED:
        return "failure"
    return style.skipped_outcome if transition is Transition.SKIPPED else "success"


def _word(value: object) -> object:
    """The value, which is text in every row of ours; a list or an object as text, to be counted."""
    return repr(value) if isinstance(value, list | dict) else value


def _instant(value: object) -> object:
    """The moment that a timestamp tells, in any spelling; what is none stands for itself."""
    if not isinstance(value, str):
        return _word(value)
    try:
        when = datetime.datetime.fromisoformat(value)
    except ValueError:
        return value
    return when if when.tzinfo else when.replace(tzinfo=datetime.UTC)


def _plain(value: Any) -> Any:  # noqa: ANN401 - of JSON
    """The same without control characters.

    A name in a spec may hold U+0000, which PostgreSQL keeps in no text: a store would fail of the
    record, and of all that is sent with it, again and again.
    """
    if isinstance(value, str):
        return text.plain(value)
    if isinstance(value, dict):
        return {key: _plain(it) for key, it in value.items()}
    return value

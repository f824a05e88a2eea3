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
from workflowexecution.api.status import ConditionType, FailureReason, Phase
from workflowexecution.domain import redaction, secretnames, text
from workflowexecution.domain.audit import Transition

if TYPE_CHECKING:
    from collections.abc import Callable

    from workflowexecution.api.status import Status
    from workflowexecution.api.workflowexecution import WorkflowExecution

ACTOR = "workflowexecution-controller"
NO_WORD = "the dialect has no word for it"
"""Why a record that its server would not take is on the log."""
MAX_PARAMETERS_BYTES = 8192
MAX_TEXT_BYTES = 4096
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
_PHASES = {
    Transition.CREATED: Phase.PENDING,
    Transition.STARTED: Phase.RUNNING,
    Transition.COMPLETED: Phase.COMPLETED,
    Transition.FAILED: Phase.FAILED,
    Transition.SKIPPED: Phase.SKIPPED,
    Transition.CLEARED: Phase.FAILED,
}
# Reasons that the newer server's enum lacks.
_UNKNOWN_TO_CURRENT = frozenset({FailureReason.CANCELLED})
_ERROR_CODES = {
    FailureReason.CONFIGURATION_ERROR: "ERR_WORKFLOW_NOT_FOUND",
    FailureReason.FORBIDDEN: "ERR_WORKFLOW_NOT_FOUND",
    FailureReason.IMAGE_PULL_BACK_OFF: "ERR_IMAGE_PULL",
}


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


def rebuild(document: dict[str, Any]) -> Event:
    """The record of a document that was sent or logged.

    Raises:
        ValueError: it has no `event_key` that tells which record it is.
    """
    data = document.get("event_data")
    key = data.get("event_key") if isinstance(data, dict) else None
    uid, _, transition = str(key or "").partition(".")
    return Event(uid, Transition(transition), document)


def build(execution: WorkflowExecution, transition: Transition, style: Style) -> Event:
    """The record of a transition that the execution's status has made.

    A record that the current dialect cannot say is spelled as December's, for the log.
    """
    reason = execution.status.failure_reason if transition is Transition.FAILED else None
    current = style.dialect == "current"
    taken = not current or (transition in _CURRENT and reason not in _UNKNOWN_TO_CURRENT)
    spell = _current if current and taken else _december
    document = _plain(spell(execution, transition, style))
    return Event(execution.metadata.uid, transition, document, taken)


def correlation_id(execution: WorkflowExecution) -> str:
    """Name of the RemediationRequest, else of the execution."""
    name = execution.spec.remediation_request_ref.name or execution.metadata.name
    return text.cut(name, MAX_NAME_BYTES)


def _december(execution: WorkflowExecution, transition: Transition, style: Style) -> dict[str, Any]:
    """Both the older and the newer names, of which such a server reads what it knows."""
    event_type = _DECEMBER[transition]
    action = event_type.removeprefix("workflowexecution.")
    envelope = _envelope(execution, transition, style)
    status = execution.status
    if transition is Transition.FAILED and status.failure_details is not None:
        envelope["error_code"] = status.failure_details.reason.value
        envelope["error_message"] = _text(status.failure_details.message)
    return {
        **envelope,
        "service": ACTOR,
        "event_type": event_type,
        "event_action": action,
        "operation": action,
        "outcome": envelope["event_outcome"],
        "resource_name": execution.metadata.name,
        "event_data": _data(execution, transition),
    }


def _current(execution: WorkflowExecution, transition: Transition, style: Style) -> dict[str, Any]:
    """What the newer server's schema names, its discriminator included."""
    event_type = _CURRENT[transition]
    return {
        **_envelope(execution, transition, style),
        "event_type": event_type,
        "event_action": _ACTIONS[transition],
        "event_data": {"event_type": event_type, **_data(execution, transition)},
    }


def _envelope(execution: WorkflowExecution, transition: Transition, style: Style) -> dict[str, Any]:
    status = execution.status
    by_person = transition is Transition.CLEARED
    clearance = status.block_clearance
    person = clearance.cleared_by if clearance is not None else ""
    envelope: dict[str, Any] = {
        "version": "1.0",
        "event_timestamp": times.stamp(_moment(execution, transition), precision="milliseconds"),
        "event_category": style.category,
        "event_outcome": _outcome(transition, style),
        "correlation_id": correlation_id(execution),
        "actor_type": "user" if by_person else "service",
        "actor_id": text.cut(person, MAX_NAME_BYTES) if by_person else ACTOR,
        "resource_type": "WorkflowExecution",
        "resource_id": execution.metadata.uid if by_person else execution.metadata.name,
        "namespace": execution.metadata.namespace,
        "severity": "warning" if transition is Transition.FAILED else "info",
    }
    if _is_end(transition) and status.start_time and status.completion_time:
        took = (status.completion_time - status.start_time).total_seconds()
        envelope["duration_ms"] = min(max(0, round(took * 1000)), MAX_DURATION_MS)
    return envelope


def _data(execution: WorkflowExecution, transition: Transition) -> dict[str, Any]:
    """The payload: what always stands in it, then what this transition adds."""
    spec, status = execution.spec, execution.status
    outcome = status.outcome if _is_late(transition) else None
    data: dict[str, Any] = {
        "remediation_id": correlation_id(execution),
        "workflow_id": text.cut(spec.workflow_ref.workflow_id, MAX_TEXT_BYTES),
        "workflow_version": text.cut(spec.workflow_ref.version, MAX_TEXT_BYTES),
        "target_resource": text.cut(spec.target_resource, MAX_TEXT_BYTES),
        "phase": _PHASES[transition].value,
        "outcome": outcome.value if outcome is not None else None,
        "confidence": spec.confidence,
        "container_image": text.cut(spec.workflow_ref.container_image, MAX_TEXT_BYTES),
        "execution_name": execution.metadata.name,
        "event_key": event_key(execution.metadata.uid, transition),
    }
    return {**data, **_ADDED[transition](execution)}


def _created(_: WorkflowExecution) -> dict[str, Any]:
    return {}


def _started(execution: WorkflowExecution) -> dict[str, Any]:
    status = execution.status
    return _known(
        started_at=_second(status.start_time),
        pipelinerun_name=status.pipeline_run_ref.name if status.pipeline_run_ref else None,
        parameters=_parameters(execution.spec.parameters or {}),
    )


def _ended(execution: WorkflowExecution) -> dict[str, Any]:
    status = execution.status
    return _known(
        started_at=_second(status.start_time),
        completed_at=_second(status.completion_time),
        duration=status.duration,
        pipelinerun_name=status.pipeline_run_ref.name if status.pipeline_run_ref else None,
        resolved_digest=status.resolved_digest,
        trusted_resources_verified=_answer(status, ConditionType.TRUSTED_RESOURCES_VERIFIED),
        result_consistent=_answer(status, ConditionType.RESULT_CONSISTENT),
    )


def _answer(status: Status, kind: ConditionType) -> str | None:
    """What a condition says, in the words of conditions; None where it says nothing."""
    said = (it.status.value for it in status.conditions or () if it.type == kind)
    return next(said, None)


def _failed(execution: WorkflowExecution) -> dict[str, Any]:
    details = execution.status.failure_details
    data = _ended(execution)
    if details is None:
        return data
    message = _text(details.message)
    return {
        **data,
        **_known(
            failure_reason=details.reason.value,
            failure_message=message,
            failed_task_name=details.failed_task_name or None,
            failed_step_name=details.failed_step_name,
            exit_code=details.exit_code,
        ),
        "was_execution_failure": details.was_execution_failure,
        "error_details": {
            "message": message,
            "code": _ERROR_CODES.get(details.reason, "ERR_PIPELINE_FAILED"),
            "component": "workflowexecution",
            "retry_possible": not details.was_execution_failure
            and _ERROR_CODES.get(details.reason) != "ERR_WORKFLOW_NOT_FOUND",
        },
    }


def _skipped(execution: WorkflowExecution) -> dict[str, Any]:
    details = execution.status.skip_details
    data = _ended(execution)
    if details is None:
        return data
    busy, recent = details.conflicting_workflow, details.recent_remediation
    return {
        **data,
        **_known(
            skip_reason=details.reason.value,
            skip_message=_text(details.message),
            retry_at=_second(details.retry_at),
            conflicting_workflow=busy.model_dump(mode="json") if busy else None,
            recent_remediation=(
                recent.model_dump(mode="json", exclude_none=True) if recent else None
            ),
        ),
    }


def _cleared(execution: WorkflowExecution) -> dict[str, Any]:
    clearance = execution.status.block_clearance
    data = _ended(execution)
    if clearance is None:
        return data
    return {
        **data,
        "workflow_name": execution.metadata.name,
        "cleared_at": _second(clearance.cleared_at),
        "cleared_by": text.cut(clearance.cleared_by, MAX_NAME_BYTES),
        "clear_reason": _text(clearance.clear_reason),
        "clear_method": clearance.clear_method.value,
        "previous_state": "Blocked",
        "new_state": "Running",
    }


_ADDED: dict[Transition, Callable[[WorkflowExecution], dict[str, Any]]] = {
    Transition.CREATED: _created,
    Transition.STARTED: _started,
    Transition.COMPLETED: _ended,
    Transition.FAILED: _failed,
    Transition.SKIPPED: _skipped,
    Transition.CLEARED: _cleared,
}


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
    return status.completion_time or status.start_time if _is_end(transition) else None


def _outcome(transition: Transition, style: Style) -> str:
    if transition is Transition.FAILED:
        return "failure"
    return style.skipped_outcome if transition is Transition.SKIPPED else "success"


def _is_end(transition: Transition) -> bool:
    return transition in {Transition.COMPLETED, Transition.FAILED, Transition.SKIPPED}


def _is_late(transition: Transition) -> bool:
    return _is_end(transition) or transition is Transition.CLEARED


def _parameters(parameters: dict[str, str]) -> dict[str, str] | None:
    """Redacted, in stable order, as many as fit; the first that does not is cut, visibly."""
    kept: dict[str, str] = {}
    room = MAX_PARAMETERS_BYTES
    # What is blanked takes no room, but time to look through.
    left = 2 * redaction.MAX_TEXT
    for name in sorted(parameters):
        room -= len(name.encode("utf-8", "replace"))
        if room < len(text.CUT_MARK.encode()) or left <= 0:
            break
        left -= 0 if secretnames.is_secret(name) else len(parameters[name])
        kept[name] = text.cut(redaction.redact_value(name, parameters[name]), room)
        room -= len(kept[name].encode())
    return dict(sorted((text.plain(name), value) for name, value in kept.items())) or None


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


def _text(value: str) -> str:
    return text.cut(redaction.redact(value), MAX_TEXT_BYTES)


def _known(**values: object) -> dict[str, Any]:
    """The payload names nothing that is not known."""
    return {name: value for name, value in values.items() if value is not None}


def _second(when: datetime.datetime | None) -> str | None:
    return None if when is None else times.stamp(when)

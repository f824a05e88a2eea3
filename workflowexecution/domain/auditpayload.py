"""What an audit record says of its transition: its `event_data`, in every dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workflowexecution.api import times
from workflowexecution.api.status import ConditionType, FailureReason, Phase
from workflowexecution.domain import redaction, secretnames, text
from workflowexecution.domain.audit import Transition

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable

    from workflowexecution.api.status import Status
    from workflowexecution.api.workflowexecution import WorkflowExecution

MAX_PARAMETERS_BYTES = 8192
MAX_TEXT_BYTES = 4096
MAX_PERSON_BYTES = 255

_PHASES = {
    Transition.CREATED: Phase.PENDING,
    Transition.STARTED: Phase.RUNNING,
    Transition.COMPLETED: Phase.COMPLETED,
    Transition.FAILED: Phase.FAILED,
    Transition.SKIPPED: Phase.SKIPPED,
    Transition.CLEARED: Phase.FAILED,
}
_ERROR_CODES = {
    FailureReason.CONFIGURATION_ERROR: "ERR_WORKFLOW_NOT_FOUND",
    FailureReason.FORBIDDEN: "ERR_WORKFLOW_NOT_FOUND",
    FailureReason.IMAGE_PULL_BACK_OFF: "ERR_IMAGE_PULL",
}


def build(execution: WorkflowExecution, transition: Transition) -> dict[str, Any]:
    """What always stands in it, then what this transition adds."""
    spec, status = execution.spec, execution.status
    outcome = status.outcome if _is_late(transition) else None
    data: dict[str, Any] = {
        "workflow_id": text.cut(spec.workflow_ref.workflow_id, MAX_TEXT_BYTES),
        "workflow_version": text.cut(spec.workflow_ref.version, MAX_TEXT_BYTES),
        "target_resource": text.cut(spec.target_resource, MAX_TEXT_BYTES),
        "phase": _PHASES[transition].value,
        "outcome": outcome.value if outcome is not None else None,
        "confidence": spec.confidence,
        "container_image": text.cut(spec.workflow_ref.container_image, MAX_TEXT_BYTES),
        "execution_name": execution.metadata.name,
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
    said = status.condition(kind)
    return said.status.value if said is not None else None


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
        "cleared_by": text.cut(clearance.cleared_by, MAX_PERSON_BYTES),
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


def is_end(transition: Transition) -> bool:
    """Whether an execution is over by it."""
    return transition in {Transition.COMPLETED, Transition.FAILED, Transition.SKIPPED}


def _is_late(transition: Transition) -> bool:
    return is_end(transition) or transition is Transition.CLEARED


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


def _text(value: str) -> str:
    return text.cut(redaction.redact(value), MAX_TEXT_BYTES)


def _known(**values: object) -> dict[str, Any]:
    """The payload names nothing that is not known."""
    return {name: value for name, value in values.items() if value is not None}


def _second(when: datetime.datetime | None) -> str | None:
    return None if when is None else times.stamp(when)

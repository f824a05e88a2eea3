"""What a change of phase says to people, as a Kubernetes event: reason, kind and text.

Source: contract of the Go implementation for the reasons; Kubernetes, core/v1 Event.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from workflowexecution.api.status import Phase, Status
from workflowexecution.domain import redaction, text

if TYPE_CHECKING:
    from workflowexecution.api.workflowexecution import WorkflowExecution

MAX_MESSAGE_BYTES = 1024


class Reason(StrEnum):
    """Reasons of events; programs match them, so none changes its meaning."""

    PIPELINE_RUN_CREATED = "PipelineRunCreated"
    WORKFLOW_COMPLETED = "WorkflowCompleted"
    WORKFLOW_FAILED = "WorkflowFailed"
    SKIPPED = "Skipped"
    DELETED = "WorkflowExecutionDeleted"
    CLEANUP_FAILED = "CleanupFailed"
    CANCEL_REQUESTED = "CancelRequested"
    LOCK_RELEASED = "LockReleased"
    BLOCK_CLEARED = "BlockCleared"


@dataclass(frozen=True, slots=True)
class Story:
    """One event.

    Attributes:
        warning: whether somebody ought to look at it.
        message: within the server's limit, without secrets.
    """

    reason: Reason
    warning: bool
    message: str


def tell(execution: WorkflowExecution, after: Status) -> Story | None:
    """The event of a status that was written, or None when the phase is what it was.

    Args:
        execution: what was decided on; its own status is the one before.
        after: the status as written.
    """
    # An absent phase means Pending.
    before = execution.status.phase or Phase.PENDING
    if after.phase is None or after.phase == before:
        return None
    match after.phase:
        case Phase.PENDING:
            return None
        case Phase.RUNNING:
            return _story(Reason.PIPELINE_RUN_CREATED, execution, after, _started(after))
        case Phase.COMPLETED:
            return _story(Reason.WORKFLOW_COMPLETED, execution, after, "completed")
        case Phase.FAILED:
            return _story(Reason.WORKFLOW_FAILED, execution, after, "failed", _why(after))
        case Phase.SKIPPED:  # pragma: no branch - exhaustive
            return _story(Reason.SKIPPED, execution, after, "was skipped", _obstacle(after))


def compose(message: str) -> str:
    """A text as an event may carry it: redacted, and within the server's limit."""
    return text.cut(redaction.redact(message), MAX_MESSAGE_BYTES)


def _story(
    reason: Reason, execution: WorkflowExecution, after: Status, verb: str, why: str = ""
) -> Story:
    """What is always there stands first, so that a cut costs only the explanation."""
    spec = execution.spec
    facts = [f"RemediationRequest {_remediation(execution)}"]
    if after.outcome is not None:
        facts.insert(0, f"outcome {after.outcome}")
    lasted = f" after {after.duration}" if after.duration else ""
    message = (
        f"Workflow {spec.workflow_ref.workflow_id} on {spec.target_resource} "
        f"{verb}{lasted} ({', '.join(facts)})"
    )
    return Story(
        reason=reason,
        warning=reason is Reason.WORKFLOW_FAILED,
        message=compose(f"{message}: {why}" if why else message),
    )


def _remediation(execution: WorkflowExecution) -> str:
    ref = execution.spec.remediation_request_ref
    return "/".join(part for part in (ref.namespace, ref.name) if part) or "unknown"


def _started(after: Status) -> str:
    run = after.pipeline_run_ref
    return f"started as PipelineRun {run.namespace}/{run.name}" if run else "started"


def _why(after: Status) -> str:
    details = after.failure_details
    if details is None:
        return ""
    # Without a start there was no run: what failed is what was asked for, or the way there.
    early = "" if after.start_time else "pre-execution failure: "
    return f"{early}{details.reason}: {details.message}"


def _obstacle(after: Status) -> str:
    details = after.skip_details
    return f"{details.reason}: {details.message}" if details else ""

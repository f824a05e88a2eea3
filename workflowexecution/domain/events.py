"""What is said of an execution to people, as a Kubernetes event: reason, kind and text.

Source: contract of the Go implementation for the reasons; Kubernetes, core/v1 Event.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from workflowexecution.api.status import ConditionStatus, ConditionType, Phase, Status
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


_WARNINGS = frozenset({Reason.WORKFLOW_FAILED, Reason.CLEANUP_FAILED})
"""Somebody ought to look at it."""


class Remediation(NamedTuple):
    """The RemediationRequest of an execution, as far as the execution names it."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    api_version: str = ""
    kind: str = ""

    def __str__(self) -> str:
        """Namespace and name, for people."""
        return "/".join(part for part in (self.namespace, self.name) if part) or "unknown"

    @property
    def reference(self) -> dict[str, str] | None:
        """As core/v1 ObjectReference, None when nothing is known of it."""
        said = {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
        }
        return {key: value for key, value in said.items() if value} or None


class Subject(NamedTuple):
    """Which execution an event is about, in the words that people and programs know it by.

    Attributes:
        workflow_id: what was to be run.
        target: on what.
        remediation: for whom.
        outcome: how it ended; empty until it has.
        lasted: how long its run took, as the status has it; empty when that is not known.
    """

    workflow_id: str
    target: str
    remediation: Remediation
    outcome: str = ""
    lasted: str = ""

    @property
    def name(self) -> str:
        """How a message begins."""
        return f"Workflow {self.workflow_id} on {self.target}"


class Story(NamedTuple):
    """One event.

    Attributes:
        message: within the server's limit, without secrets.
        related: what else it is about, as an ObjectReference.
    """

    reason: Reason
    message: str
    related: dict[str, str] | None = None

    @property
    def warning(self) -> bool:
        """Whether somebody ought to look at it."""
        return self.reason in _WARNINGS


def tell(execution: WorkflowExecution, after: Status) -> Story | None:
    """The event of a status that was written, or None when neither phase nor history moved on.

    Args:
        execution: what was decided on; its own status is the one before.
        after: the status as written.
    """
    # An absent phase means Pending.
    before = execution.status.phase or Phase.PENDING
    if after.phase is None or after.phase == before:
        return _cleared(execution, after)
    match after.phase:
        case Phase.PENDING:
            return None
        case Phase.RUNNING:
            return _story(Reason.PIPELINE_RUN_CREATED, execution, after, _started(after))
        case Phase.COMPLETED:
            return _story(Reason.WORKFLOW_COMPLETED, execution, after, "completed", _doubt(after))
        case Phase.FAILED:
            return _story(Reason.WORKFLOW_FAILED, execution, after, "failed", _why(after))
        case Phase.SKIPPED:  # pragma: no branch - exhaustive
            return _story(Reason.SKIPPED, execution, after, "was skipped", _obstacle(after))


def is_cleared(before: Status, after: Status) -> bool:
    """Whether a clearance is taken up from one status to the other."""
    return before.clearance_recorded_at is None and after.clearance_recorded_at is not None


def remark(reason: Reason, subject: Subject, message: str) -> Story:
    """The event of what is no change of phase."""
    return _written(reason, subject, f"{subject.name} ({_facts(subject)})", message)


def _story(
    reason: Reason, execution: WorkflowExecution, after: Status, verb: str, why: str = ""
) -> Story:
    subject = _subject(execution, after)
    lasted = f" after {after.duration}" if after.duration else ""
    return _written(reason, subject, f"{subject.name} {verb}{lasted} ({_facts(subject)})", why)


def _cleared(execution: WorkflowExecution, after: Status) -> Story | None:
    given = after.block_clearance
    if given is None or not is_cleared(execution.status, after):
        return None
    subject = _subject(execution, after)._replace(lasted=after.duration or "")
    message = f"Cleared by {given.cleared_by}: {given.clear_reason}"
    return remark(Reason.BLOCK_CLEARED, subject, message)


def _subject(execution: WorkflowExecution, after: Status) -> Subject:
    spec = execution.spec
    ref = spec.remediation_request_ref
    return Subject(
        workflow_id=spec.workflow_ref.workflow_id,
        target=spec.target_resource,
        remediation=Remediation(
            name=ref.name or "",
            namespace=ref.namespace or "",
            uid=ref.uid or "",
            api_version=ref.api_version or "",
            kind=ref.kind or "",
        ),
        outcome=after.outcome or "",
    )


def _facts(subject: Subject) -> str:
    facts = [f"RemediationRequest {subject.remediation}"]
    if subject.outcome:
        lasted = f" after {subject.lasted}" if subject.lasted else ""
        facts.insert(0, f"outcome {subject.outcome}{lasted}")
    return ", ".join(facts)


def _written(reason: Reason, subject: Subject, fact: str, why: str) -> Story:
    """What is always there stands first, so that a cut costs only the explanation."""
    message = redaction.redact(f"{fact}: {why}" if why else fact)
    return Story(reason, text.cut(message, MAX_MESSAGE_BYTES), subject.remediation.reference)


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


def _doubt(after: Status) -> str:
    """What speaks against a success."""
    said = after.condition(ConditionType.RESULT_CONSISTENT)
    return said.message if said is not None and said.status is not ConditionStatus.TRUE else ""


def _obstacle(after: Status) -> str:
    details = after.skip_details
    return f"{details.reason}: {details.message}" if details else ""

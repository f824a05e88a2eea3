"""Status of a WorkflowExecution: what the controller says, and nobody else may."""

from __future__ import annotations

import datetime
from enum import StrEnum
from typing import Annotated

import pydantic
from pydantic import Field
from pydantic.alias_generators import to_camel

from workflowexecution.api import names, times


class WireModel(pydantic.BaseModel):
    """snake_case here, camelCase on the wire; what is not known is ignored, never fatal."""

    model_config = pydantic.ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True
    )


def _in_utc(when: datetime.datetime) -> datetime.datetime:
    try:
        return when.astimezone(datetime.UTC)
    except OverflowError as error:
        msg = "lies outside the years 1 to 9999"
        raise ValueError(msg) from error


Time = Annotated[
    pydantic.AwareDatetime,
    pydantic.AfterValidator(_in_utc),
    pydantic.PlainSerializer(times.stamp, return_type=str),
]
"""metav1.Time: RFC 3339, UTC, whole seconds."""


class Phase(StrEnum):
    """Where an execution is; an absent phase means Pending."""

    PENDING = "Pending"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    SKIPPED = "Skipped"


class Outcome(StrEnum):
    """How it ended."""

    SUCCESS = "Success"
    FAILED = "Failed"
    TIMEOUT = "Timeout"
    CANCELLED = "Cancelled"
    SKIPPED = "Skipped"


class FailureReason(StrEnum):
    """Why it failed."""

    OOM_KILLED = "OOMKilled"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    FORBIDDEN = "Forbidden"
    RESOURCE_EXHAUSTED = "ResourceExhausted"
    CONFIGURATION_ERROR = "ConfigurationError"
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
    TASK_FAILED = "TaskFailed"
    CANCELLED = "Cancelled"
    UNKNOWN = "Unknown"


class SkipReason(StrEnum):
    """What stood in the way."""

    RESOURCE_BUSY = "ResourceBusy"
    RECENTLY_REMEDIATED = "RecentlyRemediated"
    EXHAUSTED_RETRIES = "ExhaustedRetries"
    PREVIOUS_EXECUTION_FAILED = "PreviousExecutionFailed"


class TaskRunPhase(StrEnum):
    """Where one task is."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class ConditionType(StrEnum):
    """What conditions speak of."""

    TEKTON_PIPELINE_CREATED = "TektonPipelineCreated"
    TEKTON_PIPELINE_RUNNING = "TektonPipelineRunning"
    TEKTON_PIPELINE_COMPLETE = "TektonPipelineComplete"
    RESOURCE_LOCKED = "ResourceLocked"
    AUDIT_RECORDED = "AuditRecorded"
    READY = "Ready"
    ENGINE_AVAILABLE = "EngineAvailable"
    SUSPENDED = "Suspended"
    PROGRESSING = "Progressing"
    CANCEL_CONFIRMED = "CancelConfirmed"
    PODS_HEALTHY = "PodsHealthy"
    RESULT_CONSISTENT = "ResultConsistent"
    TRUSTED_RESOURCES_VERIFIED = "TrustedResourcesVerified"
    CLEARANCE_UNGUARDED = "ClearanceUnguarded"


class ConditionReason(StrEnum):
    """Why a condition is as it is."""

    PIPELINE_CREATED = "PipelineCreated"
    PIPELINE_CREATION_FAILED = "PipelineCreationFailed"
    QUOTA_EXCEEDED = "QuotaExceeded"
    RBAC_DENIED = "RBACDenied"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    PIPELINE_STARTED = "PipelineStarted"
    PIPELINE_FAILED_TO_START = "PipelineFailedToStart"
    PIPELINE_SUCCEEDED = "PipelineSucceeded"
    PIPELINE_FAILED = "PipelineFailed"
    TASK_FAILED = "TaskFailed"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    OOM_KILLED = "OOMKilled"
    FORBIDDEN = "Forbidden"
    RESOURCE_EXHAUSTED = "ResourceExhausted"
    AUDIT_SUCCEEDED = "AuditSucceeded"
    AUDIT_FAILED = "AuditFailed"
    AUDIT_PENDING = "AuditPending"
    TARGET_RESOURCE_BUSY = "TargetResourceBusy"
    RECENTLY_REMEDIATED = "RecentlyRemediated"
    PREVIOUS_EXECUTION_FAILED = "PreviousExecutionFailed"
    EXHAUSTED_RETRIES = "ExhaustedRetries"
    RELEASING = "Releasing"
    CANCELLING = "Cancelling"
    CANCELLED = "Cancelled"
    STILL_ALIVE = "StillAlive"
    CHILDREN_UNSEEN = "ChildrenUnseen"
    STALLED = "Stalled"
    MOVING = "Moving"
    PODS_WAITING = "PodsWaiting"
    PODS_LINGERING = "PodsLingering"
    PODS_ENDED = "PodsEnded"
    DISRUPTED = "Disrupted"
    PODS_UNREADABLE = "PodsUnreadable"
    SIGNATURE_VERIFIED = "SignatureVerified"
    SIGNATURE_NOT_VERIFIED = "SignatureNotVerified"
    UNGUARDED = "PolicyMissing"
    GUARDED = "PolicyInForce"
    EXECUTING = "Executing"
    COMPLETED = "Completed"
    ENGINE_UNAVAILABLE = "EngineUnavailable"
    ENGINE_AVAILABLE = "EngineAvailable"
    SUSPENDED = "Suspended"


class ConditionStatus(StrEnum):
    """Truth of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(WireModel):
    """metav1.Condition."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""
    last_transition_time: Time
    observed_generation: int | None = None


class PipelineRunRef(WireModel):
    """The run of this execution."""

    api_version: str = names.TEKTON_API_VERSION
    kind: str = "PipelineRun"
    namespace: str = ""
    name: str
    uid: str = ""


class PipelineRunStatus(WireModel):
    """The run's own words."""

    status: str
    reason: str = ""
    message: str = ""
    completed_tasks: int | None = None
    total_tasks: int | None = None


class TaskRunStatus(WireModel):
    """One TaskRun of the run."""

    name: str
    task: str
    phase: TaskRunPhase
    started: bool = Field(False, description="Whether a container of it was ever seen; latched.")
    start_time: Time | None = None
    completion_time: Time | None = None
    exit_code: int | None = None
    attempts: int = 1


class PodEvent(WireModel):
    """An event of a pod that matters for the failure."""

    reason: str
    message: str = ""
    count: int | None = None
    last_seen: Time | None = None


class FailureDetails(WireModel):
    """Why it failed, where, and what that means for another attempt."""

    failed_task_index: int = 0
    failed_task_name: str = ""
    failed_step_name: str | None = None
    reason: FailureReason
    message: str
    exit_code: int | None = Field(None, description="Of a container that ran.")
    signal: int | None = Field(None, description="That the exit code stands for.")
    failed_at: Time
    execution_time_before_failure: str
    natural_language_summary: str
    was_execution_failure: bool = Field(
        False, description="True unless it is proven that nothing ran: never retry such a one."
    )
    log_tail: str | None = None
    log_tail_truncated: bool | None = None
    pod_events: tuple[PodEvent, ...] | None = None


class ConflictingWorkflow(WireModel):
    """Who holds the target."""

    name: str
    workflow_id: str
    started_at: Time
    target_resource: str


class RecentRemediation(WireModel):
    """Which earlier execution stands in the way."""

    name: str
    workflow_id: str
    completed_at: Time
    outcome: str
    target_resource: str
    cooldown_remaining: str | None = None


class SkipDetails(WireModel):
    """Why nothing was started."""

    reason: SkipReason
    message: str
    skipped_at: Time
    conflicting_workflow: ConflictingWorkflow | None = None
    recent_remediation: RecentRemediation | None = None
    retry_at: Time | None = Field(None, description="Absent: a person is needed.")


class ClearMethod(StrEnum):
    """How a clearance was given."""

    ANNOTATION = "Annotation"
    API_ENDPOINT = "APIEndpoint"
    STATUS_FIELD = "StatusField"


class BlockClearance(WireModel):
    """A person takes responsibility for a failed execution's target."""

    cleared_at: Time
    # For the CRD alone: one that is longer for whatever cause was given all the same.
    cleared_by: str = Field(json_schema_extra={"maxLength": 253})
    clear_reason: str = Field(json_schema_extra={"maxLength": 1024})
    clear_method: ClearMethod


def _absent_if_empty(value: object) -> object:
    return None if value == "" else value


class Status(WireModel):
    """What the controller says of an execution."""

    observed_generation: int | None = None
    phase: Annotated[Phase | None, pydantic.BeforeValidator(_absent_if_empty)] = None
    outcome: Outcome | None = None
    message: str | None = None
    start_time: Time | None = None
    completion_time: Time | None = None
    duration: str | None = None
    progress: str | None = None
    current_step: str | None = None
    pipeline_run_ref: PipelineRunRef | None = None
    pipeline_run_status: PipelineRunStatus | None = None
    task_runs: tuple[TaskRunStatus, ...] | None = None
    resolved_digest: str | None = None
    failure_reason: FailureReason | None = None
    failure_details: FailureDetails | None = None
    requires_manual_review: bool | None = None
    skip_details: SkipDetails | None = None
    consecutive_failures: int | None = None
    next_allowed_execution: Time | None = None
    locked_until: Time | None = None
    block_clearance: BlockClearance | None = None
    clearance_recorded_at: Time | None = None
    audited_transitions: tuple[str, ...] | None = None
    conditions: tuple[Condition, ...] | None = None

    def condition(self, kind: ConditionType) -> Condition | None:
        """The condition of a type, if it was ever said."""
        return next((it for it in self.conditions or () if it.type == kind), None)

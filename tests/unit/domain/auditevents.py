"""Audit records of each transition, of an execution whose status says what such a one does."""

from __future__ import annotations

from typing import Any

from tests import builders
from workflowexecution.domain import auditevent
from workflowexecution.domain.audit import Transition

DECEMBER = auditevent.Style()
CURRENT = auditevent.Style(dialect="current")
STARTED = {"phase": "Running", "startTime": builders.stamp(5), "pipelineRunRef": {"name": "wfe-1"}}
ENDED = STARTED | {"completionTime": builders.stamp(65), "duration": "1m0s"}
COMPLETED = ENDED | {"phase": "Completed", "outcome": "Success", "resolvedDigest": builders.DIGEST}
DETAILS = {
    "reason": "TaskFailed",
    "message": "exit 42, password=hunter2",
    "failedTaskName": "drain",
    "failedStepName": "run",
    "exitCode": 42,
    "failedAt": builders.stamp(65),
    "executionTimeBeforeFailure": "1m0s",
    "naturalLanguageSummary": "It failed.",
    "wasExecutionFailure": True,
}
FAILED = ENDED | {
    "phase": "Failed",
    "outcome": "Failed",
    "failureReason": "TaskFailed",
    "failureDetails": DETAILS,
}
CANCELLED = FAILED | {
    "outcome": "Cancelled",
    "failureReason": "Cancelled",
    "failureDetails": DETAILS | {"reason": "Cancelled"},
}
SKIP: dict[str, Any] = {
    "reason": "ResourceBusy",
    "message": "held by payment/other",
    "skippedAt": builders.stamp(1),
    "conflictingWorkflow": {
        "name": "other",
        "workflowId": "w",
        "startedAt": builders.stamp(),
        "targetResource": builders.TARGET,
    },
}
SKIPPED = {
    "phase": "Skipped",
    "outcome": "Skipped",
    "completionTime": builders.stamp(1),
    "skipDetails": SKIP,
}
CLEARED: dict[str, Any] = FAILED | {
    "clearanceRecordedAt": builders.stamp(90),
    "blockClearance": {
        "clearedAt": builders.stamp(80),
        "clearedBy": "ann",
        "clearReason": "checked, token: abc",
        "clearMethod": "StatusField",
    },
}
STATUSES = {
    Transition.CREATED: {},
    Transition.STARTED: STARTED,
    Transition.COMPLETED: COMPLETED,
    Transition.FAILED: FAILED,
    Transition.SKIPPED: SKIPPED,
    Transition.CLEARED: CLEARED,
}


def built(
    transition: Transition,
    style: auditevent.Style = DECEMBER,
    status: dict[str, Any] | None = None,
    **parts: Any,  # noqa: ANN401 - as raw_execution
) -> auditevent.Event:
    said = STATUSES[transition] if status is None else status
    return auditevent.build(builders.execution(status=said, **parts), transition, style)

"""The size that a status can reach, as JSON, by whatever anybody may have written."""

import datetime
from typing import Any

import orjson
import pytest

from tests import builders
from workflowexecution.api import tekton
from workflowexecution.api.status import (
    BlockClearance,
    ClearMethod,
    ConditionReason,
    ConditionStatus,
    ConditionType,
    ConflictingWorkflow,
    FailureDetails,
    Outcome,
    PipelineRunRef,
    RecentRemediation,
    SkipDetails,
    SkipReason,
    Status,
)
from workflowexecution.domain import audit, evidence, failure, progress, status, summary

MAX_STATUS_BYTES = 64 * 1024
LARGEST = 2**63 - 1
MOMENT = status.Moment(builders.NOW, LARGEST)
NASTY = pytest.mark.parametrize(
    "character",
    [
        pytest.param("x", id="letter"),
        pytest.param('"', id="quote"),
        pytest.param("\\", id="backslash"),
        pytest.param("\n", id="newline"),
        pytest.param("\r", id="carriage-return"),
        pytest.param("\t", id="tab"),
        pytest.param("\x00", id="control"),
        pytest.param("\x1b", id="escape"),
        pytest.param("\x9b", id="upper-control"),
        pytest.param("\U0001f600", id="four-bytes"),
        pytest.param("\ud800", id="surrogate"),
    ],
)


def task(number: int, words: str) -> tekton.TaskRun:
    """A TaskRun whose name, task and steps are as long as can be."""
    step = builders.step(words, exit_code=2**31 - 1)
    raw = builders.raw_task("t", condition=("False", words, words), steps=[step])
    raw["metadata"]["name"] = f"{number:0253}"
    raw["metadata"]["labels"].pop(tekton.TASK_LABEL)
    raw["status"]["retriesStatus"] = [{}] * 999
    return tekton.project_taskrun(raw, tekton.TaskRun)


def run(words: str, children: list[tekton.TaskRun]) -> tekton.PipelineRun:
    """Their run, in whose status nothing is as Tekton would write it."""
    named = [{"kind": "TaskRun", "name": it.name, "pipelineTaskName": it.task} for it in children]
    said: dict[str, Any] = {
        "childReferences": named,
        "pipelineSpec": {"tasks": [{"name": it.task} for it in children]},
        "provenance": {"refSource": {"digest": {"sha256": words}}},
    }
    raw = builders.raw_run(condition=("False", words, words), status=said)
    raw["status"]["conditions"].append({
        "type": "TrustedResourcesVerified", "status": words, "reason": words, "message": words,
    })  # fmt: skip
    return tekton.project_pipelinerun(raw, tekton.PipelineRun)


def evident(details: FailureDetails, words: str) -> FailureDetails:
    """The record with all the evidence that there can be."""
    events = [
        {"reason": "FailedCreatePodSandBox", "message": words, "count": LARGEST,
         "lastTimestamp": builders.stamp(second)}
        for second in range(30)
    ]  # fmt: skip
    log, is_cut = evidence.log_tail(words)
    found = evidence.pod_events(events, evidence.Origin())
    return details.model_copy(
        update={"log_tail": log, "log_tail_truncated": is_cut, "pod_events": found}
    )


def size(of: Status) -> int:
    """Bytes of it on the wire."""
    return len(orjson.dumps(status.dump(of)))


@NASTY
def test_a_status_stays_within_64_kib_whatever_is_said(character: str) -> None:
    words = character * 20_000
    children = [task(number, words) for number in range(2 * progress.MAX_TASK_RUNS)]
    subject = summary.Subject(words, words, builders.NOW)
    ended = run(words, children)
    way = progress.map_progress(ended, children, None, None)
    ref = PipelineRunRef(namespace="n" * 63, name="r" * 253, uid="u" * 36)
    after = status.started(Status(), MOMENT, ref, at=builders.NOW)
    after = status.mirrored(after, MOMENT, ended, way)
    details = failure.classify_run(failure.Facts(ended, children), subject, builders.NOW)
    notes = [
        status.Note(kind, ConditionStatus.UNKNOWN, ConditionReason.SIGNATURE_NOT_VERIFIED, words)
        for kind in ConditionType
    ]
    after = status.failed(
        after, MOMENT, evident(details, words), outcome=Outcome.CANCELLED, at=builders.NOW, notes=[]
    )
    after = cleared(status.noted(after, MOMENT, notes), character)
    assert after.failure_details is not None
    assert len(after.failure_details.pod_events or ()) == evidence.MAX_EVENTS
    assert len(after.task_runs or ()) == progress.MAX_TASK_RUNS
    assert size(after) <= MAX_STATUS_BYTES


def cleared(after: Status, character: str) -> Status:
    """The status with all that people and other executions add to it."""
    surely = "?" if character == "\ud800" else character
    clearance = BlockClearance(
        cleared_at=builders.NOW,
        cleared_by=surely * 253,
        clear_reason=surely * 1024,
        clear_method=ClearMethod.STATUS_FIELD,
    )
    return after.model_copy(
        update={
            "block_clearance": clearance,
            "clearance_recorded_at": builders.NOW,
            "audited_transitions": tuple(it.value for it in audit.Transition),
            "consecutive_failures": LARGEST,
            "next_allowed_execution": builders.NOW,
            "locked_until": builders.NOW,
            "current_step": "x" * 253,
        }
    )


@NASTY
def test_a_skipped_one_stays_within_64_kib_whatever_others_are_called(character: str) -> None:
    words = character * 20_000
    details = SkipDetails(
        reason=SkipReason.PREVIOUS_EXECUTION_FAILED,
        message=words,
        skipped_at=builders.NOW,
        conflicting_workflow=ConflictingWorkflow(
            name=words, workflow_id=words, started_at=builders.NOW, target_resource=words
        ),
        recent_remediation=RecentRemediation(
            name=words,
            workflow_id=words,
            completed_at=builders.NOW,
            outcome=words,
            target_resource=words,
            cooldown_remaining="8784h0m0s",
        ),
        retry_at=builders.NOW + datetime.timedelta(days=1),
    )
    notes = [
        status.Note(kind, ConditionStatus.UNKNOWN, ConditionReason.SIGNATURE_NOT_VERIFIED, words)
        for kind in ConditionType
    ]
    after = status.skipped(Status(), MOMENT, details, notes)
    assert size(after) <= MAX_STATUS_BYTES

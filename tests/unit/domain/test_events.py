from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from workflowexecution.api.status import Phase, Status
from workflowexecution.domain import events
from workflowexecution.domain.events import Reason

RUN = {"namespace": "kubernaut-workflows", "name": "wfe-1", "uid": "r"}
TIMES = {"startTime": builders.stamp(), "completionTime": builders.stamp(90), "duration": "1m30s"}
DETAILS = {
    "reason": "TaskFailed",
    "message": "step exited with 42",
    "failedAt": builders.stamp(90),
    "executionTimeBeforeFailure": "1m30s",
    "naturalLanguageSummary": "It failed.",
}
SKIP = {"reason": "ResourceBusy", "message": "held by b", "skippedAt": builders.stamp()}

COMPLETED = {"phase": "Completed", "outcome": "Success", **TIMES}
FAILED = {"phase": "Failed", "outcome": "Failed", "failureDetails": DETAILS, **TIMES}


def tell(after: dict[str, Any], before: str = "", **spec: Any) -> events.Story | None:  # noqa: ANN401
    execution = builders.execution(status={"phase": before}, spec=spec or None)
    return events.tell(execution, Status.model_validate(after))


@pytest.mark.requirement("BR-WF-005", "Event details include workflow_id, outcome, duration")
@pytest.mark.requirement("BR-WF-005", "Events correlatable via remediation_id")
@pytest.mark.parametrize(
    ("after", "reason", "message"),
    [
        pytest.param(
            {"phase": "Running", "pipelineRunRef": RUN},
            Reason.PIPELINE_RUN_CREATED,
            "Workflow restart-deployment on payment/deployment/payment-api started as PipelineRun "
            "kubernaut-workflows/wfe-1 (RemediationRequest payment/rr-1)",
            id="running",
        ),
        pytest.param(
            COMPLETED,
            Reason.WORKFLOW_COMPLETED,
            "Workflow restart-deployment on payment/deployment/payment-api completed after 1m30s "
            "(outcome Success, RemediationRequest payment/rr-1)",
            id="completed",
        ),
        pytest.param(
            FAILED,
            Reason.WORKFLOW_FAILED,
            "Workflow restart-deployment on payment/deployment/payment-api failed after 1m30s "
            "(outcome Failed, RemediationRequest payment/rr-1): TaskFailed: step exited with 42",
            id="failed",
        ),
        pytest.param(
            {"phase": "Failed", "outcome": "Failed", "failureDetails": DETAILS},
            Reason.WORKFLOW_FAILED,
            "Workflow restart-deployment on payment/deployment/payment-api failed "
            "(outcome Failed, RemediationRequest payment/rr-1): "
            "pre-execution failure: TaskFailed: step exited with 42",
            id="failed-before-a-run",
        ),
        pytest.param(
            {"phase": "Skipped", "outcome": "Skipped", "skipDetails": SKIP},
            Reason.SKIPPED,
            "Workflow restart-deployment on payment/deployment/payment-api was skipped "
            "(outcome Skipped, RemediationRequest payment/rr-1): ResourceBusy: held by b",
            id="skipped",
        ),
    ],
)
def test_change_of_phase_is_told_with_what_it_is_about(
    after: dict[str, Any], reason: Reason, message: str
) -> None:
    assert tell(after) == events.Story(reason, reason is Reason.WORKFLOW_FAILED, message)


@pytest.mark.requirement("BR-WF-005", "Events emitted for all phase transitions")
@pytest.mark.parametrize("phase", [it for it in Phase if it is not Phase.PENDING])
def test_every_phase_but_the_first_is_told(phase: Phase) -> None:
    assert tell({"phase": phase}) is not None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("", {"phase": "Pending"}, id="pending-said"),
        pytest.param("Running", {"phase": "Running", "progress": "1/2"}, id="progress"),
        pytest.param("Running", {"progress": "1/2"}, id="no-phase"),
        pytest.param("Completed", COMPLETED, id="ended-before"),
        pytest.param("Running", {"phase": "Pending"}, id="never-back"),
    ],
)
def test_nothing_is_told_when_the_phase_did_not_move(before: str, after: dict[str, Any]) -> None:
    assert tell(after, before) is None


def test_remediation_is_named_without_what_is_not_known_of_it() -> None:
    story = tell(COMPLETED, remediationRequestRef={"name": "rr-9"})
    assert story is not None
    assert "RemediationRequest rr-9)" in story.message
    story = tell(COMPLETED, remediationRequestRef={})
    assert story is not None
    assert "RemediationRequest unknown)" in story.message


def test_message_is_redacted_and_fits_the_server() -> None:
    details = {**DETAILS, "message": f"password=hunter2 {'é' * 2000}"}
    story = tell({**FAILED, "failureDetails": details})
    assert story is not None
    assert "hunter2" not in story.message
    assert len(story.message.encode()) <= 1024
    assert "rr-1" in story.message

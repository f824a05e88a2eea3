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

SOUND, DOUBTED = (
    {
        "type": kind,
        "status": answer,
        "reason": "Any",
        "message": "the sidecar was killed",
        "lastTransitionTime": builders.stamp(),
    }
    for kind, answer in (("Ready", "True"), ("ResultConsistent", "False"))
)
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
            COMPLETED | {"conditions": [SOUND, DOUBTED]},
            Reason.WORKFLOW_COMPLETED,
            "Workflow restart-deployment on payment/deployment/payment-api completed after 1m30s "
            "(outcome Success, RemediationRequest payment/rr-1): the sidecar was killed",
            id="completed-in-doubt",
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
    related = {"namespace": "payment", "name": "rr-1"}
    story = tell(after)
    assert story == events.Story(reason, message, related)
    assert story.warning is (reason is Reason.WORKFLOW_FAILED)


@pytest.mark.requirement("BR-WF-005", "Events emitted for all phase transitions")
@pytest.mark.requirement("WE-PRACTICE", "Emit Kubernetes events for visibility")
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


WHOM = events.Remediation("rr-1", "payment", "u-1", "kubernaut.ai/v1alpha1", "RemediationRequest")


@pytest.mark.requirement("BR-WF-005", "Event details include workflow_id, outcome, duration")
@pytest.mark.requirement("BR-WF-005", "Events correlatable via remediation_id")
@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize(
    ("outcome", "lasted", "facts"),
    [
        pytest.param("", "", "", id="live"),
        pytest.param("Failed", "", "outcome Failed, ", id="ended-without-a-run"),
        pytest.param("Failed", "1m30s", "outcome Failed after 1m30s, ", id="ended"),
    ],
)
def test_remark_says_what_it_is_about(
    reason: Reason, outcome: str, lasted: str, facts: str
) -> None:
    story = events.remark(reason, events.Subject("w", "a/b/c", WHOM, outcome, lasted), "m")
    assert story.message == f"Workflow w on a/b/c ({facts}RemediationRequest payment/rr-1): m"
    assert story.warning is (reason in {Reason.WORKFLOW_FAILED, Reason.CLEANUP_FAILED})
    assert story.related == {
        "apiVersion": "kubernaut.ai/v1alpha1",
        "kind": "RemediationRequest",
        "namespace": "payment",
        "name": "rr-1",
        "uid": "u-1",
    }


GIVEN = {
    "clearedAt": builders.stamp(),
    "clearedBy": "ann",
    "clearReason": "rolled it back",
    "clearMethod": "StatusField",
}
TAKEN = {**FAILED, "blockClearance": GIVEN, "clearanceRecordedAt": builders.stamp(120)}


def test_clearance_is_told_when_it_is_taken_up() -> None:
    story = tell(TAKEN, "Failed")
    assert story is not None
    assert (story.reason, story.warning) == (Reason.BLOCK_CLEARED, False)
    assert story.message == (
        "Workflow restart-deployment on payment/deployment/payment-api (outcome Failed after "
        "1m30s, RemediationRequest payment/rr-1): Cleared by ann: rolled it back"
    )


@pytest.mark.parametrize(
    "after",
    [
        pytest.param({**FAILED, "blockClearance": GIVEN}, id="given"),
        pytest.param({**FAILED, "clearanceRecordedAt": builders.stamp()}, id="taken-back"),
    ],
)
def test_clearance_that_is_not_taken_up_is_not_told(after: dict[str, Any]) -> None:
    assert tell(after, "Failed") is None


def test_clearance_is_told_once() -> None:
    execution = builders.execution(status=TAKEN)
    assert events.tell(execution, Status.model_validate(TAKEN)) is None


def test_remark_is_redacted_and_fits_the_server() -> None:
    nobody = events.Subject("w", "a/b/c", events.Remediation())
    story = events.remark(Reason.BLOCK_CLEARED, nobody, f"token=abcdefgh {'x' * 3000}")
    assert "abcdefgh" not in story.message
    assert len(story.message.encode()) <= 1024
    assert story.related is None

"""What the record of each transition says beyond what every record has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.unit.domain.auditevents import DETAILS, FAILED, SKIP, SKIPPED, STATUSES, built
from workflowexecution.domain import auditpayload
from workflowexecution.domain.audit import Transition


def test_a_start_tells_its_parameters_and_run() -> None:
    data = built(
        Transition.STARTED, spec={"parameters": {"MODE": "x", "DB_PASSWORD": "y"}}
    ).document["event_data"]
    assert data["parameters"] == {"MODE": "x", "DB_PASSWORD": "***REDACTED***"}
    assert (data["pipelinerun_name"], data["started_at"]) == ("wfe-1", builders.stamp(5))
    assert "duration" not in data


def test_a_completion_tells_duration_and_digest() -> None:
    document = built(Transition.COMPLETED).document
    data = document["event_data"]
    assert (data["duration"], data["outcome"]) == ("1m0s", "Success")
    assert (data["completed_at"], data["resolved_digest"]) == (builders.stamp(65), builders.DIGEST)
    assert (document["duration_ms"], document["severity"]) == (60000, "info")


@pytest.mark.parametrize("transition", [Transition.COMPLETED, Transition.FAILED])
def test_an_end_tells_of_the_signature_and_of_doubts_where_something_is_said(
    transition: Transition,
) -> None:
    told = {"trusted_resources_verified", "result_consistent"}
    assert not told & set(built(transition).document["event_data"])
    conditions = [
        {"type": kind, "status": "False", "reason": "Any", "lastTransitionTime": builders.stamp()}
        for kind in ("TrustedResourcesVerified", "ResultConsistent")
    ]
    status = STATUSES[transition] | {"conditions": conditions}
    data = built(transition, status=status).document["event_data"]
    assert {data[name] for name in told} == {"False"}


def test_a_failure_tells_where_and_why() -> None:
    document = built(Transition.FAILED).document
    data = document["event_data"]
    message = "exit 42, password=***REDACTED***"
    assert (document["error_code"], document["error_message"]) == ("TaskFailed", message)
    assert (data["failure_reason"], data["failure_message"]) == ("TaskFailed", message)
    assert (data["failed_task_name"], data["failed_step_name"]) == ("drain", "run")
    assert (data["exit_code"], data["was_execution_failure"]) == (42, True)
    assert data["error_details"] == {
        "message": message,
        "code": "ERR_PIPELINE_FAILED",
        "component": "workflowexecution",
        "retry_possible": False,
    }
    assert document["severity"] == "warning"


@pytest.mark.parametrize(
    ("reason", "code", "retry"),
    [
        ("ConfigurationError", "ERR_WORKFLOW_NOT_FOUND", False),
        ("Forbidden", "ERR_WORKFLOW_NOT_FOUND", False),
        ("ImagePullBackOff", "ERR_IMAGE_PULL", True),
        ("Unknown", "ERR_PIPELINE_FAILED", True),
    ],
)
def test_a_failure_before_anything_ran_may_be_retryable(
    reason: str, code: str, retry: bool
) -> None:
    details = DETAILS | {"reason": reason, "wasExecutionFailure": False}
    said = FAILED | {"failureDetails": details}
    data = built(Transition.FAILED, status=said).document["event_data"]
    assert (data["error_details"]["code"], data["error_details"]["retry_possible"]) == (code, retry)


def test_a_skip_tells_who_stood_in_the_way() -> None:
    data = built(Transition.SKIPPED).document["event_data"]
    assert (data["skip_reason"], data["skip_message"]) == ("ResourceBusy", "held by payment/other")
    assert data["conflicting_workflow"]["workflow_id"] == "w"
    recent = {
        "name": "a",
        "workflowId": "w",
        "completedAt": builders.stamp(),
        "outcome": "Completed",
        "targetResource": builders.TARGET,
    }
    skip = SKIP | {"recentRemediation": recent, "retryAt": builders.stamp(300)}
    said = SKIPPED | {"skipDetails": {k: v for k, v in skip.items() if k != "conflictingWorkflow"}}
    data = built(Transition.SKIPPED, status=said).document["event_data"]
    assert data["recent_remediation"]["outcome"] == "Completed"
    assert data["retry_at"] == builders.stamp(300)
    assert "conflicting_workflow" not in data


def test_a_clearance_is_a_persons() -> None:
    document = built(Transition.CLEARED).document
    assert (document["actor_type"], document["actor_id"]) == ("user", "ann")
    assert document["resource_id"] == "uid-restart-payment"
    data = document["event_data"]
    assert (data["clear_reason"], data["cleared_by"]) == ("checked, token: ***REDACTED***", "ann")
    assert (data["cleared_at"], data["clear_method"]) == (builders.stamp(80), "StatusField")
    assert (data["previous_state"], data["new_state"]) == ("Blocked", "Running")


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=6000), max_size=6))
def test_parameters_stay_within_their_budget(parameters: dict[str, str]) -> None:
    data = built(Transition.STARTED, spec={"parameters": parameters}).document["event_data"]
    kept = data.get("parameters", {})
    size = sum(len(f"{name}{value}".encode("utf-8", "replace")) for name, value in kept.items())
    assert size <= auditpayload.MAX_PARAMETERS_BYTES
    assert list(kept) == sorted(kept)


def test_parameters_that_do_not_fit_are_cut_and_left_out() -> None:
    parameters = {"A": "x" * 9000, "B": "y"}
    data = built(Transition.STARTED, spec={"parameters": parameters}).document["event_data"]
    assert data["parameters"]["A"].endswith("…[cut]")
    assert "B" not in data["parameters"]


def test_parameters_are_looked_through_only_so_far() -> None:
    """What is blanked takes no room; a value under a secret's name is not looked through."""
    dump = f'token="{"s3cr3t" * 5000}"'
    parameters = {"A_TOKEN": dump * 9, **{f"B{number}": dump for number in range(9)}}
    data = built(Transition.STARTED, spec={"parameters": parameters}).document["event_data"]
    assert list(data["parameters"]) == ["A_TOKEN", "B0", "B1", "B2"]
    assert "s3cr3t" not in str(data)

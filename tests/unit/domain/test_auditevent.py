"""The audit record of each transition, in both dialects."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from workflowexecution.api import workflowexecution as api
from workflowexecution.domain import auditevent, auditpayload
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


@pytest.mark.requirement("BR-WF-005", "Events correlatable via remediation_id")
@pytest.mark.requirement("BR-WF-005", "Event details include workflow_id, outcome, duration")
def test_each_record_has_what_every_record_has() -> None:
    for transition in Transition:
        event = built(transition)
        assert event.document["correlation_id"] == "rr-1"
        assert event.document["actor_type"] == (
            "user" if transition == "block.cleared" else "service"
        )
        data = event.document["event_data"]
        assert data["event_key"] == event.key == f"uid-restart-payment.{transition.value}"
        assert (data["remediation_id"], data["workflow_id"]) == ("rr-1", "restart-deployment")
        assert (data["workflow_version"], data["confidence"]) == ("1.0.0", None)
        assert data["container_image"] == "registry.example/workflows/restart:v1"
        assert (data["target_resource"], data["execution_name"]) == (
            builders.TARGET,
            "restart-payment",
        )
        assert data["phase"]
        assert "outcome" in data


@pytest.mark.parametrize(
    ("transition", "event_type", "outcome", "at", "phase"),
    [
        (Transition.CREATED, "workflow.created", "success", 0, "Pending"),
        (Transition.STARTED, "workflow.started", "success", 5, "Running"),
        (Transition.COMPLETED, "workflow.completed", "success", 65, "Completed"),
        (Transition.FAILED, "workflow.failed", "failure", 65, "Failed"),
        (Transition.SKIPPED, "workflow.skipped", "skipped", 1, "Skipped"),
        (Transition.CLEARED, "block.cleared", "success", 90, "Failed"),
    ],
)
def test_december_names_type_action_outcome_and_time(
    transition: Transition, event_type: str, outcome: str, at: int, phase: str
) -> None:
    document = built(transition, auditevent.Style(skipped_outcome="skipped")).document
    assert document["event_type"] == f"workflowexecution.{event_type}"
    assert document["event_action"] == document["operation"] == event_type
    assert document["event_outcome"] == document["outcome"] == outcome
    assert document["event_timestamp"] == builders.stamp(at).replace("Z", ".000Z")
    assert document["event_data"]["phase"] == phase
    assert document["service"] == auditevent.ACTOR
    assert document["event_category"] == "workflowexecution"
    assert (document["resource_name"], document["namespace"]) == ("restart-payment", "payment")


def test_december_takes_every_record() -> None:
    assert all(built(transition).taken for transition in Transition)


SECRET = "because password=hunter2"


@pytest.mark.parametrize("style", [DECEMBER, CURRENT], ids=["december", "current"])
@pytest.mark.parametrize("transition", list(Transition))
def test_every_text_and_parameter_of_a_record_is_redacted(
    transition: Transition, style: auditevent.Style
) -> None:
    status = CLEARED | {
        "message": SECRET,
        "failureDetails": DETAILS | {"message": SECRET, "naturalLanguageSummary": SECRET},
        "skipDetails": SKIP | {"message": SECRET},
        "blockClearance": CLEARED["blockClearance"] | {"clearReason": SECRET},
    }
    spec = {"parameters": {"NOTE": SECRET, "PGPASSWORD": "hunter2"}}
    document = built(transition, style, status=status, spec=spec).document
    assert "hunter2" not in orjson.dumps(document).decode()


ODD = "a\x00b\x1b[1m\udc00"


@pytest.mark.parametrize("style", [DECEMBER, CURRENT], ids=["december", "current"])
@pytest.mark.parametrize("transition", list(Transition))
def test_no_text_of_a_record_has_what_a_database_does_not_hold(
    transition: Transition, style: auditevent.Style
) -> None:
    skip = SKIP | {"conflictingWorkflow": SKIP["conflictingWorkflow"] | {"workflowId": ODD}}
    status = CLEARED | {
        "failureDetails": DETAILS | {"failedTaskName": ODD, "failedStepName": ODD},
        "skipDetails": skip,
        "blockClearance": CLEARED["blockClearance"] | {"clearedBy": ODD},
    }
    spec = {
        "remediationRequestRef": {"name": ODD},
        "workflowRef": {"workflowId": ODD, "version": ODD, "containerImage": ODD},
        "targetResource": ODD,
        "parameters": {ODD: ODD},
    }
    # As an execution is read that was made before its definition said what is valid.
    raw = builders.raw_execution(status=status, spec=spec)
    document = auditevent.build(api.parse_leniently(raw), transition, style).document
    assert "\\u00" not in orjson.dumps(document).decode()
    assert document["correlation_id"] == "a?b?"
    assert document["event_data"]["workflow_id"] == "a?b?"


def test_no_member_of_a_record_is_beyond_its_column() -> None:
    status = COMPLETED | {"completionTime": builders.stamp(26 * 86400)}
    spec = {"remediationRequestRef": {"name": "ä" * 253}}
    raw = builders.raw_execution(status=status, spec=spec)
    document = auditevent.build(api.parse_leniently(raw), Transition.COMPLETED, DECEMBER).document
    assert document["duration_ms"] == 2**31 - 1
    assert len(document["correlation_id"].encode()) <= 255


def test_the_names_in_a_record_are_whole() -> None:
    image = "rotate-secret:main"
    workflow = {"workflowId": "rotate-token", "version": "token-2", "containerImage": image}
    clearance = CLEARED["blockClearance"] | {"clearedBy": "system:serviceaccount:auth:runner"}
    document = built(
        Transition.CLEARED,
        status=CLEARED | {"blockClearance": clearance},
        spec={"workflowRef": workflow, "targetResource": "auth/secret/token"},
    ).document
    data = document["event_data"]
    assert (data["container_image"], data["workflow_id"]) == (image, "rotate-token")
    assert (data["workflow_version"], data["target_resource"]) == ("token-2", "auth/secret/token")
    assert data["cleared_by"] == document["actor_id"] == "system:serviceaccount:auth:runner"


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


def test_a_status_that_lacks_what_it_should_have_still_leaves_a_record() -> None:
    for transition, phase in (("failed", "Failed"), ("skipped", "Skipped"), ("block.cleared", "")):
        event = built(Transition(transition), status={"phase": phase})
        assert event.document["event_timestamp"] == builders.stamp().replace("Z", ".000Z")
    bare = auditevent.build(
        builders.execution(metadata={"creationTimestamp": None}), Transition.CREATED, DECEMBER
    )
    assert bare.document["event_timestamp"] == "1970-01-01T00:00:00.000Z"


def test_without_a_remediation_the_execution_correlates() -> None:
    event = built(Transition.CREATED, spec={"remediationRequestRef": {}})
    assert event.document["correlation_id"] == "restart-payment"


@pytest.mark.parametrize(
    ("transition", "event_type", "action"),
    [
        (Transition.STARTED, "workflowexecution.execution.started", "started"),
        (Transition.COMPLETED, "workflowexecution.workflow.completed", "completed"),
        (Transition.FAILED, "workflowexecution.workflow.failed", "failed"),
        (Transition.CLEARED, "workflowexecution.block.cleared", "block_cleared"),
    ],
)
def test_current_names_what_that_server_takes(
    transition: Transition, event_type: str, action: str
) -> None:
    event = built(transition, CURRENT)
    assert event.taken
    assert event.document["event_type"] == event.document["event_data"]["event_type"] == event_type
    assert event.document["event_action"] == action
    assert "operation" not in event.document


@pytest.mark.parametrize(
    ("transition", "status"),
    [
        pytest.param(Transition.CREATED, {}, id="created"),
        pytest.param(Transition.SKIPPED, SKIPPED, id="skipped"),
        pytest.param(Transition.FAILED, CANCELLED, id="cancelled"),
    ],
)
def test_current_does_not_take_what_that_server_has_no_word_for(
    transition: Transition, status: dict[str, Any]
) -> None:
    event = built(transition, CURRENT, status=status)
    assert not event.taken
    assert event.document["operation"] == f"workflow.{transition.value}"


def test_a_record_stays_the_same_when_it_is_built_later() -> None:
    for transition in (Transition.CREATED, Transition.STARTED):
        early = built(transition).document
        assert built(transition, status=CLEARED).document == early


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


def test_years_before_1000_are_written_in_full() -> None:
    first = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
    event = built(Transition.CREATED, metadata={"creationTimestamp": first.isoformat()})
    assert event.document["event_timestamp"] == "0001-01-01T00:00:00.000Z"
    assert orjson.dumps(event.document)


@pytest.mark.parametrize("now", [DECEMBER, CURRENT], ids=["december", "current"])
@pytest.mark.parametrize("style", [DECEMBER, CURRENT], ids=["december", "current"])
@pytest.mark.parametrize("transition", list(Transition))
def test_a_record_is_told_from_its_document_and_spelled_as_the_style_is_now(
    transition: Transition, style: auditevent.Style, now: auditevent.Style
) -> None:
    now = dataclasses.replace(now, category="workflow", skipped_outcome="skipped")
    document = orjson.loads(orjson.dumps(built(transition, style).document))
    assert auditevent.rebuild(document, now) == built(transition, now)


def test_a_record_without_a_word_now_is_told_as_such() -> None:
    event = built(Transition.FAILED, status=CANCELLED)
    assert auditevent.rebuild(event.document, CURRENT) == built(
        Transition.FAILED, CURRENT, status=CANCELLED
    )


@pytest.mark.parametrize("data", [None, {}, {"event_key": "uid"}, {"event_key": "uid.odd"}])
def test_a_document_without_its_key_is_none_of_ours(data: object) -> None:
    with pytest.raises(ValueError, match="not a "):
        auditevent.rebuild({"event_data": data}, DECEMBER)


@pytest.mark.parametrize(
    "member", ["event_timestamp", "correlation_id", "resource_id", "namespace", "event_data"]
)
@pytest.mark.parametrize("value", [None, 5, {}])
def test_a_document_of_another_shape_is_none_of_ours(member: str, value: object) -> None:
    document = built(Transition.CREATED).document | {member: value}
    with pytest.raises(ValueError, match=r"record|Transition"):
        auditevent.rebuild(document, DECEMBER)
    with pytest.raises(ValueError, match="not a record"):
        auditevent.rebuild([], DECEMBER)


def test_a_document_of_no_time_is_none_of_ours() -> None:
    with pytest.raises(ValueError, match="isoformat"):
        auditevent.rebuild(
            built(Transition.CREATED).document | {"event_timestamp": "today"}, DECEMBER
        )


KEPT = built(Transition.CREATED)


def without_key(**members: object) -> dict[str, object]:
    return {**KEPT.document, "event_data": {}, **members}


@pytest.mark.parametrize(
    ("row", "same"),
    [
        pytest.param(KEPT.document, True, id="key"),
        pytest.param(built(Transition.CREATED, name="two").document, False, id="other-key"),
        pytest.param(without_key(), True, id="natural"),
        pytest.param(without_key(namespace=None), True, id="no-namespace"),
        pytest.param(without_key(namespace="other"), False, id="other-namespace"),
        pytest.param(
            without_key(event_timestamp="2026-03-01T13:00:00.000000000+01:00"), True, id="spelling"
        ),
        pytest.param(without_key(event_timestamp="2026-03-01T12:00:00"), True, id="no-zone"),
        pytest.param(without_key(event_timestamp="2026-03-01T12:00:01Z"), False, id="other-time"),
        pytest.param(without_key(event_timestamp="soon"), False, id="no-time"),
        pytest.param(without_key(event_timestamp=None), False, id="time-absent"),
        pytest.param(without_key(resource_id="two"), False, id="other-resource"),
        pytest.param(without_key(event_type="x"), False, id="other-type"),
        pytest.param(without_key(event_data=None), True, id="no-data"),
        pytest.param("text", False, id="no-row"),
    ],
)
def test_a_row_is_the_same_by_key_or_by_nature(row: object, same: bool) -> None:
    assert auditevent.is_same(KEPT, row) is same


def test_transitions_of_one_execution_are_told_apart() -> None:
    other = auditevent.Event(KEPT.uid, Transition.STARTED, KEPT.document)
    assert not auditevent.is_same(other, KEPT.document)

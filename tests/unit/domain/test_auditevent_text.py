"""What of a record is blanked, replaced or cut before anybody keeps it, and what stays whole."""

from __future__ import annotations

import orjson
import pytest

from tests import builders
from tests.unit.domain.auditevents import (
    CLEARED,
    COMPLETED,
    CURRENT,
    DECEMBER,
    DETAILS,
    SKIP,
    built,
)
from workflowexecution.api import workflowexecution as api
from workflowexecution.domain import auditevent
from workflowexecution.domain.audit import Transition

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

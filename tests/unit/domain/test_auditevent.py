"""The audit record of each transition, in both dialects."""

from __future__ import annotations

import datetime
from typing import Any

import orjson
import pytest

from tests import builders
from tests.unit.domain.auditevents import CANCELLED, CLEARED, CURRENT, DECEMBER, SKIPPED, built
from workflowexecution.domain import auditevent
from workflowexecution.domain.audit import Transition


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


def test_years_before_1000_are_written_in_full() -> None:
    first = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
    event = built(Transition.CREATED, metadata={"creationTimestamp": first.isoformat()})
    assert event.document["event_timestamp"] == "0001-01-01T00:00:00.000Z"
    assert orjson.dumps(event.document)

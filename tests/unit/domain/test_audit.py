"""What is due is a function of the status; what is acknowledged stands in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from workflowexecution.api.status import (
    BlockClearance,
    ClearMethod,
    Condition,
    ConditionReason,
    ConditionStatus,
    ConditionType,
    Phase,
    Status,
)
from workflowexecution.domain import audit, status
from workflowexecution.domain.audit import Transition

CLEARANCE = BlockClearance(
    cleared_at=builders.NOW,
    cleared_by="ann",
    clear_reason="ok",
    clear_method=ClearMethod.ANNOTATION,
)
STATUSES = st.builds(
    Status,
    phase=st.none() | st.sampled_from(Phase),
    start_time=st.none() | st.just(builders.NOW),
    block_clearance=st.none() | st.just(CLEARANCE),
    clearance_recorded_at=st.none() | st.just(builders.NOW),
    audited_transitions=st.none()
    | st.lists(st.sampled_from(Transition).map(str), unique=True).map(tuple),
)


def recorded(truth: ConditionStatus) -> Status:
    said = Condition(
        type=ConditionType.AUDIT_RECORDED,
        status=truth,
        reason="Any",
        last_transition_time=builders.NOW,
    )
    return Status(phase=Phase.FAILED, audited_transitions=("created",), conditions=(said,))


@pytest.mark.parametrize(
    ("made", "transitions"),
    [
        pytest.param(Status(), ["created"], id="new"),
        pytest.param(Status(phase=Phase.PENDING), ["created"], id="pending"),
        pytest.param(
            Status(phase=Phase.RUNNING, start_time=builders.NOW), ["created", "started"], id="runs"
        ),
        pytest.param(
            Status(phase=Phase.COMPLETED, start_time=builders.NOW),
            ["created", "started", "completed"],
            id="completed",
        ),
        pytest.param(Status(phase=Phase.FAILED), ["created", "failed"], id="refused"),
        pytest.param(Status(phase=Phase.SKIPPED), ["created", "skipped"], id="skipped"),
        pytest.param(
            Status(
                phase=Phase.FAILED, block_clearance=CLEARANCE, clearance_recorded_at=builders.NOW
            ),
            ["created", "failed", "block.cleared"],
            id="cleared",
        ),
        pytest.param(
            Status(phase=Phase.FAILED, block_clearance=CLEARANCE),
            ["created", "failed"],
            id="clearance-not-taken-up",
        ),
    ],
)
@pytest.mark.requirement("WE-PRACTICE", "Write audit trail for all executions (including Skipped)")
def test_each_status_tells_its_transitions(made: Status, transitions: list[str]) -> None:
    assert list(audit.made(made)) == transitions


def test_what_is_acknowledged_is_not_due() -> None:
    after = audit.acknowledged(
        Status(phase=Phase.SKIPPED), [Transition.CREATED, Transition.COMPLETED]
    )
    assert after.audited_transitions == ("created",)
    assert audit.due(after) == (Transition.SKIPPED,)
    assert audit.acknowledged(after, [Transition.CREATED]) is after


@given(STATUSES, st.sets(st.sampled_from(Transition)))
def test_acknowledging_loses_and_doubles_nothing(before: Status, some: set[Transition]) -> None:
    after = audit.acknowledged(before, some)
    audited = after.audited_transitions or ()
    assert len(set(audited)) == len(audited)
    assert set(before.audited_transitions or ()) <= set(audited)
    assert set(audit.due(after)) == set(audit.due(before)) - some
    assert audit.acknowledged(after, some) == after


@given(STATUSES)
def test_wire_and_model_agree_on_what_is_due(one: Status) -> None:
    assert audit.due_by(status.dump(one)) == audit.due(one)


@pytest.mark.parametrize("audited", ["created", 5, {"created": 1}, [None, ["x"]]])
def test_odd_wire_values_count_as_absent(audited: object) -> None:
    said = {"phase": ["odd"], "auditedTransitions": audited}
    assert audit.due_by(said) == (Transition.CREATED,)


def test_nothing_due_is_recorded() -> None:
    said = audit.recorded(Status(audited_transitions=("created",)), {})
    assert said == audit.Recorded(
        ConditionStatus.TRUE, ConditionReason.AUDIT_SUCCEEDED, "Nothing is due"
    )


def test_a_refusal_is_told() -> None:
    refused = {Transition.CREATED: "never due", Transition.FAILED: "400 bad category"}
    said = audit.recorded(recorded(ConditionStatus.TRUE), refused)
    assert said == audit.Recorded(
        ConditionStatus.FALSE, ConditionReason.AUDIT_FAILED, "failed: 400 bad category"
    )


def test_what_was_recorded_is_pending_when_more_comes() -> None:
    said = audit.recorded(recorded(ConditionStatus.TRUE), {})
    assert said == audit.Recorded(
        ConditionStatus.UNKNOWN, ConditionReason.AUDIT_PENDING, "On their way: failed"
    )


@pytest.mark.parametrize("before", [Status(), recorded(ConditionStatus.FALSE)])
def test_nothing_is_said_of_records_on_their_way(before: Status) -> None:
    assert audit.recorded(before, {}) is None

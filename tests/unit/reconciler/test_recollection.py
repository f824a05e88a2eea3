"""What is remembered of ended executions until their acknowledgement is written."""

from __future__ import annotations

import datetime

from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from workflowexecution.api.status import ConditionStatus, ConditionType, Status
from workflowexecution.domain import audit, status
from workflowexecution.reconciler import recollection

NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
MOMENT = status.Moment(NOW, 1)
STATUSES = st.builds(
    Status,
    phase=st.sampled_from(sorted(status.TERMINAL)),
    start_time=st.none() | st.just(builders.NOW),
    message=st.text(max_size=5),
    audited_transitions=st.none()
    | st.lists(st.sampled_from(audit.Transition).map(str), unique=True).map(tuple),
).flatmap(
    lambda one: st.lists(
        st.builds(
            status.Note,
            type=st.sampled_from(ConditionType),
            status=st.sampled_from(ConditionStatus),
            reason=st.just("Reason"),
            message=st.text(max_size=5),
        ),
        max_size=4,
    ).map(lambda notes: status.noted(one, MOMENT, notes))
)


def completed() -> Status:
    """A status such as most executions end with."""
    execution = builders.execution(
        status={"phase": "Running", "startTime": builders.stamp(1), "message": "x" * 4096}
    )
    notes = [
        status.Note(kind, ConditionStatus.TRUE, "Reason", "A sentence about it, as there are many")
        for kind in list(ConditionType)[:6]
    ]
    return status.noted(status.completed(execution.status, MOMENT, NOW), MOMENT, notes)


def test_a_burst_of_two_thousand_fits() -> None:
    known, said = recollection.Recollection(), completed()
    for number in range(2000):
        known.note(str(number), "1", said)
    assert len(known) == 2000


def test_what_finds_no_room_is_not_remembered_until_something_goes() -> None:
    said = completed()
    size = len(said.model_dump_json(exclude={"message"}, exclude_none=True))
    known = recollection.Recollection(max_bytes=2 * size)
    for uid in ("a", "b", "c", "d"):
        known.note(uid, "1", said)
    kept = len(known)
    assert 1 <= kept <= 3
    known.forget("a")
    known.forget("never there")
    known.note("d", "1", said)
    assert len(known) == kept
    assert known.at("d", "1") is not None


def test_another_version_is_not_what_is_remembered() -> None:
    known = recollection.Recollection()
    known.note("a", "1", completed())
    known.note("a", "2", completed())
    assert len(known) == 1
    assert known.at("a", "1") is None
    assert known.at("b", "2") is None


@given(STATUSES)
def test_an_acknowledgement_of_what_is_remembered_is_that_of_the_whole(one: Status) -> None:
    known = recollection.Recollection()
    known.note("a", "1", one)
    remembered = known.at("a", "1")
    assert remembered is not None
    assert audit.due(remembered) == audit.due(one)

    def patch(before: Status) -> dict[str, object]:
        note = status.Note(ConditionType.AUDIT_RECORDED, ConditionStatus.TRUE, "AuditSucceeded")
        after = audit.acknowledged(before, list(audit.Transition))
        return status.patch(before, status.noted(after, MOMENT, [note]))

    assert patch(remembered) == patch(one)

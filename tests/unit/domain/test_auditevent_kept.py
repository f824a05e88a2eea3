"""A record that was kept: read back from its document, and known again in a row."""

from __future__ import annotations

import dataclasses

import orjson
import pytest

from tests.unit.domain.auditevents import CANCELLED, CURRENT, DECEMBER, built
from workflowexecution.domain import auditevent
from workflowexecution.domain.audit import Transition


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

import datetime

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflowexecution.api import status as api

_CLEARANCE = {"clearedBy": "jane", "clearReason": "looked at it", "clearMethod": "StatusField"}


def _cleared(at: object) -> api.BlockClearance:
    return api.BlockClearance.model_validate({**_CLEARANCE, "clearedAt": at})


@pytest.mark.parametrize(
    ("given_time", "written"),
    [
        pytest.param("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z", id="utc"),
        pytest.param("2026-03-01T12:00:00+09:00", "2026-03-01T03:00:00Z", id="zone"),
        pytest.param("2026-03-01T12:00:00.987654Z", "2026-03-01T12:00:00Z", id="fraction"),
        pytest.param("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", id="zero-time-of-go"),
    ],
)
def test_time_is_written_in_utc_and_whole_seconds(given_time: str, written: str) -> None:
    assert _cleared(given_time).model_dump(mode="json", by_alias=True)["clearedAt"] == written


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("2026-03-01T12:00:00", id="no-zone"),
        pytest.param("0001-01-01T00:00:00+14:00", id="before-the-first-year"),
        pytest.param("yesterday", id="no-time"),
    ],
)
def test_time_is_refused_when_it_is_none(value: str) -> None:
    with pytest.raises(pydantic.ValidationError):
        _cleared(value)


@given(st.datetimes(timezones=st.timezones()))
def test_time_reads_back_what_it_wrote(when: datetime.datetime) -> None:
    try:
        when.astimezone(datetime.UTC)
    except OverflowError:
        return
    written = _cleared(when).model_dump(mode="json", by_alias=True)
    again = _cleared(written["clearedAt"])
    assert again.model_dump(mode="json", by_alias=True) == written
    assert abs((again.cleared_at - when).total_seconds()) < 1


def test_models_ignore_what_they_do_not_know() -> None:
    status = api.Status.model_validate({"phase": "Running", "somethingNew": {"a": 1}})
    assert status == api.Status(phase=api.Phase.RUNNING)


def test_models_are_frozen() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        setattr(api.Status(), "phase", api.Phase.FAILED)  # noqa: B010 - mypy forbids it as well


def test_conditions_reasons_are_what_a_condition_accepts() -> None:
    for reason in [*api.ConditionReason, *api.FailureReason, *api.SkipReason]:
        assert reason.isalpha()

from __future__ import annotations

import datetime

import pytest

from tests import builders
from workflowexecution.api import times


@pytest.mark.parametrize(
    ("value", "when"),
    [
        pytest.param("2026-03-01T12:00:00Z", builders.NOW, id="time"),
        pytest.param("2026-03-01T12:00:00.000000Z", builders.NOW, id="micro-time"),
        pytest.param("2026-03-01T21:00:00+09:00", builders.NOW, id="zone"),
        pytest.param("2026-03-01T12:00:00", None, id="no-zone"),
        pytest.param("0001-01-01T00:00:00+14:00", None, id="before-the-first-year"),
        pytest.param("soon", None, id="text"),
        pytest.param(None, None, id="null"),
        pytest.param(1772366400, None, id="number"),
    ],
)
def test_parse_reads_api_times_alone(value: object, when: datetime.datetime | None) -> None:
    parsed = times.parse(value)
    assert parsed == when
    assert parsed is None or parsed.tzinfo is datetime.UTC


@pytest.mark.parametrize(
    ("when", "text"),
    [
        pytest.param(builders.NOW, "2026-03-01T12:00:00Z", id="utc"),
        pytest.param(builders.NOW.replace(microsecond=999_999), "2026-03-01T12:00:00Z", id="cut"),
        pytest.param(
            builders.NOW.astimezone(datetime.timezone(datetime.timedelta(hours=9))),
            "2026-03-01T12:00:00Z",
            id="zone",
        ),
        pytest.param(
            datetime.datetime(1, 1, 1, tzinfo=datetime.UTC), "0001-01-01T00:00:00Z", id="go-zero"
        ),
    ],
)
def test_a_stamp_is_what_the_api_writes(when: datetime.datetime, text: str) -> None:
    assert times.stamp(when) == text
    assert times.parse(text) == times.second(when)


def test_a_stamp_is_as_fine_as_asked() -> None:
    when = builders.NOW.replace(microsecond=123_456)
    assert times.stamp(when, precision="milliseconds") == "2026-03-01T12:00:00.123Z"


FIRST = datetime.datetime.min.replace(tzinfo=datetime.UTC)
LAST = datetime.datetime.max.replace(tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("when", "by_s", "there"),
    [
        pytest.param(builders.NOW, 1.5, builders.NOW + datetime.timedelta(seconds=1.5), id="later"),
        pytest.param(builders.NOW, -2, builders.NOW - datetime.timedelta(seconds=2), id="earlier"),
        pytest.param(LAST, 1, LAST, id="after-the-last"),
        pytest.param(FIRST, -1, FIRST, id="before-the-first"),
        pytest.param(builders.NOW, 1e30, LAST, id="more-than-a-span-holds"),
    ],
)
def test_a_time_that_is_shifted_stays_within_those_that_there_are(
    when: datetime.datetime, by_s: float, there: datetime.datetime
) -> None:
    assert times.shifted(when, by_s) == there

"""What is kept of logs and events: the end, without secrets, within its budget."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflowexecution.domain import evidence


def event(reason: str, at: str = "2026-01-01T00:00:00Z", **parts: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"reason": reason, "message": "m", "lastTimestamp": at, **parts}


def test_log_tail_keeps_a_short_log_whole() -> None:
    assert evidence.log_tail("one\ntwo\n") == ("one\ntwo", False)


def test_log_tail_keeps_the_end_of_a_long_log() -> None:
    tail, is_cut = evidence.log_tail("head " + "x" * evidence.MAX_LOG_BYTES + " end")
    assert is_cut
    assert tail.endswith(" end")
    assert "head" not in tail


@given(st.text(alphabet="aä€😀\n", max_size=6000))
def test_log_tail_fits_its_budget_on_a_character_boundary(log: str) -> None:
    tail, _ = evidence.log_tail(log)
    assert len(tail.encode()) <= evidence.MAX_LOG_BYTES
    assert log.rstrip("\n").endswith(tail)


def test_log_tail_shows_no_secret_that_a_cut_would_have_freed_of_its_key() -> None:
    secret = "s3cr3t" * 800
    tail, _ = evidence.log_tail(f"password={secret} end")
    assert "s3cr3t" not in tail


def test_pod_events_are_those_that_tell_in_the_order_of_time() -> None:
    raws = [
        event("Evicted", "2026-01-01T00:00:02Z", count=2),
        event("Pulled"),
        event("FailedMount", "2026-01-01T00:00:01Z"),
    ]
    found = evidence.pod_events(raws)
    assert [(it.reason, it.count) for it in found] == [("FailedMount", None), ("Evicted", 2)]


def test_pod_events_are_few_and_the_latest() -> None:
    raws = [event("BackOff", f"2026-01-01T00:00:{second:02}Z") for second in range(30)]
    found = evidence.pod_events(raws)
    assert len(found) == evidence.MAX_EVENTS
    assert found[-1].last_seen is not None
    assert found[-1].last_seen.second == 29


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({"lastTimestamp": None, "eventTime": "2026-01-01T00:00:05Z"}, id="event-time"),
        pytest.param(
            {
                "lastTimestamp": None,
                "series": {"count": 3, "lastObservedTime": "2026-01-01T00:00:05Z"},
            },
            id="series",
        ),
    ],
)
def test_pod_events_of_the_newer_api_have_their_time(raw: dict[str, Any]) -> None:
    (found,) = evidence.pod_events([event("Evicted", **raw)])
    assert found.last_seen is not None
    assert found.last_seen.second == 5


def test_pod_events_take_odd_members_for_absent_ones() -> None:
    raw = event("Evicted", message=None, count="many", lastTimestamp=7, series="x")
    (found,) = evidence.pod_events([raw])
    assert (found.message, found.count, found.last_seen) == ("", None, None)


def test_pod_events_are_redacted_and_cut() -> None:
    (found,) = evidence.pod_events([event("Failed", message="token=abc " + "x" * 2000)])
    assert "abc" not in found.message
    assert len(found.message.encode()) <= evidence.MAX_EVENT_BYTES

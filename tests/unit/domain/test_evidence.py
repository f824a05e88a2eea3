"""What is kept of logs and events: the end, without secrets, within its budget."""

from __future__ import annotations

import datetime
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflowexecution.domain import evidence, redaction

ANY = evidence.Origin()
SINCE = evidence.Origin(since=datetime.datetime(2026, 1, 1, 0, 0, 5, tzinfo=datetime.UTC))

SETTLED = evidence.Origin(settled=frozenset({"step-a"}))


def event(reason: str, at: str = "2026-01-01T00:00:00Z", **parts: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"reason": reason, "message": "m", "lastTimestamp": at, **parts}


def test_log_tail_keeps_a_short_log_whole() -> None:
    assert evidence.log_tail("one\ntwo\n") == ("one\ntwo", False)


def test_log_tail_keeps_the_end_of_a_long_log() -> None:
    tail, is_cut = evidence.log_tail("head " + "x" * evidence.MAX_LOG_BYTES + " end")
    assert is_cut
    assert tail.endswith(" end")
    assert "head" not in tail


def test_log_tail_is_cut_where_there_were_more_lines_than_are_kept() -> None:
    kept = "\n".join(str(number) for number in range(evidence.MAX_LOG_LINES))
    assert evidence.log_tail(f"{kept}\n") == (kept, False)
    assert evidence.log_tail(f"head\n{kept}\n") == (kept, True)


@given(st.text(alphabet='aä€😀\n\t"\\', max_size=6000))
def test_log_tail_fits_its_budget_on_a_character_boundary(log: str) -> None:
    tail, _ = evidence.log_tail(log)
    assert len(orjson.dumps(tail)) - 2 <= evidence.MAX_LOG_BYTES
    assert log.rstrip("\n").endswith(tail)


def test_log_tail_is_cut_where_a_bar_of_progress_made_many_lines_of_one() -> None:
    assert evidence.log_tail("1%\r" * 501)[1]


def test_log_tail_shows_no_secret_that_colours_part_from_its_key() -> None:
    assert "hunter2" not in evidence.log_tail("pass\x1b[1mword\x1b[0m=\x1b[32mhunter2")[0]


def test_log_tail_shows_no_secret_that_a_cut_would_have_freed_of_its_key() -> None:
    secret = "s3cr3t" * 800
    tail, _ = evidence.log_tail(f"password={secret} end")
    assert "s3cr3t" not in tail


def test_log_tail_keeps_the_end_of_a_log_that_is_too_long_to_be_looked_through() -> None:
    # Each of the dots and dashes could be the beginning of a flag.
    log = "key " + ".-" * 2**20
    begun = time.process_time()
    tail, is_cut = evidence.log_tail(f"{log}\npassword=hunter2 failed\n\n")
    assert time.process_time() - begun < 1.0
    assert is_cut
    assert tail.endswith(f".-.-\npassword={redaction.BLANK} failed")


def test_pod_events_are_those_that_tell_in_the_order_of_time() -> None:
    raws = [
        event("Evicted", "2026-01-01T00:00:02Z", count=2),
        event("Pulled"),
        event("FailedMount", "2026-01-01T00:00:01Z"),
    ]
    found = evidence.pod_events(raws, ANY)
    assert [(it.reason, it.count) for it in found] == [("FailedMount", None), ("Evicted", 2)]


def test_pod_events_are_few_and_the_latest() -> None:
    raws = [event("BackOff", f"2026-01-01T00:00:{second:02}Z") for second in range(30)]
    found = evidence.pod_events(raws, ANY)
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
    (found,) = evidence.pod_events([event("Evicted", **raw)], ANY)
    assert found.last_seen is not None
    assert found.last_seen.second == 5


def test_pod_events_take_odd_members_for_absent_ones() -> None:
    raw = event("Evicted", message=None, count="many", lastTimestamp=7, series="x")
    (found,) = evidence.pod_events([raw], ANY)
    assert (found.message, found.count, found.last_seen) == ("", None, None)


def test_pod_events_are_redacted_and_cut() -> None:
    (found,) = evidence.pod_events([event("Failed", message="token=abc " + "x" * 2000)], ANY)
    assert "abc" not in found.message
    assert len(found.message.encode()) <= evidence.MAX_EVENT_BYTES


@pytest.mark.parametrize(
    ("origin", "raw", "kept"),
    [
        pytest.param(evidence.Origin("b"), {"involvedObject": {"uid": "b"}}, True, id="this"),
        pytest.param(evidence.Origin("b"), {"involvedObject": {"uid": "a"}}, False, id="another"),
        pytest.param(evidence.Origin("b"), {}, False, id="nobodys"),
        pytest.param(SINCE, {"at": "2026-01-01T00:00:04Z"}, False, id="seen-before"),
        pytest.param(SINCE, {"at": "2026-01-01T00:00:05Z"}, True, id="seen-since"),
        pytest.param(
            SINCE,
            {
                "at": "2026-01-01T00:00:04Z",
                "metadata": {"creationTimestamp": "2026-01-01T00:00:06Z"},
            },
            True,
            id="by-the-clock-of-the-server",
        ),
        pytest.param(SINCE, {"at": ""}, False, id="at-no-time"),
        pytest.param(
            SETTLED,
            {"involvedObject": {"fieldPath": "spec.containers{step-a}"}},
            False,
            id="of-a-container-that-has-begun",
        ),
        pytest.param(
            SETTLED,
            {"involvedObject": {"fieldPath": "spec.containers{step-ab}"}},
            True,
            id="of-another",
        ),
        pytest.param(
            SETTLED,
            {"involvedObject": {"fieldPath": "spec.initContainers{prepare}"}},
            False,
            id="of-one-before-the-first-step",
        ),
        pytest.param(
            evidence.Origin(settled=frozenset({"sidecar-a"})),
            {"involvedObject": {"fieldPath": "spec.initContainers{prepare}"}},
            True,
            id="of-one-before-any-step",
        ),
        pytest.param(
            SETTLED,
            {"involvedObject": {"fieldPath": "spec.initContainers{sidecar-b}"}},
            True,
            id="of-a-sidecar-that-has-not-begun",
        ),
        pytest.param(SETTLED, {"involvedObject": {"fieldPath": 7}}, True, id="of-none"),
    ],
)
def test_pod_events_are_of_one_pod(
    origin: evidence.Origin, raw: dict[str, Any], kept: bool
) -> None:
    assert bool(evidence.pod_events([event("Evicted", **raw)], origin)) is kept


@pytest.mark.parametrize("reason", ["SystemOOM", "OOMKilling", "Started"])
def test_pod_events_are_not_those_of_nodes_or_of_a_normal_life(reason: str) -> None:
    assert evidence.pod_events([event(reason)], ANY) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"unable to retrieve container logs for containerd://{'0' * 64}", True),
        (f"unable to retrieve container logs for cri-o://{'a' * 64}\n", True),
        (
            'failed to try resolving symlinks in path "/var/log/pods/a/b/0.log": '
            "lstat /var/log/pods/a/b/0.log: no such file or directory",
            True,
        ),
        (f"it said: unable to retrieve container logs for containerd://{'0' * 64}", False),
        ("unable to retrieve container logs for me", False),
        ("", False),
    ],
)
def test_what_a_kubelet_says_in_the_place_of_a_log_is_none(text: str, expected: bool) -> None:
    assert evidence.is_no_log(text) is expected

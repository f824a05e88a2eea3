"""What is written down with an end: the count, the back-off and the lock of its target."""

from __future__ import annotations

import dataclasses
import datetime

import pytest

from tests.unit.domain.pasts import NOW, RESTART, RULES, at, completed, failed, unrun
from workflowexecution.api.status import FailureReason, Phase, Status
from workflowexecution.domain import history


def test_back_off_doubles_up_to_its_limit() -> None:
    minutes = [history.backoff_s(failures, RULES) / 60 for failures in (1, 2, 3, 4, 5, 6, 10**9)]
    assert minutes == [1, 2, 4, 8, 10, 10, 10]
    flat = dataclasses.replace(RULES, max_exponent=1, max_s=10**6)
    assert [history.backoff_s(failures, flat) for failures in (1, 2, 3)] == [60, 120, 120]


def test_failures_in_a_row_wait_1_2_4_8_10_minutes_then_for_a_person() -> None:
    """Each inherits the count of the one before; with the fifth there is no time to wait for."""
    pasts: list[history.Past] = []
    waits, locked = [], []
    for number in range(5):
        status = history.ended(failed(number), pasts, RULES)
        assert status.consecutive_failures == number + 1
        assert status.next_allowed_execution is not None
        waits.append((status.next_allowed_execution - at(number)).total_seconds() / 60)
        locked.append(status.locked_until is not None)
        assert status.locked_until in {status.next_allowed_execution, None}
        pasts.append(unrun(number, number + 1))
    assert waits == [1, 2, 4, 8, 10]
    assert locked == [True, True, True, True, False]


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(failed(0, was_run=True), id="ran"),
        pytest.param(failed(0, pipeline_run_ref=None), id="refused"),
        pytest.param(failed(0, reason=FailureReason.CANCELLED), id="cancelled"),
        pytest.param(failed(0, failure_details=None), id="unexplained"),
        pytest.param(failed(0, completion_time=None), id="no-time"),
        pytest.param(Status(phase=Phase.COMPLETED), id="completed-at-no-time"),
    ],
)
def test_an_end_that_does_not_count_says_nothing_of_waiting(status: Status) -> None:
    assert history.ended(status, [unrun(-10, 2)], RULES) is status


@pytest.mark.parametrize(("cooldown_s", "until_s"), [(300.0, 300.0), (0.0, None)])
def test_a_success_locks_for_its_cooldown(cooldown_s: float, until_s: float | None) -> None:
    status = Status(phase=Phase.COMPLETED, completion_time=NOW, consecutive_failures=0)
    rules = dataclasses.replace(RULES, cooldown_s=cooldown_s)
    after = history.ended(status, [unrun(-10, 2)], rules)
    assert after.locked_until == (at(until_s) if until_s is not None else None)
    assert (after.consecutive_failures, after.next_allowed_execution) == (0, None)


LAST = datetime.datetime.max.replace(tzinfo=datetime.UTC)


def test_an_end_at_the_end_of_time_is_felt_until_then() -> None:
    """As a clock or a hand may write it into the status of a run."""
    done = Status(phase=Phase.COMPLETED, completion_time=LAST)
    assert history.ended(done, [], RULES).locked_until == LAST
    counted = history.ended(failed(0).model_copy(update={"completion_time": LAST}), [], RULES)
    assert (counted.locked_until, counted.next_allowed_execution) == (LAST, LAST)
    verdict = history.judge([dataclasses.replace(completed(), ended_at=LAST)], RESTART, NOW, RULES)
    assert verdict is not None
    assert verdict.until == LAST
    assert verdict.remediation(NOW).cooldown_remaining is not None


def test_no_back_off_still_counts() -> None:
    after = history.ended(failed(0), [unrun(-10, 2)], dataclasses.replace(RULES, base_s=0.0))
    assert (after.consecutive_failures, after.next_allowed_execution) == (3, None)

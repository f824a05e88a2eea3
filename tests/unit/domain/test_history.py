"""What earlier executions of a target mean for the next one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.unit.domain.pasts import (
    BUSY_UNTIL_CLEARED,
    EXHAUSTED,
    RECENTLY,
    RESTART,
    RULES,
    SCALE,
    at,
    completed,
    past,
    ran,
    reason,
    unrun,
)
from workflowexecution.domain import history

if TYPE_CHECKING:
    from workflowexecution.api.status import SkipReason


@pytest.mark.parametrize(
    ("end", "blocks", "counts"),
    [
        pytest.param(completed(), False, False, id="completed"),
        pytest.param(ran(), True, False, id="ran-and-failed"),
        pytest.param(ran(outcome="Timeout"), True, False, id="ran-and-timed-out"),
        pytest.param(ran(outcome="Cancelled", cancelled=True), True, False, id="ran-and-cancelled"),
        pytest.param(ran(had_run=False), True, False, id="deleted-from-outside"),
        pytest.param(unrun(), False, True, id="nothing-ran"),
        pytest.param(past(cancelled=True), False, False, id="cancelled-before-anything-ran"),
        pytest.param(past(had_run=False), False, False, id="refused"),
    ],
)
def test_an_end_blocks_or_counts_by_its_row(end: history.Past, blocks: bool, counts: bool) -> None:
    assert (end.blocks, end.counts) == (blocks, counts)
    assert (reason([end], 10**9) is BUSY_UNTIL_CLEARED) is blocks
    assert history.streak([end]) == (end.failures if counts else 0)


@pytest.mark.requirement("BR-WE-010", "Cooldown period prevents redundant sequential execution")
@pytest.mark.parametrize(
    ("now_s", "workflow_id", "expected"),
    [
        pytest.param(120, RESTART, RECENTLY, id="two-minutes-after"),
        pytest.param(299.9, RESTART, RECENTLY, id="until-the-end-of-it"),
        pytest.param(300, RESTART, None, id="then-no-more"),
        pytest.param(360, RESTART, None, id="six-minutes-after"),
        pytest.param(0, SCALE, None, id="another-workflow"),
    ],
)
def test_a_completed_workflow_cools_down_on_its_target(
    now_s: float, workflow_id: str, expected: SkipReason | None
) -> None:
    assert reason([completed()], now_s, workflow_id) is expected


def test_no_cooldown_is_none_even_when_clocks_differ() -> None:
    rules = dataclasses.replace(RULES, cooldown_s=0.0)
    assert reason([completed(2.0)], 1.0, rules=rules) is None


def test_a_failure_that_changed_nothing_holds_back_every_workflow() -> None:
    for workflow_id in (RESTART, SCALE):
        assert reason([unrun()], 59.9, workflow_id) is RECENTLY
        assert reason([unrun()], 60.0, workflow_id) is None


@pytest.mark.parametrize(
    ("end", "why"),
    [
        pytest.param(past(had_run=False, failures=1), "refused", id="refused"),
        pytest.param(past(cancelled=True, failures=1), "cancelled", id="cancelled"),
    ],
)
def test_what_never_began_holds_back_nobody(end: history.Past, why: str) -> None:
    """Nor does it hide the failure before it."""
    assert reason([end], 0.0) is None, why
    assert reason([unrun(-10), end], 0.0) is RECENTLY
    assert history.streak([unrun(-10, failures=3), end]) == 3


@pytest.mark.parametrize(
    ("pasts", "now_s", "expected"),
    [
        pytest.param([ran(0), unrun(1, 5), completed(2)], 3, BUSY_UNTIL_CLEARED, id="block-first"),
        pytest.param([completed(1), unrun(2, 5)], 3, EXHAUSTED, id="then-the-limit"),
        pytest.param([completed(1), unrun(2, 4)], 3, RECENTLY, id="then-the-back-off"),
        pytest.param([unrun(1, 5), completed(2)], 3, RECENTLY, id="then-the-cooldown"),
        pytest.param([unrun(1, 5), completed(2)], 302, None, id="then-nothing"),
    ],
)
def test_checks_have_an_order(
    pasts: list[history.Past], now_s: float, expected: SkipReason | None
) -> None:
    for arrival in (pasts, pasts[::-1]):
        assert reason(arrival, now_s) is expected


def test_the_first_check_that_forbids_names_its_execution() -> None:
    pasts = [ran(0), ran(5), unrun(6, 5), completed(7)]
    verdict = history.judge(pasts, RESTART, at(8), RULES)
    assert verdict is not None
    assert (verdict.past, verdict.until) == (pasts[1], None)


@pytest.mark.parametrize(
    ("pasts", "now_s", "expected"),
    [
        pytest.param([ran(0), completed(1, workflow_id=SCALE)], 10**6, BUSY_UNTIL_CLEARED,
                     id="no-success-hides-a-block"),
        pytest.param([completed(0), completed(1, workflow_id=SCALE)], 60, RECENTLY,
                     id="no-other-workflow-hides-a-cooldown"),
        pytest.param([completed(0), past(1, had_run=False)], 60, RECENTLY,
                     id="no-refusal-hides-a-cooldown"),
        pytest.param([completed(0), unrun(1)], 299, RECENTLY, id="no-failure-hides-a-cooldown"),
        pytest.param([unrun(0), completed(1, workflow_id=SCALE)], 2, None,
                     id="a-success-of-another-workflow-ends-the-back-off"),
    ],
)  # fmt: skip
def test_another_workflow_in_between_hides_nothing(
    pasts: list[history.Past], now_s: float, expected: SkipReason | None
) -> None:
    assert reason(pasts, now_s) is expected


PLACE = "payment/w0"


@pytest.mark.parametrize(
    ("end", "now_s", "until_s", "remaining", "message"),
    [
        pytest.param(ran(), 9, None, None,
                     f"Execution {PLACE} of workflow {RESTART} ended Failed at "
                     f"2026-03-01T12:00:00Z after it had begun to work on {builders.TARGET}: a "
                     "person must look at the target and clear that execution", id="blocked"),
        pytest.param(unrun(0, 5), 9, None, None,
                     f"5 executions in a row have failed on {builders.TARGET} before anything ran, "
                     f"the last one {PLACE} at 2026-03-01T12:00:00Z: a person must look at the "
                     "cause, and clear or delete them", id="exhausted"),
        pytest.param(unrun(0, 1), 9.5, 60, "51s",
                     f"1 execution has failed on {builders.TARGET} before anything ran, the last "
                     f"one {PLACE}: backing off for another 51s", id="backing-off"),
        pytest.param(unrun(0, 2), 9, 120, "1m51s",
                     f"2 executions in a row have failed on {builders.TARGET} before anything ran, "
                     f"the last one {PLACE}: backing off for another 1m51s", id="backing-off-more"),
        pytest.param(completed(), 120, 300, "3m0s",
                     f"Execution {PLACE} of the same workflow {RESTART} completed on "
                     f"{builders.TARGET} at 2026-03-01T12:00:00Z: cooling down for another 3m0s",
                     id="cooling-down"),
    ],
)  # fmt: skip
def test_a_verdict_says_who_stands_in_the_way_and_until_when(
    end: history.Past, now_s: float, until_s: float | None, remaining: str | None, message: str
) -> None:
    verdict = history.judge([end], RESTART, at(now_s), RULES)
    assert verdict is not None
    assert verdict.message == message
    assert verdict.until == (at(until_s) if until_s is not None else None)
    assert verdict.remediation(at(now_s)).model_dump() == {
        "name": "w0",
        "workflow_id": RESTART,
        "completed_at": builders.stamp(),
        "outcome": end.outcome,
        "target_resource": builders.TARGET,
        "cooldown_remaining": remaining,
    }

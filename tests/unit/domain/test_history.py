"""What earlier executions of a target mean for the next one."""

from __future__ import annotations

import dataclasses
import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from workflowexecution.api.status import (
    FailureDetails,
    FailureReason,
    Outcome,
    Phase,
    PipelineRunRef,
    SkipReason,
    Status,
)
from workflowexecution.domain import history

if TYPE_CHECKING:
    from collections.abc import Sequence

RULES = history.Rules(cooldown_s=300.0, base_s=60.0, max_s=600.0, max_exponent=4, max_failures=5)
NOW = builders.NOW
RESTART, SCALE = "restart-deployment", "scale-up"
BUSY_UNTIL_CLEARED = SkipReason.PREVIOUS_EXECUTION_FAILED
RECENTLY, EXHAUSTED = SkipReason.RECENTLY_REMEDIATED, SkipReason.EXHAUSTED_RETRIES


def at(seconds: float) -> datetime.datetime:
    return NOW + datetime.timedelta(seconds=seconds)


def past(after_s: float = 0.0, **parts: Any) -> history.Past:  # noqa: ANN401 - members of a Past
    settled: dict[str, Any] = {
        "uid": f"u{after_s}",
        "namespace": "payment",
        "name": f"w{after_s:g}",
        "workflow_id": RESTART,
        "target": builders.TARGET,
        "outcome": "Failed",
        "ended_at": at(after_s),
        "completed": False,
        "had_run": True,
        "ran": False,
        "cancelled": False,
    }
    return history.Past(**(settled | parts))


def completed(after_s: float = 0.0, **parts: Any) -> history.Past:  # noqa: ANN401 - as past
    return past(after_s, completed=True, ran=True, outcome="Success", **parts)


def ran(after_s: float = 0.0, **parts: Any) -> history.Past:  # noqa: ANN401 - as past
    return past(after_s, ran=True, **parts)


def unrun(after_s: float = 0.0, failures: int = 1, **parts: Any) -> history.Past:  # noqa: ANN401 - as past
    wait_s = history.backoff_s(failures, RULES)
    return past(after_s, failures=failures, next_allowed=at(after_s + wait_s), **parts)


def reason(
    pasts: Sequence[history.Past],
    now_s: float,
    workflow_id: str = RESTART,
    rules: history.Rules = RULES,
) -> SkipReason | None:
    verdict = history.judge(pasts, workflow_id, at(now_s), rules)
    return verdict.reason if verdict else None


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


@pytest.mark.parametrize("max_failures", [1, 3, 5])
def test_after_so_many_failures_a_person_is_needed(max_failures: int) -> None:
    rules = dataclasses.replace(RULES, max_failures=max_failures)
    until_then = [unrun(i, i + 1) for i in range(max_failures - 1)]
    assert reason(until_then, 10**6, rules=rules) is None
    all_of_them = [*until_then, unrun(max_failures, max_failures)]
    assert reason(all_of_them, 10**6, rules=rules) is EXHAUSTED
    without = dataclasses.replace(RULES, max_failures=0)
    assert reason(all_of_them, 10**6, rules=without) is None


def test_counts_are_inherited_from_an_end_that_alone_is_left() -> None:
    """The others may have been deleted long ago."""
    assert history.streak([unrun(9, failures=4)]) == 4
    assert reason([unrun(9, failures=5)], 10**6) is EXHAUSTED


def test_ends_of_another_making_are_counted_where_they_say_nothing() -> None:
    assert history.streak([unrun(1, 0), unrun(2, 0), unrun(3, 0)]) == 3


@pytest.mark.parametrize(
    ("clear", "left"),
    [
        pytest.param([2], 2, id="the-last"),
        pytest.param([0], 2, id="the-first"),
        pytest.param([0, 1], 1, id="two"),
        pytest.param([0, 1, 2], 0, id="all"),
    ],
)
def test_a_cleared_failure_neither_counts_nor_holds_back(clear: list[int], left: int) -> None:
    pasts = [unrun(i, i + 1) for i in range(3)]
    for index in clear:
        pasts[index] = dataclasses.replace(pasts[index], cleared_at=at(60))
    assert history.streak(pasts) == left
    assert reason(pasts, 61) is (RECENTLY if left else None)


def test_a_count_that_was_recorded_after_a_clearance_has_looked_past_it() -> None:
    cleared = unrun(0, 1, cleared_at=at(5))
    assert history.streak([cleared, unrun(10, 1)]) == 1
    # One more was there when it was recorded, and is deleted by now.
    assert history.streak([cleared, unrun(10, 2)]) == 2


def test_a_clearance_takes_a_block_away_and_no_other() -> None:
    cleared = ran(0, cleared_at=at(5))
    assert reason([cleared], 6) is None
    assert reason([cleared, ran(1)], 6) is BUSY_UNTIL_CLEARED
    assert reason([history.uncleared(cleared)], 6) is BUSY_UNTIL_CLEARED


def test_a_cleared_success_cools_nothing_down_and_resets_nothing() -> None:
    cleared = completed(1, cleared_at=at(5))
    assert reason([cleared], 6) is None
    assert history.streak([unrun(0, 1), cleared, unrun(2, 1)]) == 2


def test_of_ends_in_one_second_the_uid_decides() -> None:
    one, other = completed(uid="b"), unrun(uid="a", failures=2)
    assert history.streak([one, other]) == 0
    assert history.streak([dataclasses.replace(one, uid="a"), unrun(uid="b", failures=2)]) == 2


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


def test_back_off_doubles_up_to_its_limit() -> None:
    minutes = [history.backoff_s(failures, RULES) / 60 for failures in (1, 2, 3, 4, 5, 6, 10**9)]
    assert minutes == [1, 2, 4, 8, 10, 10, 10]
    flat = dataclasses.replace(RULES, max_exponent=1, max_s=10**6)
    assert [history.backoff_s(failures, flat) for failures in (1, 2, 3)] == [60, 120, 120]


REF = PipelineRunRef(name="wfe-0", uid="r")


def failed(after_s: float, *, was_run: bool = False, **parts: Any) -> Status:  # noqa: ANN401 - members of a Status
    details = FailureDetails(
        reason=parts.pop("reason", FailureReason.CONFIGURATION_ERROR),
        message="m",
        failed_at=at(after_s),
        execution_time_before_failure="1s",
        natural_language_summary="s",
        was_execution_failure=was_run,
    )
    settled: dict[str, Any] = {
        "phase": Phase.FAILED,
        "outcome": Outcome.FAILED,
        "completion_time": at(after_s),
        "pipeline_run_ref": REF,
        "failure_details": details,
    }
    return Status(**(settled | parts))


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


@dataclass
class Model:
    """The table, in the plainest words; every list is in the order of time."""

    ends: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    cleared: set[int] = dataclasses.field(default_factory=set)

    def count(self) -> int:
        """Failures that changed nothing since the last success, without those cleared."""
        found = 0
        for index, (kind, _) in enumerate(self.ends):
            if index not in self.cleared and kind == "completed":
                found = 0
            elif index not in self.cleared and kind == "unrun":
                found += 1
        return found

    def verdict(self, workflow_id: str, now_s: float) -> SkipReason | None:
        standing = [(i, *end) for i, end in enumerate(self.ends) if i not in self.cleared]
        if any(kind == "ran" for _, kind, _ in standing):
            return BUSY_UNTIL_CLEARED
        if self.count() >= RULES.max_failures:
            return EXHAUSTED
        return RECENTLY if self._is_early(standing, workflow_id, now_s) else None

    def _is_early(
        self, standing: list[tuple[int, str, str]], workflow_id: str, now_s: float
    ) -> bool:
        for index, kind, workflow in reversed(standing):
            since_s = now_s - index * 100
            if kind == "completed" and workflow == workflow_id and since_s < RULES.cooldown_s:
                return True
        last = [index for index, kind, _ in standing if kind == "unrun"][-1:]
        # The wait is settled when an execution ends; a clearance later on does not shorten it.
        return self.count() > 0 and now_s < last[0] * 100 + self.waits[last[0]]

    waits: dict[int, float] = dataclasses.field(default_factory=dict)


class Target:
    """Executions of a target that end one after the other, 100 s apart, by the program."""

    def __init__(self) -> None:
        self.pasts: list[history.Past] = []

    def end(self, kind: str, workflow_id: str) -> float:
        """Returns the seconds of back-off that it has recorded."""
        after_s = len(self.pasts) * 100
        made = {"completed": completed, "ran": ran}.get(kind, past)(
            after_s,
            workflow_id=workflow_id,
            had_run=kind != "refused",
            cancelled=kind == "cancelled",
        )
        if made.counts:
            status = history.ended(failed(after_s), self.pasts, RULES)
            made = dataclasses.replace(
                made,
                failures=status.consecutive_failures or 0,
                next_allowed=status.next_allowed_execution,
            )
        self.pasts.append(made)
        return (made.next_allowed - made.ended_at).total_seconds() if made.next_allowed else 0.0

    def clear(self, index: int) -> None:
        cleared_at = self.pasts[-1].ended_at + datetime.timedelta(seconds=1)
        self.pasts[index] = dataclasses.replace(self.pasts[index], cleared_at=cleared_at)


KINDS = st.sampled_from(["completed", "ran", "unrun", "unrun", "unrun", "refused", "cancelled"])
STEPS = st.lists(
    st.tuples(KINDS, st.sampled_from([RESTART, SCALE]))
    | st.tuples(st.just("clear"), st.integers(0, 30)),
    max_size=16,
)


@given(STEPS, st.integers(0, 700), st.randoms(use_true_random=False))
def test_history_is_that_of_the_plain_model(
    steps: list[tuple[str, Any]],
    later_s: int,
    random: Any,  # noqa: ANN401 - of hypothesis
) -> None:
    target, model = Target(), Model()
    for kind, what in steps:
        if kind != "clear":
            model.waits[len(model.ends)] = target.end(kind, what)
            model.ends.append((kind, what))
            if kind == "unrun":
                expected = history.backoff_s(model.count(), RULES)
                assert model.waits[len(model.ends) - 1] == expected
        elif model.ends:
            target.clear(what % len(model.ends))
            model.cleared.add(what % len(model.ends))
        assert history.streak(target.pasts) == model.count()
    now_s = max(0, len(model.ends) - 1) * 100 + later_s
    random.shuffle(target.pasts)
    for workflow_id in (RESTART, SCALE):
        assert reason(target.pasts, now_s, workflow_id) is model.verdict(workflow_id, now_s)

"""How many failures in a row a target has behind it, and what a clearance takes out of them."""

from __future__ import annotations

import dataclasses

import pytest

from tests.unit.domain.pasts import (
    BUSY_UNTIL_CLEARED,
    EXHAUSTED,
    RECENTLY,
    RULES,
    at,
    completed,
    ran,
    reason,
    unrun,
)
from workflowexecution.domain import history


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

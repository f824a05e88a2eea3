import pytest

from workflowexecution.runtime import backoff


def upper_edge() -> float:
    return 1.0


def lower_edge() -> float:
    return 0.0


def test_backoff_doubles_up_to_its_cap() -> None:
    delays = backoff.Backoff(base_s=1, cap_s=5, uniform=upper_edge)
    assert [delays.next_s() for _ in range(5)] == [1, 2, 4, 5, 5]


def test_backoff_draws_from_the_upper_half() -> None:
    delays = backoff.Backoff(base_s=1, cap_s=5, uniform=lower_edge)
    assert [delays.next_s() for _ in range(3)] == [0.5, 1, 2]


def test_backoff_begins_anew_when_reset() -> None:
    delays = backoff.Backoff(base_s=1, cap_s=5, uniform=upper_edge)
    delays.next_s()
    delays.reset()
    assert delays.next_s() == 1


def test_backoff_keeps_what_the_server_asked_for() -> None:
    delays = backoff.Backoff(base_s=1, cap_s=60, uniform=upper_edge)
    assert delays.next_s(at_least_s=10) == 12.5


def test_backoff_stays_finite_after_very_many_failures() -> None:
    delays = backoff.Backoff(base_s=1, cap_s=7, uniform=upper_edge)
    assert [delays.next_s() for _ in range(2000)][-1] == 7


def test_backoff_is_random_by_default() -> None:
    delay = backoff.Backoff(base_s=1, cap_s=5).next_s()
    assert delay == pytest.approx(0.75, abs=0.25)

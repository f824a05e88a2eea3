"""The circuit breaker: opens after failures in a row, probes, closes."""

from tests.unit.clocks import Clock
from workflowexecution.adapters.breaker import CAP_S, MAX_ASKED_S, THRESHOLD, Breaker, State


def opened() -> tuple[Breaker, Clock, list[State]]:
    clock, states = Clock(), list[State]()
    made = Breaker(clock=clock, on_change=states.append)
    for _ in range(THRESHOLD):
        made.failed()
    return made, clock, states


def test_it_stays_closed_below_the_threshold() -> None:
    made = Breaker(clock=Clock())
    for _ in range(3):
        for _ in range(THRESHOLD - 1):
            assert made.failed() > 0
        assert made.is_closed
        assert made.wait_s() == 0
        made.succeeded()


def test_it_opens_at_the_threshold_and_lets_one_probe_go() -> None:
    made, clock, states = opened()
    wait = made.wait_s()
    assert 0 < wait <= CAP_S
    assert not made.is_closed
    clock.at += wait
    assert made.wait_s() == 0
    assert made.state is State.HALF_OPEN
    made.succeeded()
    assert states == [State.OPEN, State.HALF_OPEN, State.CLOSED]


def test_a_probe_that_fails_opens_it_again() -> None:
    made, clock, states = opened()
    clock.at += made.wait_s()
    made.wait_s()
    made.failed()
    assert states == [State.OPEN, State.HALF_OPEN, State.OPEN]
    assert made.wait_s() > 0


def test_its_pauses_grow_to_the_cap_at_most() -> None:
    made = Breaker(clock=Clock(), cap_s=5)
    assert max(made.failed() for _ in range(50)) <= 5


def test_what_the_server_asks_for_is_kept() -> None:
    assert Breaker(clock=Clock()).failed(at_least_s=40) >= 40


def test_what_the_server_asks_for_is_kept_for_a_minute_at_most() -> None:
    made, _, _ = opened()
    assert MAX_ASKED_S <= made.failed(at_least_s=7 * 24 * 3600) <= MAX_ASKED_S * 1.25
    assert made.wait_s() <= MAX_ASKED_S * 1.25

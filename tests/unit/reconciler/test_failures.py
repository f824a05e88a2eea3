"""For how long something fails counts only while it is tried."""

from __future__ import annotations

import datetime

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from workflowexecution.reconciler import failures
from workflowexecution.runtime import errors, resource

OTHER = resource.ObjectKey("payment", "other")


def at(seconds: float) -> datetime.datetime:
    return builders.NOW + datetime.timedelta(seconds=seconds)


def test_what_has_never_failed_has_not_lasted() -> None:
    known = failures.Failures()
    assert known.lasted_s(fakes.KEY, at(0)) == 0
    assert len(known) == 0


def test_failures_last_from_the_first_of_them() -> None:
    known = failures.Failures()
    assert [known.note(fakes.KEY, at(it)) for it in (0, 60, 130)] == [0, 60, 130]
    assert known.lasted_s(fakes.KEY, at(140)) == 140
    assert known.lasted_s(OTHER, at(140)) == 0


@pytest.mark.parametrize(("silent_s", "lasted_s"), [(180, 240), (181, 0)])
def test_time_in_which_nothing_was_tried_begins_it_anew(silent_s: float, lasted_s: float) -> None:
    known = failures.Failures()
    known.note(fakes.KEY, at(0))
    known.note(fakes.KEY, at(60))
    assert known.lasted_s(fakes.KEY, at(60 + silent_s)) == lasted_s
    assert known.note(fakes.KEY, at(60 + silent_s)) == lasted_s


def test_a_failure_of_another_kind_begins_it_anew() -> None:
    known = failures.Failures()
    known.note(fakes.KEY, at(0), "no answer")
    assert known.note(fakes.KEY, at(60), "refused") == 0
    assert known.note(fakes.KEY, at(90), "refused") == 30


def test_nothing_counts_from_the_last_failure_before_a_silence_to_the_next() -> None:
    known = failures.Failures()
    known.pause(fakes.KEY)
    known.note(fakes.KEY, at(0))
    known.note(fakes.KEY, at(50))
    known.pause(fakes.KEY)
    assert known.lasted_s(fakes.KEY, at(150)) == 50
    assert known.note(fakes.KEY, at(150)) == 50
    assert known.lasted_s(fakes.KEY, at(160)) == 60


def test_what_is_forgotten_begins_anew() -> None:
    known = failures.Failures()
    known.note(fakes.KEY, at(0))
    known.forget(fakes.KEY)
    known.forget(fakes.KEY)
    assert known.note(fakes.KEY, at(60)) == 0


@pytest.mark.parametrize(("silent_s", "left"), [(180, 2), (181, 1)])
def test_what_is_tried_no_more_goes_by_itself(silent_s: float, left: int) -> None:
    known = failures.Failures()
    known.note(OTHER, at(-100))
    known.note(fakes.KEY, at(-50))
    known.note(OTHER, at(0))
    known.note(fakes.KEY, at(silent_s))
    assert len(known) == left


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        pytest.param(answers.refusal(errors.Forbidden), True, id="forbidden"),
        pytest.param(answers.refusal(errors.ServerError), True, id="webhook"),
        pytest.param(answers.refusal(errors.Conflict), False, id="conflict"),
        pytest.param(answers.refusal(errors.Throttled), False, id="throttled"),
        pytest.param(errors.ServerError(errors.Refusal(status=503)), False, id="gateway"),
        pytest.param(errors.TransportError("lost"), False, id="unanswered"),
    ],
)
def test_a_refusal_is_what_the_server_has_said_for_good(
    error: errors.ClusterError, *, is_one: bool
) -> None:
    assert failures.is_refusal(error) is is_one

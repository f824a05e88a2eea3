"""The ladder by which a run is stopped: asked, forced, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.unit.domain.stops import ASKED, CAUSE, FORCED, NOW, at, run
from workflowexecution.domain import stopping
from workflowexecution.domain.stopping import Cause, Step

if TYPE_CHECKING:
    from workflowexecution.api import tekton


def test_a_run_that_may_not_be_told_is_looked_at_as_if_it_had_been() -> None:
    seen = stopping.marked(run(marks={ASKED: builders.stamp()}), Cause.DEADLINE)
    assert (stopping.cause_of(seen), stopping.asked_at(seen)) == (Cause.DEADLINE, NOW)


ASKED_NOW = {ASKED: builders.stamp()}
FORCED_NOW = ASKED_NOW | {FORCED: builders.stamp()}
DELETED_NOW = {"deletionTimestamp": builders.stamp()}


@pytest.mark.parametrize(
    ("seen", "why", "now_s", "expected"),
    [
        pytest.param(run(), Cause.USER, 0, (Step.ASK, 0), id="ask"),
        pytest.param(run(marks={FORCED: builders.stamp()}), Cause.USER, 999, (Step.ASK, 0),
                     id="ask-whatever-else-is-marked"),
        pytest.param(run(marks=ASKED_NOW), Cause.USER, 299, (Step.WAIT, 1), id="five-minutes"),
        pytest.param(run(marks=ASKED_NOW), Cause.DELETED, 299, (Step.WAIT, 1), id="deleted-too"),
        pytest.param(run(marks=ASKED_NOW), Cause.USER, 300, (Step.FORCE, 0), id="then-force"),
        pytest.param(run(marks=ASKED_NOW, timeout="60s"), Cause.USER, 59, (Step.WAIT, 1),
                     id="or-the-rest-of-the-timeout"),
        pytest.param(run(marks=ASKED_NOW, timeout="60s"), Cause.USER, 60, (Step.FORCE, 0),
                     id="which-is-over"),
        pytest.param(run(marks=ASKED_NOW, timeout=""), Cause.USER, 299, (Step.WAIT, 1),
                     id="without-a-timeout"),
        pytest.param(run(marks=ASKED_NOW), Cause.DEADLINE, 0, (Step.FORCE, 0), id="no-order"),
        pytest.param(run(marks=FORCED_NOW), Cause.USER, 119, (Step.WAIT, 1), id="two-minutes"),
        pytest.param(run(marks=FORCED_NOW), Cause.USER, 120, (Step.DELETE, 0), id="then-delete"),
        pytest.param(run(metadata=DELETED_NOW), Cause.USER, 59, (Step.WAIT, 1), id="one-minute"),
        pytest.param(run(metadata=DELETED_NOW), Cause.USER, 60, (Step.STUCK, 60), id="then-stuck"),
        pytest.param(run(marks={ASKED: "soon"}), Cause.USER, 0, (Step.ASK, 0), id="odd-mark"),
        pytest.param(run(marks={ASKED: builders.stamp(-2)}), Cause.COPY, 0, (Step.FORCE, 0),
                     id="clock-behind"),
        pytest.param(run(marks={ASKED: builders.stamp(-3)}), Cause.COPY, 0, (Step.ASK, 0),
                     id="mark-of-another"),
        pytest.param(run(marks=ASKED_NOW, metadata={"creationTimestamp": None}), Cause.USER, 300,
                     (Step.FORCE, 0), id="no-age"),
    ],
)  # fmt: skip
def test_the_ladder_is_climbed_by_time(
    seen: tekton.PipelineRun, why: Cause, now_s: float, expected: tuple[Step, float]
) -> None:
    assert stopping.next_step(seen, why, at(now_s)) == expected


WORKING = {"childReferences": [builders.child()]}
DONE = ("False", "Cancelled", "")


@pytest.mark.parametrize(
    ("seen", "step", "why", "asked", "forced"),
    [
        pytest.param(run(), Step.ASK, Cause.USER, "Cancelled", True, id="no-child-yet"),
        pytest.param(run(status=WORKING), Step.ASK, Cause.USER, "CancelledRunFinally", False,
                     id="in-order"),
        pytest.param(run(status=WORKING), Step.ASK, Cause.DELETED, "CancelledRunFinally", False,
                     id="deleted"),
        pytest.param(run(status=WORKING), Step.ASK, Cause.DIGEST, "Cancelled", True,
                     id="not-what-was-reviewed"),
        pytest.param(run(status=WORKING), Step.ASK, Cause.LATE, "Cancelled", True, id="late"),
        pytest.param(run(status=WORKING, marks=ASKED_NOW), Step.FORCE, Cause.USER, "Cancelled",
                     True, id="told"),
        pytest.param(run(status=WORKING, condition=DONE), Step.ASK, Cause.USER, None, True,
                     id="ended-and-lingering"),
        pytest.param(run(status=WORKING, condition=DONE, marks=ASKED_NOW), Step.FORCE, Cause.USER,
                     None, True, id="ended-and-told"),
    ],
)  # fmt: skip
def test_a_step_is_one_change_of_the_run(
    seen: tekton.PipelineRun, step: Step, why: Cause, asked: str | None, forced: bool
) -> None:
    """What a run that has ended is to do is not written, since Tekton refuses it."""
    changes = stopping.change(seen, step, why, at(5))
    assert changes.get("spec") == ({"status": asked} if asked else None)
    marks = changes["metadata"]["annotations"]
    assert marks[CAUSE] == why.value
    assert (ASKED in marks) is (step is Step.ASK)
    assert (FORCED in marks) is forced
    assert set(marks.values()) == {why.value, builders.stamp(5)}


@given(st.sampled_from(list(Cause)), st.booleans(), st.booleans(), st.integers(0, 3600))
def test_the_ladder_ends_for_every_cause(
    why: Cause, works: bool, done: bool, timeout_s: int
) -> None:
    """Whatever Tekton does, a run is asked once at most, forced once, deleted once, in time."""
    marks: dict[str, str] = {}
    status, condition = (WORKING if works else {}), (DONE if done else None)
    now_s, steps = 0.0, list[Step]()
    while Step.DELETE not in steps:
        seen = run(timeout=f"{timeout_s}s", marks=marks, status=status, condition=condition)
        step, left_s = stopping.next_step(seen, why, at(now_s))
        if step is Step.WAIT:
            assert left_s > 0
            now_s += left_s
            continue
        steps.append(step)
        if step is not Step.DELETE:
            marks |= stopping.change(seen, step, why, at(now_s))["metadata"]["annotations"]
    # Of a run that lingers after its end nothing is left to be asked.
    asked = [] if why is Cause.LINGERING else [Step.ASK]
    assert [it for it in steps if it is not Step.FORCE] == [*asked, Step.DELETE]
    assert steps.count(Step.FORCE) <= 1
    assert now_s <= stopping.GRACE_S + stopping.FORCED_S

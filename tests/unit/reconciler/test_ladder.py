"""A run that is to end, one step a reconcile."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from workflowexecution.api import names, tekton
from workflowexecution.api.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    FailureReason,
    Status,
)
from workflowexecution.domain import locking, status, stopping
from workflowexecution.domain.stopping import Cause, Step
from workflowexecution.reconciler import ladder
from workflowexecution.runtime import errors
from workflowexecution.runtime.controller import Result

LOCK = locking.run_name(builders.TARGET)
CHANGE, DELETE = f"change {LOCK}", f"delete {LOCK}"
# The clock of the world stands at a minute after `NOW`.
ASKED = {names.ANNOTATION_CANCEL_REQUESTED_AT: builders.stamp(60)}
OVERDUE = {names.ANNOTATION_CANCEL_REQUESTED_AT: builders.stamp(60 - 300)}
FORCED = ASKED | {names.ANNOTATION_CANCEL_FORCED_AT: builders.stamp(60 - 120)}
STOP = stopping.Stop(Cause.USER, FailureReason.CANCELLED, "Cancelled by ann")
MOMENT = status.Moment(builders.NOW, 3)


def run(marks: dict[str, str] | None = None, **metadata: Any) -> tekton.PipelineRun:  # noqa: ANN401 - members of the metadata
    return builders.run(
        metadata={
            "annotations": marks or {},
            "creationTimestamp": builders.stamp(-3600),
            **metadata,
        },
        status={"childReferences": [builders.child()]},
    )


async def climb(
    world: fakes.World, seen: tekton.PipelineRun, cause: Cause = Cause.USER
) -> tuple[Step, Result]:
    return await ladder.climb(world.tools, fakes.KEY, seen, cause)


def high(seconds: float) -> Result:
    return Result(requeue_after_s=seconds)


@pytest.mark.parametrize(
    ("seen", "step", "again_s", "journal"),
    [
        pytest.param(run(), Step.ASK, ladder.AGAIN_S, [CHANGE], id="ask"),
        pytest.param(run(ASKED), Step.WAIT, 300.0, [], id="wait"),
        pytest.param(run(OVERDUE), Step.FORCE, ladder.AGAIN_S, [CHANGE], id="force"),
        pytest.param(run(FORCED), Step.DELETE, stopping.DELETED_S, [DELETE], id="delete"),
        pytest.param(run(deletionTimestamp=builders.stamp(50)), Step.WAIT, 50.0, [], id="going"),
        pytest.param(run(deletionTimestamp=builders.stamp()), Step.STUCK, ladder.STUCK_AGAIN_S, [],
                     id="stuck"),
    ],
)  # fmt: skip
async def test_each_step_does_one_thing_and_says_when_to_come_again(
    seen: tekton.PipelineRun, step: Step, again_s: float, journal: list[str]
) -> None:
    world = fakes.World()
    assert await climb(world, seen) == (step, high(again_s))
    assert world.journal == journal


async def test_a_person_is_given_an_orderly_end_and_a_deadline_none() -> None:
    world = fakes.World()
    await climb(world, run(), Cause.USER)
    await climb(world, run(), Cause.DEADLINE)
    asked = [change["spec"]["status"] for change in world.engine.changes]
    assert asked == ["CancelledRunFinally", "Cancelled"]


LOST = errors.TransportError("lost")
GATEWAY = errors.ServerError(errors.Refusal(status=503))
REFUSED = answers.refusal(errors.BadRequest, "Once the PipelineRun is complete, no updates allowed")


@pytest.mark.parametrize(
    "live",
    [
        pytest.param(builders.run(condition=("True", "Succeeded", "")), id="ended"),
        pytest.param(None, id="gone"),
        pytest.param(run(uid="another"), id="of-another"),
    ],
)
async def test_a_refusal_because_the_run_has_ended_is_no_failure(
    live: tekton.PipelineRun | None,
) -> None:
    """It means that it is done: what has come of it is read again."""
    world = fakes.World()
    world.engine.change_error = REFUSED
    if live is not None:
        world.engine.live[LOCK] = live
    assert await climb(world, run()) == (Step.ASK, high(ladder.AGAIN_S))
    assert world.journal == [CHANGE, "read"]


async def test_a_refusal_is_a_failure_where_the_run_had_ended_before_it_was_asked() -> None:
    world = fakes.World()
    seen = builders.run(condition=("False", "Failed", ""))
    world.engine.change_error, world.engine.live[LOCK] = REFUSED, seen
    with pytest.raises(errors.BadRequest):
        await climb(world, seen, Cause.ORPHAN)
    world.engine.live.clear()
    assert await climb(world, seen, Cause.ORPHAN) == (Step.ASK, high(ladder.AGAIN_S))


@pytest.mark.parametrize(
    "error", [REFUSED, answers.refusal(errors.Forbidden), answers.refusal(errors.Throttled)]
)
async def test_any_other_refusal_is_a_failure(error: errors.ApiError) -> None:
    world = fakes.World()
    world.engine.change_error = error
    world.engine.live[LOCK] = run()
    with pytest.raises(type(error)):
        await climb(world, run())


async def test_a_step_whose_outcome_is_not_known_is_a_failure() -> None:
    world = fakes.World()
    world.engine.change_error = LOST
    with pytest.raises(errors.TransportError):
        await climb(world, run())
    assert world.journal == [CHANGE]


@pytest.mark.parametrize(
    ("seen", "cause", "waits_s"),
    [
        pytest.param(run(), Cause.USER, 420, id="in-order"),
        pytest.param(run(OVERDUE), Cause.USER, 60, id="no-more-in-order"),
        pytest.param(run(), Cause.DEADLINE, 60, id="at-once"),
    ],
)
async def test_a_run_that_may_not_be_told_is_deleted_when_that_lasts(
    seen: tekton.PipelineRun, cause: Cause, waits_s: float
) -> None:
    world = fakes.World()
    world.engine.change_error, world.engine.live[LOCK] = REFUSED, seen
    for _ in range(int(waits_s / 30)):
        with pytest.raises(errors.BadRequest):
            await climb(world, seen, cause)
        world.clock.advance(30)
    _, again = await climb(world, seen, cause)
    assert again == high(stopping.DELETED_S)
    assert world.journal[-3:] == [CHANGE, "read", DELETE]


async def test_refusals_that_have_passed_do_not_last() -> None:
    world = fakes.World()
    world.engine.live[LOCK] = run()
    for error in (REFUSED, None, REFUSED):
        world.engine.change_error = error
        if error is None:
            await climb(world, run(), Cause.DEADLINE)
        else:
            with pytest.raises(errors.BadRequest):
                await climb(world, run(), Cause.DEADLINE)
        world.clock.advance(90)
    assert DELETE not in world.journal


@pytest.mark.parametrize("which", ["change_error", "delete_error"])
@pytest.mark.parametrize("silence", [GATEWAY, LOST], ids=["gateway", "lost"])
async def test_refusals_with_silence_between_them_do_not_last(
    which: str, silence: errors.ClusterError
) -> None:
    """The second one tells of no more than a moment."""
    world = fakes.World()
    kind = ladder.Request.TELL if which == "change_error" else ladder.Request.DELETE
    seen = world.engine.live[LOCK] = run() if kind is ladder.Request.TELL else run(FORCED)
    for error in (REFUSED, *(silence,) * 4, REFUSED):
        setattr(world.engine, which, error)
        with pytest.raises(type(error)):
            await climb(world, seen, Cause.DEADLINE)
        world.clock.advance(30)
    assert not ladder.is_refused_for(world.tools, seen, kind, 31)


async def test_a_change_that_is_lost_now_and_then_keeps_no_run_from_being_deleted() -> None:
    world = fakes.World()
    world.engine.live[LOCK] = run()
    for error in (REFUSED, REFUSED, LOST) * 3:
        world.engine.change_error = error
        with contextlib.suppress(type(error)):
            await climb(world, run(), Cause.DEADLINE)
        world.clock.advance(20)
    assert DELETE in world.journal


async def test_an_outage_in_which_not_even_a_read_is_answered_breaks_a_row_of_refusals() -> None:
    world = fakes.World()
    world.engine.live[LOCK] = run()
    for error in (REFUSED, GATEWAY, GATEWAY, GATEWAY, REFUSED):
        world.engine.change_error = error
        world.engine.read_error = None if error is REFUSED else error
        with pytest.raises(type(error)):
            await climb(world, run(), Cause.DEADLINE)
        world.clock.advance(30)
    assert DELETE not in world.journal


async def test_refused_nudges_are_no_refused_stop() -> None:
    """The task that works by now has as much time to end in order as any."""
    world = fakes.World()
    world.engine.change_error, world.engine.live[LOCK] = REFUSED, run()
    for _ in range(8):
        await ladder.nudge(world.tools, fakes.KEY, run())
        world.clock.advance(60)
    for cause in (Cause.USER, Cause.DEADLINE):
        with pytest.raises(errors.BadRequest):
            await climb(world, run(), cause)
    assert DELETE not in world.journal


async def test_refusals_of_one_run_are_none_of_another_by_its_name() -> None:
    world = fakes.World()
    world.engine.change_error = REFUSED
    for uid in ("first", "second"):
        seen = world.engine.live[LOCK] = run(uid=uid)
        with pytest.raises(errors.BadRequest):
            await climb(world, seen, Cause.DEADLINE)
        world.clock.advance(90)
    assert DELETE not in world.journal


async def test_nothing_follows_from_a_refusal_of_a_run_that_may_have_ended() -> None:
    world = fakes.World()
    world.engine.change_error = REFUSED
    world.engine.read_error = answers.refusal(errors.Unreadable)
    for _ in range(4):
        with pytest.raises(errors.Unreadable):
            await climb(world, run(), Cause.DEADLINE)
        world.clock.advance(30)
    assert DELETE not in world.journal


async def test_a_run_that_does_not_leave_resolution_is_touched() -> None:
    world = fakes.World()
    await ladder.nudge(world.tools, fakes.KEY, run())
    marks = {names.ANNOTATION_NUDGED_AT: builders.stamp(60)}
    assert world.engine.changes == [{"metadata": {"annotations": marks}}]


@pytest.mark.parametrize(
    "error", [answers.refusal(errors.Forbidden), answers.refusal(errors.Conflict), LOST]
)
async def test_a_nudge_that_fails_is_only_a_nudge_not_made(error: errors.ClusterError) -> None:
    world = fakes.World()
    world.engine.change_error = error
    world.engine.live[LOCK] = run()
    again = await ladder.nudge(world.tools, fakes.KEY, run())
    assert again.requeue_after_s == ladder.NUDGE_AGAIN_S


@pytest.mark.parametrize("step", [Step.ASK, Step.FORCE, Step.DELETE, Step.WAIT])
def test_a_stopping_under_way_is_confirmed_by_nobody(step: Step) -> None:
    note = ladder.note(step, STOP, run())
    found = (note.type, note.status, note.reason, note.message)
    kind = ConditionType.CANCEL_CONFIRMED
    assert found == (kind, ConditionStatus.UNKNOWN, "Cancelling", STOP.message)


def test_a_run_that_will_not_die_says_that_its_target_stays_locked() -> None:
    note = ladder.note(Step.STUCK, STOP, run())
    assert (note.status, note.reason) == (ConditionStatus.FALSE, "StillAlive")
    assert note.message == (
        f"PipelineRun kubernaut-workflows/{LOCK} was to end, was deleted and is still there: "
        "the target stays locked. Cancelled by ann"
    )


def test_a_run_of_which_nothing_works_any_more_is_confirmed() -> None:
    for seen in (None, run()):
        note = ladder.confirmed(STOP, seen)
        assert (note.status, note.reason) == (ConditionStatus.TRUE, "Cancelled")
        assert note.message == STOP.message


def test_a_run_with_a_child_that_nobody_has_seen_end_is_not_confirmed() -> None:
    custom = builders.run(status={"childReferences": [builders.child("wait", kind="CustomRun")]})
    note = ladder.confirmed(STOP, custom)
    assert (note.status, note.reason) == (ConditionStatus.UNKNOWN, "ChildrenUnseen")
    assert note.message.startswith(STOP.message)
    assert note.message.endswith("only its own controller knows: CustomRun of task 'wait'")
    # And so it stays.
    unsure = status.noted(Status(), MOMENT, [note])
    assert ladder.concluded(unsure, MOMENT) == unsure


def said(after: Status) -> Condition | None:
    return after.condition(ConditionType.CANCEL_CONFIRMED)


def test_no_stopping_is_left_open_at_the_end() -> None:
    for step in (Step.WAIT, Step.STUCK):
        open_one = status.noted(Status(), MOMENT, [ladder.note(step, STOP, run())])
        found = said(ladder.concluded(open_one, MOMENT))
        assert found is not None
        assert (found.status, found.reason) == (ConditionStatus.FALSE, "Completed")
        assert found.message == "The run came to its own end before it was stopped"


def test_an_end_says_nothing_of_a_stopping_that_was_none_or_is_confirmed() -> None:
    assert ladder.concluded(Status(), MOMENT) == Status()
    sure = status.noted(Status(), MOMENT, [ladder.confirmed(STOP, run())])
    assert ladder.concluded(sure, MOMENT) == sure

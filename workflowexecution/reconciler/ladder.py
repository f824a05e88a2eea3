"""Ladder: takes a run that is to end down the ladder, one step a reconcile.

Used for running executions that are cancelled or overdue, for deleted ones, and for runs that
nobody waits for any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from workflowexecution.api.status import ConditionReason, ConditionStatus, ConditionType
from workflowexecution.domain import status, stopping
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime import errors
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    from workflowexecution.api import tekton
    from workflowexecution.api.status import Condition, Status
    from workflowexecution.runtime.resource import ObjectKey

_log = structlog.get_logger(__name__)

_STILL_THERE = "was told to end and deleted, and is still there: the target stays locked. "

AGAIN_S = 1.0
STUCK_AGAIN_S = 30.0


async def climb(
    tools: common.Tools, key: ObjectKey, run: tekton.PipelineRun, cause: stopping.Cause
) -> tuple[stopping.Step, Result]:
    """Take the next step that is due; returns it, and when to come again.

    Args:
        tools: the collaborators.
        key: the execution in whose reconcile this is.
        run: as last seen, ended or not.
        cause: why it is stopped.

    Raises:
        ClusterError: the step failed, or its outcome is not known.
    """
    step, left_s = stopping.next_step(run, cause, tools.clock.now())
    return step, await take(tools, key, run, cause, step, left_s)


async def take(
    tools: common.Tools,
    key: ObjectKey,
    run: tekton.PipelineRun,
    cause: stopping.Cause,
    step: stopping.Step,
    left_s: float,
) -> Result:
    """Take a step as `stopping.next_step` has given it; returns when to come again.

    Raises:
        ClusterError: the step failed, or its outcome is not known.
    """
    match step:
        case stopping.Step.ASK | stopping.Step.FORCE:
            _log.info("Run is told to end", run=run.place, cause=cause.value, step=step.name)
            changes = stopping.change(run, step, cause, tools.clock.now())
            await _change(tools, key, run, changes)
            left_s = AGAIN_S
        case stopping.Step.DELETE:
            _log.warning("Run that does not end is deleted", run=run.place, cause=cause.value)
            await tools.engine.delete(key, run)
            left_s = stopping.DELETED_S
        case stopping.Step.WAIT:
            pass
        case stopping.Step.STUCK:
            _log.error("Run cannot be ended", run=run.place, cause=cause.value)
            left_s = STUCK_AGAIN_S
    return Result(requeue_after_s=left_s)


def note(step: stopping.Step, stop: stopping.Stop, run: tekton.PipelineRun) -> status.Note:
    """The condition that says how far the ladder has been climbed."""
    if step is stopping.Step.STUCK:
        message = f"PipelineRun {run.place} {_STILL_THERE}{stop.message}"
        return status.Note(
            ConditionType.CANCEL_CONFIRMED,
            ConditionStatus.FALSE,
            ConditionReason.STILL_ALIVE,
            message,
        )
    return status.Note(
        ConditionType.CANCEL_CONFIRMED,
        ConditionStatus.UNKNOWN,
        ConditionReason.CANCELLING,
        stop.message,
    )


def why(said: Condition) -> str:
    """What a run is stopped for, in the words of the condition that says how far that has come."""
    return said.message.rpartition(_STILL_THERE)[2]


def confirmed(stop: stopping.Stop, run: tekton.PipelineRun | None) -> status.Note:
    """The condition of a run that was stopped and of which nothing works any more.

    As far as anybody can see: what a child of another kind does, its own controller knows.
    """
    unseen = ", ".join(stopping.unseen(run)) if run is not None else ""
    if unseen:
        return status.Note(
            ConditionType.CANCEL_CONFIRMED,
            ConditionStatus.UNKNOWN,
            ConditionReason.CHILDREN_UNSEEN,
            f"{stop.message}. Whether what was told to end with it has ended, only its own "
            f"controller knows: {unseen}",
        )
    return status.Note(
        ConditionType.CANCEL_CONFIRMED,
        ConditionStatus.TRUE,
        ConditionReason.CANCELLED,
        stop.message,
    )


def concluded(after: Status, moment: status.Moment) -> Status:
    """A terminal status, in which no stopping is left open: the run was quicker."""
    begun = after.condition(ConditionType.CANCEL_CONFIRMED)
    if begun is None or begun.status is ConditionStatus.TRUE:
        return after
    if begun.reason == ConditionReason.CHILDREN_UNSEEN:
        return after
    message = "The run came to its own end before it was stopped"
    over = status.Note(
        ConditionType.CANCEL_CONFIRMED, ConditionStatus.FALSE, ConditionReason.COMPLETED, message
    )
    return status.noted(after, moment, [over])


async def nudge(tools: common.Tools, key: ObjectKey, run: tekton.PipelineRun) -> None:
    """Make Tekton look again at a run that does not leave resolution."""
    _log.warning("Run does not leave resolution, Tekton is nudged", run=run.place)
    await _change(tools, key, run, stopping.nudge(tools.clock.now()))


async def _change(
    tools: common.Tools, key: ObjectKey, run: tekton.PipelineRun, changes: dict[str, object]
) -> None:
    """Change the run; a refusal because it has ended meanwhile is no failure.

    Source: Tekton's validating webhook, "Once the PipelineRun is complete, no updates are allowed".
    """
    try:
        await tools.engine.change(key, run, changes)
    except errors.ApiError:
        if await common.read_unended(tools, run) is not None:
            raise

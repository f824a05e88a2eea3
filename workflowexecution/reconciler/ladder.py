"""Ladder: takes a run that is to end down the ladder, one step a reconcile.

Used for running executions that are cancelled or overdue, for deleted ones, and for runs that
nobody waits for any more.
"""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import TYPE_CHECKING

import structlog

from workflowexecution.api.status import ConditionReason, ConditionStatus, ConditionType
from workflowexecution.domain import redaction, status, stopping, text
from workflowexecution.reconciler import failures
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime import errors, resource
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workflowexecution.api import tekton
    from workflowexecution.api.status import Condition, Status
    from workflowexecution.runtime.resource import ObjectKey

_log = structlog.get_logger(__name__)

_STILL_THERE = "was to end, was deleted and is still there: the target stays locked. "
_REFUSED = ". So far the API server refuses that: "
_MAX_WHY_BYTES = status.MAX_CONDITION_BYTES // 2
"""Of why a run is stopped, where a refusal is said behind it: people may say as much of it."""

AGAIN_S = 1.0
STUCK_AGAIN_S = 30.0
NUDGE_AGAIN_S = 60.0


class Request(StrEnum):
    """What may be refused of a run, each for a time of its own."""

    NUDGE = "nudge"
    """The stop of a run that does not leave resolution is refused as its nudges are."""
    TELL = "tell"
    DELETE = "delete"


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
    due, left_s = stopping.next_step(run, cause, tools.clock.now())
    step, refusal = await tell(tools, key, run, cause, due)
    result = Result()
    if refusal is None:
        result, refusal = await take(tools, key, run, cause, step, left_s)
    if refusal is not None:
        raise refusal
    return due, result


async def tell(
    tools: common.Tools,
    key: ObjectKey,
    run: tekton.PipelineRun,
    cause: stopping.Cause,
    step: stopping.Step,
) -> tuple[stopping.Step, errors.ApiError | None]:
    """Tell a run to end, where that is the step.

    Returns:
        The step that is left to take, and why it cannot be: the server's refusal. A run that may
        not be told, as where a policy keeps runs from being changed or Tekton's webhook is not
        there, is to be deleted once that has lasted: no webhook of Tekton is asked about that.

    Raises:
        ClusterError: nobody knows whether it was told, or it is to be tried again.
    """
    if step not in (stopping.Step.ASK, stopping.Step.FORCE):
        return step, None
    _log.info("Run is told to end", run=run.place, cause=cause.value, step=step.name)
    changes = stopping.change(run, step, cause, tools.clock.now())
    kind = Request.NUDGE if cause is stopping.Cause.RESOLUTION else Request.TELL
    refusal = await _change(tools, key, run, kind, changes)
    orderly = step is stopping.Step.ASK and cause in stopping.ORDERLY
    # By then an end in order would have been waited for in vain.
    patience_s = stopping.GRACE_S + stopping.FORCED_S if orderly else failures.LASTING_S
    if refusal is None or not is_refused_for(tools, run, kind, patience_s):
        return step, refusal
    _log.warning("Run that may not be changed is deleted", run=run.place, error=str(refusal))
    return stopping.Step.DELETE, None


async def take(
    tools: common.Tools,
    key: ObjectKey,
    run: tekton.PipelineRun,
    cause: stopping.Cause,
    step: stopping.Step,
    left_s: float,
) -> tuple[Result, errors.ApiError | None]:
    """Take the step that `tell` has left; returns when to come again, or the server's refusal.

    Raises:
        ClusterError: nobody knows whether it was taken, or it is to be tried again.
    """
    match step:
        case stopping.Step.ASK | stopping.Step.FORCE:
            left_s = AGAIN_S
        case stopping.Step.DELETE:
            _log.warning("Run that does not end is deleted", run=run.place, cause=cause.value)
            with _unbroken(tools, run, Request.DELETE):
                try:
                    await tools.engine.delete(key, run)
                except errors.ApiError as error:
                    return Result(), _noted(tools, run, Request.DELETE, error)
            tools.refused.forget(_place(run, Request.DELETE))
            left_s = stopping.DELETED_S
        case stopping.Step.WAIT:
            pass
        case stopping.Step.STUCK:
            _log.error("Run cannot be ended", run=run.place, cause=cause.value)
            left_s = STUCK_AGAIN_S
    return Result(requeue_after_s=left_s), None


def is_refused_for(
    tools: common.Tools, run: tekton.PipelineRun, kind: Request, lasting_s: float
) -> bool:
    """Whether a request about a run has been refused for so long, without a break."""
    return tools.refused.lasted_s(_place(run, kind), tools.clock.now()) >= lasting_s


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


def refused(
    step: stopping.Step, stop: stopping.Stop, error: errors.ApiError, *, lasts: bool
) -> status.Note:
    """The condition of a run of which a step is refused: even the last one, if that lasts."""
    is_last = step is stopping.Step.DELETE and lasts
    return status.Note(
        ConditionType.CANCEL_CONFIRMED,
        ConditionStatus.FALSE if is_last else ConditionStatus.UNKNOWN,
        ConditionReason.STILL_ALIVE if is_last else ConditionReason.CANCELLING,
        f"{text.cut(redaction.redact(stop.message), _MAX_WHY_BYTES)}{_REFUSED}{error}",
    )


def is_told(said: Condition, note: status.Note) -> bool:
    """Whether a refusal is said already: the server's words may be others with each try."""
    if _REFUSED not in said.message or said.status is not note.status:
        return False
    return said.message.partition(_REFUSED)[:2] == note.message.partition(_REFUSED)[:2]


def why(said: Condition) -> str:
    """What a run is stopped for, in the words of the condition that says how far that has come."""
    return said.message.rpartition(_STILL_THERE)[2].partition(_REFUSED)[0]


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


async def nudge(tools: common.Tools, key: ObjectKey, run: tekton.PipelineRun) -> Result:
    """Make Tekton look again at a run that does not leave resolution.

    Whether that can be done or not: what is to be said of the run does not wait for it.

    Returns:
        When to try again, where it failed.
    """
    _log.warning("Run does not leave resolution, Tekton is nudged", run=run.place)
    failed: errors.ClusterError | None
    try:
        changes = stopping.nudge(tools.clock.now())
        failed = await _change(tools, key, run, Request.NUDGE, changes)
    except errors.ClusterError as error:
        failed = error
    if failed is None:
        return Result()
    _log.warning("Tekton cannot be nudged", run=run.place, error=str(failed))
    return common.later(NUDGE_AGAIN_S)


async def _change(
    tools: common.Tools,
    key: ObjectKey,
    run: tekton.PipelineRun,
    kind: Request,
    changes: dict[str, object],
) -> errors.ApiError | None:
    """Change the run; returns the server's refusal, but for one because it has ended meanwhile.

    Source: Tekton's validating webhook, "Once the PipelineRun is complete, no updates are allowed".

    Raises:
        ClusterError: nobody knows whether it is changed, or it is to be tried again.
    """
    with _unbroken(tools, run, kind):
        try:
            await tools.engine.change(key, run, changes)
        except errors.ApiError as error:
            live = await common.read_run(tools, run)
            # Of one that had ended before it was asked, that is not why.
            if live is not None and (run.is_done or not live.is_done):
                return _noted(tools, run, kind, error)
    tools.refused.forget(_place(run, kind))
    return None


@contextlib.contextmanager
def _unbroken(tools: common.Tools, run: tekton.PipelineRun, kind: Request) -> Iterator[None]:
    """Ask something of the server: time in which that goes unanswered is none of refusals."""
    try:
        yield
    except errors.ClusterError as error:
        if failures.is_unanswered(error):
            tools.refused.pause(_place(run, kind))
        raise


def _noted(
    tools: common.Tools, run: tekton.PipelineRun, kind: Request, error: errors.ApiError
) -> errors.ApiError:
    """Note that a request about a run was refused; what is no refusal is raised."""
    if not failures.is_refusal(error):
        raise error
    tools.refused.note(_place(run, kind), tools.clock.now(), run.uid)
    return error


def _place(run: tekton.PipelineRun, kind: Request) -> ObjectKey:
    """What the refusals of one kind are remembered by: no run has such a name."""
    return resource.ObjectKey(run.namespace, f"{run.name}/{kind.value}")

"""When a run is to be stopped, and the ladder by which it is.

A run is asked to end in an orderly way, then told to, then deleted; how far that has come stands on
the run itself, so a restart goes on where it was. Nobody calls a run stopped before nothing of it
works any more: that is for whoever climbs to look at.

Source: tekton.dev/v1 PipelineRun, `spec.status`; Tekton Pipelines 1.9, reconciler/pipelinerun.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

from workflowexecution.api import duration, names, times
from workflowexecution.api import tekton as api
from workflowexecution.api.status import FailureReason

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Sequence

    from workflowexecution.api.workflowexecution import Spec

GRACE_S = 300.0
"""For the tasks that work, and `finally`, after a person has asked for the end."""
FORCED_S = 120.0
"""For the containers, after Tekton was told to end them."""
DELETED_S = 60.0
"""For the pods, after the run was deleted."""
FROM_FORCED_S = FORCED_S + DELETED_S
"""For both together: what is over its timeout is not asked first."""
LINGER_S = 60.0
"""For what still works, or may begin yet, of a run that Tekton calls ended: twice the time that a
pod has by default to end. One that was told to end has `FORCED_S`."""

DELETED = "The execution was deleted before it had ended"
"""What is said of an execution that somebody deletes while it is under way."""

_SKEW_S = 2.0
"""By which a mark may be older than its run: both are whole seconds, by two clocks."""
_GRACEFUL, _FORCED = "CancelledRunFinally", "Cancelled"
_RESOLVING = "ResolvingPipelineRef"
_FAILED = "Failed"
_STOPPED = frozenset({"Cancelled", "CancelledRunningFinally", "PipelineRunCancelled"})


class Cause(StrEnum):
    """Why a run is stopped."""

    USER = "user"
    DELETED = "deleted"
    DEADLINE = "deadline"
    RESOLUTION = "resolution"
    DIGEST = "digest"
    LINGERING = "lingering"
    LATE = "late"
    COPY = "copy"
    ORPHAN = "orphan"


ORDERLY = frozenset({Cause.USER, Cause.DELETED})
"""For these a run is asked to end in order first."""


class Step(enum.Enum):
    """What is to be done next."""

    ASK = enum.auto()
    FORCE = enum.auto()
    DELETE = enum.auto()
    WAIT = enum.auto()
    STUCK = enum.auto()


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a run may take beyond what it was given; seconds."""

    deadline_grace_s: float
    stall_after_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run is stopped, as its failure record will say it."""

    cause: Cause
    reason: FailureReason
    message: str


def due(
    spec: Spec,
    run: api.PipelineRun,
    now: datetime.datetime,
    limits: Limits,
    *,
    lingers_since: datetime.datetime | None,
) -> Stop | None:
    """Why a run that goes on, or of which something does, is to be stopped now, if it is.

    What outlives its end has a while from when that was first said, by the server's time: when the
    end was, Tekton says by a clock of its own. For all else see `due_for`.
    """
    if run.is_done and (since := lingers_since or run.completed_at) is not None:
        is_over = now >= times.shifted(since, _patience_s(run))
        return explain(Cause.LINGERING, spec, run, limits) if is_over else None
    cancelled, digest = spec.cancel is not None, spec.workflow_ref.container_digest or ""
    cause = due_for(run, now, limits, cancelled=cancelled, digest=digest)
    return None if cause is None else explain(cause, spec, run, limits)


def due_for(
    run: api.PipelineRun,
    now: datetime.datetime,
    limits: Limits,
    *,
    cancelled: bool,
    digest: str,
) -> Cause | None:
    """What a run that goes on is to be stopped for now, if it is.

    Args:
        run: as last seen.
        now: the server's time.
        limits: from the settings.
        cancelled: whether a person has asked for its end.
        digest: of the bundle that was asked for; empty: any.
    """
    if cancelled:
        return Cause.USER
    if _is_another(digest, run):
        return Cause.DIGEST
    begun = cause_of(run)
    if begun is not None:
        return begun
    overdue = overdue_at(run, limits)
    if overdue is not None and now >= overdue:
        return Cause.DEADLINE
    given_up = given_up_at(run, limits)
    return Cause.RESOLUTION if given_up is not None and now >= given_up else None


def cancelled_by(spec: Spec) -> str:
    """The sentence of an execution that somebody cancelled, with who and why where known."""
    by = f" by {spec.cancel.requested_by}: {spec.cancel.reason}" if spec.cancel else ""
    return f"The execution was cancelled{by}"


def explain(cause: Cause, spec: Spec, run: api.PipelineRun, limits: Limits) -> Stop:
    """The reason and the sentence that a cause stands for."""
    match cause:
        case Cause.USER | Cause.LATE | Cause.COPY | Cause.ORPHAN:
            return Stop(cause, FailureReason.CANCELLED, cancelled_by(spec))
        case Cause.DELETED:
            return Stop(cause, FailureReason.CANCELLED, DELETED)
        case Cause.LINGERING:
            return Stop(cause, FailureReason.UNKNOWN, outlived(_patience_s(run)))
        case Cause.DEADLINE:
            given = duration.format_seconds(run.timeout_s or 0)
            grace = duration.format_seconds(limits.deadline_grace_s)
            message = (
                f"Tekton did not end the run within its timeout of {given} and another {grace}, "
                "so it was stopped"
            )
            return Stop(cause, FailureReason.DEADLINE_EXCEEDED, message)
        case Cause.RESOLUTION:
            given = duration.format_seconds(2 * limits.stall_after_s)
            message = f"Tekton did not resolve the pipeline within {given}, so the run was stopped"
            return Stop(cause, FailureReason.DEADLINE_EXCEEDED, message)
        case Cause.DIGEST:
            return Stop(cause, FailureReason.CONFIGURATION_ERROR, _difference(spec, run))
        case _ as unreachable:
            assert_never(unreachable)


def outlived(patience_s: float) -> str:
    """The sentence of a run of which something was there for so long after its end."""
    left = duration.format_seconds(patience_s)
    return (
        f"A task or pod of the run was still there {left} after Tekton had called the run ended, "
        "so the run was deleted"
    )


def _patience_s(run: api.PipelineRun) -> float:
    """How long something of a run may outlive what Tekton calls its end."""
    return LINGER_S if cause_of(run) is None else FORCED_S


def mismatch(spec: Spec, run: api.PipelineRun) -> Stop | None:
    """Why the end of a run that nobody has stopped is no good: it ran what was not asked for."""
    if not _is_another(spec.workflow_ref.container_digest or "", run):
        return None
    message = f"{_difference(spec, run)}; the run had ended before it could be stopped for that"
    return Stop(Cause.DIGEST, FailureReason.CONFIGURATION_ERROR, message)


def _is_another(wanted: str, run: api.PipelineRun) -> bool:
    """Whether Tekton resolved a bundle with another digest than was asked for."""
    return bool(wanted and run.digest) and run.digest != wanted


def _difference(spec: Spec, run: api.PipelineRun) -> str:
    wanted = spec.workflow_ref.container_digest
    return f"The bundle has digest {run.digest}, not {wanted} as was asked for"


def stopped(spec: Spec, run: api.PipelineRun, limits: Limits, *, cut: bool) -> Stop | None:
    """Why a run that has ended was stopped, None for one that ended for a reason of its own.

    Args:
        spec: what was asked for.
        run: as last seen.
        limits: from the settings.
        cut: whether a task of the pipeline was ended from outside. After an orderly stop, a
            `finally` task that fails has Tekton call the run failed.
    """
    cause = cause_of(run)
    if cause is None:
        return None
    if run.condition is not None and run.is_done:
        ends = _STOPPED | {_FAILED} if cut and cause in ORDERLY else _STOPPED
        if run.condition.reason not in ends:
            return None
    return explain(cause, spec, run, limits)


def is_cut(run: api.PipelineRun, children: Iterable[api.TaskRun]) -> bool:
    """Whether a task of the pipeline, not one of `finally`, was ended from outside."""
    wound_up = set(run.finally_names)
    return any(child.is_cancelled and child.task not in wound_up for child in children)


def unseen(run: api.PipelineRun) -> Sequence[str]:
    """Tasks of a stopped run of which nobody has seen whether they have ended, with their kinds.

    Children that are no TaskRuns are their own controllers' affair. Tekton waits for them where a
    run comes to an end, that of an orderly cancellation included. Where it is told to end the run
    at once it tells them so, and waits for nothing.
    """
    is_waited_for = (
        run.counts is not None or names.ANNOTATION_CANCEL_FORCED_AT not in run.annotations
    )
    if run.is_done and is_waited_for:
        return ()
    others = (child for child in run.children if not child.is_task_run)
    return tuple(dict.fromkeys(f"{child.kind} of task {child.task!r}" for child in others))


def cause_of(run: api.PipelineRun) -> Cause | None:
    """What its stopping was begun for, None while nobody has begun."""
    text = run.annotations.get(names.ANNOTATION_CANCEL_CAUSE, "")
    return Cause(text) if text in set(Cause) else None


def marked(run: api.PipelineRun, cause: Cause) -> api.PipelineRun:
    """The run as it would be, had it been told what it is stopped for."""
    marks = {names.ANNOTATION_CANCEL_CAUSE: cause.value}
    return run._replace(annotations={**run.annotations, **marks})


def asked_at(run: api.PipelineRun) -> datetime.datetime | None:
    """When it was asked to end, None while nobody has."""
    return _at(run, names.ANNOTATION_CANCEL_REQUESTED_AT)


def is_to_nudge(run: api.PipelineRun) -> bool:
    """Whether Tekton is to be made to look again at a run that stands still: once."""
    return is_resolving(run) and names.ANNOTATION_NUDGED_AT not in run.annotations


def is_resolving(run: api.PipelineRun) -> bool:
    """Whether Tekton still looks for the pipeline itself."""
    return run.condition is not None and run.condition.reason == _RESOLVING


def given_up_at(run: api.PipelineRun, limits: Limits) -> datetime.datetime | None:
    """When a run is stopped of which Tekton does not find the pipeline; None: not for that."""
    nudged = _at(run, names.ANNOTATION_NUDGED_AT)
    if nudged is None or not is_resolving(run):
        return None
    return times.shifted(nudged, limits.stall_after_s)


def overdue_at(run: api.PipelineRun, limits: Limits) -> datetime.datetime | None:
    """When Tekton must have ended the run by, at the latest; None without a timeout."""
    since = run.started_at or run.created_at
    if since is None or not run.timeout_s:
        return None
    return ends_by(since, run.timeout_s, limits)


def ends_by(since: datetime.datetime, timeout_s: float, limits: Limits) -> datetime.datetime:
    """When Tekton must have ended what began then, at the latest."""
    return times.shifted(since, timeout_s + limits.deadline_grace_s)


def next_step(run: api.PipelineRun, cause: Cause, now: datetime.datetime) -> tuple[Step, float]:
    """What to do next to a run that is to be stopped, and the seconds until something is.

    Args:
        run: as last seen, ended or not: pods may outlive what Tekton calls the end.
        cause: why it is stopped.
        now: the server's time.
    """
    if is_stuck(run, now):
        return Step.STUCK, DELETED_S
    if run.deleted_at is not None:
        return Step.WAIT, _left(run.deleted_at, DELETED_S, now)
    if cause is Cause.LINGERING:
        # Nothing of Tekton's is left to be told.
        return Step.DELETE, 0.0
    asked = asked_at(run)
    if asked is None:
        return Step.ASK, 0.0
    forced = _at(run, names.ANNOTATION_CANCEL_FORCED_AT)
    if forced is not None:
        left = _left(forced, FORCED_S, now)
        return (Step.WAIT, left) if left > 0 else (Step.DELETE, 0.0)
    left = _left(asked, GRACE_S, now)
    since = run.started_at or run.created_at
    if since is not None and run.timeout_s:
        left = min(left, _left(since, run.timeout_s, now))
    return (Step.WAIT, left) if left > 0 and cause in ORDERLY else (Step.FORCE, 0.0)


def is_stuck(run: api.PipelineRun, now: datetime.datetime) -> bool:
    """Whether even deleting the run was in vain."""
    return run.deleted_at is not None and _left(run.deleted_at, DELETED_S, now) <= 0


def change(
    run: api.PipelineRun, step: Step, cause: Cause, now: datetime.datetime
) -> dict[str, Any]:
    """The merge patch on the run that takes a step, ASK or FORCE.

    In an orderly way only where a task has begun: before that nothing needs to be wound up. What a
    run that has ended is to do is not written: Tekton refuses it.
    """
    at = times.stamp(now)
    orderly = step is Step.ASK and cause in ORDERLY and bool(run.children) and not run.is_done
    marks = {names.ANNOTATION_CANCEL_CAUSE: cause.value}
    if step is Step.ASK:
        marks[names.ANNOTATION_CANCEL_REQUESTED_AT] = at
    if not orderly:
        marks[names.ANNOTATION_CANCEL_FORCED_AT] = at
    changes: dict[str, Any] = {"metadata": {"annotations": marks}}
    if not run.is_done:
        changes["spec"] = {"status": _GRACEFUL if orderly else _FORCED}
    return changes


def nudge(now: datetime.datetime) -> dict[str, Any]:
    """The merge patch that makes Tekton look at a run again."""
    marks = {names.ANNOTATION_NUDGED_AT: times.stamp(now)}
    return {"metadata": {"annotations": marks}}


def _at(run: api.PipelineRun, annotation: str) -> datetime.datetime | None:
    """When something was done to this very run: a copy carries the marks of what it is one of."""
    at = times.parse(run.annotations.get(annotation))
    if at is None or run.created_at is None or at >= times.shifted(run.created_at, -_SKEW_S):
        return at
    return None


def _left(since: datetime.datetime, span_s: float, now: datetime.datetime) -> float:
    return span_s - (now - since).total_seconds()

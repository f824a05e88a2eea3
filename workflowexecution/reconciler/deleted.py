"""Deleted: an execution that somebody deletes takes its own run with it, and no other's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from workflowexecution.api import times
from workflowexecution.api.status import (
    ConditionReason,
    ConditionStatus,
    ConditionType,
    FailureReason,
    Outcome,
    Phase,
)
from workflowexecution.domain import failure, status, stopping
from workflowexecution.domain.events import Reason
from workflowexecution.reconciler import closing, conclusion, ended, failures, ladder, surplus
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime import errors
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from workflowexecution.api import tekton
    from workflowexecution.api.status import Status
    from workflowexecution.reconciler import view

_log = structlog.get_logger(__name__)

LOOK_AGAIN_S = 30.0
_SOONEST_S = 1.0


async def reconcile(
    tools: common.Tools, seen: view.Execution, failing: failures.Failures
) -> Result:
    """Say the end, end the run, delete it, wait until it is gone, let the execution go.

    Args:
        tools: the collaborators.
        seen: the execution.
        failing: what has failed so far of those that are on their way out.

    Raises:
        ClusterError: a step failed or its outcome is not known; the finalizer stays.
    """
    if not seen.held:
        return Result()
    overdue = is_overdue(tools, seen)
    try:
        result = await _step(tools, seen, overdue=overdue)
    except (errors.Conflict, errors.Throttled):
        raise
    except errors.NotFound:
        # It has gone meanwhile, and the watch is late with the word of it.
        return Result()
    except errors.ClusterError as error:
        # It is on its way out for long already where no controller ran: one failure is no reason.
        kind = "refused" if failures.is_refusal(error) else "unanswered"
        lasted_s = failing.note(seen.key, tools.clock.now(), kind)
        if not overdue or lasted_s < failures.LASTING_S:
            raise
        if await _is_deleted_at_last(tools, seen):
            failing.forget(seen.key)
            return common.later(LOOK_AGAIN_S)
        if waits := await _released(tools, seen, overdue=True):
            return waits
        # The run, should there be one, stays and holds its name.
        place = f"{seen.run_namespace or tools.policy.defaults.namespace}/{seen.lock}"
        _log.error("Deleted execution released after a failure", run=place, error=str(error))
        why = f"Released without PipelineRun {place} being deleted: {error}"
        return _given_up(tools, seen, why)
    failing.forget(seen.key)
    return result


async def _step(tools: common.Tools, seen: view.Execution, *, overdue: bool) -> Result:
    if not seen.ended:
        await _say(tools, seen, await _sight(tools, seen, overdue=overdue))
        return common.LOOK_AT_ONCE
    copies: Sequence[tekton.PipelineRun] = ()
    own: tekton.PipelineRun | None = None
    unknown: errors.ClusterError | None = None
    try:
        copies = await surplus.left(tools, seen)
    except errors.ClusterError as error:
        unknown = error
    try:
        own = await _own_run(tools, seen, live=overdue)
    except errors.ClusterError as error:
        unknown = unknown or error
    runs = copies if own is None else [own, *copies]
    if unknown is None and not runs:
        return await _let_go(tools, seen, overdue=overdue)
    now = tools.clock.now()
    if unknown is None and overdue and all(stopping.is_stuck(run, now) for run in runs):
        return await _leave(tools, seen, runs[0])
    result = await surplus.each(*(partial(_end, tools, seen, run) for run in runs))
    if unknown is not None:
        raise unknown
    return result


async def _let_go(tools: common.Tools, seen: view.Execution, *, overdue: bool) -> Result:
    """Release an execution of which no run is left."""
    if not overdue and await _is_survived(tools, seen):
        return common.later(_pods_due_s(tools, seen))
    if waits := await _released(tools, seen, overdue=overdue):
        return waits
    common.remark(tools, seen, Reason.DELETED, f"The execution is deleted; it was {seen.phase}")
    _log.info("Deleted execution released")
    return Result()


async def _leave(tools: common.Tools, seen: view.Execution, run: tekton.PipelineRun) -> Result:
    """Release an overdue execution before its run, which stays, and with it its target's lock."""
    if waits := await _released(tools, seen, overdue=True):
        return waits
    _log.error("Deleted execution released before its run", run=run.place)
    why = f"Released before PipelineRun {run.place} was gone: it holds its target"
    return _given_up(tools, seen, why)


async def _released(tools: common.Tools, seen: view.Execution, *, overdue: bool) -> Result | None:
    """Take the finalizer off once the records are safe; when to come again while they are not."""
    left_s = await tools.audit.part(seen, overdue=overdue)
    if left_s > 0:
        # The last answer of the audit store wakes this earlier.
        return common.later(left_s)
    await ended.release(tools, seen)
    return None


async def _end(tools: common.Tools, seen: view.Execution, run: tekton.PipelineRun) -> Result:
    """Bring a run nearer to its end, and then to its deletion."""
    time_s = None if run.is_done else _time_s(tools, seen, run)
    if not run.is_done and (time_s is None or time_s > 0):
        # In order where something works already; whatever is stuck ends with a deletion.
        cause = stopping.Cause.DELETED if run.name == seen.lock else stopping.Cause.COPY
        _, result = await ladder.climb(tools, seen.key, run, cause)
        return common.sooner(result, common.later(time_s))
    if not run.deleting:
        await tools.engine.delete(seen.key, run)
        _log.info("Run of a deleted execution deleted", run=run.place)
    return common.later(LOOK_AGAIN_S)


def _time_s(tools: common.Tools, seen: view.Execution, run: tekton.PipelineRun) -> float | None:
    """Seconds until a run that works is deleted, on whichever step it is; None: not asked to end.

    They count from where it was asked: `finally` has its time also where the deletion was seen
    late, as by a controller that did not run.
    """
    since, asked = times.parse(seen.deletion_time), stopping.asked_at(run)
    if since is None or asked is None:
        return None
    waited_s = (tools.clock.now() - max(since, asked)).total_seconds()
    return tools.policy.deletion_give_up_s - waited_s


async def _is_deleted_at_last(tools: common.Tools, seen: view.Execution) -> bool:
    """Whether a run is put on its way out at least, where every other step goes on failing.

    Raises:
        Conflict: the server would take it another time.
        Throttled: the same.
    """
    try:
        own = await _own_run(tools, seen)
        known = [own] if own and not own.deleting else await surplus.left(tools, seen)
        run = next((it for it in known if not it.deleting), None)
        if run is None:
            return False
        await tools.engine.delete(seen.key, run)
    except (errors.Conflict, errors.Throttled):
        raise
    except errors.ClusterError:
        return False
    _log.warning("Run of a deleted execution deleted after a failure", run=run.place)
    return True


async def _is_survived(tools: common.Tools, seen: view.Execution) -> bool:
    """Whether pods go on whose run is gone already, of an execution that was deleted while it ran.

    Who deletes both at once takes the lock off while it is still needed. An execution that had
    ended before costs no request.
    """
    if not seen.was_running_when_deleted:
        return False
    children = await tools.engine.read_children(seen.run_uid)
    return await common.is_working(tools, seen.run_uid, children)


def _pods_due_s(tools: common.Tools, seen: view.Execution) -> float:
    """When to look for pods again: most go within seconds, and nothing tells of it."""
    ended_at = times.parse(seen.completion_time)
    since_s = 0.0 if ended_at is None else (tools.clock.now() - ended_at).total_seconds()
    return min(LOOK_AGAIN_S, max(_SOONEST_S, since_s / 4))


def _given_up(tools: common.Tools, seen: view.Execution, message: str) -> Result:
    tools.metrics.deletion_given_up()
    common.remark(tools, seen, Reason.CLEANUP_FAILED, message)
    return Result()


def is_overdue(tools: common.Tools, seen: view.Execution) -> bool:
    """Whether the execution has been on its way out for too long to hold up its namespace."""
    since = times.parse(seen.deletion_time)
    if since is None:
        return False
    return (tools.clock.now() - since).total_seconds() > tools.policy.deletion_give_up_s


async def _own_run(
    tools: common.Tools, seen: view.Execution, *, live: bool = False
) -> tekton.PipelineRun | None:
    """The run of the execution, if there is one.

    Args:
        tools: the collaborators.
        seen: the execution.
        live: by the server alone, as where the cache of runs may be in doubt: what is overdue does
            not wait for it.

    Raises:
        ClusterError: nothing is known.
    """
    run = None if live else tools.engine.observe(seen.uid)
    if run is not None:
        return run
    # A run that was created a moment ago may not have come by the watch yet.
    try:
        found = await tools.engine.read(seen.lock)
    except errors.EndpointMissing:
        if seen.claimed:
            raise
        # No create comes before the claim: there is nothing that could be hidden.
        return None
    # By its UID too: the labels may have been taken off.
    if found is not None and (found.owner_uid == seen.uid or found.uid == seen.run_uid):
        return found
    why = common.elsewhere(tools, seen)
    if why:
        raise errors.ClusterError(why)
    return None


@dataclass(frozen=True, slots=True)
class _Sight:
    """What is known of the run of an execution whose end is to be said.

    Attributes:
        run: it, if it is there.
        is_certain: whether it is known that there is no other.
    """

    run: tekton.PipelineRun | None
    is_certain: bool = True


async def _sight(tools: common.Tools, seen: view.Execution, *, overdue: bool) -> _Sight:
    """The run, or that nothing is known of it: an end by deletion can be said without.

    Raises:
        ClusterError: whether it has started one is not known, and there is time to ask again.
    """
    try:
        return _Sight(await _own_run(tools, seen, live=overdue))
    except errors.Throttled:
        raise
    except errors.ClusterError:
        if not (overdue or seen.phase is Phase.RUNNING):
            raise
    # No create comes before the claim.
    return _Sight(None, is_certain=not seen.claimed)


async def _say(tools: common.Tools, seen: view.Execution, sight: _Sight) -> None:
    case = common.open_case(tools, seen)
    # An end is told to the second, and clocks differ by less than that unseen. One that comes by a
    # deletion is never before it: that is how it is known, and what holds the target.
    now = max(case.moment.now, times.parse(seen.deletion_time) or case.moment.now)
    message = stopping.DELETED
    details = failure.refused(FailureReason.CANCELLED, message, case.subject, now)
    # A run that is gone by now was there all the same.
    known = sight.run or tools.engine.last_seen(seen.uid)
    is_free = sight.is_certain and sight.run is None
    if known is not None and _was_over(seen, known):
        await common.write(tools, case, _end_of(tools, case, known, now, is_free=is_free))
        return
    had_run = known is not None or seen.phase is Phase.RUNNING
    if had_run or not sight.is_certain:
        is_gone = sight.is_certain or known is not None
        facts = failure.Facts(
            sight.run,
            (),
            vanished=f"{message}; {_fate(seen, sight.run, is_gone=is_gone)}",
            vanished_reason=FailureReason.CANCELLED,
        )
        details = failure.classify_run(facts, case.subject, now)
    note = status.Note(
        ConditionType.TEKTON_PIPELINE_COMPLETE,
        ConditionStatus.FALSE,
        ConditionReason.PIPELINE_FAILED,
        message,
    )
    before = case.status
    # Nobody says of one that it had no run without knowing so.
    never_begun = closing.never_begun(before) if sight.is_certain else []
    notes = [note] if had_run else never_begun
    if known is not None and before.pipeline_run_ref is None:
        # Nobody could say yet that it was started: its pods hold the target, records tell of it.
        before = common.adopt(case, known)
    after = status.failed(
        before, case.moment, details, outcome=Outcome.CANCELLED, at=now, notes=notes
    )
    if had_run:
        after = closing.ended(after, case.moment, is_free=is_free)
    await common.write(tools, case, after)


def _was_over(seen: view.Execution, run: tekton.PipelineRun) -> bool:
    """Whether the run had ended when the execution was deleted, and only nobody had said so yet.

    One that has succeeded though nobody had asked it to end, has, whatever the clock of Tekton
    says of when.
    """
    if not seen.is_own(run):
        return False
    if run.is_successful and not run.deleting and stopping.asked_at(run) is None:
        return True
    since = times.parse(seen.deletion_time)
    ended_at = run.completed_at if run.is_done else None
    return since is not None and ended_at is not None and ended_at <= since


def _end_of(
    tools: common.Tools,
    case: common.Case,
    run: tekton.PipelineRun,
    now: datetime.datetime,
    *,
    is_free: bool,
) -> Status:
    """The end that its run had come to, by what is known: nothing more is asked for it.

    A failure is told as of now. What lingers of it holds the target, and may have begun since.
    """
    if case.status.pipeline_run_ref is None:
        case = case.at(common.adopt(case, run))
    children = tools.engine.children(run.uid)
    before = conclusion.mirrored(case, run, children)
    if run.is_successful and stopping.mismatch(case.execution.spec, run) is None:
        after = status.completed(before, case.moment, conclusion.ended_at(case, run))
        return closing.ended(ladder.concluded(after, case.moment), case.moment)
    facts = failure.Facts(run, children, conclusion.started(case), lingers=True)
    facts, stop = conclusion.attributed(case, facts, tools.policy.limits)
    details = before.failure_details or failure.classify_run(facts, case.subject, now)
    # Whether nothing of it works any more, and a stop has ended all of it, nobody has looked.
    after = conclusion.ended_badly(case, before, details, [], at=now, is_over=False)
    after = after if stop else ladder.concluded(after, case.moment)
    return closing.ended(after, case.moment, is_free=is_free)


def _fate(seen: view.Execution, run: tekton.PipelineRun | None, *, is_gone: bool) -> str:
    """What becomes of the run."""
    if run is not None:
        return "its run goes with it"
    if is_gone:
        return "its run is gone"
    if seen.phase is Phase.RUNNING:
        return "what has become of its run is not known"
    return "whether a run of it was created is not known"

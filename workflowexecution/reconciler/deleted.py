"""Deleted: an execution that somebody deletes takes its own run with it, and no other's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from workflowexecution.api import tekton
from workflowexecution.api.status import (
    ConditionReason,
    ConditionStatus,
    ConditionType,
    FailureReason,
    Outcome,
    Phase,
)
from workflowexecution.domain import failure, status
from workflowexecution.reconciler import ended
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    from workflowexecution.reconciler import view

_log = structlog.get_logger(__name__)

LOOK_AGAIN_S = 30.0


async def reconcile(tools: common.Tools, seen: view.Execution) -> Result:
    """Say the end, delete the run, wait until it is gone, let the execution go.

    Raises:
        ClusterError: a step failed or its outcome is not known; the finalizer stays.
    """
    if not seen.held:
        return Result()
    overdue = _is_overdue(tools, seen)
    try:
        return await _step(tools, seen, overdue=overdue)
    except (errors.Conflict, errors.Throttled):
        raise
    except errors.ClusterError as error:
        if not overdue:
            raise
        # The run, should there be one, stays and holds its target.
        _log.error("Deleted execution released after a failure", error=str(error))
        await ended.release(tools, seen)
        return Result()


async def _step(tools: common.Tools, seen: view.Execution, *, overdue: bool) -> Result:
    run = await _own_run(tools, seen)
    if not seen.ended:
        await _say(tools, seen, run)
        return Result(requeue_after_s=0.0, priority=queue.Priority.HIGH)
    if run is None:
        left_s = await tools.audit.part(seen, overdue=overdue)
        if left_s > 0:
            # The last answer of the audit store wakes this earlier.
            return Result(requeue_after_s=left_s, priority=queue.Priority.LOW)
        await ended.release(tools, seen)
        _log.info("Deleted execution released")
        return Result()
    if not run.deleting:
        await tools.engine.delete(seen.key, run)
        _log.info("Run of a deleted execution deleted", run=f"{run.namespace}/{run.name}")
    elif overdue:
        _log.error("Deleted execution released before its run", run=f"{run.namespace}/{run.name}")
        await tools.audit.part(seen, overdue=True)
        await ended.release(tools, seen)
        return Result()
    return Result(requeue_after_s=LOOK_AGAIN_S, priority=queue.Priority.LOW)


def _is_overdue(tools: common.Tools, seen: view.Execution) -> bool:
    """Whether the execution has been on its way out for too long to hold up its namespace."""
    since = tekton.parse_time(seen.deletion_time)
    if since is None:
        return False
    return (tools.clock.now() - since).total_seconds() > tools.policy.deletion_give_up_s


async def _own_run(tools: common.Tools, seen: view.Execution) -> tekton.PipelineRun | None:
    run = tools.engine.observe(seen.uid)
    if run is not None:
        return run
    # A run that was created a moment ago may not have come by the watch yet.
    try:
        live = await tools.engine.read(seen.lock)
    except errors.EndpointMissing:
        if seen.claimed:
            raise
        # No create comes before the claim: there is nothing that could be hidden.
        return None
    return live if live is not None and live.owner_uid == seen.uid else None


async def _say(tools: common.Tools, seen: view.Execution, run: tekton.PipelineRun | None) -> None:
    case = common.open_case(tools, seen)
    now = case.moment.now
    message = "The execution was deleted before it had ended"
    details = failure.refused(FailureReason.CANCELLED, message, case.subject, now)
    # A run that is gone by now was there all the same.
    had_run = run is not None or case.seen.phase is Phase.RUNNING
    if had_run:
        facts = failure.Facts(
            run,
            (),
            vanished=f"{message}, and its run with it",
            vanished_reason=FailureReason.CANCELLED,
        )
        details = failure.classify_run(facts, case.subject, now)
    note = status.Note(
        ConditionType.TEKTON_PIPELINE_COMPLETE,
        ConditionStatus.FALSE,
        ConditionReason.PIPELINE_FAILED,
        message,
    )
    notes = [note] if had_run else []
    after = status.failed(
        case.status, case.moment, details, outcome=Outcome.CANCELLED, at=now, notes=notes
    )
    await common.write(tools, case, after)

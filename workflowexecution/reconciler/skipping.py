"""Skipped: nothing is started, and the status says what stood in the way and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from workflowexecution.api import times
from workflowexecution.api.status import (
    ConditionReason,
    ConditionStatus,
    ConditionType,
    ConflictingWorkflow,
    SkipDetails,
    SkipReason,
)
from workflowexecution.domain import pipelinerun, status, stopping
from workflowexecution.reconciler import admission, closing
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime import queue
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    from datetime import datetime

    from workflowexecution.api import tekton
    from workflowexecution.api.status import Status
    from workflowexecution.reconciler import view

_log = structlog.get_logger(__name__)

_LOCKED = {
    SkipReason.RESOURCE_BUSY: ConditionReason.TARGET_RESOURCE_BUSY,
    SkipReason.RECENTLY_REMEDIATED: ConditionReason.RECENTLY_REMEDIATED,
    SkipReason.PREVIOUS_EXECUTION_FAILED: ConditionReason.PREVIOUS_EXECUTION_FAILED,
    SkipReason.EXHAUSTED_RETRIES: ConditionReason.EXHAUSTED_RETRIES,
}


async def meet(
    tools: common.Tools, case: common.Case, obstacle: admission.Obstacle, *, version: str = ""
) -> Result:
    """Skip, or wait where nothing can be said yet.

    Args:
        tools: the collaborators.
        case: the execution.
        obstacle: what stands in the way.
        version: the resourceVersion of an own write since the case was opened.
    """
    if isinstance(obstacle, admission.Wait):
        return Result(requeue_after_s=obstacle.seconds, priority=queue.Priority.NORMAL)
    if isinstance(obstacle, admission.Held):
        details = _held(tools, case, obstacle.holder)
    else:
        verdict = obstacle.verdict
        details = SkipDetails(
            reason=verdict.reason,
            message=verdict.message,
            skipped_at=times.second(case.moment.now),
            recent_remediation=verdict.remediation(case.moment.now),
            retry_at=verdict.until,
        )
    await _skip(tools, case, details, version)
    return Result()


async def busy(
    tools: common.Tools, case: common.Case, run: tekton.PipelineRun, version: str
) -> Result:
    """Skip for a run that holds the target, whoever made it."""
    owner = pipelinerun.owner_of(run.labels, run.annotations)
    holder = f"{owner.namespace}/{owner.name}" if owner else "an unknown owner"
    conflicting = ConflictingWorkflow(
        name=owner.name if owner else "",
        workflow_id=owner.workflow_id if owner else "",
        started_at=times.second(run.created_at or case.moment.now),
        target_resource=owner.target if owner else case.execution.spec.target_resource,
    )
    # What nobody owns ends when a person ends it.
    is_ended = owner is not None and not stopping.is_stuck(run, case.moment.now)
    due = stopping.overdue_at(run, tools.policy.limits) if is_ended else None
    words = f"{holder} through PipelineRun {run.place}"
    details = _held_by(case, words, conflicting, due)
    await _skip(tools, case, details, version)
    return Result()


def _held(tools: common.Tools, case: common.Case, holder: view.Execution) -> SkipDetails:
    other = common.open_case(tools, holder).execution
    since = other.status.start_time or case.moment.now
    timeout_s = pipelinerun.timeout_s(other.spec, tools.policy.defaults)
    due = stopping.ends_by(since, timeout_s, tools.policy.limits)
    ref = other.status.pipeline_run_ref
    through = f" through PipelineRun {ref.namespace}/{ref.name}" if ref else ""
    conflicting = ConflictingWorkflow(
        name=holder.key.name,
        workflow_id=other.spec.workflow_ref.workflow_id,
        started_at=times.second(since),
        target_resource=other.spec.target_resource,
    )
    is_stuck = _is_stuck(tools, holder, other.status)
    return _held_by(case, f"{holder.key}{through}", conflicting, None if is_stuck else due)


def _is_stuck(tools: common.Tools, holder: view.Execution, said: Status) -> bool:
    """Whether it is known that the run of whoever holds the target cannot be ended."""
    # Another installation has a namespace of its own, and ends what is there.
    if holder.served and common.elsewhere(tools, holder):
        return True
    stopped = said.condition(ConditionType.CANCEL_CONFIRMED)
    if stopped is not None and stopped.reason == ConditionReason.STILL_ALIVE:
        return True
    # Of one that was deleted while it ran, the run alone tells it.
    run = tools.engine.observe(holder.uid)
    return run is not None and stopping.is_stuck(run, tools.clock.now())


def _held_by(
    case: common.Case, words: str, conflicting: ConflictingWorkflow, due: datetime | None
) -> SkipDetails:
    """The record of a target that is held.

    Args:
        case: the execution.
        words: who holds it.
        conflicting: the same for machines.
        due: when Tekton must have ended it by; None: nobody ends it but a person.
    """
    since = times.stamp(conflicting.started_at)
    # What Tekton does not end in time, the ladder does.
    ended = times.shifted(case.moment.now, stopping.FROM_FORCED_S)
    retry_at = times.second(max(due, ended)) if due is not None else None
    return SkipDetails(
        reason=SkipReason.RESOURCE_BUSY,
        message=f"Target {case.execution.spec.target_resource} is held by {words} since {since}",
        skipped_at=times.second(case.moment.now),
        conflicting_workflow=conflicting,
        retry_at=retry_at,
    )


async def _skip(tools: common.Tools, case: common.Case, details: SkipDetails, version: str) -> None:
    note = status.Note(
        ConditionType.RESOURCE_LOCKED,
        ConditionStatus.TRUE,
        _LOCKED[details.reason],
        details.message,
    )
    _log.info("Execution skipped", reason=details.reason.value, message=details.message)
    notes = [*closing.never_begun(case.status), note]
    after = status.skipped(case.status, case.moment, details, notes)
    await common.write(tools, case, after, version=version)

"""Conclusion: what is said of a run that has ended badly, and what an end means for its target."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import structlog

from workflowexecution.api.status import (
    ConditionReason,
    ConditionStatus,
    ConditionType,
    FailureReason,
    Phase,
)
from workflowexecution.domain import failure, history, status, stopping
from workflowexecution.reconciler import evidence, ladder, view
from workflowexecution.reconciler import tools as common

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from workflowexecution.api import tekton
    from workflowexecution.api.status import FailureDetails, Status

_log = structlog.get_logger(__name__)

_REASONS = {
    "OOMKilled": ConditionReason.OOM_KILLED,
    "DeadlineExceeded": ConditionReason.DEADLINE_EXCEEDED,
    "TaskFailed": ConditionReason.TASK_FAILED,
    "Forbidden": ConditionReason.FORBIDDEN,
    "ResourceExhausted": ConditionReason.RESOURCE_EXHAUSTED,
    "ImagePullBackOff": ConditionReason.IMAGE_PULL_FAILED,
}


class Conclusion:
    """Gathers the facts of an end, and writes it."""

    def __init__(self, tools: common.Tools) -> None:
        """Conclude with these collaborators."""
        self._tools = tools

    async def facts(
        self, case: common.Case, run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
    ) -> failure.Facts:
        """What is known of a run that has ended badly, its pods included while they are there."""
        pods = await self._tools.engine.read_pods(run.uid)
        warned = status.condition(case.status, ConditionType.PODS_HEALTHY)
        waits = warned is not None and warned.status is ConditionStatus.FALSE
        return failure.Facts(
            run,
            children,
            started(case),
            pods=pods,
            waited_for=warned.message if warned is not None and waits else "",
        )

    async def failed(
        self, case: common.Case, mirrored: Status, facts: failure.Facts, at: datetime.datetime
    ) -> Status:
        """The status of a run that failed, with why."""
        return ended_badly(case, mirrored, *await self.record(case, facts, at), at=at)

    def remembered(
        self, case: common.Case, details: FailureDetails, last: tekton.PipelineRun | None
    ) -> Status:
        """The status of a run that failed, lingered and is gone, by what was written down of it."""
        stop = _stop_of(case, last, self._tools.policy.limits)
        notes = [ladder.confirmed(stop)] if stop is not None else []
        return ended_badly(case, case.status, details, notes, at=details.failed_at)

    async def record(
        self, case: common.Case, facts: failure.Facts, at: datetime.datetime
    ) -> tuple[FailureDetails, list[status.Note]]:
        """Why the run failed, with its evidence, and what is to be said of its stopping."""
        stop = _stop_of(case, facts.run, self._tools.policy.limits)
        notes = []
        if stop is not None:
            facts = dataclasses.replace(facts, stopped=stop.message, stopped_reason=stop.reason)
            notes.append(ladder.confirmed(stop))
        details = failure.classify_run(facts, case.subject, at)
        return await evidence.gathered(self._tools, details, facts.children), notes

    async def remains(self, run: tekton.PipelineRun) -> Sequence[tekton.TaskRun]:
        """What is left of the TaskRuns of a run that is gone, by the server and by the cache."""
        live = await self._tools.engine.read_children(run.uid)
        known = {child.name: child for child in (*self._tools.engine.children(run.uid), *live)}
        return tuple(known.values())

    async def write(self, case: common.Case, after: Status) -> None:
        """Write an end, with what it means for the target's next execution."""
        tools, seen = self._tools, case.seen
        pasts: Sequence[history.Past] = ()
        if after.phase is Phase.FAILED:
            others = tools.executions.by_index(view.BY_LOCK_PAST, seen.lock)
            pasts = await common.pasts(tools, (it for it in others if it.uid != seen.uid))
        after = ladder.concluded(history.ended(after, pasts, tools.policy.history), case.moment)
        await common.write(tools, case, after)
        _log.info(
            "Execution ended", phase=after.phase, outcome=after.outcome, duration=after.duration
        )


def started(case: common.Case) -> frozenset[str]:
    """Names of the TaskRuns of which something was ever seen started."""
    return frozenset(entry.name for entry in case.status.task_runs or () if entry.started)


def ended_badly(
    case: common.Case,
    before: Status,
    details: FailureDetails,
    notes: list[status.Note],
    *,
    at: datetime.datetime,
) -> Status:
    """The terminal status that a failure record asks for."""
    said = status.Note(
        ConditionType.TEKTON_PIPELINE_COMPLETE,
        ConditionStatus.FALSE,
        _REASONS.get(details.reason, ConditionReason.PIPELINE_FAILED),
        details.message,
    )
    outcome = failure.outcome_of(details.reason)
    return status.failed(before, case.moment, details, outcome=outcome, at=at, notes=[*notes, said])


def _stop_of(
    case: common.Case, run: tekton.PipelineRun | None, limits: stopping.Limits
) -> stopping.Stop | None:
    """Why this program ended the run, if it did; a run unseen is what its execution says of it."""
    if run is not None:
        return stopping.stopped(case.execution.spec, run, limits)
    begun = status.condition(case.status, ConditionType.CANCEL_CONFIRMED)
    if begun is None:
        return None
    return stopping.Stop(stopping.Cause.USER, FailureReason.CANCELLED, begun.message)

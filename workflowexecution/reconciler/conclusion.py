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
from workflowexecution.domain import (
    consistency,
    failure,
    history,
    progress,
    remains,
    status,
    stopping,
)
from workflowexecution.reconciler import closing, evidence, health, ladder, view
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from workflowexecution.api import tekton
    from workflowexecution.api.status import FailureDetails, Status
    from workflowexecution.reconciler.glimpses import Glimpses

_log = structlog.get_logger(__name__)

_REASONS = {
    FailureReason.OOM_KILLED: ConditionReason.OOM_KILLED,
    FailureReason.DEADLINE_EXCEEDED: ConditionReason.DEADLINE_EXCEEDED,
    FailureReason.TASK_FAILED: ConditionReason.TASK_FAILED,
    FailureReason.FORBIDDEN: ConditionReason.FORBIDDEN,
    FailureReason.RESOURCE_EXHAUSTED: ConditionReason.RESOURCE_EXHAUSTED,
    FailureReason.IMAGE_PULL_BACK_OFF: ConditionReason.IMAGE_PULL_FAILED,
}


class Conclusion:
    """Gathers the facts of an end, and writes it."""

    def __init__(self, tools: common.Tools, glimpses: Glimpses) -> None:
        """Conclude with these collaborators."""
        self._tools = tools
        self._glimpses = glimpses

    async def facts(
        self, case: common.Case, run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
    ) -> failure.Facts:
        """What is known of a run that has ended badly, its pods included while they are there."""
        pods = await self._tools.engine.read_pods(run.uid)
        # Tekton looks at no pod of a task that is over: what has begun late, the pod alone tells.
        begun = {pod.name for pod in pods if pod.ran}
        children = [it._replace(ran=it.ran or it.pod_name in begun) for it in children]
        warned = case.status.condition(ConditionType.PODS_HEALTHY)
        waits = warned is not None and warned.reason == ConditionReason.PODS_WAITING
        return failure.Facts(
            run,
            children,
            started(case),
            pods=pods,
            waited_for=warned.message if warned is not None and waits else "",
        )

    async def succeeded(
        self, case: common.Case, run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
    ) -> Status:
        """The status of a run that succeeded, with what speaks against that.

        Pods are asked for only where a task was repeated: without that they tell nothing more, and
        a success costs no request.
        """
        before = mirrored(case, run, children)
        after = status.completed(before, case.moment, ended_at(case, run))
        pods: Sequence[tekton.Pod] = ()
        if consistency.is_in_doubt(children):
            try:
                pods = await self._tools.engine.read_pods(run.uid)
            except errors.ClusterError as error:
                _log.info("Pods of a repeated task cannot be read", error=str(error))
                unknown = f"The pods of a task that was repeated cannot be read: {error}"
                after = status.noted(after, case.moment, [_doubt(ConditionStatus.UNKNOWN, unknown)])
        doubt = consistency.doubt(children, pods)
        if not doubt:
            return after
        return status.noted(after, case.moment, [_doubt(ConditionStatus.FALSE, doubt)])

    async def failed(self, case: common.Case, facts: failure.Facts) -> Status:
        """The status of a run that failed, with why.

        How far one has come that is gone before its end stays as it was told.
        """
        run, before = facts.run, case.status
        if run is not None and run.is_done:
            # With what the pods alone tell.
            before = mirrored(case, run, facts.children)
        details, notes = await self.record(case, facts)
        return ended_badly(case, before, details, notes, at=ended_at(case, run))

    def remembered(
        self, case: common.Case, details: FailureDetails, last: tekton.PipelineRun | None
    ) -> Status:
        """The status of a run that is gone, by what was written down of it before."""
        # Its tasks may be gone.
        cut = details.reason is FailureReason.CANCELLED
        # Of one that had not ended this was written down since it was to be deleted. Where it may
        # not be changed, it carries no word of that.
        untold = last is not None and not last.is_done and stopping.cause_of(last) is None
        told = None if untold else last
        stop = _stop_of(case, told, self._tools.policy.limits, cut=cut)
        if stop is not None and told is None:
            stop = dataclasses.replace(stop, message=details.message)
        notes = [ladder.confirmed(stop, last)] if stop is not None else []
        return ended_badly(case, case.status, details, notes, at=ended_at(case, last))

    async def record(
        self, case: common.Case, facts: failure.Facts
    ) -> tuple[FailureDetails, list[status.Note]]:
        """Why the run failed, with its evidence, and what is to be said of its stopping."""
        facts, notes = attributed(case, facts, self._tools.policy.limits)
        details = failure.classify_run(facts, case.subject, ended_at(case, facts.run))
        key = case.seen.key
        details = await evidence.gathered(
            self._tools, details, facts.children, pods=facts.pods, early=self._glimpses.early(key)
        )
        earlier = (case.status.failure_details, self._glimpses.of(key))
        return evidence.kept(details, *earlier), notes

    async def first_words(
        self, case: common.Case, run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
    ) -> Status:
        """The status with why a run has failed of which something is still there, or may begin.

        Written while that can be read: what lingers of it may have to go. What was written down
        before Tekton called it ended stays, and its minute begins all the same.
        """
        known = case.status.failure_details
        if known is not None:
            return health.lingering(case, case.status, known.message)
        facts = await self.facts(case, run, children)
        lingers = remains.may_begin(facts.children, facts.pods)
        facts = dataclasses.replace(facts, lingers=lingers)
        details, told = await self._told(case, run, facts)
        return health.lingering(case, told, details.message)

    async def last_words(
        self, case: common.Case, run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
    ) -> Status | None:
        """The status with the record of a run that is about to be deleted; None: it stands there.

        Why it was stopped stands on the run alone, and goes with it.

        A pod that waits for a ConfigMap stays as long as its run does, and none of its steps may
        begin any more. Without this look it would have its target wait for a person's review.
        """
        try:
            facts = await self.facts(case, run, children)
        except errors.ClusterError:
            if run.is_done:
                raise
            # What works is ended all the same, and has run.
            facts = failure.Facts(run, children, started(case))
        lingers = not run.is_done or remains.may_begin(facts.children, facts.pods)
        facts = dataclasses.replace(facts, lingers=lingers)
        known = case.status.failure_details
        if known is not None and known.was_execution_failure != failure.nothing_ran(facts):
            return None
        _, told = await self._told(case, run, facts)
        return told

    async def _told(
        self, case: common.Case, run: tekton.PipelineRun, facts: failure.Facts
    ) -> tuple[FailureDetails, Status]:
        """The record of a run that is still there, and the status with it."""
        details, _ = await self.record(case, facts)
        # With what the pods alone tell: they are gone when the end is said.
        after = mirrored(case, run, facts.children)
        return details, after.model_copy(update={"failure_details": details})

    async def remains(self, case: common.Case, run: tekton.PipelineRun) -> failure.Facts:
        """What is known of a run that is gone: its TaskRuns go with it, one by one.

        Those of the cache may tell why it failed. That nothing ran is proven by the server's list
        alone: what is not in it is seen no more, whatever becomes of it. It is read after the look
        that found no pod at work: of a pod that has gone meanwhile, the TaskRun went before.
        """
        live = {child.name: child for child in await self._tools.engine.read_children(run.uid)}
        known = {child.name: child for child in self._tools.engine.children(run.uid)}
        facts = await self.facts(case, run, tuple((known | live).values()))
        return dataclasses.replace(facts, unlisted=frozenset(known.keys() - live.keys()))

    async def write(self, case: common.Case, after: Status) -> None:
        """Write an end, with what it means for the target's next execution."""
        tools, seen = self._tools, case.seen
        pasts: Sequence[history.Past] = ()
        if after.phase is Phase.FAILED:
            others = tools.executions.by_index(view.BY_LOCK_PAST, seen.lock)
            pasts = await common.pasts(tools, (it for it in others if it.uid != seen.uid))
        after = ladder.concluded(history.ended(after, pasts, tools.policy.history), case.moment)
        after = closing.ended(after, case.moment)
        await common.write(tools, case, after)
        _log.info(
            "Execution ended", phase=after.phase, outcome=after.outcome, duration=after.duration
        )


def started(case: common.Case) -> frozenset[str]:
    """Names of the TaskRuns of which something was ever seen started."""
    return frozenset(entry.name for entry in case.status.task_runs or () if entry.started)


def ended_at(case: common.Case, run: tekton.PipelineRun | None) -> datetime.datetime:
    """When the run ended, or now where nobody has said it.

    Tekton says it by a clock of its own. What an end means to the next execution counts from it, so
    one that no right clock can have shown, before the start or in the future, is now. By less than
    a second now may itself be before the start, which the server has dated.
    """
    now = case.moment.now
    started_at = case.status.start_time or now
    known = (run.completed_at if run is not None else None) or now
    return max(min(known, now) if known >= started_at else now, started_at)


def mirrored(
    case: common.Case, run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
) -> Status:
    """The status with how far the run is."""
    summary = case.status.pipeline_run_status
    way = progress.map_progress(
        run, children, case.status.task_runs, summary.completed_tasks if summary else None
    )
    after = status.mirrored(case.status, case.moment, run, way)
    return closing.answered(after, case.moment)


def attributed(
    case: common.Case, facts: failure.Facts, limits: stopping.Limits
) -> tuple[failure.Facts, list[status.Note]]:
    """The facts with why this program ended the run, and what is to be said of its stopping."""
    run, spec = facts.run, case.execution.spec
    cut = run is not None and stopping.is_cut(run, facts.children)
    stop = _stop_of(case, run, limits, cut=cut)
    wrong = stopping.mismatch(spec, run) if run is not None else None
    ended_by = stop or wrong
    if ended_by is not None:
        message = ended_by.message
        if wrong is not None and ended_by.cause is not wrong.cause:
            message = f"{message}. {wrong.message}"
        facts = dataclasses.replace(
            facts,
            stopped=failure.attribute(message, spec, stopping.cancelled_by(spec)),
            stopped_reason=ended_by.reason,
            stopped_by=ended_by.cause,
        )
    return facts, [ladder.confirmed(stop, run)] if stop is not None else []


def ended_badly(
    case: common.Case,
    before: Status,
    details: FailureDetails,
    notes: list[status.Note],
    *,
    at: datetime.datetime,
    is_over: bool = True,
) -> Status:
    """The terminal status that a failure record asks for; `is_over` when nothing of it works."""
    said = status.Note(
        ConditionType.TEKTON_PIPELINE_COMPLETE,
        ConditionStatus.FALSE,
        _REASONS.get(details.reason, ConditionReason.PIPELINE_FAILED),
        details.message,
    )
    outcome = failure.outcome_of(details.reason)
    pods = health.ended(before) if is_over else []
    told = [*notes, *pods, *_never_begun(details), said]
    return status.failed(before, case.moment, details, outcome=outcome, at=at, notes=told)


def _never_begun(details: FailureDetails) -> list[status.Note]:
    """What is to be said of a run of which it is proven that nothing has run."""
    if details.was_execution_failure:
        return []
    return [
        status.Note(
            ConditionType.TEKTON_PIPELINE_RUNNING,
            ConditionStatus.FALSE,
            ConditionReason.PIPELINE_FAILED_TO_START,
            f"The run ended before a step of it had begun: {details.message}",
        )
    ]


def _doubt(answer: ConditionStatus, message: str) -> status.Note:
    known = answer is ConditionStatus.FALSE
    reason = ConditionReason.DISRUPTED if known else ConditionReason.PODS_UNREADABLE
    return status.Note(ConditionType.RESULT_CONSISTENT, answer, reason, message)


def _stop_of(
    case: common.Case, run: tekton.PipelineRun | None, limits: stopping.Limits, *, cut: bool
) -> stopping.Stop | None:
    """Why this program ended the run, if it did; a run unseen is what its execution says of it."""
    if run is not None:
        return stopping.stopped(case.execution.spec, run, limits, cut=cut)
    begun = case.status.condition(ConditionType.CANCEL_CONFIRMED)
    if begun is None:
        return None
    why = ladder.why(begun)
    known = case.status.failure_details
    is_cancelled = known is not None and known.reason is FailureReason.CANCELLED
    if why == stopping.outlived(stopping.LINGER_S) and not is_cancelled:
        # One that was told to end has longer: this one had come to its own end, and a cancel that
        # was asked for by then has stopped nothing.
        return None
    if case.execution.spec.cancel is not None:
        return stopping.Stop(stopping.Cause.USER, FailureReason.CANCELLED, why)
    # The cause stood on the run: what was said of it is left, and no reason follows from that.
    return stopping.Stop(stopping.Cause.ORPHAN, FailureReason.UNKNOWN, why)

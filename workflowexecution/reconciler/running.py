"""Running: mirror the run, and say the end when there is one.

The watches of run and TaskRuns wake this; timers stand for deadlines, and for pods, which are not
watched. Progress is written seldom, transitions at once.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import structlog

from workflowexecution.api import times
from workflowexecution.api.status import (
    ConditionStatus,
    ConditionType,
)
from workflowexecution.domain import failure, remains, stalling, status, stopping
from workflowexecution.domain.events import Reason
from workflowexecution.reconciler import (
    closing,
    conclusion,
    failures,
    glimpses,
    health,
    ladder,
    pacing,
    untold,
)
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime import errors
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workflowexecution.api import tekton
    from workflowexecution.api.status import Status
    from workflowexecution.reconciler import view
    from workflowexecution.runtime.resource import ObjectKey

_log = structlog.get_logger(__name__)

SETTLE_S = 0.5
UNWATCHED_S = 10.0


class Mirror:
    """Mirrors running executions."""

    def __init__(self, tools: common.Tools) -> None:
        """Mirror with these collaborators."""
        self._tools = tools
        self._unsettled: dict[ObjectKey, float] = {}
        self._untold = untold.Untold()
        self._pace = pacing.Pace(busy=tools.busy, call=tools.wake)
        self._health = health.Health(tools)
        self._glimpses = glimpses.Glimpses(tools)
        self._conclusion = conclusion.Conclusion(tools, self._glimpses)

    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered of an execution that is not running any more."""
        self._glimpses.forget(key)
        self._pace.forget(key)
        self._untold.forget(key)
        self._unsettled.pop(key, None)

    def started(self, key: ObjectKey) -> None:
        """Note a transition: progress keeps away from it for a moment."""
        self._pace.moved(key)

    def put_off_s(self, seen: view.Execution) -> float:
        """Seconds by which a look at mere progress is put off; 0 looks now.

        Asked before anything is parsed: while much is going on, most looks are put off, though
        none for ever, and none by which the run may have to be stopped or somebody be warned.
        """
        run = self._tools.engine.observe(seen.uid)
        if run is None or run.is_done or self._is_to_stop(seen, run):
            return self._pace.put_off_s(seen.key, 0.0)
        children = self._tools.engine.children(run.uid)
        wait_s = self._pace.progress_in_s(seen.key, (seen.resource_version, run, children))
        if wait_s > 0:
            wait_s = self._rests_for_s(seen, run, children, wait_s)
        return self._pace.put_off_s(seen.key, wait_s)

    def _is_to_stop(self, seen: view.Execution, run: tekton.PipelineRun) -> bool:
        """Whether it is, or may be another than the one that was begun."""
        if not seen.is_own(run):
            return True
        now, limits = self._tools.clock.now(), self._tools.policy.limits
        cancelled, digest = seen.cancelling, seen.wanted_digest
        return stopping.due_for(run, now, limits, cancelled=cancelled, digest=digest) is not None

    def _rests_for_s(
        self,
        seen: view.Execution,
        run: tekton.PipelineRun,
        children: Sequence[tekton.TaskRun],
        wait_s: float,
    ) -> float:
        """How much of a wait is left by what is more urgent than progress."""
        if self._glimpses.is_due(seen.key, run, children):
            return 0.0
        now, limits = self._tools.clock.now(), self._tools.policy.limits
        stalls_in_s = stalling.left_s(run, children, now, limits.stall_after_s)
        is_stalled = stalls_in_s <= 0
        is_news = is_stalled != (ConditionType.PROGRESSING in seen.warnings)
        if is_news or (is_stalled and stopping.is_to_nudge(run)):
            return self._pace.warning_in_s(seen.key)
        warns_in_s = self._health.due_in_s(seen, children, now)
        if warns_in_s <= 0:
            return self._pace.warning_in_s(seen.key)
        wakes_in_s = pacing.wakes_in_s(run, children, now, limits, stalls_in_s)
        return min(wait_s, warns_in_s, wakes_in_s)

    async def reconcile(self, case: common.Case) -> Result:
        """Bring a running execution's status up to its run."""
        run = self._tools.engine.observe(case.seen.uid)
        try:
            if run is None or not case.seen.is_own(run):
                return await self._missing(case)
            return await self._mirror(case, run)
        except errors.Unreadable as error:
            # No failure of the run: whether anything of it works, nobody can tell.
            return await self._wait(case, f"What there is of the run may not be read: {error}")

    async def _mirror(self, case: common.Case, run: tekton.PipelineRun) -> Result:
        run = self._untold.told(case.seen.key, run) if run.deleting else run
        children = self._tools.engine.children(run.uid)
        settled = run.is_done and _is_settled(run, children)
        if not settled:
            # Before anything else: Tekton deletes the pods of what it ends.
            await self._glimpses.look(case, run, children)
        if not run.is_done:
            return await self._go_on(case, run, children)
        if not settled and case.seen.key not in self._unsettled:
            # The run's end came by one watch before its tasks' ends came by the other.
            self._unsettled[case.seen.key] = SETTLE_S
            return Result(requeue_after_s=SETTLE_S)
        if not (settled and _has_succeeded(case, run)):
            # The cache may lack a task that the run does not name: it proves nothing.
            children = await self._tools.engine.read_children(run.uid)
        return await self._conclude(case, run, children)

    async def _conclude(
        self, case: common.Case, run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
    ) -> Result:
        """Tekton calls the run ended: say the end, unless it failed and something of it works."""
        if _has_succeeded(case, run):
            return await self._end(case, await self._conclusion.succeeded(case, run, children))
        known = case.status.failure_details
        if await common.is_working(self._tools, run.uid, children):
            again = Result(requeue_after_s=self._patience(case.seen.key))
            if known is None or health.lingers_since(case.status) is None:
                told = await self._conclusion.first_words(case, run, children)
                await common.write(self._tools, case, told)
                return again
            return common.sooner(again, await self._go_on(case, run, children))
        if known is not None and _is_going(run, children):
            # What was written down was seen when its tasks and pods were there.
            return await self._end(case, self._conclusion.remembered(case, known, run))
        facts = await self._conclusion.facts(case, run, children)
        if known is not None and known.was_execution_failure:
            went = remains.went_unseen(facts.children, facts.pods)
            facts = dataclasses.replace(facts, lingers=went)
        return await self._end(case, await self._conclusion.failed(case, facts))

    async def _go_on(
        self, case: common.Case, run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
    ) -> Result:
        """The run works, or something of it does: say how far it is, and stop it when it is due."""
        now, limits = case.moment.now, self._tools.policy.limits
        after = conclusion.mirrored(case, run, children)
        lingers_since = health.known_since(case.status)
        stop = stopping.due(case.execution.spec, run, now, limits, lingers_since=lingers_since)
        is_free = stop is None and not run.is_done
        stall = stalling.stall_of(run, children, now, limits.stall_after_s) if is_free else ""
        nudge, is_unresolved = Result(), bool(stall) and stopping.is_to_nudge(run)
        if is_unresolved:
            if not run.deleting:
                nudge = await ladder.nudge(self._tools, case.seen.key, run)
            if self._is_given_up(case, run, children):
                stop = stopping.explain(stopping.Cause.RESOLUTION, case.execution.spec, run, limits)
        if stop is not None:
            return await self._stop(case, after, run, children, stop)
        after, look = health.moving(case, after, stall), Result()
        if is_free:
            after, look = await self._health.told(case, after, children)
            if not (run.deleting or is_unresolved):
                self._untold.forget(case.seen.key)
                after = closing.not_stopped(after)
        result = await self._progress(case, after, (case.seen.resource_version, run, children))
        return common.sooner(result, nudge, look, pacing.wake(self._tools, run, children))

    def _is_given_up(
        self, case: common.Case, run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
    ) -> bool:
        """Whether a run that may not be nudged has stood still for as long as one that was."""
        if run.deleting:
            return case.status.condition(ConditionType.CANCEL_CONFIRMED) is not None
        patience_s = 2 * self._tools.policy.limits.stall_after_s
        if stalling.left_s(run, children, case.moment.now, patience_s) > 0:
            return False
        return ladder.is_refused_for(self._tools, run, ladder.Request.NUDGE, failures.LASTING_S)

    async def _stop(
        self,
        case: common.Case,
        after: Status,
        run: tekton.PipelineRun,
        children: Sequence[tekton.TaskRun],
        stop: stopping.Stop,
    ) -> Result:
        """Take the ladder's next step, and say where it stands.

        Raises:
            ClusterError: the step was refused, which is said, or what has come of it is not known.
        """
        tools, key = self._tools, case.seen.key
        due, left_s = stopping.next_step(run, stop.cause, case.moment.now)
        step, refusal = await ladder.tell(tools, key, run, stop.cause, due)
        result = Result()
        if refusal is None:
            # Whoever deletes a run that is being stopped takes the cause with it.
            is_going = run.deleting and stopping.cause_of(run) is not None
            no_word = is_going and case.status.failure_details is None
            told = run if step is due else stopping.marked(run, stop.cause)
            is_last = step is stopping.Step.DELETE or no_word
            if is_last and await self._say_last(case, told, children):
                # Written before the proof is deleted, and looked at once more after that.
                return common.LOOK_AT_ONCE
            if step is not due:
                self._untold.note(key, run, stop.cause)
            result, refusal = await ladder.take(tools, key, run, stop.cause, step, left_s)
        if refusal is None:
            note = ladder.note(step, stop, run)
            return common.sooner(result, await self._say_step(case, after, stop, note))
        self._untold.forget(key)
        lasts = ladder.is_refused_for(tools, run, ladder.Request.DELETE, failures.LASTING_S)
        await self._say_step(case, after, stop, ladder.refused(step, stop, refusal, lasts=lasts))
        raise refusal

    async def _say_step(
        self, case: common.Case, after: Status, stop: stopping.Stop, note: status.Note
    ) -> Result:
        """Write how far the ladder has been climbed, at once if that is news."""
        tools = self._tools
        before = case.status.condition(note.type)
        if before is None:
            common.remark(tools, case.seen, Reason.CANCEL_REQUESTED, stop.message)
        is_news = before is None or before.status is not note.status
        if before is None or not ladder.is_told(before, note):
            after = status.noted(after, case.moment, [note])
        if before is not None and before == after.condition(note.type):
            return await self._progress(case, after)
        await common.write(tools, case, after)
        if is_news and note.status is ConditionStatus.FALSE:
            tools.metrics.cancel_stuck()
        self._pace.moved(case.seen.key)
        return Result()

    async def _say_last(
        self, case: common.Case, run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
    ) -> bool:
        """Write what is known of a run that is about to be deleted, if that is news.

        Whether it can be written or not: what works has to end.
        """
        told = await self._conclusion.last_words(case, run, children)
        if told is None:
            return False
        try:
            return await common.write(self._tools, case, told)
        except (errors.Conflict, errors.Throttled):
            raise
        except errors.ApiError as error:
            if run.is_done:
                raise
            _log.warning("Why a run is deleted cannot be written", run=run.place, error=str(error))
            return False

    def _patience(self, key: ObjectKey) -> float:
        """Seconds until a run that lingers is looked at again; grows, since nothing may wake it."""
        wait = self._unsettled.get(key, SETTLE_S)
        self._unsettled[key] = min(2 * wait, UNWATCHED_S)
        return wait

    async def _progress(
        self, case: common.Case, after: Status, sight: pacing.Sight | None = None
    ) -> Result:
        """Write a change that is no transition: seldom, and progress when nothing else waits."""
        key, pace = case.seen.key, self._pace
        if not status.patch(case.status, after):
            pace.rests(key, sight)
            return Result()
        is_urgent = pacing.is_urgent(case.status, after, case.moment.now)
        wait_s = pace.warning_in_s(key) if is_urgent else pace.progress_in_s(key)
        if wait_s > 0:
            return common.later(pace.put_off_s(key, wait_s))
        if is_urgent:
            pace.warned(key)
        else:
            pace.progressed(key)
        await common.write(self._tools, case, after)
        return Result()

    async def _end(self, case: common.Case, after: Status) -> Result:
        await self._conclusion.write(case, after)
        self.forget(case.seen.key)
        return Result()

    async def _missing(self, case: common.Case) -> Result:
        """The cache has no run of ours: engine or its place away, run deleted, or its marks lost.

        Raises:
            ClusterError: nothing is known; the execution stays as it is.
        """
        why = common.elsewhere(self._tools, case.seen)
        if why:
            return await self._wait(case, why)
        ref = case.status.pipeline_run_ref
        run, why = await common.look_up(self._tools, ref.name if ref else case.seen.lock)
        if run is None and not why:
            why = await self._tools.engine.uninstalled()
        if why:
            return await self._wait(case, why)
        if run is not None and case.seen.is_own(run):
            unwatched = Result(requeue_after_s=UNWATCHED_S)
            return common.sooner(await self._mirror(case, run), unwatched)
        return await self._vanished(case)

    async def _wait(self, case: common.Case, why: str) -> Result:
        after = status.noted(case.status, case.moment, [common.engine_missing(why)])
        await common.write(self._tools, case, after)
        return common.later(UNWATCHED_S)

    async def _vanished(self, case: common.Case) -> Result:
        """Somebody has deleted the run. What it had become counts, if that was seen."""
        engine = self._tools.engine
        last = self._untold.last(case.seen.key, engine.last_seen(case.seen.uid))
        if last is not None and not case.seen.is_own(last):
            last = None
        if last is not None and _has_succeeded(case, last):
            children = engine.children(last.uid)
            return await self._end(case, await self._conclusion.succeeded(case, last, children))
        uid = case.seen.run_uid
        if uid:
            left = await engine.read_children(uid)
            if await common.is_working(self._tools, uid, left):
                return await self._survived(case, left)
        remembered = case.status.failure_details
        if remembered is not None:
            # It had ended, and what lingered of it is gone by now.
            return await self._end(case, self._conclusion.remembered(case, remembered, last))
        if last is not None and last.is_done:
            facts = await self._conclusion.remains(case, last)
        else:
            facts = failure.Facts(
                last, (), conclusion.started(case), vanished=_deleted_by_others(case, last)
            )
        return await self._end(case, await self._conclusion.failed(case, facts))

    async def _survived(self, case: common.Case, left: Sequence[tekton.TaskRun]) -> Result:
        """The run is gone, and something of it is not: the end waits, and says for what."""
        wait_s = self._patience(case.seen.key)
        if wait_s >= UNWATCHED_S:
            after = closing.answered(case.status, case.moment)
            await common.write(self._tools, case, health.survived(case, after, left))
        return Result(requeue_after_s=wait_s)


def _has_succeeded(case: common.Case, run: tekton.PipelineRun) -> bool:
    """Whether Tekton calls it a success, and it ran what was asked for."""
    return run.is_successful and stopping.mismatch(case.execution.spec, run) is None


def _is_settled(run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]) -> bool:
    """Whether every TaskRun that the run names is known, and has ended."""
    ended = {child.name for child in children if child.is_done}
    return all(child.name in ended for child in run.children if child.is_task_run)


def _is_going(run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]) -> bool:
    """Whether the run is on its way out: its tasks may be gone already."""
    listed = {child.name for child in children}
    named = {child.name for child in run.children if child.is_task_run}
    return run.deleting or not named <= listed


def _deleted_by_others(case: common.Case, last: tekton.PipelineRun | None) -> str:
    at = f" at {times.stamp(last.deleted_at)}" if last and last.deleted_at else ""
    return f"PipelineRun {case.seen.lock} was deleted by somebody else{at}"

"""Pending: check, take the lock, start the run, once.

The run's deterministic name is the lock, and its create is atomic. It is created only directly
after a write on the execution that changed it and carried the resourceVersion the decision was made
on, so of two who decide to start, one is refused before it has started anything.
"""

from __future__ import annotations

import datetime
import itertools
from typing import TYPE_CHECKING, Any

import structlog

from workflowexecution.api import names
from workflowexecution.api.status import (
    ConditionReason,
    ConditionStatus,
    ConditionType,
    FailureReason,
)
from workflowexecution.domain import (
    claim,
    failure,
    locking,
    pipelinerun,
    redaction,
    status,
    stopping,
    summary,
    validation,
)
from workflowexecution.reconciler import (
    admission,
    closing,
    collision,
    failures,
    pacing,
    running,
    skipping,
    surplus,
)
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime import errors
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workflowexecution.api import tekton
    from workflowexecution.reconciler import view
    from workflowexecution.runtime.resource import ObjectKey

_log = structlog.get_logger(__name__)

_MAX_DIGITS = 10
_PASSING_S = 10.0
# Answers after which nothing was created for certain.
_UNDONE = (errors.Throttled, errors.Unauthorized, errors.Conflict)


class Start:
    """Brings pending executions to their runs, or to the reasons why they get none."""

    def __init__(self, tools: common.Tools) -> None:
        """Start with these collaborators."""
        self._tools = tools
        self._admission = admission.Admission(tools)
        self._collision = collision.Collision(tools, self._admission)
        self._failing = failures.Failures()

    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered of an execution that is not pending any more."""
        self._admission.forget(key)
        self._failing.forget(key)

    async def reconcile(self, case: common.Case) -> Result:
        """Bring a pending execution nearer to its run, or to the reason why it gets none."""
        tools = self._tools
        uid = case.seen.uid
        run = tools.engine.observe(uid) or tools.engine.last_seen(uid)
        if run is None and (why := common.elsewhere(tools, case.seen)):
            # It is neither started nor ended while a run of it may be where nobody looks.
            self._failing.forget(case.seen.key)
            await _wait(tools, case, "", why)
            return common.later(running.UNWATCHED_S)
        run = run or _copied(tools, case.seen)
        if run is not None:
            # A former life created it and died before it could say so. One that is gone by now was
            # started all the same, and nothing is started twice.
            await common.write(tools, case, common.adopt(case, run))
            return common.LOOK_AT_ONCE
        if case.execution.spec.cancel is not None:
            return await _taken_on(tools, case) or await _cancel(tools, case)
        problems = self._problems(case)
        if problems:
            return await _taken_on(tools, case) or await _refuse(tools, case, problems)
        waiting = _waiting(tools)
        if waiting is not None:
            self._failing.forget(case.seen.key)
            await common.write(tools, case, common.waits(case, waiting))
            return Result()
        obstacle = await self._admission.check(case.seen)
        if obstacle is not None:
            self._failing.forget(case.seen.key)
            return await _taken_on(tools, case) or await skipping.meet(tools, case, obstacle)
        copy = await surplus.on_target(tools, case.seen.lock)
        if copy is not None:
            return await _taken_on(tools, case) or await skipping.busy(tools, case, copy, "")
        return await self._start(case)

    def _problems(self, case: common.Case) -> Sequence[str]:
        """Why what is asked for may not be run, whatever else is there."""
        former = claim.former_uid(case.execution.metadata)
        if former is not None:
            return (claim.refusal(former),)
        rules = self._tools.policy.rules
        return case.unreadable or tuple(validation.check(case.execution.spec, rules))

    async def _start(self, case: common.Case) -> Result:
        tools, name, key = self._tools, case.seen.lock, case.seen.key
        label = locking.target_label(name)
        manifest = pipelinerun.build(
            case.execution,
            name=name,
            target_label=label,
            canonical_target=locking.canonical_target(case.execution.spec.target_resource),
            defaults=tools.policy.defaults,
            annotations=tools.marks.annotations(case.seen.uid),
        )
        version = await tools.writer.patch(
            key,
            _claim(case, label, tools.policy.defaults.namespace),
            resource_version=case.seen.resource_version,
        )
        try:
            run = await tools.engine.create(key, manifest)
        except errors.AlreadyExists:
            self._failing.forget(key)
            return await self._meet(case, version)
        except (errors.NotFound, errors.EndpointMissing) as error:
            # Where the execution namespace is not there, the engine's place is missing.
            self._failing.forget(key)
            await _wait(tools, case, version, str(error))
            raise
        except (errors.Unauthorized, errors.Conflict) as error:
            if self._is_passing(case):
                raise
            return await self._doubt(case, version, error)
        except (errors.TransportError, errors.ServerError, errors.Throttled) as error:
            return await self._doubt(case, version, error)
        except errors.ApiError as error:
            why = await _closed(tools, case, error)
            if why:
                self._failing.forget(key)
                await _wait(tools, case, version, why)
                raise
            taken_on = await _taken_on(tools, case, version)
            return taken_on or await _refused(tools, case, version, error)
        _log.info("PipelineRun created", run=run.place, run_uid=run.uid)
        await common.write(tools, case, common.adopt(case, run), version=version)
        # Nothing of Tekton's may ever wake this again; what is overdue is looked for all the same.
        return pacing.wake(tools, run, ())

    async def _meet(
        self, case: common.Case, version: str, run: tekton.PipelineRun | None = None
    ) -> Result:
        """Act on who has the name of the run, be that read already or not.

        Raises:
            ClusterError: nothing is known; that it may not be read is said.
        """
        try:
            if run is None:
                return await self._collision.meet(case, version)
            return await self._collision.meet_run(case, run, version)
        except errors.Unreadable as error:
            why = f"Whether the run that has its name still works may not be read: {error}"
            await _wait(self._tools, case, version, why)
            raise

    async def _doubt(self, case: common.Case, version: str, error: errors.ClusterError) -> Result:
        """The create may or may not have happened: only the server itself knows.

        Raises:
            ClusterError: still nothing is known, or there is no run and the create is to be tried
                again; either way the execution stays Pending.
        """
        tools = self._tools
        is_over = self._is_over(case)
        if is_over or not isinstance(error, _UNDONE):
            # A server that has said why it did nothing is asked no more than it must be.
            run = await tools.engine.read(case.seen.lock)
            if run is not None:
                return await self._meet(case, version, run)
        self._failing.note(case.seen.key, case.moment.now)
        note = _not_created(ConditionReason.PIPELINE_CREATION_FAILED, str(error))
        if is_over:
            limit = datetime.timedelta(seconds=tools.policy.create_retry_for_s)
            sentence = f"The PipelineRun could not be created for {limit}"
            message = summary.Said(f"{sentence}: {error}", sentence, str(error))
            reason = FailureReason.UNKNOWN
            _log.warning("PipelineRun is not created, and given up", error=str(error))
            await common.refuse(tools, case, reason, message, [note], version=version)
            return Result()
        if not case.seen.failing:
            _log.warning("PipelineRun cannot be created so far", error=str(error))
        notes = [note, *closing.lifted(case.status, note)]
        after = status.pending(case.status, case.moment, notes)
        await common.write(tools, case, after, version=version)
        raise error

    def _is_passing(self, case: common.Case) -> bool:
        """Whether a refusal that is none of the run may be about to pass: nothing is said of it.

        The server knows a token not yet, or has lost a race for a quota of its own. What lasts is
        another thing, as a webhook whose refusals look the same.
        """
        lasted_s = self._failing.note(case.seen.key, case.moment.now)
        return lasted_s < _PASSING_S and not case.seen.failing

    def _is_over(self, case: common.Case) -> bool:
        """Whether the create has failed for so long that this failure is the last one.

        By the status, which outlives this process. It tells nothing of a time in which nobody has
        tried, as while no controller ran, so this process has seen it fail for a while, too.
        """
        said = case.status.condition(ConditionType.TEKTON_PIPELINE_CREATED)
        if said is None or said.status is not ConditionStatus.FALSE:
            return False
        now, limit_s = case.moment.now, self._tools.policy.create_retry_for_s
        if (now - said.last_transition_time).total_seconds() < limit_s:
            return False
        seen_s = self._failing.lasted_s(case.seen.key, now)
        return seen_s >= min(limit_s, failures.LASTING_S)


def _copied(tools: common.Tools, seen: view.Execution) -> tekton.PipelineRun | None:
    """What there are copies of, where nothing else tells that it was started.

    A copy is not taken on for it: nothing is said of the run but its name, and it counts as gone.
    """
    runs = tools.engine.runs_of(seen.uid)
    if not runs or any(run.name == seen.lock for run in runs):
        return None
    return runs[0]._replace(name=seen.lock, uid="")


async def _taken_on(tools: common.Tools, case: common.Case, version: str = "") -> Result | None:
    """Before an execution ends unstarted: take on the run that a former try may have created.

    Its create may have been done without anybody knowing, and the watch of runs may be late.

    Args:
        tools: the collaborators.
        case: the execution.
        version: the resourceVersion of an own write since the case was opened.

    Returns:
        When to come again; None where it is known that there is no run of it.

    Raises:
        ClusterError: whether there is a run is not known; the execution stays as it is.
    """
    if not case.seen.claimed:
        return None
    run, why = await common.look_up(tools, case.seen.lock)
    if why:
        await _wait(tools, case, version, why)
        return common.later(running.UNWATCHED_S)
    if run is None or run.owner_uid != case.seen.uid:
        return None
    return await collision.take_on(tools, case, run, version)


async def _cancel(tools: common.Tools, case: common.Case) -> Result:
    """Nothing is to be started any more."""
    message = stopping.cancelled_by(case.execution.spec)
    _log.info("Execution cancelled before its start")
    note = _not_created(ConditionReason.CANCELLED, message)
    said = failure.attribute(message, case.execution.spec, message)
    await common.refuse(tools, case, FailureReason.CANCELLED, said, [note])
    return Result()


async def _refuse(tools: common.Tools, case: common.Case, problems: Sequence[str]) -> Result:
    """What is asked for may not, or cannot, be run."""
    _log.info("Execution refused", problems=_first(problems), found=len(problems))
    note = _not_created(ConditionReason.PIPELINE_CREATION_FAILED, problems[0])
    reason = FailureReason.CONFIGURATION_ERROR
    await common.refuse(tools, case, reason, "; ".join(problems), [note])
    return Result()


def _first(problems: Sequence[str]) -> Sequence[str]:
    """As many as a line of the log has room for: each is looked through for secrets."""
    lengths = itertools.accumulate(map(len, problems))
    return problems[: 1 + sum(1 for _ in itertools.takewhile(redaction.MAX_TEXT.__gt__, lengths))]


async def _closed(tools: common.Tools, case: common.Case, error: errors.ApiError) -> str:
    """Why not only this create is refused, but whatever is asked for in that place.

    A place that was closed and has just opened may have been closed when the create came.

    Raises:
        ClusterError: it is not known.
    """
    if not isinstance(error, errors.Forbidden):
        return ""
    try:
        await tools.engine.read(case.seen.lock)
    except errors.Forbidden:
        return tools.engine.closed()
    return tools.engine.unsettled()


def _waiting(tools: common.Tools) -> status.Note | None:
    """What keeps every execution from starting now; its end wakes them all."""
    why = tools.engine.unavailable()
    if why:
        return common.engine_missing(why)
    if tools.policy.suspend:
        return status.Note(
            ConditionType.SUSPENDED,
            ConditionStatus.TRUE,
            ConditionReason.SUSPENDED,
            "execution.suspend is set: nothing new starts",
        )
    return None


def _claim(case: common.Case, label: str, namespace: str) -> dict[str, Any]:
    """The write that goes before a create: it must change the object to be a fence."""
    metadata = case.execution.metadata
    marks = {**claim.marks(metadata), names.ANNOTATION_CLAIMED_IN: namespace}
    claimed = (metadata.labels or {}).get(names.LABEL_TARGET) == label
    if claimed and names.FINALIZER in case.seen.finalizers:
        attempt = (metadata.annotations or {}).get(names.ANNOTATION_START_ATTEMPT, "0")
        number = int(attempt) + 1 if attempt.isdecimal() and len(attempt) < _MAX_DIGITS else 1
        return {"metadata": {"annotations": marks | {names.ANNOTATION_START_ATTEMPT: str(number)}}}
    finalizers = dict.fromkeys([*case.seen.finalizers, names.FINALIZER])
    changes = {"finalizers": list(finalizers), "labels": {names.LABEL_TARGET: label}}
    return {"metadata": changes | {"annotations": marks}}


async def _refused(
    tools: common.Tools, case: common.Case, version: str, error: errors.ApiError
) -> Result:
    """The server said no for good: the same create would be refused again."""
    reason, condition = _classify(error)
    _log.info("PipelineRun refused", status=error.status, error=error.message)
    said = summary.by("The API server", error.message)
    note = _not_created(condition, error.message)
    await common.refuse(tools, case, reason, said, [note], version=version)
    return Result()


def _classify(error: errors.ApiError) -> tuple[FailureReason, ConditionReason]:
    if not isinstance(error, errors.Forbidden) or error.namespace_terminating:
        return FailureReason.CONFIGURATION_ERROR, ConditionReason.PIPELINE_CREATION_FAILED
    if "exceeded quota" in error.message:
        return FailureReason.RESOURCE_EXHAUSTED, ConditionReason.QUOTA_EXCEEDED
    return FailureReason.FORBIDDEN, ConditionReason.RBAC_DENIED


async def _wait(tools: common.Tools, case: common.Case, version: str, why: str) -> None:
    after = common.waits(case, common.engine_missing(why))
    await common.write(tools, case, after, version=version)


def _not_created(reason: ConditionReason, message: str) -> status.Note:
    return status.Note(
        ConditionType.TEKTON_PIPELINE_CREATED, ConditionStatus.FALSE, reason, message
    )

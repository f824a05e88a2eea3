"""Pending: check, take the lock, start the run, once.

The run's deterministic name is the lock, and its create is atomic. It is created only directly
after a write on the execution that changed it and carried the resourceVersion the decision was made
on, so of two who decide to start, one is refused before it has started anything.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import structlog

from workflowexecution.api import names
from workflowexecution.api.status import (
    ConditionReason,
    ConditionStatus,
    ConditionType,
    ConflictingWorkflow,
    FailureReason,
    SkipDetails,
    SkipReason,
)
from workflowexecution.domain import locking, pipelinerun, status, validation
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    from workflowexecution.api import tekton

_log = structlog.get_logger(__name__)

_GONE_AGAIN_S = 0.5
_MAX_DIGITS = 10
# A run that is met, not made, may be over already: nothing further would wake its execution.
_LOOK_AT_ONCE = Result(requeue_after_s=0.0, priority=queue.Priority.HIGH)


async def reconcile(tools: common.Tools, case: common.Case) -> Result:
    """Bring a pending execution nearer to its run, or to the reason why it gets none."""
    run = tools.engine.observe(case.seen.uid) or tools.engine.last_seen(case.seen.uid)
    if run is not None:
        # A former life created it and died before it could say so. One that is gone by now was
        # started all the same, and nothing is started twice.
        await common.write(tools, case, common.adopt(case, run))
        return _LOOK_AT_ONCE
    problems = case.unreadable or tuple(validation.check(case.execution.spec, tools.policy.rules))
    if problems:
        _log.info("Execution refused", problems=problems)
        await common.refuse(
            tools,
            case,
            FailureReason.CONFIGURATION_ERROR,
            "; ".join(problems),
            [_not_created(ConditionReason.PIPELINE_CREATION_FAILED, problems[0])],
        )
        return Result()
    waiting = _waiting(tools)
    if waiting is not None:
        await common.write(tools, case, status.pending(case.status, case.moment, [waiting]))
        return Result()
    return await _start(tools, case)


def _waiting(tools: common.Tools) -> status.Note | None:
    """What keeps every execution from starting now; its end wakes them all."""
    why = tools.engine.unavailable()
    if why:
        return status.Note(
            ConditionType.ENGINE_AVAILABLE,
            ConditionStatus.FALSE,
            ConditionReason.ENGINE_UNAVAILABLE,
            why,
        )
    if tools.policy.suspend:
        return status.Note(
            ConditionType.SUSPENDED,
            ConditionStatus.TRUE,
            ConditionReason.SUSPENDED,
            "execution.suspend is set: nothing new starts",
        )
    return None


async def _start(tools: common.Tools, case: common.Case) -> Result:
    name = case.seen.lock
    label = locking.target_label(name)
    key = case.seen.key
    manifest = pipelinerun.build(
        case.execution, name=name, target_label=label, defaults=tools.policy.defaults
    )
    version = await tools.writer.patch(
        key, _claim(case, label), resource_version=case.seen.resource_version
    )
    try:
        run = await tools.engine.create(key, manifest)
    except errors.AlreadyExists:
        return await _meet(tools, case, name, version)
    except errors.EndpointMissing as error:
        await _wait(tools, case, version, ConditionType.ENGINE_AVAILABLE, str(error))
        raise
    except errors.NotFound as error:
        # The execution namespace is not there: the engine's place is missing, not its run.
        await _wait(tools, case, version, ConditionType.ENGINE_AVAILABLE, str(error))
        raise
    except (errors.Throttled, errors.Unauthorized, errors.Conflict):
        # The server is busy, knows the token not yet, or lost a race for a quota of its own, and
        # has done nothing: no failure of this object.
        raise
    except (errors.TransportError, errors.ServerError) as error:
        return await _doubt(tools, case, name, version, error)
    except errors.ApiError as error:
        return await _refused(tools, case, version, error)
    _log.info("PipelineRun created", run=f"{run.namespace}/{run.name}", run_uid=run.uid)
    await common.write(tools, case, common.adopt(case, run), version=version)
    return Result()


def _claim(case: common.Case, label: str) -> dict[str, Any]:
    """The write that goes before a create: it must change the object to be a fence."""
    metadata = case.execution.metadata
    claimed = (metadata.labels or {}).get(names.LABEL_TARGET) == label
    if claimed and names.FINALIZER in case.seen.finalizers:
        attempt = (metadata.annotations or {}).get(names.ANNOTATION_START_ATTEMPT, "0")
        number = int(attempt) + 1 if attempt.isdecimal() and len(attempt) < _MAX_DIGITS else 1
        return {"metadata": {"annotations": {names.ANNOTATION_START_ATTEMPT: str(number)}}}
    finalizers = dict.fromkeys([*case.seen.finalizers, names.FINALIZER])
    return {"metadata": {"finalizers": list(finalizers), "labels": {names.LABEL_TARGET: label}}}


async def _meet(tools: common.Tools, case: common.Case, name: str, version: str) -> Result:
    """The name is taken: by our own run (a create whose answer was lost), or by another's."""
    run = await tools.engine.read(name)
    if run is None:
        return Result(requeue_after_s=_GONE_AGAIN_S, priority=queue.Priority.HIGH)
    if run.owner_uid == case.seen.uid:
        _log.info("PipelineRun adopted", run=f"{run.namespace}/{run.name}", run_uid=run.uid)
        await common.write(tools, case, common.adopt(case, run), version=version)
        return _LOOK_AT_ONCE
    await _skip_busy(tools, case, run, version)
    return Result()


async def _doubt(
    tools: common.Tools, case: common.Case, name: str, version: str, error: errors.ClusterError
) -> Result:
    """The create may or may not have happened: only the server itself knows.

    Raises:
        ClusterError: still nothing is known, or there is no run and the create is to be tried
            again; either way the execution stays Pending.
    """
    run = await tools.engine.read(name)
    if run is not None:
        return await _meet(tools, case, name, version)
    note = _not_created(ConditionReason.PIPELINE_CREATION_FAILED, str(error))
    since = status.condition(case.status, ConditionType.TEKTON_PIPELINE_CREATED)
    limit = datetime.timedelta(seconds=tools.policy.create_retry_for_s)
    if since is not None and case.moment.now - since.last_transition_time >= limit:
        message = f"The PipelineRun could not be created for {limit}: {error}"
        await common.refuse(tools, case, FailureReason.UNKNOWN, message, [note], version=version)
        return Result()
    await common.write(
        tools, case, status.pending(case.status, case.moment, [note]), version=version
    )
    raise error


async def _refused(
    tools: common.Tools, case: common.Case, version: str, error: errors.ApiError
) -> Result:
    """The server said no for good: the same create would be refused again."""
    reason, condition = _classify(error)
    _log.info("PipelineRun refused", status=error.status, error=error.message)
    await common.refuse(
        tools, case, reason, error.message, [_not_created(condition, error.message)],
        version=version,
    )  # fmt: skip
    return Result()


def _classify(error: errors.ApiError) -> tuple[FailureReason, ConditionReason]:
    if not isinstance(error, errors.Forbidden) or error.namespace_terminating:
        return FailureReason.CONFIGURATION_ERROR, ConditionReason.PIPELINE_CREATION_FAILED
    if "exceeded quota" in error.message:
        return FailureReason.RESOURCE_EXHAUSTED, ConditionReason.QUOTA_EXCEEDED
    return FailureReason.FORBIDDEN, ConditionReason.RBAC_DENIED


async def _wait(
    tools: common.Tools, case: common.Case, version: str, kind: ConditionType, why: str
) -> None:
    note = status.Note(kind, ConditionStatus.FALSE, ConditionReason.ENGINE_UNAVAILABLE, why)
    await common.write(
        tools, case, status.pending(case.status, case.moment, [note]), version=version
    )


async def _skip_busy(
    tools: common.Tools, case: common.Case, run: tekton.PipelineRun, version: str
) -> None:
    owner = pipelinerun.owner_of(run.labels, run.annotations)
    holder = f"{owner.namespace}/{owner.name}" if owner else "an unknown owner"
    message = (
        f"Target {case.execution.spec.target_resource} is held by {holder} "
        f"through PipelineRun {run.namespace}/{run.name}"
    )
    details = SkipDetails(
        reason=SkipReason.RESOURCE_BUSY,
        message=message,
        skipped_at=case.moment.now.replace(microsecond=0),
        conflicting_workflow=ConflictingWorkflow(
            name=owner.name if owner else "",
            workflow_id=owner.workflow_id if owner else "",
            started_at=run.created_at or case.moment.now.replace(microsecond=0),
            target_resource=owner.target if owner else case.execution.spec.target_resource,
        ),
    )
    note = status.Note(
        ConditionType.RESOURCE_LOCKED,
        ConditionStatus.TRUE,
        ConditionReason.TARGET_RESOURCE_BUSY,
        message,
    )
    _log.info("Execution skipped", reason=SkipReason.RESOURCE_BUSY.value, holder=holder)
    after = status.skipped(case.status, case.moment, details, [note])
    await common.write(tools, case, after, version=version)


def _not_created(reason: ConditionReason, message: str) -> status.Note:
    return status.Note(
        ConditionType.TEKTON_PIPELINE_CREATED, ConditionStatus.FALSE, reason, message
    )

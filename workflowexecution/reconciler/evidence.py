"""Evidence: read at first sight of a failure, before anything is cleaned up.

Nothing here may keep an end from being said: what cannot be read is said to be missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from workflowexecution.domain import evidence
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workflowexecution.api import tekton
    from workflowexecution.api.status import FailureDetails, PodEvent
    from workflowexecution.reconciler import tools as common

_log = structlog.get_logger(__name__)


async def gathered(
    tools: common.Tools, details: FailureDetails, children: Sequence[tekton.TaskRun]
) -> FailureDetails:
    """The record with the log of the step that failed, and the events of its pod."""
    child = _child(details, children)
    if child is None or not child.pod_name:
        return details
    events = await _events(tools, child.pod_name)
    step = next((it for it in child.steps if it.name == details.failed_step_name), None)
    log, is_cut = None, None
    if tools.policy.log_tail and step is not None and step.ran:
        log, is_cut = await _tail(tools, child.pod_name, step.name)
    return details.model_copy(
        update={"log_tail": log, "log_tail_truncated": is_cut, "pod_events": events or None}
    )


def _child(details: FailureDetails, children: Sequence[tekton.TaskRun]) -> tekton.TaskRun | None:
    """The TaskRun that the record speaks of: of a matrix or of retries, one that failed."""
    named = [child for child in children if child.task == details.failed_task_name]
    failed = [child for child in named if child.is_done and not child.is_successful]
    return next(iter(failed or named), None)


async def _tail(tools: common.Tools, pod: str, step: str) -> tuple[str, bool | None]:
    try:
        log = await tools.engine.read_log(pod, step)
    except errors.ClusterError as error:
        _log.info("Log of the failed step cannot be read", pod=pod, step=step, error=str(error))
        return f"[the log of pod {pod} cannot be read: {error}]", None
    tail, is_cut = evidence.log_tail(log)
    return (tail, is_cut) if tail else (f"[step {step} has written no log]", None)


async def _events(tools: common.Tools, pod: str) -> tuple[PodEvent, ...]:
    try:
        return evidence.pod_events(await tools.engine.read_pod_events(pod))
    except errors.ClusterError as error:
        _log.info("Events of the failed pod cannot be read", pod=pod, error=str(error))
        return ()

"""Evidence: read at first sight of a failure, before anything is cleaned up.

Nothing here may keep an end from being said: what cannot be read is said to be missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import structlog

from workflowexecution.api import times
from workflowexecution.domain import blame, evidence, text
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workflowexecution.api import tekton
    from workflowexecution.api.status import FailureDetails, PodEvent
    from workflowexecution.reconciler import tools as common

_log = structlog.get_logger(__name__)


class Place(NamedTuple):
    """A step of one attempt of a task."""

    pod: str
    step: str


class Tail(NamedTuple):
    """What a record has of a log: its end, and whether that is cut; None where it was not read."""

    text: str
    is_cut: bool | None


async def gathered(
    tools: common.Tools,
    details: FailureDetails,
    children: Sequence[tekton.TaskRun],
    *,
    pods: Sequence[tekton.Pod] = (),
    early: Mapping[Place, Tail | None],
) -> FailureDetails:
    """The record with the log of the step that failed, and the events of its pod.

    Args:
        tools: the collaborators.
        details: the record.
        children: the TaskRuns of the run.
        pods: of the run, where they were read.
        early: what was read of logs while their tasks worked.
    """
    child = blame.told_of(details, children)
    if child is None or not child.pod_name:
        return details
    events = await _pod_events(tools, child, pods)
    step = next((it for it in child.steps if it.name == details.failed_step_name), None)
    tail = None
    if tools.policy.log_tail and step is not None and step.ran:
        place = Place(child.pod_name, step.name)
        tail = await log_tail(tools, place)
        if tail.is_cut is None:
            tail = early.get(place) or tail
        if not tail.text:
            tail = Tail(f"[step {step.name} has written no log]", is_cut=False)
    # A log is within its budget; what is said in its place quotes what others have written.
    log = text.cut(tail.text, evidence.MAX_LOG_BYTES) if tail is not None else None
    is_cut = tail.is_cut if tail is not None else None
    return details.model_copy(
        update={"log_tail": log, "log_tail_truncated": is_cut, "pod_events": events or None}
    )


async def log_tail(tools: common.Tools, place: Place) -> Tail:
    """The end of a step's log, empty where there is none; or a note that it cannot be read."""
    pod, step = place
    try:
        log = await tools.engine.read_log(pod, step)
    except errors.ClusterError as error:
        _log.info("Log of a step cannot be read", pod=pod, step=step, error=str(error))
        return Tail(f"[the log of pod {pod} cannot be read: {error}]", None)
    if evidence.is_no_log(log):
        return Tail(f"[the log of pod {pod} cannot be read: the container is gone]", None)
    return Tail(*evidence.log_tail(log))


def kept(details: FailureDetails, *earlier: FailureDetails | None) -> FailureDetails:
    """The record with what earlier looks have seen of the same step, and this one could not."""
    for it in earlier:
        if it is None or not is_of_one_step(it, details):
            continue
        seen: dict[str, object] = {}
        if not _has_log(details) and _has_log(it):
            seen |= {"log_tail": it.log_tail, "log_tail_truncated": it.log_tail_truncated}
        if not details.pod_events and it.pod_events:
            seen["pod_events"] = it.pod_events
        details = details.model_copy(update=seen)
    return details


def is_of_one_step(one: FailureDetails, other: FailureDetails) -> bool:
    """Whether two records tell of the same step."""
    return (one.failed_task_name, one.failed_step_name) == (
        other.failed_task_name,
        other.failed_step_name,
    )


def _has_log(details: FailureDetails) -> bool:
    """Whether the log was read, be it empty."""
    return details.log_tail_truncated is not None


async def _pod_events(
    tools: common.Tools, child: tekton.TaskRun, pods: Sequence[tekton.Pod]
) -> tuple[PodEvent, ...]:
    """The events of a task's pod that matter; none when they cannot be read."""
    name = child.pod_name
    uid = next((pod.uid for pod in pods if pod.name == name), "")
    origin = evidence.Origin(uid, times.parse(child.created))
    try:
        return evidence.pod_events(await tools.engine.read_pod_events(name), origin)
    except errors.ClusterError as error:
        _log.info("Events of a pod cannot be read", pod=name, error=str(error))
        return ()

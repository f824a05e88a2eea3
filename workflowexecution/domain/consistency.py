"""A success that is to be doubted: something of it was ended from outside while it worked.

Tekton calls a run successful although a sidecar ran out of memory, a task that may fail was killed,
or a retry mended what an eviction had cut off in the middle. What such a container had begun on the
target is not known.

Source: Tekton 1.9, SidecarState, `retriesStatus`, reason FailureIgnored, `failTaskRun` of the
TaskRun reconciler; Kubernetes, pod condition DisruptionTarget and reason Evicted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workflowexecution.api import tekton

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_TOLD: Final = 3


def is_in_doubt(children: Iterable[tekton.TaskRun]) -> bool:
    """Whether what became of the pods can make a difference: an attempt had to be repeated."""
    return any(child.attempts for child in children)


def doubt(children: Iterable[tekton.TaskRun], pods: Iterable[tekton.Pod]) -> str:
    """Why a success is to be doubted; empty when nothing speaks against it.

    Args:
        children: the TaskRuns of a run that succeeded.
        pods: its pods where they were read.
    """
    there = {pod.name: pod for pod in pods}
    found = [it for child in children for it in (*_killed(child), *_disrupted(child, there))]
    if not found:
        return ""
    more = len(found) - MAX_TOLD
    told = "; ".join(found[:MAX_TOLD]) + (f"; and {more} more" if more > 0 else "")
    return (
        f"Tekton calls the run successful, but {told}. What that had begun may be left half done: "
        "look at the target before relying on the result."
    )


def _killed(child: tekton.TaskRun) -> Iterator[str]:
    for container in child.killed:
        yield f"{container.name} of task {child.task!r} was ended from outside ({container.reason})"


def _disrupted(child: tekton.TaskRun, pods: dict[str, tekton.Pod]) -> Iterator[str]:
    """What befell the pods of a task's earlier attempts.

    The pod of an attempt that is gone counts only while that of the last one is there: else a
    pruner has taken both.
    """
    for number, attempt in enumerate(child.attempts, start=1):
        where = f"the pod of attempt {number} of task {child.task!r}"
        pod = pods.get(attempt.pod_name)
        if pod is not None and _end(pod):
            yield f"{where} was ended from outside ({_end(pod)})"
        elif pod is None and _is_deleted(attempt, child, pods):
            yield f"{where} was deleted by somebody"


def _end(pod: tekton.Pod) -> str:
    return pod.disruption or pod.reason


def _is_deleted(
    attempt: tekton.Attempt, child: tekton.TaskRun, pods: dict[str, tekton.Pod]
) -> bool:
    # Of some that could not begin Tekton deletes the pod, too; others of the same reason had lost
    # theirs before another was to take its place.
    if attempt.was_ended or attempt.reason in tekton.POD_TAKEN:
        return False
    return bool(attempt.pod_name) and child.pod_name in pods

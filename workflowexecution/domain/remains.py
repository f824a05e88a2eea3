"""What is left of a run that Tekton calls ended: what might begin yet, and what nobody has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflowexecution.api import tekton

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Reasons of tasks that are over whose pods Tekton has deleted itself. CreateContainerConfigError
# may be one, and may be what a pod was left with.
_TAKEN = tekton.POD_TAKEN | {"PodCreationFailed"}


def may_begin(children: Iterable[tekton.TaskRun], pods: Sequence[tekton.Pod]) -> bool:
    """Whether anything of a run that Tekton calls ended might begin yet.

    Args:
        children: its TaskRuns.
        pods: those that are there, read after the tasks.
    """
    there = {pod.name for pod in pods}
    unread = (
        not child.is_done or bool(child.pod_name and child.pod_name not in there)
        for child in children
    )
    return any(unread) or any(pod.may_begin for pod in pods)


def went_unseen(children: Iterable[tekton.TaskRun], pods: Sequence[tekton.Pod]) -> bool:
    """Whether a pod of a task that is over is gone, and not by Tekton's hand.

    Tekton tells nothing more of a task that is over, so what began in it since, nobody has seen.

    Args:
        children: TaskRuns that are all done.
        pods: those that are there.
    """
    there = {pod.name for pod in pods}
    return any(
        child.pod_name and child.pod_name not in there and _reason(child) not in _TAKEN
        for child in children
    )


def _reason(child: tekton.TaskRun) -> str:
    return child.condition.reason if child.condition is not None else ""

"""Early warning: what keeps the pods of a run from starting, long before a timeout says so.

Source: Kubernetes, container state `waiting`; Tekton 1.9, TaskRun reasons of pods that wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflowexecution.domain import podevents

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Iterator, Sequence

    from workflowexecution.api import containers, tekton
    from workflowexecution.api.status import PodEvent

LOOK_AFTER_S = 5.0
"""A pod of which something has not begun by then is worth a look at its events."""

# As waiting reasons of a container, and as reasons of a TaskRun whose pod waits.
_WAITING = frozenset({
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
})
_PENDING = frozenset({"ExceededNodeResources", "ExceededResourceQuota", "PullImageFailed"})
# Events outlive what they tell. Only a kubelet says what state a container is in, so the pod has
# its node then; and nothing begins in it before its sandbox and its volumes are there.
_TO_GET_A_NODE = frozenset({"FailedScheduling"})
_TO_BEGIN = _TO_GET_A_NODE | {"FailedAttachVolume", "FailedCreatePodSandBox", "FailedMount"}


def trouble(children: Iterable[tekton.TaskRun]) -> str:
    """What a task's own status says of a pod that cannot start; empty when nothing does."""
    for child in children:
        if child.is_done:
            continue
        for kind, it in _containers(child):
            if it.waiting in _WAITING:
                where = f"{kind.capitalize()} {it.name!r} of task {child.task!r}"
                return f"{where} cannot start: {it.waiting}"
        said = child.condition
        if said is not None and said.reason in _PENDING:
            return f"Task {child.task!r} cannot start: {said.message or said.reason}"
    return ""


def waiting(children: Iterable[tekton.TaskRun]) -> Sequence[tekton.TaskRun]:
    """The tasks that have a pod of which a container has not begun, whatever others have.

    What keeps it is told by events first: Tekton may be late to copy the container's state.
    """
    return [
        child
        for child in children
        if child.pod_name
        and not child.is_done
        and not (child.steps and all(_has_begun(it) for _, it in _containers(child)))
    ]


def never_began(children: Iterable[tekton.TaskRun]) -> bool:
    """Whether a task has failed of which nothing has begun at last: what it waited for says why."""
    return any(child.has_failed and not child.has_begun for child in children)


def begun(child: tekton.TaskRun) -> frozenset[str]:
    """The containers of a task's pod that have begun, by their names there."""
    return frozenset(f"{kind}-{it.name}" for kind, it in _containers(child) if _has_begun(it))


def _containers(child: tekton.TaskRun) -> Iterator[tuple[str, containers.Step]]:
    yield from (("step", it) for it in child.steps)
    yield from (("sidecar", it) for it in child.sidecars)


def _has_begun(container: containers.Step) -> bool:
    """Whether it has been made, or is over without."""
    return container.running or container.ran or container.exit_code is not None


def look_in_s(child: tekton.TaskRun, now: datetime.datetime) -> float:
    """Seconds until a waiting task is worth a look; 0 and less when it is."""
    if child.started_at is None:
        return LOOK_AFTER_S
    return LOOK_AFTER_S - (now - child.started_at).total_seconds()


def trouble_by_events(child: tekton.TaskRun, events: Iterable[PodEvent]) -> str:
    """What the latest event that matters says of a task's pod; empty when none does."""
    telling = podevents.KEEPS_FROM_STARTING - _over(child)
    matter = [event for event in events if event.reason in telling]
    if not matter:
        return ""
    last = matter[-1]
    return f"Task {child.task!r} cannot start: {last.reason}: {last.message}"


def _over(child: tekton.TaskRun) -> frozenset[str]:
    """Reasons of what a task's pod has got past, as the states of its containers prove."""
    states = [it for _, it in _containers(child)]
    if any(map(_has_begun, states)):
        return _TO_BEGIN
    # Tekton keeps the states of the attempt before until the pod of this one has its own.
    is_here = not child.attempts and any(it.waiting for it in states)
    return _TO_GET_A_NODE if is_here else frozenset()

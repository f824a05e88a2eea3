"""What is read of a task's containers, its steps and sidecars, in light frozen records.

Source: tekton.dev/v1 StepState and SidecarState, Tekton Pipelines 1.9; core/v1 ContainerState.
"""

from __future__ import annotations

from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, Any

from workflowexecution.api import raw

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# The mark of a pod whose first step may begin; phases of one that is over.
_READY = "tekton.dev/ready"
_OVER = ("Succeeded", "Failed")
# Steps that end so did not fail their task: `onError: continue`, and those after the failed one.
_HARMLESS = frozenset({"Continued", "Skipped"})
# Of containers that were made and whose process could not be started; their message says why.
_UNSTARTABLE = frozenset({"StartError", "ContainerCannotRun"})
# How containers end that somebody else has ended, whatever becomes of their task.
_KILLED = frozenset({"OOMKilled", "Evicted", "ContainerStatusUnknown"})
# Exit codes under these are made up: by Tekton for a step that it ends with its task, and for one
# that had not begun, by a kubelet that lost one.
_MADE_UP = frozenset({
    "TaskRunCancelled",
    "TaskRunTimeout",
    "TaskRunImagePullFailed",
    "CreateContainerConfigError",
    "PodCreationFailed",
    "TaskRunResultLargerThanAllowedLimit",
    "ContainerStatusUnknown",
    *_UNSTARTABLE,
})
# These too: the entrypoint's own, which ends the step's process, or never begins it.
_FOREIGN = _MADE_UP | {"Cancelled", "TimeoutExceeded", "Skipped"}


@dataclass(frozen=True, slots=True)
class Step:
    """A step.

    Tekton writes `terminated` with exit code 1 for steps that it ends or that never ran: only an
    image or container id is proof of a container.

    Attributes:
        ran: whether its container ever existed.
        exited: whether its container ended by itself, so that the exit code is its own.
        detail: what keeps, or has kept, its container from starting.
    """

    name: str
    ran: bool
    exited: bool
    running: bool
    waiting: str
    exit_code: int | None
    reason: str
    finished: str
    detail: str

    @property
    def has_failed(self) -> bool:
        """Whether it ended badly and its task was to fail by that."""
        return bool(self.exit_code) and self.reason not in _HARMLESS


@dataclass(frozen=True, slots=True)
class Killed:
    """A container that somebody else has ended, by its name in the task and what ended it."""

    name: str
    reason: str


def project_step(item: object, *, of_task: str = "") -> Step:
    """The record of a step as the API gives it.

    Args:
        item: the step's state.
        of_task: why its task failed: Tekton gives the same reason to the steps that it ends then.
    """
    step = raw.mapping(item)
    terminated, waiting = raw.mapping(step.get("terminated")), raw.mapping(step.get("waiting"))
    code = terminated.get("exitCode")
    ran = has_id(step)
    reason = _step_reason(terminated, step)
    foreign = _FOREIGN | {of_task} if of_task else _FOREIGN
    return Step(
        name=intern(raw.text(step.get("name"))),
        ran=ran,
        exited=ran
        and bool(terminated)
        and foreign.isdisjoint((raw.text(terminated.get("reason")), reason)),
        running=isinstance(step.get("running"), dict),
        waiting=raw.text(waiting.get("reason")),
        exit_code=code if isinstance(code, int) and not isinstance(code, bool) else None,
        reason=reason,
        finished=raw.text(terminated.get("finishedAt")),
        detail=raw.text((terminated if reason in _UNSTARTABLE else waiting).get("message")),
    )


def project_attempt(
    kind: str, status: Mapping[str, Any], before: Sequence[Mapping[str, Any]], *, of_task: str = ""
) -> tuple[Step, ...]:
    """The records of what the latest attempt of a task made of its steps or sidecars.

    A retry is given the states of the attempt before, and keeps them until its pod tells others:
    never without a pod, or in one that finds no node. Of such a state only the name counts, and
    what it waits for, since Tekton ends a retry for that.

    Args:
        kind: the field that has them.
        status: of the task.
        before: its earlier attempts.
        of_task: as for `project_step`.

    Source: Tekton 1.9, `retryTaskRun` and `checkPodFailed` of the TaskRun reconciler,
    `setTaskRunStatusBasedOnStepStatus` of pkg/pod.
    """
    states = raw.items(status.get(kind))
    if before:
        has_pod, told = bool(status.get("podName")), raw.items(before[-1].get(kind))
        known = [_came_to(it) for it in told]
        states = [it if has_pod and _is_new(it, known) else _bare(it) for it in states]
    return tuple(project_step(it, of_task=of_task) for it in states)


def _came_to(state: object) -> object:
    step = raw.mapping(state)
    return step.get("terminated") or step.get("running")


def _is_new(state: object, known: Sequence[object]) -> bool:
    came_to = _came_to(state)
    return not came_to or came_to not in known


def _bare(state: object) -> Mapping[str, Any]:
    step = raw.mapping(state)
    return {key: step.get(key) for key in ("name", "waiting")}


def killed(status: Mapping[str, Any]) -> Iterator[Killed]:
    """The containers of one attempt that somebody else has ended."""
    for kind in ("step", "sidecar"):
        for item in raw.items(status.get(f"{kind}s")):
            container = raw.mapping(item)
            reason = raw.text(raw.mapping(container.get("terminated")).get("reason"))
            if reason in _KILLED:
                yield Killed(f"{kind} {raw.text(container.get('name'))!r}", reason)


def ran(status: Mapping[str, Any]) -> bool:
    """Whether a container of one attempt ever existed, sidecars included."""
    return any(
        has_id(item)
        for item in (*raw.items(status.get("steps")), *raw.items(status.get("sidecars")))
    )


def may_have_run(attempt: Mapping[str, Any]) -> bool:
    """Whether a container of an attempt that is over existed, or its pod tells of none."""
    return ran(attempt) or (bool(attempt.get("podName")) and not raw.items(attempt.get("steps")))


def was_ended(attempt: Mapping[str, Any], reason: str) -> bool:
    """Whether Tekton ended steps of an attempt for this reason, right before it deleted the pod.

    Source: Tekton 1.9, `failTaskRun` and `terminateStepsInPod` of the TaskRun reconciler.
    """
    ends = (
        raw.mapping(raw.mapping(it).get("terminated")) for it in raw.items(attempt.get("steps"))
    )
    return bool(reason) and any(end.get("reason") == reason for end in ends)


def has_id(item: object) -> bool:
    """Whether a container ever existed."""
    container = raw.mapping(item)
    return bool(container.get("imageID") or container.get("containerID")) or bool(
        raw.mapping(container.get("terminated")).get("containerID")
    )


def may_begin(metadata: Mapping[str, Any], spec: Mapping[str, Any], phase: object) -> bool:
    """Whether a step or sidecar might begin in a pod whose task is over.

    The first step's entrypoint waits for a mark that Tekton sets on the pod, once all containers
    run and while the task is not over, and each other step's for the step before it. So nothing of
    a step happens without that mark, even when its container starts. Sidecars wait for nothing.

    Source: Tekton 1.9 and 1.15, `orderContainers` and `isPodReadyImmediately` of pkg/pod,
    `SidecarsReady` of the TaskRun reconciler.
    """
    if phase in _OVER:
        return False
    steps = [_name(it) for it in raw.items(spec.get("containers"))]
    others = [_name(it) for it in raw.items(spec.get("initContainers"))]
    waits = not raw.mapping(metadata.get("annotations")).get(_READY)
    only_steps = bool(steps) and all(name.startswith("step-") for name in steps)
    return not (waits and only_steps) or any(name.startswith("sidecar-") for name in others)


def _step_reason(terminated: Mapping[str, Any], step: Mapping[str, Any]) -> str:
    """The container's own reason where it says something, else Tekton's."""
    reason = raw.text(terminated.get("reason"))
    if reason in ("", "Error", "Completed"):
        return raw.text(step.get("terminationReason")) or reason
    return reason


def _name(item: object) -> str:
    return raw.text(raw.mapping(item).get("name"))

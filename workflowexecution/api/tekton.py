"""What is read of Tekton's objects, in light frozen records.

Thousands of them pass by, so only the needed fields are kept, and odd or absent values never fail:
what cannot be read counts as absent. Wire names stand here and nowhere else.

Source: tekton.dev/v1 PipelineRun and TaskRun, Tekton Pipelines 1.9.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, Any, TypeVar

from workflowexecution.api import duration, names

if TYPE_CHECKING:
    from collections.abc import Mapping

RUN_UID_LABEL = "tekton.dev/pipelineRunUID"
TASK_LABEL = "tekton.dev/pipelineTask"
_CANCELLED = frozenset({"TaskRunCancelled", "Cancelled"})
_IGNORED = "FailureIgnored"
# Steps that end so did not fail their task: `onError: continue`, and those after the failed one.
_HARMLESS = frozenset({"Continued", "Skipped"})
# Of containers that were made and whose process could not be started; their message says why.
_UNSTARTABLE = frozenset({"StartError", "ContainerCannotRun"})
# Exit codes under these are made up: by Tekton for a step that it ends, by a kubelet that lost one.
_MADE_UP = frozenset({
    "TaskRunCancelled",
    "TaskRunTimeout",
    "TaskRunImagePullFailed",
    "CreateContainerConfigError",
    "ContainerStatusUnknown",
    *_UNSTARTABLE,
})
# These too: the entrypoint's own, which ends the step's process, or never begins it.
_FOREIGN = _MADE_UP | {"TimeoutExceeded", "Skipped"}
_TRUE, _FALSE = "True", "False"


@dataclass(frozen=True, slots=True)
class Condition:
    """The condition `Succeeded`; its status is True, False or Unknown."""

    status: str
    reason: str
    message: str
    since: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Child:
    """A child that a run names."""

    kind: str
    name: str
    task: str


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """A run.

    Attributes:
        owner_uid: UID of its execution, empty for a run of another making.
        labels: the project's own labels; annotations likewise.
        skipped: how many tasks Tekton skipped.
        task_names: the tasks of the resolved pipeline, empty until it is resolved.
        digest: of the bundle that was resolved.
        spec_status: a cancellation that was asked for.
        timeout_s: of the whole run; None when it has none that can be read.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    owner_uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    created_at: datetime.datetime | None
    deleted_at: datetime.datetime | None
    started_at: datetime.datetime | None
    completed_at: datetime.datetime | None
    condition: Condition | None
    children: tuple[Child, ...]
    task_names: tuple[str, ...]
    finally_names: tuple[str, ...]
    skipped: int
    digest: str
    spec_status: str
    timeout_s: float | None

    @property
    def is_done(self) -> bool:
        """Whether `Succeeded` is final."""
        return self.condition is not None and self.condition.status in (_TRUE, _FALSE)

    @property
    def is_successful(self) -> bool:
        """Whether the run succeeded."""
        return self.condition is not None and self.condition.status == _TRUE

    @property
    def deleting(self) -> bool:
        """Whether the run is on its way out."""
        return self.deleted_at is not None

    @property
    def task_count(self) -> int | None:
        """Tasks in all, `finally` included; None until the pipeline is resolved."""
        return len(self.task_names) + len(self.finally_names) if self.task_names else None


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
class TaskRun:
    """A TaskRun; `retries` counts its earlier attempts, `ran` looks at all of them."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    run_uid: str
    owner_uid: str
    task: str
    created: str
    started_at: datetime.datetime | None
    completed_at: datetime.datetime | None
    condition: Condition | None
    pod_name: str
    steps: tuple[Step, ...]
    retries: int
    ran: bool

    @property
    def is_done(self) -> bool:
        """Whether `Succeeded` is final."""
        return self.condition is not None and self.condition.status in (_TRUE, _FALSE)

    @property
    def is_successful(self) -> bool:
        """Whether the task succeeded."""
        return self.condition is not None and self.condition.status == _TRUE

    @property
    def is_cancelled(self) -> bool:
        """Whether it was ended from outside, as by another task's failure."""
        return self.condition is not None and self.condition.reason in _CANCELLED

    @property
    def is_ignored(self) -> bool:
        """Whether its failure does not matter to the run (the pipeline's `onError: continue`)."""
        return self.condition is not None and self.condition.reason == _IGNORED


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod.

    Attributes:
        reason: what ended it as a whole, like an eviction.
        ran: whether a container of it that the task asked for ever existed.
    """

    name: str
    reason: str
    ran: bool


RunT = TypeVar("RunT", bound=PipelineRun)
TaskT = TypeVar("TaskT", bound=TaskRun)


def project_pipelinerun(raw: Mapping[str, Any], record: type[RunT]) -> RunT:
    """The record of a run as the API gives it.

    Args:
        raw: the object.
        record: `PipelineRun`, or what a cache makes of it.

    Raises:
        KeyError: it has no name, UID or resourceVersion.
    """
    metadata = raw["metadata"]
    status = _mapping(raw.get("status"))
    labels = _own(metadata.get("labels"))
    pipeline = _mapping(status.get("pipelineSpec"))
    source = _mapping(_mapping(status.get("provenance")).get("refSource"))
    spec = _mapping(raw.get("spec"))
    return record(
        namespace=intern(_text(metadata.get("namespace"))),
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner_uid=labels.get(names.LABEL_EXECUTION_UID, ""),
        labels=labels,
        annotations=_own(metadata.get("annotations")),
        created_at=parse_time(metadata.get("creationTimestamp")),
        deleted_at=parse_time(metadata.get("deletionTimestamp")),
        started_at=parse_time(status.get("startTime")),
        completed_at=parse_time(status.get("completionTime")),
        condition=_succeeded(status),
        children=tuple(_child(it) for it in _list(status.get("childReferences"))),
        task_names=_task_names(pipeline.get("tasks")),
        finally_names=_task_names(pipeline.get("finally")),
        skipped=len(_list(status.get("skippedTasks"))),
        digest=_digest(source.get("digest")),
        spec_status=_text(spec.get("status")),
        timeout_s=_seconds(_mapping(spec.get("timeouts")).get("pipeline")),
    )


def project_taskrun(raw: Mapping[str, Any], record: type[TaskT]) -> TaskT:
    """The record of a TaskRun as the API gives it.

    Args:
        raw: the object.
        record: `TaskRun`, or what a cache makes of it.

    Raises:
        KeyError: it has no name, UID or resourceVersion.
    """
    metadata = raw["metadata"]
    labels = _mapping(metadata.get("labels"))
    status = _mapping(raw.get("status"))
    attempts = [_mapping(it) for it in _list(status.get("retriesStatus"))]
    return record(
        namespace=intern(_text(metadata.get("namespace"))),
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        run_uid=_text(labels.get(RUN_UID_LABEL)),
        owner_uid=_text(labels.get(names.LABEL_EXECUTION_UID)),
        task=intern(_text(labels.get(TASK_LABEL)) or metadata["name"]),
        created=_text(metadata.get("creationTimestamp")),
        started_at=parse_time(status.get("startTime")),
        completed_at=parse_time(status.get("completionTime")),
        condition=_succeeded(status),
        pod_name=_text(status.get("podName")),
        steps=tuple(_step(it) for it in _list(status.get("steps"))),
        retries=len(attempts),
        ran=_ran(status) or any(_ran(it) or _is_unclear(it) for it in attempts),
    )


def project_pod(raw: Mapping[str, Any]) -> Pod:
    """The record of a pod as the API gives it."""
    metadata, status = _mapping(raw.get("metadata")), _mapping(raw.get("status"))
    return Pod(
        name=_text(metadata.get("name")),
        reason=_text(status.get("reason")),
        ran=any(_has_id(it) for it in _list(status.get("containerStatuses"))),
    )


def parse_time(value: object) -> datetime.datetime | None:
    """A metav1.Time or MicroTime, in UTC; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        when = datetime.datetime.fromisoformat(value)
        return when.astimezone(datetime.UTC) if when.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _seconds(value: object) -> float | None:
    try:
        return duration.parse(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _own(marks: object) -> dict[str, str]:
    prefix = f"{names.GROUP}/"
    return {
        intern(key): _text(value)
        for key, value in _mapping(marks).items()
        if key.startswith(prefix)
    }


def _succeeded(status: Mapping[str, Any]) -> Condition | None:
    for item in _list(status.get("conditions")):
        condition = _mapping(item)
        if condition.get("type") == "Succeeded":
            return Condition(
                intern(_text(condition.get("status"))),
                intern(_text(condition.get("reason"))),
                _text(condition.get("message")),
                parse_time(condition.get("lastTransitionTime")),
            )
    return None


def _child(item: object) -> Child:
    child = _mapping(item)
    return Child(
        intern(_text(child.get("kind"))),
        _text(child.get("name")),
        intern(_text(child.get("pipelineTaskName"))),
    )


def _task_names(tasks: object) -> tuple[str, ...]:
    return tuple(intern(_text(_mapping(task).get("name"))) for task in _list(tasks))


def _digest(value: object) -> str:
    digests = _mapping(value)
    return f"sha256:{digests['sha256']}" if isinstance(digests.get("sha256"), str) else ""


def _has_id(item: object) -> bool:
    container = _mapping(item)
    return bool(container.get("imageID") or container.get("containerID")) or bool(
        _mapping(container.get("terminated")).get("containerID")
    )


def _ran(status: Mapping[str, Any]) -> bool:
    """Whether a container of this attempt ever existed, sidecars included."""
    return any(
        _has_id(item) for item in (*_list(status.get("steps")), *_list(status.get("sidecars")))
    )


def _is_unclear(attempt: Mapping[str, Any]) -> bool:
    """Whether an attempt that is over had a pod, of whose containers nothing is told."""
    return bool(attempt.get("podName")) and not _list(attempt.get("steps"))


def _step(item: object) -> Step:
    step = _mapping(item)
    terminated, waiting = _mapping(step.get("terminated")), _mapping(step.get("waiting"))
    code = terminated.get("exitCode")
    ran = _has_id(step)
    reason = _step_reason(terminated, step)
    return Step(
        name=intern(_text(step.get("name"))),
        ran=ran,
        exited=ran and bool(terminated) and not {terminated.get("reason"), reason} & _FOREIGN,
        running=isinstance(step.get("running"), dict),
        waiting=_text(waiting.get("reason")),
        exit_code=code if isinstance(code, int) and not isinstance(code, bool) else None,
        reason=reason,
        finished=_text(terminated.get("finishedAt")),
        detail=_text((terminated if reason in _UNSTARTABLE else waiting).get("message")),
    )


def _step_reason(terminated: Mapping[str, Any], step: Mapping[str, Any]) -> str:
    """The container's own reason where it says something, else Tekton's."""
    reason = _text(terminated.get("reason"))
    if reason in ("", "Error", "Completed"):
        return _text(step.get("terminationReason")) or reason
    return reason

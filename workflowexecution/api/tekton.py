"""What is read of Tekton's objects, in light frozen records.

Thousands of them pass by, so only the needed fields are kept, and odd or absent values never fail:
what cannot be read counts as absent. Wire names stand here and nowhere else.

Source: tekton.dev/v1 PipelineRun and TaskRun, Tekton Pipelines 1.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from workflowexecution.api import containers, counting, names, times
from workflowexecution.api import raw as rawjson

if TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping

RUN_UID_LABEL = "tekton.dev/pipelineRunUID"
TASK_LABEL = "tekton.dev/pipelineTask"
ON_ERROR_ANNOTATION = "pipeline.tekton.dev/pipeline-task-on-error"
POD_TAKEN = frozenset({
    "TaskRunTimeout",
    "TaskRunCancelled",
    "TaskRunImagePullFailed",
    "TaskRunResultLargerThanAllowedLimit",
})
"""Reasons of attempts whose pod Tekton itself deletes, and that it gives for nothing else."""
_GROUP = "tekton.dev/"
_CONTINUE = "continue"
_TRUSTED = "TrustedResourcesVerified"
_CANCELLED = frozenset({"TaskRunCancelled", "Cancelled"})
_IGNORED = "FailureIgnored"
_TRUE, _FALSE = "True", "False"


class Condition(NamedTuple):
    """A condition, mostly `Succeeded`; its status is True, False or Unknown."""

    status: str
    reason: str
    message: str
    since: datetime.datetime | None = None


class Child(NamedTuple):
    """A child that a run names."""

    kind: str
    name: str
    task: str

    @property
    def is_task_run(self) -> bool:
        """Whether its steps are seen here: other kinds are their own controllers' affair."""
        return self.kind == "TaskRun"


class PipelineRun(NamedTuple):
    """A run.

    Attributes:
        owner_uid: UID of its execution, empty for a run of another making.
        labels: the project's own labels; annotations likewise.
        skipped: how many tasks Tekton skipped.
        task_names: the tasks of the resolved pipeline, empty until it is resolved.
        digest: of the bundle that was resolved.
        trust: what Tekton says of the signature of what it resolved; None where it was not asked.
        is_signed: whether there was one, be it good or bad.
        timeout_s: of the whole run; None when it has none that can be read.
        is_child: whether it is a part of another run, whose labels it was given.
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
    trust: Condition | None
    is_signed: bool
    timeout_s: float | None
    is_child: bool = False

    @property
    def is_done(self) -> bool:
        """Whether `Succeeded` is final."""
        return self.condition is not None and self.condition.status in (_TRUE, _FALSE)

    @property
    def is_successful(self) -> bool:
        """Whether the run succeeded."""
        return self.condition is not None and self.condition.status == _TRUE

    @property
    def place(self) -> str:
        """Namespace and name, for people."""
        return f"{self.namespace}/{self.name}"

    @property
    def deleting(self) -> bool:
        """Whether the run is on its way out."""
        return self.deleted_at is not None

    @property
    def task_count(self) -> int | None:
        """Tasks in all, `finally` included; None until the pipeline is resolved."""
        return len(self.task_names) + len(self.finally_names) if self.task_names else None

    @property
    def counts(self) -> counting.Counts | None:
        """What the run's own message counts; None where it counts nothing."""
        return counting.read(self.condition.message) if self.condition else None


@dataclass(frozen=True, slots=True)
class Attempt:
    """An earlier attempt of a task, which a retry has replaced.

    Attributes:
        was_ended: whether Tekton ended its steps, and then deleted its pod.
    """

    reason: str
    pod_name: str
    was_ended: bool


class TaskRun(NamedTuple):
    """A TaskRun; `ran` and `killed` look at its earlier attempts, too, `steps` and `sidecars` not.

    Attributes:
        timeout_s: of each attempt; None when it has none that can be read.
        may_fail: whether the pipeline goes on when it fails; not when it is cancelled.
    """

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
    steps: tuple[containers.Step, ...]
    attempts: tuple[Attempt, ...]
    killed: tuple[containers.Killed, ...]
    ran: bool
    sidecars: tuple[containers.Step, ...] = ()
    timeout_s: float | None = None
    may_fail: bool = False

    @property
    def current_step(self) -> containers.Step | None:
        """The step at work: all containers of a pod run, and wait for each other."""
        return next((step for step in self.steps if step.running), None)

    @property
    def has_begun(self) -> bool:
        """Whether a container of its latest attempt ever existed."""
        return any(it.ran for it in (*self.steps, *self.sidecars))

    @property
    def retries(self) -> int:
        """How many earlier attempts there were."""
        return len(self.attempts)

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
        """Whether its failure does not matter to the run (the pipeline's `onError: continue`).

        Tekton says so only where a container of it failed, and lets no other failure matter either.
        """
        said = self.condition
        if said is None or self.is_cancelled:
            return False
        return said.reason == _IGNORED or (self.may_fail and said.status == _FALSE)

    @property
    def has_failed(self) -> bool:
        """Whether it ended without success, and that matters to the run."""
        return self.is_done and not self.is_successful and not self.is_ignored


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod.

    Attributes:
        reason: what ended it as a whole, like an eviction.
        ran: whether a container of it that the task asked for ever existed.
        disruption: what was about to end it, or has, without its doing.
        is_unheard: whether its node no longer answers: not ready, though its containers last were.
        uid: tells it from an earlier run's of the same name.
        may_begin: whether anything that the task asked for might begin in it although the task is
            over.
    """

    name: str
    reason: str
    ran: bool
    disruption: str = ""
    is_unheard: bool = False
    uid: str = ""
    may_begin: bool = True


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
    status = rawjson.mapping(raw.get("status"))
    labels = _own(metadata.get("labels"))
    pipeline = rawjson.mapping(status.get("pipelineSpec"))
    source = rawjson.mapping(rawjson.mapping(status.get("provenance")).get("refSource"))
    spec = rawjson.mapping(raw.get("spec"))
    return record(
        namespace=intern(rawjson.text(metadata.get("namespace"))),
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner_uid=labels.get(names.LABEL_EXECUTION_UID, ""),
        labels=labels,
        annotations=_own(metadata.get("annotations")),
        created_at=times.parse(metadata.get("creationTimestamp")),
        deleted_at=times.parse(metadata.get("deletionTimestamp")),
        started_at=times.parse(status.get("startTime")),
        completed_at=times.parse(status.get("completionTime")),
        condition=_condition(status, "Succeeded"),
        children=tuple(_child(it) for it in rawjson.items(status.get("childReferences"))),
        task_names=_task_names(pipeline.get("tasks")),
        finally_names=_task_names(pipeline.get("finally")),
        skipped=len(rawjson.items(status.get("skippedTasks"))),
        digest=_digest(source.get("digest")),
        trust=_condition(status, _TRUSTED),
        is_signed=names.ANNOTATION_SIGNATURE in rawjson.mapping(metadata.get("annotations")),
        timeout_s=rawjson.seconds(rawjson.mapping(spec.get("timeouts")).get("pipeline")),
        is_child=any(map(_is_parent, rawjson.items(metadata.get("ownerReferences")))),
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
    labels = rawjson.mapping(metadata.get("labels"))
    status = rawjson.mapping(raw.get("status"))
    attempts = [rawjson.mapping(it) for it in rawjson.items(status.get("retriesStatus"))]
    said = _condition(status, "Succeeded")
    of_task = said.reason if said else ""
    return record(
        namespace=intern(rawjson.text(metadata.get("namespace"))),
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        run_uid=rawjson.text(labels.get(RUN_UID_LABEL)),
        owner_uid=rawjson.text(labels.get(names.LABEL_EXECUTION_UID)),
        task=intern(rawjson.text(labels.get(TASK_LABEL)) or metadata["name"]),
        created=rawjson.text(metadata.get("creationTimestamp")),
        started_at=times.parse(status.get("startTime")),
        completed_at=times.parse(status.get("completionTime")),
        condition=said,
        pod_name=rawjson.text(status.get("podName")),
        steps=containers.project_attempt("steps", status, attempts, of_task=of_task),
        sidecars=containers.project_attempt("sidecars", status, attempts),
        attempts=tuple(_attempt(it) for it in attempts),
        killed=tuple(found for it in (*attempts, status) for found in containers.killed(it)),
        ran=containers.ran(status) or any(containers.may_have_run(it) for it in attempts),
        timeout_s=rawjson.seconds(rawjson.mapping(raw.get("spec")).get("timeout")),
        may_fail=rawjson.mapping(metadata.get("annotations")).get(ON_ERROR_ANNOTATION) == _CONTINUE,
    )


def project_pod(raw: Mapping[str, Any]) -> Pod:
    """The record of a pod as the API gives it."""
    metadata, status = rawjson.mapping(raw.get("metadata")), rawjson.mapping(raw.get("status"))
    disrupted = _condition(status, "DisruptionTarget")
    ready, inner = _condition(status, "Ready"), _condition(status, "ContainersReady")
    return Pod(
        name=rawjson.text(metadata.get("name")),
        uid=rawjson.text(metadata.get("uid")),
        may_begin=containers.may_begin(
            metadata, rawjson.mapping(raw.get("spec")), status.get("phase")
        ),
        reason=rawjson.text(status.get("reason")),
        disruption=disrupted.reason if disrupted and disrupted.status == _TRUE else "",
        is_unheard=bool(ready and inner and ready.status == _FALSE and inner.status == _TRUE),
        ran=any(containers.has_id(it) for it in rawjson.items(status.get("containerStatuses"))),
    )


def _is_parent(owner: object) -> bool:
    """Whether an owner runs what it owns as a part of itself, as custom tasks do; no execution."""
    it = rawjson.mapping(owner)
    runs = it.get("controller") is True or rawjson.text(it.get("apiVersion")).startswith(_GROUP)
    return runs and it.get("kind") != names.KIND


def _own(marks: object) -> dict[str, str]:
    prefix = f"{names.GROUP}/"
    return {
        intern(key): rawjson.text(value)
        for key, value in rawjson.mapping(marks).items()
        if key.startswith(prefix)
    }


def _condition(status: Mapping[str, Any], kind: str) -> Condition | None:
    for item in rawjson.items(status.get("conditions")):
        condition = rawjson.mapping(item)
        if condition.get("type") == kind:
            return Condition(
                intern(rawjson.text(condition.get("status"))),
                intern(rawjson.text(condition.get("reason"))),
                rawjson.text(condition.get("message")),
                times.parse(condition.get("lastTransitionTime")),
            )
    return None


def _child(item: object) -> Child:
    child = rawjson.mapping(item)
    return Child(
        intern(rawjson.text(child.get("kind"))),
        rawjson.text(child.get("name")),
        intern(rawjson.text(child.get("pipelineTaskName"))),
    )


def _task_names(tasks: object) -> tuple[str, ...]:
    return tuple(
        intern(rawjson.text(rawjson.mapping(task).get("name"))) for task in rawjson.items(tasks)
    )


def _digest(value: object) -> str:
    digests = rawjson.mapping(value)
    return f"sha256:{digests['sha256']}" if isinstance(digests.get("sha256"), str) else ""


def _attempt(status: Mapping[str, Any]) -> Attempt:
    said = _condition(status, "Succeeded")
    reason, pod = said.reason if said else "", rawjson.text(status.get("podName"))
    return Attempt(reason, pod, containers.was_ended(status, reason))

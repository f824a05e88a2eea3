"""Tekton's objects as Tekton 1.9 writes them: conditions, steps, references, TaskRuns, pods.

Source: tektoncd/pipeline v1.9.6, pkg/reconciler and pkg/pod/status.go, and objects recorded from
a real cluster.
"""

import dataclasses
import hashlib
from collections.abc import Sequence

from tests.fake import kinds
from tests.fake.scenarios import End, Scenario, Task
from tests.fake.statuses import JsonObject

STEP = "run"
CONTAINER = f"step-{STEP}"
IMAGE = "docker.io/library/busybox:1.36"
_IMAGE_ID = "docker.io/library/busybox@sha256:" + "b" * 64

CANCELLED_MESSAGE = "TaskRun cancelled as the PipelineRun it belongs to has been cancelled."
TIMED_OUT_MESSAGE = "TaskRun cancelled as the PipelineRun it belongs to has timed out."


@dataclasses.dataclass(frozen=True, slots=True)
class Tally:
    """How many tasks are in which state."""

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    skipped: int = 0
    incomplete: int = 0

    def message(self) -> str:
        """Return Tekton's text of the condition."""
        completed = self.succeeded + self.failed + self.cancelled
        left = f" Incomplete: {self.incomplete}," if self.incomplete else ""
        return (
            f"Tasks Completed: {completed} (Failed: {self.failed}, Cancelled {self.cancelled}),"
            f"{left} Skipped: {self.skipped}"
        )


def build_condition(status: str, reason: str, message: str, at: str) -> JsonObject:
    """Return the condition `Succeeded`."""
    return {
        "type": "Succeeded",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": at,
    }


def build_resolution(run: JsonObject, scenario: Scenario) -> JsonObject:
    """Return what a run's status says of its pipeline: the spec and where it comes from."""
    params = {each["name"]: each["value"] for each in run["spec"]["pipelineRef"].get("params", [])}
    bundle = str(params.get("bundle", ""))
    digest = scenario.digest or bundle.partition("@sha256:")[2]
    digest = digest or hashlib.sha256(bundle.encode()).hexdigest()
    names = [task.name for task in scenario.tasks] + list(scenario.skipped)
    spec: JsonObject = {"tasks": [_pipeline_task(name) for name in names]}
    if scenario.finals:
        spec["finally"] = [_pipeline_task(task.name) for task in scenario.finals]
    source = {"uri": bundle, "digest": {"sha256": digest}, "entryPoint": "workflow"}
    return {"pipelineSpec": spec, "provenance": {"refSource": source}}


def _pipeline_task(name: str) -> JsonObject:
    step = {"name": STEP, "image": IMAGE, "computeResources": {}}
    return {"name": name, "taskSpec": {"metadata": {}, "spec": None, "steps": [step]}}


def build_references(run: JsonObject, tasks: Sequence[str]) -> list[JsonObject]:
    """Return the run's childReferences."""
    return [
        {
            "apiVersion": kinds.TASK_RUNS.api_version,
            "kind": kinds.TASK_RUNS.kind,
            "name": task_run_name(run, task),
            "pipelineTaskName": task,
        }
        for task in tasks
    ]


def build_skipped(names: Sequence[str], reason: str) -> list[JsonObject]:
    """Return the run's skippedTasks."""
    return [{"name": name, "reason": reason} for name in names]


def task_run_name(run: JsonObject, task: str) -> str:
    """Return the name of a task's TaskRun."""
    return f"{run['metadata']['name']}-{task}"


def build_task_run(run: JsonObject, task: Task, *, final: bool) -> JsonObject:
    """Return a TaskRun with the labels and annotations that Tekton passes on."""
    metadata = run["metadata"]
    labels = dict(metadata.get("labels") or {}) | {
        "app.kubernetes.io/managed-by": "tekton-pipelines",
        "tekton.dev/memberOf": "finally" if final else "tasks",
        "tekton.dev/pipeline": "workflow",
        "tekton.dev/pipelineRun": metadata["name"],
        "tekton.dev/pipelineRunUID": metadata["uid"],
        "tekton.dev/pipelineTask": task.name,
    }
    template = run["spec"].get("taskRunTemplate") or {}
    return {
        "metadata": {
            "name": task_run_name(run, task.name),
            "labels": labels,
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": [_owner(run, kinds.PIPELINE_RUNS.kind)],
        },
        "spec": {
            "serviceAccountName": template.get("serviceAccountName", "default"),
            "taskSpec": _pipeline_task(task.name)["taskSpec"],
            "timeout": "1h0m0s",
        },
    }


def _owner(item: JsonObject, kind: str) -> JsonObject:
    return {
        "apiVersion": item["apiVersion"],
        "kind": kind,
        "name": item["metadata"]["name"],
        "uid": item["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_name(task_run: JsonObject) -> str:
    """Return the name of a TaskRun's pod."""
    return f"{task_run['metadata']['name']}-pod"


def build_pod(task_run: JsonObject) -> JsonObject:
    """Return a TaskRun's pod."""
    metadata = task_run["metadata"]
    labels = dict(metadata["labels"]) | {"tekton.dev/taskRun": metadata["name"]}
    return {
        "metadata": {
            "name": pod_name(task_run),
            "labels": labels,
            "ownerReferences": [_owner(task_run, kinds.TASK_RUNS.kind)],
        },
        "spec": {"containers": [{"name": CONTAINER, "image": IMAGE}], "restartPolicy": "Never"},
    }


def build_running_step(at: str) -> JsonObject:
    """Return a step whose container runs."""
    return {
        "name": STEP,
        "container": CONTAINER,
        "imageID": _IMAGE_ID,
        "running": {"startedAt": at},
    }


def build_ended_step(task: Task, started: str, at: str) -> JsonObject:
    """Return the last state of a task's step; a container that never ran has no ids."""
    match task.end:
        case End.IMAGE_MISSING:
            reason = "TaskRunImagePullFailed"
            terminated = _terminated(1, reason, at, at)
            step = {"name": STEP, "container": CONTAINER, "terminated": terminated}
            return step | {"terminationReason": reason}
        case End.CONFIG_MISSING:
            waiting = {"reason": "CreateContainerConfigError", "message": 'configmap "x" not found'}
            return {"name": STEP, "container": CONTAINER, "waiting": waiting}
        case End.OOM_KILLED:
            return _ran(_terminated(137, "OOMKilled", started, at))
        case End.EXITS:
            return _ran(_terminated(task.exit_code, "Error", started, at), "Error")
        case _:
            return _ran(_terminated(0, "Completed", started, at), "Completed")


def build_cancelled_step(started: str, at: str) -> JsonObject:
    """Return a step that Tekton itself declared terminated."""
    return _ran(_terminated(1, "TaskRunCancelled", started, at), "TaskRunCancelled")


def _ran(terminated: JsonObject, termination_reason: str = "") -> JsonObject:
    terminated = terminated | {"containerID": "containerd://" + "c" * 64}
    step = {
        "name": STEP,
        "container": CONTAINER,
        "imageID": _IMAGE_ID,
        "terminated": terminated,
    }
    return step | ({"terminationReason": termination_reason} if termination_reason else {})


def _terminated(code: int, reason: str, started: str, at: str) -> JsonObject:
    return {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": at}


def build_task_end(task: Task, task_run: JsonObject, at: str) -> JsonObject:
    """Return the final condition of a TaskRun."""
    name = task_run["metadata"]["name"]
    match task.end:
        case End.SUCCEEDS | End.HANGS:
            message = "All Steps have completed executing"
            return build_condition("True", "Succeeded", message, at)
        case End.EXITS:
            message = f'"{CONTAINER}" exited with code {task.exit_code}: Error'
            return build_condition("False", "Failed", message, at)
        case End.OOM_KILLED:
            message = f'"{CONTAINER}" exited with code 137: OOMKilled'
            return build_condition("False", "Failed", message, at)
        case End.IMAGE_MISSING:
            message = (
                f'the step "{STEP}" in TaskRun "{name}" failed to pull the image "". The pod '
                'errored with the message: "Back-off pulling image "registry/none:1"."'
            )
            return build_condition("False", "TaskRunImagePullFailed", message, at)
        case End.CONFIG_MISSING:
            message = "Failed to create pod due to config error"
            return build_condition("False", "CreateContainerConfigError", message, at)
        case End.POD_REFUSED:
            account = task_run["spec"]["serviceAccountName"]
            message = (
                f'failed to create task run pod "{name}": translating TaskSpec to Pod: '
                f'serviceaccounts "{account}" not found. Maybe missing or invalid Task '
                f"{task_run['metadata']['namespace']}/"
            )
            return build_condition("False", "PodCreationFailed", message, at)

"""Objects with defaults, as the API gives them: a test names only what it is about."""

from __future__ import annotations

import datetime
from typing import Any

from workflowexecution.api import names, tekton, times
from workflowexecution.api import workflowexecution as api
from workflowexecution.domain import locking

NOW = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=datetime.UTC)
DIGEST = "sha256:" + "a" * 64
TARGET = "payment/deployment/payment-api"


def stamp(after_s: float = 0.0) -> str:
    """A metav1.Time so many seconds after `NOW`."""
    return times.stamp(NOW + datetime.timedelta(seconds=after_s))


def raw_execution(
    name: str = "restart-payment",
    *,
    metadata: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A WorkflowExecution; what is given replaces or extends the defaults' members."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {
            "name": name,
            "namespace": "payment",
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": stamp(),
            **(metadata or {}),
        },
        "spec": {
            "remediationRequestRef": {"name": "rr-1", "namespace": "payment"},
            "workflowRef": {
                "workflowId": "restart-deployment",
                "version": "1.0.0",
                "containerImage": "registry.example/workflows/restart:v1",
            },
            "targetResource": TARGET,
            "parameters": {"REPLICAS": "3", "MODE": "rolling"},
            **(spec or {}),
        },
        **({"status": status} if status is not None else {}),
    }


def execution(name: str = "restart-payment", **parts: Any) -> api.WorkflowExecution:  # noqa: ANN401 - as raw_execution
    """The model of `raw_execution`."""
    return api.parse_execution(raw_execution(name, **parts))


def raw_run(
    *,
    owner: str = "restart-payment",
    condition: tuple[str, str, str] | None = None,
    status: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A PipelineRun of an execution, with `Succeeded` as (status, reason, message)."""
    said: dict[str, Any] = {"startTime": stamp(), **(status or {})}
    if condition is not None:
        said["conditions"] = [_succeeded(condition)]
        if condition[0] != "Unknown":
            said.setdefault("completionTime", stamp(30))
    name = locking.run_name(TARGET)
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {
            "name": name,
            "namespace": "kubernaut-workflows",
            "uid": f"run-of-{owner}",
            "resourceVersion": "7",
            "creationTimestamp": stamp(),
            "labels": {
                names.LABEL_EXECUTION: owner,
                names.LABEL_EXECUTION_UID: f"uid-{owner}",
                names.LABEL_SOURCE_NAMESPACE: "payment",
                names.LABEL_WORKFLOW_ID: "restart-deployment",
            },
            "annotations": {names.LABEL_TARGET_RESOURCE: TARGET},
            **(metadata or {}),
        },
        "spec": {},
        "status": said,
    }


def raw_task(
    task: str,
    *,
    condition: tuple[str, str, str] | None = None,
    steps: list[dict[str, Any]] | None = None,
    status: dict[str, Any] | None = None,
    owner: str = "restart-payment",
) -> dict[str, Any]:
    """A TaskRun of an execution's run."""
    name = f"{locking.run_name(TARGET)}-{task}"
    said: dict[str, Any] = {
        "startTime": stamp(1),
        "podName": f"{name}-pod",
        "steps": steps if steps is not None else [],
        **(status or {}),
    }
    if condition is not None:
        said["conditions"] = [_succeeded(condition)]
        if condition[0] != "Unknown":
            said.setdefault("completionTime", stamp(20))
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "TaskRun",
        "metadata": {
            "name": name,
            "namespace": "kubernaut-workflows",
            "uid": f"uid-{name}",
            "resourceVersion": "9",
            "creationTimestamp": stamp(1),
            "labels": {
                "tekton.dev/pipelineRunUID": f"run-of-{owner}",
                "tekton.dev/pipelineTask": task,
                names.LABEL_EXECUTION_UID: f"uid-{owner}",
            },
        },
        "status": said,
    }


def run(**parts: Any) -> tekton.PipelineRun:  # noqa: ANN401 - as raw_run
    """The record of `raw_run`."""
    return tekton.project_pipelinerun(raw_run(**parts), tekton.PipelineRun)


def task(name: str = "restart", **parts: Any) -> tekton.TaskRun:  # noqa: ANN401 - as raw_task
    """The record of `raw_task`."""
    return tekton.project_taskrun(raw_task(name, **parts), tekton.TaskRun)


def child(task: str = "restart", *, kind: str = "TaskRun") -> dict[str, Any]:
    """How a run names its child, a `raw_task` if it is a TaskRun."""
    return {"kind": kind, "name": f"{locking.run_name(TARGET)}-{task}", "pipelineTaskName": task}


def step(
    name: str = "run",
    *,
    exit_code: int | None = None,
    reason: str = "",
    ran: bool = True,
    running: bool = False,
    finished_s: float = 15.0,
) -> dict[str, Any]:
    """A step state of a TaskRun; `ran` gives it the ids of a container that existed."""
    made: dict[str, Any] = {"name": name, "container": f"step-{name}"}
    if ran:
        made["imageID"] = "registry.example/tools@sha256:" + "b" * 64
    if running:
        made["running"] = {"startedAt": stamp(2)}
    if exit_code is not None:
        made["terminated"] = {
            "exitCode": exit_code,
            "reason": reason or ("Error" if exit_code else "Completed"),
            "startedAt": stamp(2),
            "finishedAt": stamp(finished_s),
        }
        if ran:
            made["terminated"]["containerID"] = "containerd://" + "c" * 64
    return made


def _succeeded(condition: tuple[str, str, str]) -> dict[str, Any]:
    status, reason, message = condition
    return {"type": "Succeeded", "status": status, "reason": reason, "message": message}

"""Tekton and the kubelet, played by hand on the fake cluster: what happens to a run, step by step.

And a witness, who sees every change of the cluster and counts what works on a target.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

from tests import builders
from tests.component import world
from tests.fake import kinds
from tests.support import executions
from workflowexecution.api import tekton

if TYPE_CHECKING:
    from tests.fake.cluster import FakeCluster
    from tests.fake.statuses import JsonObject
    from tests.fake.storage import Change

KUBELET = "example.com/kubelet"
SUCCEEDED = ("True", "Succeeded", "Tasks Completed: 1 (Failed: 0, Cancelled 0), Skipped: 0")
FAILED = ("False", "Failed", "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 0")
CANCELLED = world.CANCELLED
# What Tekton says of the task, by what it says of the run; of any other run the task was stopped.
_OF_TASK = {
    "Succeeded": ("True", "Succeeded", "All Steps have completed executing"),
    "Failed": ("False", "Failed", '"step-run" exited with code 1: Error'),
}
_STOPPED = ("False", "TaskRunCancelled", 'TaskRun "run" was cancelled')
_GOES_ON = ("Unknown", "Running", "Tasks Completed: 0 (Failed: 0, Cancelled 0), Incomplete: 1")


class Hands:
    """What Tekton, its controller of tasks, and the kubelet do; always in one piece."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    def begin(self, run: JsonObject, *, worked: bool = True, stubborn: bool = False) -> None:
        """Make the run's one task and its pod.

        Args:
            run: as it is stored.
            worked: the container starts; otherwise the pod waits for its image.
            stubborn: the pod goes on when it is deleted, until `end_pod`.
        """
        mark = {tekton.RUN_UID_LABEL: run["metadata"]["uid"]}
        task = self._cluster.create({
            "apiVersion": "tekton.dev/v1",
            "kind": "TaskRun",
            "metadata": {
                **_place(run, "task"),
                "labels": run["metadata"]["labels"] | mark,
                "ownerReferences": [_owner(run)],
            },
        })
        pod = self._cluster.create({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **_place(run, "pod"),
                "labels": mark,
                "ownerReferences": [_owner(task)],
                "finalizers": [KUBELET] if stubborn else [],
            },
            "spec": {"containers": [{"name": "step-run", "image": "i"}]},
        })
        phase = {"phase": "Running" if worked else "Pending"}
        self._say(kinds.PODS.plural, pod["metadata"]["name"], phase)
        step = builders.step(ran=worked, running=worked)
        self._say_task(run, _GOES_ON, step)
        child = {"kind": "TaskRun", "name": task["metadata"]["name"], "pipelineTaskName": "run"}
        self._say_run(run, _GOES_ON, {"childReferences": [child]})

    def go_on(self, run: JsonObject) -> None:
        """Say that the run goes on, now."""
        self._say_run(run, _GOES_ON, {})

    def end(
        self, run: JsonObject, condition: tuple[str, str, str], *, lingers: bool = False
    ) -> None:
        """End the run and its task; its pod ends too, unless it lingers."""
        task = self._cluster.get(kinds.TASK_RUNS, world.NAMESPACE, _place(run, "task")["name"])
        at = {"completionTime": world.stamp()}
        if task is not None:
            worked = "imageID" in task["status"]["steps"][0]
            code = 0 if condition[0] == "True" else 1
            of_task = _OF_TASK.get(condition[1], _STOPPED)
            self._say_task(run, of_task, builders.step(exit_code=code, ran=worked), at)
        self._say_run(run, condition, at)
        if not lingers:
            self.end_pod(run["metadata"]["uid"])

    def end_pod(self, run_uid: str) -> None:
        """End the pod of a run, which may be gone; the kubelet then lets go of it."""
        for pod in self._cluster.items(kinds.PODS, world.NAMESPACE):
            if pod["metadata"]["labels"][tekton.RUN_UID_LABEL] == run_uid:
                name = pod["metadata"]["name"]
                self._say(kinds.PODS.plural, name, {"phase": "Succeeded"})
                let_go = {"metadata": {"finalizers": None}}
                self._cluster.patch(kinds.PODS, world.NAMESPACE, name, let_go)

    def _say_run(self, run: JsonObject, condition: tuple[str, str, str], more: JsonObject) -> None:
        said = {
            "startTime": run["metadata"]["creationTimestamp"],
            "conditions": [_condition(condition)],
            **more,
        }
        self._say(kinds.PIPELINE_RUNS.plural, run["metadata"]["name"], said)

    def _say_task(
        self,
        run: JsonObject,
        condition: tuple[str, str, str],
        step: JsonObject,
        more: JsonObject | None = None,
    ) -> None:
        said = {
            "startTime": world.stamp(),
            "podName": _place(run, "pod")["name"],
            "steps": [step],
            "conditions": [_condition(condition)],
            **(more or {}),
        }
        self._say(kinds.TASK_RUNS.plural, _place(run, "task")["name"], said)

    def _say(self, plural: str, name: str, status: JsonObject) -> None:
        kind = {it.plural: it for it in (kinds.PIPELINE_RUNS, kinds.TASK_RUNS, kinds.PODS)}[plural]
        said = {"status": status}
        self._cluster.patch(kind, world.NAMESPACE, name, said, subresource="status")


class Witness:
    """Sees every change, and notes each moment at which two runs worked on one target.

    A run works until its condition is final and no pod of it is outside Succeeded and Failed,
    whether the run itself is still there or not.
    """

    def __init__(self, cluster: FakeCluster) -> None:
        self.overlaps: list[str] = []
        self._targets: dict[str, str] = {}
        self._works: dict[str, set[str]] = collections.defaultdict(set)
        cluster.storage.subscribe(self._see)

    def _see(self, change: Change) -> None:
        if change.resource.plural not in {"pipelineruns", "pods"}:
            return
        metadata = change.item["metadata"]
        what, is_over = f"{change.resource.plural}/{metadata['uid']}", change.type == "DELETED"
        if change.resource.plural == "pipelineruns":
            run = metadata["uid"]
            self._targets[run] = metadata["name"]
            is_over = is_over or executions.is_final(change.item)
        else:
            run = metadata["labels"][tekton.RUN_UID_LABEL]
            phase = (change.item.get("status") or {}).get("phase")
            is_over = is_over or phase in {"Succeeded", "Failed"}
        (self._works[run].discard if is_over else self._works[run].add)(what)
        target = self._targets.get(run)
        working = [it for it, parts in self._works.items() if parts and self._targets[it] == target]
        if len(working) > 1:
            self.overlaps.append(f"{target} at version {change.version}: {working}")


def _place(run: JsonObject, part: str) -> JsonObject:
    """A run of the same name may follow, so what belongs to it is called by its UID."""
    return {"namespace": world.NAMESPACE, "name": f"{run['metadata']['uid']}-{part}"}


def _owner(item: JsonObject) -> JsonObject:
    return {
        "apiVersion": item["apiVersion"],
        "kind": item["kind"],
        "name": item["metadata"]["name"],
        "uid": item["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _condition(condition: tuple[str, str, str]) -> JsonObject:
    status, reason, message = condition
    return {
        "type": "Succeeded",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": world.stamp(),
    }

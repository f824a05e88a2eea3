"""Simulated Tekton, as lean as can be: it shares the machine with what is measured.

`plain`: two status changes of the run, no TaskRuns. `full`: besides, two TaskRuns one after the
other, of four status changes each. Every run succeeds.
"""

import argparse
import asyncio
import datetime
from pathlib import Path

from tests.benchmark import access, client, objects, script
from tests.benchmark.client import JsonObject

TASKS = ("prepare", "apply")
USER_AGENT = "simulated-tekton"

_CONNECTIONS = 32
_PASSED_ON = f"{objects.GROUP}/"


class Tekton:
    """Plays each run that appears, all at once, over a bounded number of connections."""

    def __init__(self, api: client.Client, *, full: bool, duration_s: float) -> None:
        self._api = api
        self._full = full
        self._duration_s = duration_s

    async def run(self) -> None:
        """Play runs until cancelled."""
        version = await self._api.version_of(objects.RUNS)
        async with asyncio.TaskGroup() as group:
            script.say_ready()
            async for batch in self._api.watch(objects.RUNS, version):
                new = (event["object"] for event in batch if event["type"] == "ADDED")
                for run in new:
                    group.create_task(self._play(run))

    async def _play(self, run: JsonObject) -> None:
        path = f"{objects.RUNS}/{run['metadata']['name']}/status"
        started = _now()
        tasks = TASKS if self._full else ()
        status = {
            "startTime": started,
            "conditions": [_condition("Unknown", "Running", _tally(0, len(tasks)))],
            "childReferences": _references(run, tasks[:1]),
        }
        await self._api.send("PATCH", path, {"status": status})
        for task in tasks:
            await self._play_task(run, task)
        if self._duration_s:
            await asyncio.sleep(self._duration_s)
        status = {
            "completionTime": _now(),
            "conditions": [_condition("True", "Succeeded", _tally(len(tasks), len(tasks)))],
            "childReferences": _references(run, tasks),
        }
        await self._api.send("PATCH", path, {"status": status})

    async def _play_task(self, run: JsonObject, task: str) -> None:
        created = await self._api.send("POST", objects.TASK_RUNS, _task_run(run, task))
        path = f"{objects.TASK_RUNS}/{created['metadata']['name']}/status"
        for status in _task_statuses(created["metadata"]["name"]):
            await self._api.send("PATCH", path, {"status": status})


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tally(completed: int, total: int) -> str:
    left = total - completed
    return f"Tasks Completed: {completed} (Failed: 0, Cancelled 0), Incomplete: {left}, Skipped: 0"


def _condition(status: str, reason: str, message: str) -> JsonObject:
    return {
        "type": "Succeeded",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": _now(),
    }


def _references(run: JsonObject, tasks: tuple[str, ...]) -> list[JsonObject]:
    return [
        {
            "apiVersion": "tekton.dev/v1",
            "kind": "TaskRun",
            "name": f"{run['metadata']['name']}-{task}",
            "pipelineTaskName": task,
        }
        for task in tasks
    ]


def _task_run(run: JsonObject, task: str) -> JsonObject:
    metadata = run["metadata"]
    passed = {key: value for key, value in metadata["labels"].items() if key.startswith(_PASSED_ON)}
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "TaskRun",
        "metadata": {
            "name": f"{metadata['name']}-{task}",
            "namespace": metadata["namespace"],
            "labels": passed
            | {
                "app.kubernetes.io/managed-by": "tekton-pipelines",
                "tekton.dev/memberOf": "tasks",
                "tekton.dev/pipelineRun": metadata["name"],
                "tekton.dev/pipelineRunUID": metadata["uid"],
                "tekton.dev/pipelineTask": task,
            },
            "ownerReferences": [
                {
                    "apiVersion": run["apiVersion"],
                    "kind": run["kind"],
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "params": run["spec"]["params"],
            "serviceAccountName": run["spec"]["taskRunTemplate"]["serviceAccountName"],
            "taskSpec": {"steps": [{"name": "main", "image": "registry.example/step:1"}]},
        },
    }


def _task_statuses(name: str) -> list[JsonObject]:
    """Return what Tekton says of a task one after the other, each as a merge patch."""
    started = _now()
    identity = {
        "imageID": "registry.example/step@sha256:" + "0" * 64,
        "container": "step-main",
        "name": "main",
    }
    terminated = {
        "containerID": "containerd://" + "0" * 64,
        "exitCode": 0,
        "finishedAt": started,
        "reason": "Completed",
        "startedAt": started,
    }
    return [
        {
            "startTime": started,
            "podName": "",
            "conditions": [_condition("Unknown", "Started", "")],
        },
        {
            "podName": f"{name}-pod",
            "conditions": [_condition("Unknown", "Pending", "Pending")],
        },
        {
            "conditions": [_condition("Unknown", "Running", "Not all Steps have finished")],
            "steps": [identity | {"running": {"startedAt": started}}],
        },
        {
            "completionTime": _now(),
            "conditions": [_condition("True", "Succeeded", "All Steps have completed executing")],
            "steps": [identity | {"terminated": terminated, "terminationReason": "Completed"}],
        },
    ]


async def _main(options: argparse.Namespace) -> None:
    way = access.read(options.kubeconfig)
    async with client.Client(way, user_agent=USER_AGENT, connections=_CONNECTIONS) as api:
        await Tekton(api, full=options.mode == "full", duration_s=options.duration).run()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark.tekton", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--mode", choices=["plain", "full"], default="plain")
    parser.add_argument("--duration", type=float, default=0.0, help="pause in each run, seconds")
    return parser.parse_args()


if __name__ == "__main__":
    script.run(_main(_parse()))

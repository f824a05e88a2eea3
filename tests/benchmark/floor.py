"""The reactive floor: the controller's writes in answer to watch events, and no decisions.

It shows what this machine's apiserver allows: first patch, run create and status write when an
execution appears, the second status write when its run ends; with `--events` a Kubernetes event
after each status write. No cache, no check, no retry: a refused write ends it.
"""

import argparse
import asyncio
import datetime
from pathlib import Path

from tests.benchmark import access, client, objects, script
from tests.benchmark.client import JsonObject
from tests.support import numbered
from tests.support.executions import is_final

FINALIZER = f"{objects.GROUP}/workflowexecution-cleanup"


class Floor:
    """Two watches, one queue, a bounded number of workers.

    The two answers of one execution follow each other: its run's end waits in `_ended` while its
    start is being written. Lock-free: everything changes only between awaits.
    """

    def __init__(self, api: client.Client, *, workers: int, events: bool) -> None:
        self._api = api
        self._workers = workers
        self._events = events
        self._queue: asyncio.Queue[tuple[str, JsonObject]] = asyncio.Queue()
        self._starting: set[str] = set()
        self._ended: dict[str, JsonObject] = {}
        self._done: set[str] = set()

    async def run(self) -> None:
        """Answer events until cancelled."""
        executions = await self._api.version_of(objects.ALL_EXECUTIONS)
        runs = await self._api.version_of(objects.RUNS)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_executions(executions))
            group.create_task(self._watch_runs(runs))
            for _ in range(self._workers):
                group.create_task(self._work())
            script.say_ready()

    async def _watch_executions(self, version: str) -> None:
        async for batch in self._api.watch(objects.ALL_EXECUTIONS, version):
            for event in batch:
                if event["type"] == "ADDED":
                    item = event["object"]
                    self._starting.add(item["metadata"]["name"])
                    self._queue.put_nowait(("start", item))

    async def _watch_runs(self, version: str) -> None:
        async for batch in self._api.watch(objects.RUNS, version):
            for event in batch:
                run = event["object"]
                name = run["metadata"]["labels"][objects.EXECUTION_LABEL]
                if name in self._done or not is_final(run):
                    continue
                self._done.add(name)
                if name in self._starting:
                    self._ended[name] = run
                else:
                    self._queue.put_nowait(("finish", run))

    async def _work(self) -> None:
        while True:
            what, item = await self._queue.get()
            if what == "start":
                await self._start(item)
            else:
                await self._finish(item)

    async def _start(self, item: JsonObject) -> None:
        metadata = item["metadata"]
        name = metadata["name"]
        label = numbered.target_hash(item["spec"]["targetResource"])
        patched = await self._api.send(
            "PATCH",
            f"{objects.EXECUTIONS}/{name}",
            {
                "metadata": {
                    "finalizers": [FINALIZER],
                    "labels": {f"{objects.GROUP}/target": label},
                    "resourceVersion": metadata["resourceVersion"],
                }
            },
        )
        run = await self._api.send("POST", objects.RUNS, _run(item, label))
        status = _running(run)
        written = await self._write_status(name, status, patched["metadata"]["resourceVersion"])
        if self._events:
            await self._event(written, "PipelineRunCreated", "Created PipelineRun")
        self._starting.discard(name)
        if name in self._ended:
            self._queue.put_nowait(("finish", self._ended.pop(name)))

    async def _finish(self, run: JsonObject) -> None:
        name = run["metadata"]["labels"][objects.EXECUTION_LABEL]
        written = await self._write_status(name, _completed(run), None)
        if self._events:
            await self._event(written, "WorkflowCompleted", "Workflow completed")

    async def _write_status(self, name: str, status: JsonObject, version: str | None) -> JsonObject:
        body: JsonObject = {"status": status}
        if version is not None:
            body["metadata"] = {"resourceVersion": version}
        return await self._api.send("PATCH", f"{objects.EXECUTIONS}/{name}/status", body)

    async def _event(self, item: JsonObject, reason: str, message: str) -> None:
        metadata = item["metadata"]
        now = _now()
        await self._api.send(
            "POST",
            objects.EVENTS,
            {
                "metadata": {
                    "generateName": f"{metadata['name']}.",
                    "namespace": metadata["namespace"],
                },
                "involvedObject": {
                    "apiVersion": item["apiVersion"],
                    "kind": item["kind"],
                    "name": metadata["name"],
                    "namespace": metadata["namespace"],
                    "uid": metadata["uid"],
                    "resourceVersion": metadata["resourceVersion"],
                },
                "reason": reason,
                "message": f"{message} for {item['spec']['targetResource']}",
                "type": "Normal",
                "source": {"component": "reactive-floor"},
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
            },
        )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _run(item: JsonObject, label: str) -> JsonObject:
    metadata, spec = item["metadata"], item["spec"]
    parameters = [{"name": key, "value": value} for key, value in spec["parameters"].items()]
    parameters.append({"name": "TARGET_RESOURCE", "value": spec["targetResource"]})
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {
            "name": f"wfe-{label}",
            "namespace": objects.RUNS_NAMESPACE,
            "labels": {
                objects.EXECUTION_LABEL: metadata["name"],
                objects.UID_LABEL: metadata["uid"],
                f"{objects.GROUP}/workflow-id": spec["workflowRef"]["workflowId"],
                f"{objects.GROUP}/source-namespace": metadata["namespace"],
                f"{objects.GROUP}/target-resource": spec["targetResource"].replace("/", "__"),
                f"{objects.GROUP}/target": label,
            },
            "annotations": {f"{objects.GROUP}/target-resource": spec["targetResource"]},
        },
        "spec": {
            "pipelineRef": {
                "resolver": "bundles",
                "params": [
                    {"name": "bundle", "value": spec["workflowRef"]["containerImage"]},
                    {"name": "name", "value": "workflow"},
                    {"name": "kind", "value": "pipeline"},
                ],
            },
            "params": parameters,
            "taskRunTemplate": {"serviceAccountName": "kubernaut-workflow-runner"},
            "timeouts": {"pipeline": "0h30m0s"},
        },
    }


def _condition(kind: str, status: str, reason: str) -> JsonObject:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": _now(),
    }


def _running(run: JsonObject) -> JsonObject:
    metadata = run["metadata"]
    return {
        "phase": "Running",
        "startTime": _now(),
        "observedGeneration": 1,
        "pipelineRunRef": {
            "apiVersion": "tekton.dev/v1",
            "kind": "PipelineRun",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
        "conditions": [
            _condition("TektonPipelineCreated", "True", "PipelineCreated"),
            _condition("Ready", "Unknown", "Executing"),
        ],
    }


def _completed(run: JsonObject) -> JsonObject:
    return {
        "phase": "Completed",
        "outcome": "Success",
        "completionTime": _now(),
        "duration": "1s",
        "consecutiveFailures": 0,
        "pipelineRunStatus": {
            "status": "True",
            "reason": "Succeeded",
            "message": run["status"]["conditions"][0].get("message", ""),
            "completedTasks": 2,
            "totalTasks": 2,
        },
        "conditions": [
            _condition("TektonPipelineCreated", "True", "PipelineCreated"),
            _condition("TektonPipelineRunning", "True", "PipelineStarted"),
            _condition("TektonPipelineComplete", "True", "PipelineSucceeded"),
            _condition("Ready", "True", "Completed"),
        ],
    }


async def _main(options: argparse.Namespace) -> None:
    way = access.read(options.kubeconfig)
    async with client.Client(
        way, user_agent=options.user_agent, connections=options.workers
    ) as api:
        await Floor(api, workers=options.workers, events=options.events).run()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark.floor", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--user-agent", default="reactive-floor")
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--events", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    script.run(_main(_parse()))

"""Tekton's part: played by the test, step by step, or by the simulated Tekton, by itself."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from typing import TYPE_CHECKING, Any

from tests.fake import kinds
from tests.fake import tekton as simulated
from tests.fake.api import Api
from tests.fake.resources import ResourceType
from tests.fake.scenarios import End, Scenario, Task
from tests.fake.stage import Pace, Stage
from workflowexecution.api import times

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.fake.api import Endpoint
    from tests.fake.tekton import Choose

JsonObject = dict[str, Any]

IMAGE_ID = "registry.example/tools@sha256:" + "e" * 64
RESOLVED = "c" * 64
ACCOUNT_S = 120.0
"""The controller manager needs so long to find back to a server that was away."""
_LOOK_EVERY_S = 0.05
_ACCOUNTS = ResourceType("", "v1", "serviceaccounts", "ServiceAccount")
_ENDLESS = Scenario(tasks=(Task("apply", End.HANGS),))


def work_on(run: JsonObject) -> Scenario:
    """Every run works until it is told to end."""
    assert run
    return _ENDLESS


@contextlib.asynccontextmanager
async def playing(
    endpoint: Endpoint, namespace: str, *, choose: Choose = work_on, pace: Pace | None = None
) -> AsyncGenerator[None]:
    """Let the simulated Tekton play the runs of a namespace, with pods."""
    async with Api(endpoint, agent=simulated.AGENT) as api:
        await pods_admitted(api, namespace)
        stage = Stage(api, pace=pace or Pace(), pods=True)
        async with simulated.playing(stage, namespace, choose=choose):
            yield


async def pods_admitted(api: Api, namespace: str) -> None:
    """Wait until a namespace admits pods: its account comes a moment after it, or an outage."""
    async with asyncio.timeout(ACCOUNT_S):
        while (await api.get(_ACCOUNTS, namespace, "default")).status == 404:  # noqa: ASYNC110 - a server
            await asyncio.sleep(_LOOK_EVERY_S)


class Run:
    """One PipelineRun, whose pipeline has the given tasks one after the other."""

    def __init__(self, api: Api, run: JsonObject, tasks: tuple[str, ...]) -> None:
        self._api = api
        self._run = run
        self._tasks = tasks
        self._children: list[JsonObject] = []
        self.failed = 0
        self.succeeded = 0

    @property
    def name(self) -> str:
        """Name of the run."""
        name: str = self._run["metadata"]["name"]
        return name

    async def begin(self) -> None:
        """The pipeline is resolved, nothing has started."""
        await self._say(
            {
                "startTime": now(),
                "pipelineSpec": {"tasks": [{"name": task} for task in self._tasks]},
                "provenance": {"refSource": {"digest": {"sha256": RESOLVED}}},
            },
            ("Unknown", "Running", self._counts()),
        )

    async def start_task(self, task: str) -> None:
        """Its TaskRun exists, its only step runs."""
        name = f"{self.name}-{task}"
        namespace = self._run["metadata"]["namespace"]
        body = {"metadata": {"name": name, **self._marks(task)}}
        (await self._api.create(kinds.TASK_RUNS, namespace, body)).accept()
        step = {"name": "run", "container": "step-run", "imageID": IMAGE_ID}
        status = {
            "startTime": now(),
            "podName": f"{name}-pod",
            "conditions": [_condition("Unknown", "Running", "Not all Steps have finished")],
            "steps": [{**step, "running": {"startedAt": now()}}],
        }
        await self._patch(kinds.TASK_RUNS, name, status)
        child = {"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": name}
        self._children.append({**child, "pipelineTaskName": task})
        counts = ("Unknown", "Running", self._counts())
        await self._say({"childReferences": self._children}, counts)

    async def end_task(self, task: str, exit_code: int = 0) -> None:
        """Its step ends, and the TaskRun with it; the run follows."""
        ended = {
            "containerID": "containerd://" + "d" * 64,
            "exitCode": exit_code,
            "reason": "Error" if exit_code else "Completed",
            "startedAt": now(),
            "finishedAt": now(),
        }
        step = {"name": "run", "container": "step-run", "imageID": IMAGE_ID, "terminated": ended}
        said = ("True", "Succeeded", "All Steps have completed executing")
        if exit_code:
            said = ("False", "Failed", f'"step-run" exited with code {exit_code}: Error')
        status = {"completionTime": now(), "conditions": [_condition(*said)], "steps": [step]}
        await self._patch(kinds.TASK_RUNS, f"{self.name}-{task}", status)
        self.failed += bool(exit_code)
        self.succeeded += not exit_code
        await self._say({}, ("Unknown", "Running", self._counts()))

    async def time_out_task(self, task: str) -> None:
        """Tekton ends the TaskRun since the run's time is over: its step's exit code is made up."""
        ended = {"exitCode": 1, "reason": "TaskRunTimeout", "startedAt": now(), "finishedAt": now()}
        step = {"name": "run", "container": "step-run", "imageID": IMAGE_ID, "terminated": ended}
        said = ("False", "TaskRunTimeout", f'TaskRun "{self.name}-{task}" failed to finish in time')
        status = {"completionTime": now(), "conditions": [_condition(*said)], "steps": [step]}
        await self._patch(kinds.TASK_RUNS, f"{self.name}-{task}", status)
        self.failed += 1

    async def end(self, said: tuple[str, str, str] | None = None) -> None:
        """The run ends as its tasks did, or as `said`."""
        counts = self._counts(final=True)
        told = ("False", "Failed", counts) if self.failed else ("True", "Succeeded", counts)
        await self._say({"completionTime": now()}, said or told)

    async def touch(self) -> None:
        """Change something that says nothing."""
        namespace = self._run["metadata"]["namespace"]
        patch = {"metadata": {"annotations": {"tekton.dev/seen": now()}}}
        (await self._api.patch(kinds.PIPELINE_RUNS, namespace, self.name, patch)).accept()

    def _marks(self, task: str) -> JsonObject:
        """Labels, those of the run passed on, and owner of a TaskRun."""
        metadata = self._run["metadata"]
        labels = {
            **metadata["labels"],
            "tekton.dev/pipelineRun": self.name,
            "tekton.dev/pipelineRunUID": metadata["uid"],
            "tekton.dev/pipelineTask": task,
        }
        owner = {
            "apiVersion": "tekton.dev/v1",
            "kind": "PipelineRun",
            "name": self.name,
            "uid": metadata["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return {"labels": labels, "ownerReferences": [owner]}

    def _counts(self, *, final: bool = False) -> str:
        done = self.failed + self.succeeded
        left = len(self._tasks) - done
        tail = f"Skipped: {left}" if final else f"Incomplete: {left}, Skipped: 0"
        return f"Tasks Completed: {done} (Failed: {self.failed}, Cancelled 0), {tail}"

    async def _say(self, status: JsonObject, said: tuple[str, str, str]) -> None:
        full = {**status, "conditions": [_condition(*said)]}
        await self._patch(kinds.PIPELINE_RUNS, self.name, full)

    async def _patch(self, resource: ResourceType, name: str, status: JsonObject) -> None:
        namespace = self._run["metadata"]["namespace"]
        patch = {"status": status}
        (await self._api.patch(resource, namespace, name, patch, subresource="status")).accept()


def now() -> str:
    """metav1.Time of this moment."""
    return times.stamp(datetime.datetime.now(datetime.UTC))


def _condition(status: str, reason: str, message: str) -> JsonObject:
    return {
        "type": "Succeeded",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": now(),
    }

"""One TaskRun played: four status changes, and its pod if there are pods."""

import asyncio

from tests.fake import kinds, tektonobjects
from tests.fake.scenarios import End, Task
from tests.fake.stage import Stage
from tests.fake.statuses import JsonObject

_RUNNING = frozenset({End.SUCCEEDS, End.EXITS, End.OOM_KILLED, End.HANGS})


class TaskPlay:
    """Plays a task of a run: `start`, then either `finish` or `cancel`."""

    def __init__(self, *, stage: Stage, task: Task, task_run: JsonObject) -> None:
        self._stage = stage
        self._task = task
        self._task_run = task_run
        self._pod: JsonObject | None = None
        self._last_phase = ""
        self._status: JsonObject = {"startTime": stage.time(), "podName": ""}

    @property
    def duration_s(self) -> float | None:
        """How long the task takes; None: for ever."""
        if self._task.end is End.HANGS:
            return None
        return self._stage.pace.task_s if self._task.duration_s is None else self._task.duration_s

    async def start(self) -> None:
        """Take the TaskRun as far as it gets before its end.

        Raises:
            RunGone: the TaskRun is not there any more.
        """
        await self._say("Started", "Not all Steps in the Task have finished executing")
        if self._task.end is End.POD_REFUSED:
            return
        await self._start_pod()
        await self._say("Pending", 'pod status "Initialized":"False"; message: ""')
        if self._task.end in _RUNNING:
            self._status["steps"] = [tektonobjects.build_running_step(self._stage.time())]
            await self._say("Running", "Not all Steps in the Task have finished executing")
            await self._set_pod_phase("Running")

    async def finish(self) -> bool:
        """End the TaskRun by itself and tell whether it succeeded.

        Raises:
            RunGone: the TaskRun is not there any more.
        """
        at = self._stage.time()
        step = tektonobjects.build_ended_step(self._task, self._status["startTime"], at)
        if self._task.end is not End.POD_REFUSED:
            self._status["steps"] = [step]
        condition = tektonobjects.build_task_end(self._task, self._task_run, at)
        if self._task.retries:
            pod = self._status["podName"]
            attempt = {"conditions": [condition], "podName": pod, "steps": [step]}
            self._status["retriesStatus"] = [attempt] * self._task.retries
        if self._stage.logs is not None and self._task.log:
            namespace = self._task_run["metadata"]["namespace"]
            place = (namespace, self._status["podName"], tektonobjects.CONTAINER)
            self._stage.logs[place] = self._task.log
        succeeded = bool(condition["status"] == "True")
        self._last_phase = "Succeeded" if succeeded else "Failed"
        if not self._stage.pace.linger_s:
            # Tekton learns of a step's end from its pod.
            await self.end_pod()
        self._status |= {"completionTime": at, "conditions": [condition]}
        await self._write()
        return succeeded

    async def end_pod(self) -> None:
        """End the pod of a task that ended by itself, unless that is done.

        Raises:
            RunGone: the pod is not there any more.
        """
        if self._last_phase:
            phase, self._last_phase = self._last_phase, ""
            await self._set_pod_phase(phase)

    async def cancel(self, message: str) -> None:
        """End the TaskRun from outside, as Tekton does; its pod goes last.

        Raises:
            RunGone: the TaskRun is not there any more.
        """
        order = {"spec": {"status": "TaskRunCancelled", "statusMessage": message}}
        await self._stage.patch(kinds.TASK_RUNS, self._task_run, order)
        await asyncio.sleep(self._stage.pace.cancel_s)
        at = self._stage.time()
        text = f'TaskRun "{self._task_run["metadata"]["name"]}" was cancelled. {message}'
        condition = tektonobjects.build_condition("False", "TaskRunCancelled", text, at)
        self._status |= {"completionTime": at, "conditions": [condition]}
        if "steps" in self._status:
            started = self._status["startTime"]
            self._status["steps"] = [tektonobjects.build_cancelled_step(started, at)]
        await self._write()
        if self._pod is not None:
            await asyncio.sleep(self._stage.pace.pod_s)
            metadata = self._pod["metadata"]
            namespace, name = metadata["namespace"], metadata["name"]
            await self._stage.api.delete(kinds.PODS, namespace, name)

    async def _start_pod(self) -> None:
        self._status["podName"] = tektonobjects.pod_name(self._task_run)
        if self._stage.pods:
            namespace = self._task_run["metadata"]["namespace"]
            body = tektonobjects.build_pod(self._task_run)
            self._pod = await self._stage.create(kinds.PODS, namespace, body)
            await self._set_pod_phase("Pending")

    async def _say(self, reason: str, message: str) -> None:
        at = self._stage.time()
        condition = tektonobjects.build_condition("Unknown", reason, message, at)
        self._status["conditions"] = [condition]
        await self._write()

    async def _write(self) -> None:
        await self._stage.patch(kinds.TASK_RUNS, self._task_run, {"status": self._status}, "status")

    async def _set_pod_phase(self, phase: str) -> None:
        if self._pod is not None:
            await self._stage.patch(kinds.PODS, self._pod, {"status": {"phase": phase}}, "status")

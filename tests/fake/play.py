"""One PipelineRun played from start to end."""

import asyncio
import contextlib
import dataclasses
import enum
import re

from tests.fake import kinds, tektonobjects
from tests.fake.scenarios import Scenario, Task
from tests.fake.stage import RunGone, Stage
from tests.fake.statuses import JsonObject
from tests.fake.taskplay import TaskPlay
from tests.fake.tektonobjects import Tally

_GRACEFUL = frozenset({"CancelledRunFinally", "StoppedRunFinally"})
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SHORTEST_PAUSE_S = 0.001
_MESSAGES = (tektonobjects.CANCELLED_MESSAGE, tektonobjects.TIMED_OUT_MESSAGE)


class _Stop(enum.Enum):
    CANCEL = "cancel"
    GRACEFUL = "graceful"
    TIMEOUT = "timeout"


def parse_duration(text: str) -> float:
    """Return a Go duration in seconds."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


class Play:
    """Plays a run; `order` tells it of a cancellation."""

    def __init__(self, *, run: JsonObject, scenario: Scenario, stage: Stage) -> None:
        self._run = run
        self._scenario = scenario
        self._stage = stage
        self._order = ""
        self._ordered = asyncio.Event()
        self._deadline = float("inf")
        self._started = ""
        self._children: list[str] = []
        self._skipped: list[JsonObject] = []
        total = len(scenario.tasks) + len(scenario.finals)
        self._tally = Tally(incomplete=total, skipped=len(scenario.skipped))
        self._open: TaskPlay | None = None
        self._finally = False
        self._played: list[TaskPlay] = []

    def order(self, status: str) -> None:
        """Take note of the run's `spec.status`."""
        if status and status != self._order and not self._scenario.deaf:
            self._order = status
            self._ordered.set()

    async def perform(self) -> None:
        """Play to the end; a run that is deleted meanwhile ends the play."""
        with contextlib.suppress(RunGone):
            await self._perform()
            await asyncio.sleep(self._stage.pace.linger_s)
            for play in self._played:
                await play.end_pod()

    async def _perform(self) -> None:
        await asyncio.sleep(self._stage.pace.start_s)
        self._started = self._stage.time()
        self._set_deadline()
        if await self._end_early():
            return
        if self._scenario.tasks:
            self._children.append(self._scenario.tasks[0].name)
        await self._begin()
        if self._scenario.stuck:
            return
        stop = await self._play_tasks()
        if stop in {None, _Stop.GRACEFUL}:
            stop = await self._play_finals()
        await (self._stop_run(stop) if stop else self._conclude())

    async def _end_early(self) -> bool:
        """End a run that is refused, or cancelled before anything was created for it."""
        refusal = self._scenario.refusal
        if refusal is not None:
            metadata = self._run["metadata"]
            place = f"{metadata['namespace']}/{metadata['name']}"
            await self._finish("False", refusal.reason, refusal.message.replace("{run}", place))
        elif self._pending_stop() is not None:
            await self._stop_run(_Stop.CANCEL)
        else:
            return False
        return True

    async def _begin(self) -> None:
        reason = "When Expressions evaluated to false"
        self._skipped = tektonobjects.build_skipped(self._scenario.skipped, reason)
        resolution = tektonobjects.build_resolution(self._run, self._scenario)
        await self._say("Running", {"startTime": self._started} | resolution)

    async def _play_tasks(self) -> _Stop | None:
        """Play the tasks and return what stopped them, if anything did."""
        if not self._scenario.tasks:
            return await self._wait(self._stage.pace.task_s)
        for number, task in enumerate(self._scenario.tasks):
            left = [each.name for each in self._scenario.tasks[number + 1 :]]
            stop = await self._play_task(task)
            if stop is _Stop.GRACEFUL:
                await self._say("CancelledRunningFinally")
                await self._cancel_open_task(stop)
                self._skip(left, "PipelineRun was gracefully cancelled")
            if stop is not None:
                return stop
            if self._scenario.vanishes:
                await self._vanish()
            if self._tally.failed:
                self._skip(left, "PipelineRun was stopping")
                break
            if left:
                self._children.append(left[0])
                await self._say("Running")
        return None

    async def _play_finals(self) -> _Stop | None:
        self._finally = True
        reason = "CancelledRunningFinally" if self._order in _GRACEFUL else "Running"
        for task in self._scenario.finals:
            self._children.append(task.name)
            await self._say(reason)
            stop = await self._play_task(task)
            if stop is not None:
                return stop
        return None

    async def _play_task(self, task: Task) -> _Stop | None:
        namespace = self._run["metadata"]["namespace"]
        body = tektonobjects.build_task_run(self._run, task, final=self._finally)
        task_run = await self._stage.create(kinds.TASK_RUNS, namespace, body)
        play = TaskPlay(stage=self._stage, task=task, task_run=task_run)
        self._open = play
        self._played.append(play)
        await play.start()
        stop = await self._wait(play.duration_s)
        if stop is None:
            self._count("succeeded" if await play.finish() else "failed")
            self._open = None
        return stop

    async def _cancel_open_task(self, stop: _Stop) -> None:
        if self._open is not None:
            await self._open.cancel(_MESSAGES[stop is _Stop.TIMEOUT])
            self._count("cancelled")
            self._open = None

    async def _vanish(self) -> None:
        metadata = self._run["metadata"]
        await self._stage.api.delete(kinds.PIPELINE_RUNS, metadata["namespace"], metadata["name"])
        raise RunGone

    def _skip(self, names: list[str], reason: str) -> None:
        self._skipped.extend(tektonobjects.build_skipped(names, reason))
        self._tally = dataclasses.replace(
            self._tally,
            skipped=self._tally.skipped + len(names),
            incomplete=self._tally.incomplete - len(names),
        )

    def _count(self, field: str) -> None:
        number = getattr(self._tally, field) + 1
        left = self._tally.incomplete - 1
        self._tally = dataclasses.replace(self._tally, **{field: number, "incomplete": left})

    async def _conclude(self) -> None:
        """Write the run's final condition from what became of its tasks."""
        message = self._tally.message()
        if self._tally.failed:
            await self._finish("False", "Failed", message)
        elif self._order in _GRACEFUL:
            await self._finish("False", "Cancelled", self._cancelled())
        elif self._tally.skipped:
            await self._finish("True", "Completed", message)
        else:
            await self._finish("True", "Succeeded", message)

    async def _stop_run(self, stop: _Stop) -> None:
        """End the run at once; what it left running ends after it, as in Tekton."""
        if stop is _Stop.TIMEOUT:
            timeout = (self._run["spec"].get("timeouts") or {}).get("pipeline", "1h0m0s")
            name = self._run["metadata"]["name"]
            message = f'PipelineRun "{name}" failed to finish within "{timeout}"'
            await self._finish("False", "PipelineRunTimeout", message)
        else:
            await self._finish("False", "Cancelled", self._cancelled())
        await self._cancel_open_task(stop)

    def _cancelled(self) -> str:
        return f'PipelineRun "{self._run["metadata"]["name"]}" was cancelled'

    def _set_deadline(self) -> None:
        text = (self._run["spec"].get("timeouts") or {}).get("pipeline", "1h")
        seconds = parse_duration(text)
        if seconds and not self._scenario.deaf:
            self._deadline = asyncio.get_running_loop().time() + seconds

    async def _wait(self, seconds: float | None) -> _Stop | None:
        """Let time pass; None is for ever. Return what cut it short."""
        loop = asyncio.get_running_loop()
        until = float("inf") if seconds is None else loop.time() + seconds
        limit = min(until, self._deadline)
        while (stop := self._pending_stop()) is None and loop.time() < until:
            self._ordered.clear()
            # A timer may fire a rounding error early, and virtual time stands still for a shorter.
            pause_s = max(limit - loop.time(), _SHORTEST_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if limit == float("inf") else pause_s):
                    await self._ordered.wait()
            if loop.time() >= self._deadline:
                return _Stop.TIMEOUT
        return stop

    def _pending_stop(self) -> _Stop | None:
        if self._order == "Cancelled":
            return _Stop.CANCEL
        if self._order in _GRACEFUL and not self._finally:
            return _Stop.GRACEFUL
        return None

    async def _say(self, reason: str, more: JsonObject | None = None) -> None:
        """Write the state of a run that goes on."""
        at = self._stage.time()
        condition = tektonobjects.build_condition("Unknown", reason, self._tally.message(), at)
        await self._write({"conditions": [condition]} | (more or {}))

    async def _finish(self, status: str, reason: str, message: str) -> None:
        at = self._stage.time()
        condition = tektonobjects.build_condition(status, reason, message, at)
        ends = {"startTime": self._started, "completionTime": at}
        await self._write({"conditions": [condition]} | ends)

    async def _write(self, status: JsonObject) -> None:
        if self._children:
            references = tektonobjects.build_references(self._run, self._children)
            status["childReferences"] = references
        if self._skipped:
            status["skippedTasks"] = self._skipped
        await self._stage.patch(kinds.PIPELINE_RUNS, self._run, {"status": status}, "status")

"""The load: creates executions, follows them and their runs by watches, deletes them."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable

from tests.benchmark import access, client, objects
from tests.benchmark.client import JsonObject
from tests.support import numbered
from tests.support.executions import has_ended, is_final, phase
from workflowexecution.runtime import manager

USER_AGENT = "load-generator"

_CONNECTIONS = 8
_POLL_S = 0.5
_CHECK_S = 1.0


@dataclasses.dataclass(frozen=True)
class Shape:
    """How much load, and how fast.

    Attributes:
        rate: executions a second; 0 is as fast as a few connections allow.
        limit_s: how long to wait for the last one to finish.
    """

    size: int
    rate: float
    limit_s: float


@dataclasses.dataclass
class Course:
    """What was seen of the executions, by number; times in seconds since the epoch."""

    sent: dict[int, float] = dataclasses.field(default_factory=dict)
    run_seen: dict[int, float] = dataclasses.field(default_factory=dict)
    run_done: dict[int, float] = dataclasses.field(default_factory=dict)
    terminal: dict[int, float] = dataclasses.field(default_factory=dict)
    phases: dict[int, str] = dataclasses.field(default_factory=dict)
    created: float = 0.0


def run(way: access.Access, shape: Shape, *, check: Callable[[], None]) -> Course:
    """Put the load on the cluster and return what became of it, finished or not.

    Args:
        way: to the apiserver.
        shape: of the load.
        check: called each second from the first execution to the last; what it raises ends the
            load.
    """
    try:
        return asyncio.run(_run(way, shape, check))
    except BaseExceptionGroup as failures:
        # The first is why all others were ended.
        raise manager.causes(failures)[0] from failures


def delete_all(way: access.Access, size: int, *, limit_s: float) -> int:
    """Delete the executions and return how many are left when all are gone or time is up."""
    return asyncio.run(_delete_all(way, size, limit_s))


async def create(way: access.Access, size: int) -> None:
    """Create executions as fast as a few connections allow, and follow none of them."""
    async with client.Client(way, user_agent=USER_AGENT, connections=_CONNECTIONS) as api:
        await _create(api, Shape(size=size, rate=0.0, limit_s=0.0), Course())


class _Observer:
    def __init__(self, course: Course, size: int) -> None:
        self._course = course
        self._size = size
        self._numbers = {numbered.name(number): number for number in range(size)}
        self._runs = {numbered.run_name(number): number for number in range(size)}
        self._finished = asyncio.Event()

    async def follow_executions(self, api: client.Client, version: str) -> None:
        async for batch in api.watch(objects.EXECUTIONS, version):
            now = time.time()
            for event in batch:
                self._note_execution(event["object"], now)

    async def follow_runs(self, api: client.Client, version: str) -> None:
        async for batch in api.watch(objects.RUNS, version):
            now = time.time()
            for event in batch:
                item = event["object"]
                number = self._runs[item["metadata"]["name"]]
                self._course.run_seen.setdefault(number, now)
                if is_final(item):
                    self._course.run_done.setdefault(number, now)

    async def finished(self, *, limit_s: float) -> None:
        """Wait until the last one is, or time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._finished.wait()

    def _note_execution(self, item: JsonObject, now: float) -> None:
        if not has_ended(item):
            return
        number = self._numbers[item["metadata"]["name"]]
        self._course.phases[number] = phase(item)
        self._course.terminal.setdefault(number, now)
        if len(self._course.terminal) == self._size:
            self._finished.set()


async def _run(way: access.Access, shape: Shape, check: Callable[[], None]) -> Course:
    course = Course()
    observer = _Observer(course, shape.size)
    async with client.Client(way, user_agent=USER_AGENT, connections=_CONNECTIONS) as api:
        executions = await api.version_of(objects.EXECUTIONS)
        runs = await api.version_of(objects.RUNS)
        async with asyncio.TaskGroup() as group:
            followers = [
                group.create_task(observer.follow_executions(api, executions)),
                group.create_task(observer.follow_runs(api, runs)),
            ]
            await _checked(group.create_task(_create(api, shape, course)), check)
            course.created = time.time()
            await _checked(group.create_task(observer.finished(limit_s=shape.limit_s)), check)
            for follower in followers:
                follower.cancel()
    return course


async def _checked(step: asyncio.Task[None], check: Callable[[], None]) -> None:
    """Wait for a step of the load, with a check each second."""
    while not step.done():
        check()
        await asyncio.wait([step], timeout=_CHECK_S)


async def _create(api: client.Client, shape: Shape, course: Course) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    numbers = iter(range(shape.size))

    async def work() -> None:
        for number in numbers:
            if shape.rate:
                await asyncio.sleep(started + number / shape.rate - loop.time())
            course.sent[number] = time.time()
            body = numbered.execution(number, objects.EXECUTIONS_NAMESPACE)
            await api.send("POST", objects.EXECUTIONS, body)

    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(work())


async def _delete_all(way: access.Access, size: int, limit_s: float) -> int:
    numbers = iter(range(size))
    async with client.Client(way, user_agent=USER_AGENT, connections=_CONNECTIONS) as api:

        async def work() -> None:
            for number in numbers:
                name = numbered.name(number)
                await api.send("DELETE", f"{objects.EXECUTIONS}/{name}")

        async with asyncio.TaskGroup() as group:
            for _ in range(_CONNECTIONS):
                group.create_task(work())
        deadline = asyncio.get_running_loop().time() + limit_s
        while left := len((await api.send("GET", objects.EXECUTIONS))["items"]):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(_POLL_S)
    return left

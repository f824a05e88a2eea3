"""A test's hands and eyes in the cluster; every wait is on a watch, with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.fake import kinds
from tests.fake.api import Api, Refused
from tests.integration import objects, tekton

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from tests.fake.api import Reply
    from tests.fake.resources import ResourceType

JsonObject = dict[str, Any]

DEADLINE_S = 15.0
COLLECTED_S = 120.0
"""For what the garbage collector ends, as each foreground deletion is, and so the deletion of an
execution with a run: it looks for new kinds every 30 s, once more when it has found its last look
unfinished, and tests install and remove kinds."""


@dataclass(frozen=True)
class World:
    """One server as one test sees it.

    Attributes:
        namespace: the test's own, for its executions.
        runs: where the controller under test creates PipelineRuns.
        instance: label value of the executions, so that only the controller meant serves them.
    """

    api: Api
    namespace: str
    runs: str = objects.RUNS
    instance: str = ""

    def execution(self, name: str, **spec: Any) -> JsonObject:  # noqa: ANN401 - raw spec
        """An execution on a target that no other test has, without pinned digest."""
        spec.setdefault("targetResource", f"{self.namespace}/deployment/{name}")
        body = objects.changed(
            objects.execution(name, **spec),
            "spec.workflowRef.containerDigest",
            objects.REMOVED,
        )
        if self.instance:
            body["metadata"]["labels"] = {"kubernaut.ai/instance": self.instance}
        return body

    async def create(self, body: JsonObject) -> JsonObject:
        """Create an execution in the test's namespace."""
        return (await self.api.create(kinds.EXECUTIONS, self.namespace, body)).accept()

    async def change(self, name: str, patch: JsonObject) -> Reply:
        """Merge-patch an execution, but for its status."""
        return await self.api.patch(kinds.EXECUTIONS, self.namespace, name, patch)

    async def read(self, name: str) -> JsonObject:
        """An execution as it is now."""
        return (await self.api.get(kinds.EXECUTIONS, self.namespace, name)).accept()

    async def phase(self, name: str, phase: str, *, deadline_s: float = DEADLINE_S) -> JsonObject:
        """Wait until an execution has a phase; returns its status then."""

        def reached(found: JsonObject) -> bool:
            status = found.get("status")
            return isinstance(status, dict) and status.get("phase") == phase

        found = await self.until(name, reached, deadline_s=deadline_s)
        status: JsonObject = found["status"]
        return status

    async def until(
        self, name: str, reached: Callable[[JsonObject], bool], *, deadline_s: float = DEADLINE_S
    ) -> JsonObject:
        """Wait until an execution is as it should be; returns it."""
        place = (kinds.EXECUTIONS, self.namespace, name)
        return await until(self.api, place, reached, deadline_s=deadline_s)

    async def until_gone(self, name: str, *, deadline_s: float = DEADLINE_S) -> None:
        """Wait until an execution is not there any more."""
        place = (kinds.EXECUTIONS, self.namespace, name)
        await until_gone(self.api, place, deadline_s=deadline_s)

    async def run_of(self, status: JsonObject) -> JsonObject:
        """The PipelineRun that a status names."""
        name = status["pipelineRunRef"]["name"]
        return (await self.api.get(kinds.PIPELINE_RUNS, self.runs, name)).accept()

    async def play(self, status: JsonObject, *tasks: str) -> tekton.Run:
        """Begin to play Tekton in the run that a status names."""
        run = tekton.Run(self.api, await self.run_of(status), tasks)
        await run.begin()
        return run

    async def runs_of(self, uid: str) -> list[JsonObject]:
        """The PipelineRuns of an execution."""
        selector = f"kubernaut.ai/workflow-execution-uid={uid}"
        reply = await self.api.list(kinds.PIPELINE_RUNS, self.runs, labelSelector=selector)
        found: list[JsonObject] = reply.accept()["items"]
        return found

    @contextlib.asynccontextmanager
    async def pod(
        self, name: str, labels: dict[str, str]
    ) -> AsyncGenerator[Callable[[str], Awaitable[None]]]:
        """A pod that runs, beside the runs; gives what sets its phase."""
        spec = {"containers": [{"name": "step-run", "image": "registry.example/tools"}]}
        body = {"metadata": {"name": name, "labels": labels}, "spec": spec}
        await tekton.pods_admitted(self.api, self.runs)
        (await self.api.create(kinds.PODS, self.runs, body)).accept()

        async def set_phase(phase: str) -> None:
            patch = {"status": {"phase": phase}}
            reply = await self.api.patch(kinds.PODS, self.runs, name, patch, subresource="status")
            reply.accept()

        try:
            await set_phase("Running")
            yield set_phase
        finally:
            await self.api.delete(kinds.PODS, self.runs, name, gracePeriodSeconds=0)

    async def stays(self, name: str, *, for_s: float) -> None:
        """Assert that nobody writes to an execution for a while."""
        place = (kinds.EXECUTIONS, self.namespace, name)
        before = (await self.api.get(*place)).accept()["metadata"]["resourceVersion"]
        field = f"metadata.name={name}"
        async with self.api.watch(
            kinds.EXECUTIONS, self.namespace, fieldSelector=field, resourceVersion=before
        ) as watch:
            try:
                async with asyncio.timeout(for_s):
                    event = await anext(watch)
            except TimeoutError:
                return
        raise AssertionError(f"{event.type} {event.object}")


Place = tuple["ResourceType", str, str]
"""Resource, namespace and name of one object."""


async def states(api: Api, place: Place) -> AsyncGenerator[JsonObject | None]:
    """An object as it is now, then each state that follows; None while it is not there."""
    while True:
        async with _patience(), contextlib.aclosing(_states_of_a_list(api, place)) as coming:
            async for state in coming:
                yield state


@contextlib.asynccontextmanager
async def _patience() -> AsyncGenerator[None]:
    """Wait as long as a server asks for; one that has just begun does, for lists and watches."""
    try:
        yield
    except Refused as refused:
        if refused.reply.status != 429:
            raise
        await asyncio.sleep(float(refused.reply.headers["Retry-After"]))


async def _states_of_a_list(api: Api, place: Place) -> AsyncGenerator[JsonObject | None]:
    """The same, until the watch ends."""
    resource, namespace, name = place
    field = f"metadata.name={name}"
    listed = (await api.list(resource, namespace, fieldSelector=field)).accept()
    yield next(iter(listed["items"]), None)
    version = listed["metadata"]["resourceVersion"]
    async with api.watch(
        resource, namespace, fieldSelector=field, resourceVersion=version
    ) as watch:
        async for event in watch:
            if event.type == "ERROR":
                # A server that has just begun does not know the version of its own list.
                return
            yield None if event.type == "DELETED" else event.object


async def until(
    api: Api,
    place: Place,
    reached: Callable[[JsonObject], bool],
    *,
    deadline_s: float = DEADLINE_S,
) -> JsonObject:
    """Wait until an object exists and is as it should be; returns it.

    Raises:
        AssertionError: it is not in time; the message has its last state.
    """
    found = await _until(api, place, lambda it: it is not None and reached(it), deadline_s)
    assert found is not None
    return found


async def until_gone(api: Api, place: Place, *, deadline_s: float = DEADLINE_S) -> None:
    """Wait until an object is not there.

    Raises:
        AssertionError: it still is at the deadline.
    """
    await _until(api, place, lambda it: it is None, deadline_s)


async def _until(
    api: Api, place: Place, reached: Callable[[JsonObject | None], bool], deadline_s: float
) -> JsonObject | None:
    last: list[JsonObject | None] = [None]
    try:
        async with asyncio.timeout(deadline_s):
            return await _first(api, place, reached, last)
    except TimeoutError:
        raise AssertionError(f"{place[1]}/{place[2]} after {deadline_s} s: {last[-1]}") from None


async def _first(
    api: Api,
    place: Place,
    reached: Callable[[JsonObject | None], bool],
    seen: list[JsonObject | None],
) -> JsonObject | None:
    async with contextlib.aclosing(states(api, place)) as coming:
        async for state in coming:
            seen.append(state)
            if reached(state):
                return state
    raise AssertionError("states never end")


async def create_namespace(api: Api, name: str) -> None:
    """Create a namespace, unless it is there."""
    reply = await api.create(kinds.NAMESPACES, "", {"metadata": {"name": name}})
    if reply.status != 409:
        reply.accept()


async def delete(api: Api, place: Place) -> None:
    """Delete an object; one that is gone is fine.

    Raises:
        Refused: the server said no.
    """
    reply = await api.delete(*place)
    if reply.status not in {200, 202, 404}:
        raise Refused(reply)

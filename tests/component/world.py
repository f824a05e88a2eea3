"""The program and the fake cluster in one loop, with a test in Tekton's place."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import pathlib
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from tests import builders
from tests.fake import kinds
from tests.fake.paths import Match
from workflowexecution import app, config, identity
from workflowexecution.api import times
from workflowexecution.domain import locking
from workflowexecution.runtime import client, clock, connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from tests.fake.cluster import FakeCluster
    from tests.fake.requestlog import Request
    from tests.fake.statuses import JsonObject
    from workflowexecution.settings import Settings

T = TypeVar("T")
NAMESPACE = "kubernaut-workflows"
TEAM = "payment"
RUN = locking.run_name(builders.TARGET)
AGENT = "workflowexecution/"
_WHO = "component"
POLICIES = pathlib.Path(__file__).parents[2] / "manifests" / "policies"
SUCCEEDED = ("True", "Succeeded", "Tasks Completed: 2 (Failed: 0, Cancelled 0), Skipped: 0")
CANCELLED = ("False", "Cancelled", 'PipelineRun "wfe" was cancelled')
FAILED = ("False", "Failed", "Tasks Completed: 2 (Failed: 1, Cancelled 0), Skipped: 0")


def virtual_now() -> datetime.datetime:
    """Wall time that goes with the loop's, so that a day passes in no time."""
    return builders.NOW + datetime.timedelta(seconds=asyncio.get_running_loop().time())


def stamp() -> str:
    """That time as the API writes it."""
    return times.stamp(virtual_now())


async def until(look: Callable[[], T | None], *, within_s: float = 60.0) -> T:
    """The first answer that is true, looked for in virtual time.

    Raises:
        TimeoutError: there was none in time.
    """
    async with asyncio.timeout(within_s):
        while not (found := look()):  # noqa: ASYNC110 - virtual time: looking costs nothing
            await asyncio.sleep(0.05)
    return found


def seconds_of(stamp: str) -> float:
    """A metav1.Time as loop time."""
    when = datetime.datetime.fromisoformat(stamp)
    return (when - builders.NOW).total_seconds()


OWN = {
    "controller.healthProbeAddr": "127.0.0.1:0",
    "controller.metricsAddr": "127.0.0.1:0",
    # Its acknowledgements are writes: who counts others asks for none.
    "audit.sink": "none",
}


def settings_of(**flags: Any) -> Settings:  # noqa: ANN401 - settings
    """The settings of a program under test: `controller__workers=2`."""
    return config.load(None, environ={}, flags=_wished(flags))


def _wished(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {**OWN, **{key.replace("__", "."): value for key, value in flags.items()}}


@contextlib.asynccontextmanager
async def running(program: app.App) -> AsyncIterator[None]:
    """Run a program, its services and all; a failure of it is the test's."""
    task = asyncio.create_task(program.run())
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class World:
    """What a test sees and does around the program."""

    def __init__(self, cluster: FakeCluster, folder: pathlib.Path) -> None:
        """Prepare the team's namespace."""
        self.cluster = cluster
        self._folder = folder
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}})

    @contextlib.asynccontextmanager
    async def controller(self, **flags: Any) -> AsyncIterator[None]:  # noqa: ANN401 - settings
        """Run the program, its services and all; a failure of it is the test's."""
        async with self.way() as way, self.program(way, **flags):
            yield

    @contextlib.asynccontextmanager
    async def way(
        self, now: Callable[[], datetime.datetime] = virtual_now
    ) -> AsyncIterator[app.Cluster]:
        """The program's way to the cluster, on a machine with this time."""
        server_clock = clock.ServerClock(now=now)
        api = client.Client(
            connection=await self.connect(),
            user_agent=identity.user_agent(_WHO),
            observe_date=server_clock.observe,
        )
        try:
            yield app.Cluster(api, server_clock, _WHO)
        finally:
            await api.close()

    @contextlib.asynccontextmanager
    async def program(self, way: app.Cluster, **flags: Any) -> AsyncIterator[None]:  # noqa: ANN401 - settings
        """Run the program on a way to the cluster that is there already."""
        async with running(app.App(settings_of(**flags), way)):
            yield

    @contextlib.asynccontextmanager
    async def following(self, file: pathlib.Path, **flags: Any) -> AsyncIterator[None]:  # noqa: ANN401 - settings
        """Run the program with the settings of a file, and whatever becomes of them."""
        source = config.Source(file, flags=_wished(flags), environ={})
        async with self.way() as way:
            made = app.App(source.load(), way, source=source)
            async with running(made):
                yield

    async def connect(self) -> connection.Connection:
        """The way to the cluster."""
        return await connection.connect(kubeconfig=str(self.kubeconfig()), environ={})

    def kubeconfig(self) -> pathlib.Path:
        """A file that names the way to the cluster."""
        return self.cluster.write_kubeconfig(self._folder / "kubeconfig")

    def ask(self, name: str = "restart-payment", **parts: Any) -> JsonObject:  # noqa: ANN401
        """Create an execution; the server sets its metadata."""
        raw = builders.raw_execution(name, **parts)
        given = (parts.get("metadata") or {}).items()
        raw["metadata"] = {"name": name, "namespace": TEAM, **dict(given)}
        return self.cluster.create(raw)

    def install_policies(self) -> None:
        """Apply what proves who clears; the fake cluster enforces nothing of it."""
        for file in ("policy.yaml", "binding.yaml"):
            self.cluster.create(yaml.safe_load((POLICIES / file).read_text(encoding="utf-8")))

    def clear(self, name: str = "restart-payment", *, by: str = "jane") -> None:
        """Clear an execution, as a person who has looked at its target."""
        given = {
            "clearedAt": stamp(),
            "clearedBy": by,
            "clearReason": "the target has been put right",
            "clearMethod": "StatusField",
        }
        patch = {"status": {"blockClearance": given}}
        self.cluster.patch(kinds.EXECUTIONS, TEAM, name, patch, subresource="status")

    def execution(self, name: str = "restart-payment") -> JsonObject | None:
        """The execution as it is stored."""
        return self.cluster.get(kinds.EXECUTIONS, TEAM, name)

    def run(self, name: str = RUN) -> JsonObject | None:
        """The run as it is stored."""
        return self.cluster.get(kinds.PIPELINE_RUNS, NAMESPACE, name)

    def told(self) -> str:
        """What the run has been told, empty while nothing."""
        said: str = ((self.run() or {}).get("spec") or {}).get("status", "")
        return said

    async def until_phase(self, phase: str, name: str = "restart-payment") -> JsonObject:
        """Wait for a phase; returns the status."""

        def look() -> JsonObject | None:
            status: JsonObject = (self.execution(name) or {}).get("status") or {}
            return status if status.get("phase") == phase else None

        return await until(look)

    def end_run(self, condition: tuple[str, str, str] = SUCCEEDED, **status: Any) -> None:  # noqa: ANN401
        """Play Tekton: the run's condition, and what else its status says."""
        ended = {} if condition[0] == "Unknown" else {"completionTime": stamp()}
        said = builders.raw_run(condition=condition, status={**ended, **status})["status"]
        patch = {"status": said}
        self.cluster.patch(kinds.PIPELINE_RUNS, NAMESPACE, RUN, patch, subresource="status")

    async def obey(self) -> str:
        """Play Tekton: end the run once it is told to, in order or not; returns how it was told."""
        how = await until(self.told)
        self.end_run(CANCELLED)
        return how

    def writes(self, resource: str = "", **match: Any) -> list[Request]:  # noqa: ANN401
        """What the program itself has written, refused writes included, but for its events."""
        written = self._written(resource, **match)
        return [it for it in written if it.call.resource != "events"]

    def deletions(self) -> list[Request]:
        """The deletions of runs that the program has asked for, refused ones included."""
        return [it for it in self.writes("pipelineruns") if it.call.verb == "delete"]

    def events(self) -> list[Request]:
        """The writes of Kubernetes events, refused ones included."""
        return self._written("events")

    def _written(self, resource: str, **match: Any) -> list[Request]:  # noqa: ANN401
        verbs = ("create", "update", "patch", "delete")
        return self.cluster.requests.matching(
            Match(verbs=verbs, resource=resource, agent=AGENT, **match)
        )

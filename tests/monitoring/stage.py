"""Where situations happen: the real program, a fake cluster, a simulated Tekton, in virtual time.

The program is scraped over HTTP as often as a Prometheus would, and an hour of it takes seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import pathlib
import tempfile
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import looptime

from tests.component import replicas, world
from tests.datastorage.server import DataStorage
from tests.fake.api import Api, Endpoint
from tests.fake.cluster import FakeCluster
from tests.fake.stage import Pace
from tests.fake.stage import Stage as Boards
from tests.fake.tekton import AGENT, PARAMETER, playing
from tests.monitoring import rules, series
from tests.support import prometheus
from tests.support.program import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from tests.datastorage.table import Row, Table

FIRST = "controller-0"
SCRAPE_S = 30
PACE = Pace(start_s=1.0, task_s=8.0, cancel_s=2.0, pod_s=1.0)


@dataclasses.dataclass(frozen=True, slots=True)
class Situation:
    """What happens, and for how long it is looked at.

    Attributes:
        about: in a sentence.
        story: makes it happen; it is ended with the recording.
        minutes: of virtual time that are recorded.
        pace: of the workflows.
        server_ahead_s: how far the API server's clock is ahead.
    """

    about: str
    story: Callable[[Stage], Awaitable[None]]
    minutes: int = 60
    pace: Pace = PACE
    server_ahead_s: float = 0.0


class Memory:
    """The table of the Data Storage without a database."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    async def insert(self, rows: Sequence[Row]) -> list[str]:
        """Store all rows."""
        self.rows += rows
        return [str(len(self.rows) - number) for number in range(len(rows))]

    async def query(
        self, asked: Mapping[str, str], *, limit: int, offset: int
    ) -> tuple[list[Row], int]:
        """A page of the rows that have what is asked for."""
        filters = {key: value for key, value in asked.items() if key not in {"limit", "offset"}}
        found = [
            row
            for row in self.rows
            if all(str(row.get(key)) == value for key, value in filters.items() if key in row)
        ]
        page = [{key: str(value) for key, value in row.items()} for row in found]
        return page[offset : offset + limit], len(found)


class Stage:
    """What a story does."""

    def __init__(self, here: world.World, storage: DataStorage) -> None:
        self.here = here
        self.cluster = here.cluster
        self.storage = storage
        self.ports: dict[str, int] = {}
        self._made = 0

    @contextlib.asynccontextmanager
    async def controller(self, name: str = FIRST, **flags: Any) -> AsyncIterator[None]:  # noqa: ANN401 - settings
        """Run a controller that elects nobody."""
        async with self.here.controller(**self._flags(name, flags)):
            yield

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[Callable[[str], object]]:
        """Run a controller that elects nobody; gives what writes its configuration file."""
        file = self.here.kubeconfig().with_name("config.yaml")
        file.touch()
        async with self.here.following(file, **self._flags(FIRST, {})):
            yield file.write_text

    @contextlib.asynccontextmanager
    async def replica(self, name: str, **flags: Any) -> AsyncIterator[replicas.Replica]:  # noqa: ANN401 - settings
        """Run a controller that acts while it leads."""
        async with replicas.replica(self.here, name, **self._flags(name, flags)) as running:
            yield running

    def ask(
        self,
        scenario: str = "full",
        *,
        target: str = "",
        workflow: str = "",
        **spec: Any,  # noqa: ANN401
    ) -> str:
        """Create an execution, on a target of its own where none is given; returns its name."""
        self._made += 1
        name = f"e-{self._made}"
        image = {"version": "1.0.0", "containerImage": "registry.example/w:1"}
        spec = {
            "targetResource": target or f"payment/deployment/{name}",
            "workflowRef": {"workflowId": workflow or "restart-deployment", **image},
            "parameters": {PARAMETER: scenario},
            **spec,
        }
        self.here.ask(name, spec=spec)
        return name

    async def ask_often(self, *scenarios: str, every_s: float = 30.0) -> None:
        """Ask for one after the other in turn, each on a target of its own, without end."""
        while True:
            for scenario in scenarios or ("full",):
                self.ask(scenario)
                await asyncio.sleep(every_s)

    def stall(self, for_s: float) -> None:
        """Let nothing happen for a while, as in a process that gets no processor."""
        loop = cast("looptime.LoopTimeEventLoop", asyncio.get_running_loop())
        loop.setup_looptime(start=loop.time() + for_s)

    async def scrape(self) -> dict[str, str | None]:
        """What each controller shows now."""
        async with aiohttp.ClientSession() as session:
            return {name: await _read(session, port) for name, port in self.ports.items()}

    def _flags(self, name: str, flags: dict[str, Any]) -> dict[str, Any]:
        port = self.ports.setdefault(name, free_port())
        return {
            "controller__metricsAddr": f"127.0.0.1:{port}",
            "controller__metricsAuth": False,
            "audit__sink": "http",
            "datastorage__url": self.storage.url,
            **flags,
        }


def record(situation: Situation) -> series.Recording:
    """Let a situation happen, and keep what the controllers show meanwhile."""
    loop = looptime.new_event_loop(start=0.0)
    with asyncio.Runner(loop_factory=lambda: loop) as runner, tempfile.TemporaryDirectory() as name:
        return runner.run(_play(situation, pathlib.Path(name)))


async def _play(situation: Situation, folder: pathlib.Path) -> series.Recording:
    ahead = datetime.timedelta(seconds=situation.server_ahead_s)

    def now() -> datetime.datetime:
        return world.virtual_now() + ahead

    tape = series.Tape(rules.metrics())
    async with (
        FakeCluster(now=now) as cluster,
        Api(Endpoint(cluster.url), agent=AGENT) as api,
        DataStorage(cast("Table", Memory())).running() as storage,
        asyncio.TaskGroup() as group,
    ):
        boards = Boards(api, pace=situation.pace, now=now, pods=True, logs=cluster.reviews.logs)
        stage = Stage(world.World(cluster, folder), storage)
        async with playing(boards, world.NAMESPACE):
            story = group.create_task(_told(situation, stage))
            for tick in range(situation.minutes * 60 // SCRAPE_S + 1):
                due = (tick + 1) * SCRAPE_S
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
                tape.add(await stage.scrape())
            story.cancel()
    return tape.recording(situation.about, SCRAPE_S)


async def _told(situation: Situation, stage: Stage) -> None:
    """Tell the story, and then let the world stand as it is."""
    await situation.story(stage)
    raise AssertionError("a story holds its controllers until it is cancelled")


async def _read(session: aiohttp.ClientSession, port: int) -> str | None:
    place = f"http://127.0.0.1:{port}/metrics"
    try:
        async with session.get(place, headers=prometheus.SCRAPES) as answer:
            return await answer.text() if answer.status == 200 else None
    except aiohttp.ClientError:
        return None

"""One run: the load, what is done to the store and the controllers, and what is left."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
import yaml

from tests.datastorage import postgres
from tests.datastorage.server import DataStorage
from tests.datastorage.table import Table, transitions
from tests.fake import kinds, scenarios
from tests.fake.api import Api, Endpoint
from tests.fake.stage import Pace, Stage
from tests.fake.tekton import AGENT, playing
from tests.outage import objects, place, replicas, witness
from tests.outage.schedule import FAULTS, KILLS, Act
from tests.support import executions, numbered
from workflowexecution.adapters import outbox

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from tests.outage.replicas import Replicas, Seen
    from tests.outage.schedule import Schedule
    from tests.outage.witness import Transitions, Witness
    from tests.stack.cluster import Stack
    from tests.support.kubectl import JsonObject

RUN_S = 2.0
DELETE_RUNNING_S, DELETE_ENDED_S = 1.0, 6.0
DELETE_EACH = 5
"""Each fifth is deleted: half of them while they run, half when they have ended."""
LOOK_EVERY_S = 2.0
DRAINED_S = 900.0


@dataclass(frozen=True)
class Course:
    """What a run has left.

    Attributes:
        size: how many executions there were.
        deleted: how many of them were deleted.
        rows: how often each transition stands in PostgreSQL.
        verified: exit code and last line of `audit verify` over an export of the table.
        outbox: how many records were in the outbox at most, when it was looked at.
        drained_s: from the end of the load until nothing was due.
    """

    schedule: Schedule
    size: int
    deleted: int
    witness: Witness
    rows: Transitions
    verified: tuple[int, str]
    outbox: int
    drained_s: float
    seen: Seen


def run(schedule: Schedule, folder: Path, say: Callable[[str], None]) -> Course:
    """Take one run, in a cluster and a PostgreSQL of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    with place.fresh(folder) as stack, postgres.running() as url:
        return asyncio.run(_run(schedule, stack, url, folder, say))


async def _run(
    schedule: Schedule, stack: Stack, url: str, folder: Path, say: Callable[[str], None]
) -> Course:
    endpoint = Endpoint(stack.server_url, stack.admin_token, str(stack.ca_file))
    async with _storage(url) as storage, Api(endpoint, agent="outage") as api:
        fleet = replicas.Replicas(api, schedule, folder, stack.kubeconfig, storage.url)
        stage = _Stage(schedule, storage, fleet, api, say)
        try:
            await fleet.start()
            await fleet.leader()
            await fleet.start()
            async with _tekton(endpoint), stage.looking():
                await stage.play()
                drained_s = await stage.until_drained()
            await fleet.look()
        finally:
            await fleet.end()
        rows = await storage.table.all()
        return Course(
            schedule=schedule,
            size=stage.size,
            deleted=stage.deleted,
            witness=witness.read(stack.audit_log),
            rows=transitions(rows),
            verified=await asyncio.to_thread(_verify, rows, fleet, stack, folder),
            outbox=stage.outbox,
            drained_s=drained_s,
            seen=fleet.seen,
        )


class _Stage:
    """Plays the schedule."""

    def __init__(
        self,
        schedule: Schedule,
        storage: DataStorage,
        fleet: Replicas,
        api: Api,
        say: Callable[[str], None],
    ) -> None:
        self._schedule = schedule
        self._storage = storage
        self._fleet = fleet
        self._api = api
        self._say = say
        self._loading = True
        self.size = 0
        self.deleted = 0
        self.outbox = 0
        self._in_outbox = 0

    @contextlib.asynccontextmanager
    async def looking(self) -> AsyncGenerator[None]:
        """Look at the controllers and the outbox all the time; who has ended is started again."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._look())
            try:
                yield
            finally:
                task.cancel()

    async def play(self) -> None:
        """Return when the load has ended and everybody has done what they had to."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._load(group))
            for at, act in self._schedule.acts:
                await asyncio.sleep(begin + at - loop.time())
                self._say(f"{loop.time() - begin:6.1f} s, {self.size} executions: {act.value}")
                if act in KILLS:
                    group.create_task(self._fleet.kill(act))
                elif act in FAULTS:
                    await self._strike(act)
                else:
                    self._loading = False

    async def until_drained(self) -> float:
        """Wait until nothing is due and the deleted are gone; returns the seconds it took."""
        begin = time.monotonic()
        async with asyncio.timeout(DRAINED_S):
            while not await self._is_drained():  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(1.0)
        took_s = time.monotonic() - begin
        self._say(f"drained after {took_s:.1f} s")
        return took_s

    async def _is_drained(self) -> bool:
        listed = await self._listed()
        if self._in_outbox != 0 or len(listed) != self.size - self.deleted:
            return False
        return all(executions.is_recorded(it) for it in listed)

    async def _listed(self) -> list[JsonObject]:
        await self._look_into_outbox()
        reply = await self._api.list(kinds.EXECUTIONS, objects.EXECUTIONS, resourceVersion="0")
        found: list[JsonObject] = reply.accept()["items"]
        return found

    async def _look_into_outbox(self) -> None:
        reply = await self._api.list(kinds.CONFIG_MAPS, objects.OWN)
        kept = [
            it.get("data") or {}
            for it in reply.accept()["items"]
            if it["metadata"]["name"].startswith(outbox.NAME)
        ]
        self._in_outbox = sum(len(it) for it in kept)
        self.outbox = max(self.outbox, self._in_outbox)

    async def _strike(self, act: Act) -> None:
        faults = self._storage.faults
        faults.before_s = self._schedule.slow_s if act is Act.SLOW_STORE else 0.0
        faults.broken_after = act is Act.BROKEN_STORE
        if act is Act.STOP_STORE:
            await self._storage.stop()
        elif act is Act.SLOW_STORE:
            await self._storage.start()

    async def _look(self) -> None:
        while True:
            await self._fleet.look()
            await self._look_into_outbox()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _load(self, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while self._loading:
            number = self.size
            await self._create(number)
            self.size += 1
            if number % DELETE_EACH == 0:
                late = number % (2 * DELETE_EACH) == 0
                after_s = DELETE_ENDED_S if late else DELETE_RUNNING_S
                group.create_task(self._delete(number, after_s))
            await asyncio.sleep(begin + self.size / self._schedule.rate - loop.time())

    async def _create(self, number: int) -> None:
        body = numbered.execution(number, objects.EXECUTIONS)
        (await self._api.create(kinds.EXECUTIONS, objects.EXECUTIONS, body)).accept()

    async def _delete(self, number: int, after_s: float) -> None:
        await asyncio.sleep(after_s)
        name = numbered.name(number)
        (await self._api.delete(kinds.EXECUTIONS, objects.EXECUTIONS, name)).accept()
        self.deleted += 1


@contextlib.asynccontextmanager
async def _storage(url: str) -> AsyncGenerator[DataStorage]:
    table = await Table.open(url)
    try:
        async with DataStorage(table).running() as running:
            yield running
    finally:
        await table.close()


@contextlib.asynccontextmanager
async def _tekton(endpoint: Endpoint) -> AsyncGenerator[None]:
    async with (
        Api(endpoint, agent=AGENT) as api,
        playing(Stage(api, Pace(task_s=RUN_S)), objects.RUNS, choose=lambda run: scenarios.PLAIN),
    ):
        yield


def _verify(rows: list[JsonObject], fleet: Replicas, stack: Stack, folder: Path) -> tuple[int, str]:
    """Run `audit verify` as a person would, over an export of the table."""
    export, config = folder / "export.jsonl", folder / "verify.yaml"
    export.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    config.write_text(yaml.safe_dump(fleet.settings))
    command = [sys.executable, "-m", "workflowexecution", "--config", str(config)]
    command += ["--kubeconfig", str(stack.kubeconfig), "audit", "verify", "--export", str(export)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    said = (done.stdout or done.stderr).strip().splitlines() or [""]
    return done.returncode, said[-1]

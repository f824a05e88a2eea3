"""A simulated Tekton: an API client that plays every PipelineRun of a namespace.

It works on the fake cluster and on a real kube-apiserver with Tekton's definitions. What a run
goes through is its scenario: by default the value of the run's parameter `SCENARIO`, which users
of the controller set as a parameter of their execution.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

import aiohttp

from tests.fake import kinds, scenarios
from tests.fake.api import Refused
from tests.fake.play import Play
from tests.fake.scenarios import Scenario
from tests.fake.stage import Stage
from tests.fake.statuses import JsonObject

PARAMETER = "SCENARIO"
AGENT = "simulated-tekton"
# Between two attempts to list while the API is away.
_ASK_AGAIN_S = 0.2

Choose = Callable[[JsonObject], Scenario]


def choose_by_parameter(default: Scenario = scenarios.FULL) -> Choose:
    """Return a choice by the run's parameter, with a default for runs without one."""

    def choose(run: JsonObject) -> Scenario:
        for each in run["spec"].get("params") or []:
            if each["name"] == PARAMETER:
                return scenarios.NAMED[each["value"]]
        return default

    return choose


class SimulatedTekton:
    """Plays the runs of one namespace, all at the same time.

    The user agent of the stage's client should be `AGENT`, so that faults can spare it.
    """

    def __init__(self, stage: Stage, namespace: str, *, choose: Choose | None = None) -> None:
        self._namespace = namespace
        self._choose = choose or choose_by_parameter()
        self._stage = stage
        self._plays: dict[str, tuple[Play, asyncio.Task[None]]] = {}

    @property
    def playing(self) -> int:
        """How many runs are being played now."""
        return sum(not task.done() for _, task in self._plays.values())

    async def run(self) -> None:
        """Play until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    await self._follow(group)
                except (Refused, aiohttp.ClientError):
                    await asyncio.sleep(_ASK_AGAIN_S)

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        """List, then watch until the watch ends.

        Raises:
            Refused: the API is not served.
        """
        api = self._stage.api
        listed = (await api.list(kinds.PIPELINE_RUNS, self._namespace)).accept()
        for run in listed["items"]:
            self._see(group, run)
        known = {run["metadata"]["uid"] for run in listed["items"]}
        for uid in self._plays.keys() - known:
            self._end(uid)
        version = listed["metadata"]["resourceVersion"]
        async with api.watch(
            kinds.PIPELINE_RUNS, self._namespace, resourceVersion=version
        ) as watch:
            async for event in watch:
                if event.type == "DELETED":
                    self._end(event.object["metadata"]["uid"])
                elif event.type in {"ADDED", "MODIFIED"}:
                    self._see(group, event.object)

    def _see(self, group: asyncio.TaskGroup, run: JsonObject) -> None:
        uid = run["metadata"]["uid"]
        if uid not in self._plays:
            if "status" in run or "deletionTimestamp" in run["metadata"]:
                return
            if "pipelineRef" not in run["spec"]:
                # Tekton's webhook refuses it; a test has put it there where there is no webhook.
                return
            play = Play(run=run, scenario=self._choose(run), stage=self._stage)
            self._plays[uid] = (play, group.create_task(play.perform()))
        self._plays[uid][0].order(run["spec"].get("status", ""))

    def _end(self, uid: str) -> None:
        found = self._plays.pop(uid, None)
        if found is not None:
            found[1].cancel()


@contextlib.asynccontextmanager
async def playing(
    stage: Stage, namespace: str, *, choose: Choose | None = None
) -> AsyncGenerator[SimulatedTekton]:
    """Let a simulated Tekton play the runs of a namespace for as long as the block lasts."""
    tekton = SimulatedTekton(stage, namespace, choose=choose)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(tekton.run())
        try:
            yield tekton
        finally:
            task.cancel()

"""The stage of `make demo`: the in-process cluster with a simulated Tekton, over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from tests.demo import story
from tests.fake import kinds
from tests.fake.api import Api, Endpoint
from tests.fake.cluster import FakeCluster
from tests.fake.paths import Match
from tests.fake.scenarios import End, Scenario, Task
from tests.fake.stage import Pace
from tests.fake.stage import Stage as TektonStage
from tests.fake.tekton import AGENT, playing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.demo.screen import Screen
    from tests.fake.statuses import JsonObject
    from tests.fake.tekton import SimulatedTekton

RUNS = "kubernaut-workflows"
DEADLINE_S = 30.0
LIMIT_S = 120.0
PACE = Pace(start_s=0.3, task_s=1.2)

_GOOD = Scenario(tasks=(Task("check"), Task("restart", log="restarting\nrolled out\n")))
_BAD = Scenario(
    tasks=(
        Task("check"),
        Task("drain", End.EXITS, exit_code=42, log="draining\nqueue is not empty\n"),
    )
)
_BUNDLES = {name: f"registry.example/workflows/{name}:1.0.0" for name in (story.GOOD, story.BAD)}


async def tell(screen: Screen, folder: Path) -> None:
    """Tell the story on a cluster inside this process.

    Raises:
        Unexpected: something is not as it should be.
    """
    screen.say("starting an API server in this process, and a simulated Tekton")
    try:
        async with asyncio.timeout(LIMIT_S), _cluster() as (cluster, tekton):
            kubeconfig = cluster.write_kubeconfig(folder / "kubeconfig")
            await story.tell(screen, story.Stage(kubeconfig, _BUNDLES, DEADLINE_S), folder)
            screen.say(f"the API server answered {cluster.requests.count()} requests")
            _check_nothing_runs(cluster, tekton)
    except ExceptionGroup as group:
        # The group of the simulated Tekton wraps what the story raises.
        unexpected = group.subgroup(story.Unexpected)
        if unexpected is None:
            raise
        raise story.Unexpected(str(unexpected.exceptions[0])) from group
    except TimeoutError as error:
        message = f"the story took longer than {LIMIT_S:.0f} s"
        raise story.Unexpected(message) from error


@contextlib.asynccontextmanager
async def _cluster() -> AsyncIterator[tuple[FakeCluster, SimulatedTekton]]:
    async with FakeCluster() as cluster:
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": story.TEAM}})
        async with Api(Endpoint(cluster.url), agent=AGENT) as api:
            stage = TektonStage(api, pace=PACE, logs=cluster.reviews.logs, pods=True)
            async with playing(stage, RUNS, choose=_choose) as tekton:
                yield cluster, tekton


def _check_nothing_runs(cluster: FakeCluster, tekton: SimulatedTekton) -> None:
    pods = [each["status"]["phase"] for each in cluster.items(kinds.PODS)]
    watches = cluster.faults.open_streams(Match(agent="workflowexecution/"))
    if tekton.playing or watches or set(pods) - {"Succeeded", "Failed"}:
        message = f"left behind: {tekton.playing} runs, {len(watches)} watches, pods {pods}"
        raise story.Unexpected(message)


def _choose(run: JsonObject) -> Scenario:
    params = {each["name"]: each["value"] for each in run["spec"]["pipelineRef"]["params"]}
    return _BAD if params["bundle"] == _BUNDLES[story.BAD] else _GOOD

"""The stage of `make demo`: the in-process cluster with a simulated Tekton, over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from tests.demo import story
from tests.fake import play, scenarios, tekton
from tests.fake.api import Api, Endpoint
from tests.fake.cluster import FakeCluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.demo.screen import Screen
    from tests.fake.statuses import JsonObject

NAMESPACE = "kubernaut-workflows"
DEADLINE_S = 40.0
PACE = play.Pace(start_s=0.4, task_s=2.5)

_CHECK = scenarios.Task("check")
_SCENARIOS = {
    story.GOOD: scenarios.Scenario(tasks=(_CHECK, scenarios.Task("restart"))),
    story.BAD: scenarios.Scenario(
        tasks=(_CHECK, scenarios.Task("drain", scenarios.End.EXITS, exit_code=42))
    ),
}


async def tell(screen: Screen, folder: Path) -> None:
    """Tell the story on a cluster that lives in this very process.

    Raises:
        story.Unexpected: it did not go as it is told.
    """
    async with FakeCluster() as cluster:
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": story.TEAM}})
        screen.say(f"an embedded cluster listens on {cluster.url}, with a simulated Tekton")
        kubeconfig = cluster.write_kubeconfig(folder / "kubeconfig")
        bundles = {name: f"registry.example/workflows/{name}:v1" for name in _SCENARIOS}
        async with _tekton(cluster):
            await story.tell(screen, story.Stage(kubeconfig, bundles, DEADLINE_S), folder)


@contextlib.asynccontextmanager
async def _tekton(cluster: FakeCluster) -> AsyncIterator[None]:
    """Play the runs meanwhile."""
    async with Api(Endpoint(cluster.url), agent=tekton.AGENT) as api:
        engine = tekton.SimulatedTekton(play.Stage(api, PACE), NAMESPACE, choose=_scenario_of)
        playing = asyncio.create_task(engine.run())
        try:
            yield
        finally:
            playing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await playing


def _scenario_of(run: JsonObject) -> scenarios.Scenario:
    return _SCENARIOS[run["metadata"]["labels"]["kubernaut.ai/workflow-id"]]

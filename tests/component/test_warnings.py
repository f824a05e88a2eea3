"""Early warnings: told in time however many have to be warned, and whatever else is written."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from tests import builders
from tests.component import world
from tests.fake import kinds
from tests.fake.paths import Match
from workflowexecution.adapters import podwarnings
from workflowexecution.api import names
from workflowexecution.domain import locking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.component.world import World
    from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime

MANY = 100
IN_TIME_S = 10.0
STARTING = "PodInitializing"
LOOKS = Match(verbs=("list",), resource="events")
GOING_ON = ("Unknown", "Running", "Not all Tasks in the Pipeline have finished executing")


def name_of(number: int) -> str:
    return f"many-{number}"


def run_of(number: int) -> str:
    return locking.run_name(f"payment/deployment/{name_of(number)}")


class Many:
    """Executions that run, each with one task whose image does not come."""

    def __init__(self, here: World) -> None:
        self.here = here

    async def start(self) -> None:
        for number in range(MANY):
            target = f"payment/deployment/{name_of(number)}"
            self.here.ask(name_of(number), spec={"targetResource": target})
        for number in range(MANY):
            await self.here.until_phase("Running", name_of(number))
            self.here.cluster.create(self.task(number))
            self.tell(number, STARTING)
            self.go_on(number, 0)

    def task(self, number: int) -> JsonObject:
        """The TaskRun of a run."""
        raw = builders.raw_task("restart")
        run = self.here.run(run_of(number)) or {}
        owner = self.here.execution(name_of(number)) or {}
        raw["metadata"]["name"] = f"{run_of(number)}-restart"
        raw["metadata"]["labels"] |= {
            "tekton.dev/pipelineRunUID": run["metadata"]["uid"],
            names.LABEL_EXECUTION_UID: owner["metadata"]["uid"],
        }
        return raw

    def tell(self, number: int, why: str) -> None:
        """Play Tekton: the task's only step waits."""
        at = world.stamp()
        step = {**builders.step(ran=False), "waiting": {"reason": why}}
        said = {"startTime": at, "podName": f"{run_of(number)}-pod", "steps": [step]}
        place = kinds.TASK_RUNS, world.NAMESPACE, f"{run_of(number)}-restart"
        self.here.cluster.patch(*place, {"status": said}, subresource="status")

    def go_on(self, number: int, turn: int) -> None:
        """Play Tekton: the run says something else, so that there is progress to write."""
        said = builders.raw_run(condition=(*GOING_ON[:2], f"{GOING_ON[2]} ({turn})"))["status"]
        place = kinds.PIPELINE_RUNS, world.NAMESPACE, run_of(number)
        self.here.cluster.patch(*place, {"status": said}, subresource="status")

    def warned(self) -> int:
        """How many have been warned of."""
        found = [self.here.execution(name_of(number)) or {} for number in range(MANY)]
        return sum(_is_warned(it.get("status") or {}) for it in found)

    def mount_fails(self, number: int) -> None:
        """Play the kubelet: a volume of the task's pod does not come."""
        pod = f"{run_of(number)}-pod"
        told = {
            "metadata": {"name": f"{pod}.mount", "namespace": world.NAMESPACE},
            "involvedObject": {"kind": "Pod", "name": pod, "namespace": world.NAMESPACE},
            "reason": "FailedMount",
            "message": 'configmap "none" not found',
            "type": "Warning",
        }
        self.here.cluster.create({"apiVersion": "v1", "kind": "Event", **told})

    async def until_warned(self) -> float:
        """Seconds until all are warned of, while their runs go on saying things."""
        loop = asyncio.get_running_loop()
        since, turn = loop.time(), 0
        while self.warned() < MANY and loop.time() - since <= IN_TIME_S:
            turn += 1
            for number in range(MANY):
                self.go_on(number, turn)
            await asyncio.sleep(2.0)
        return loop.time() - since


def _is_warned(said: dict[str, Any]) -> bool:
    answers = {it["type"]: it["status"] for it in said.get("conditions") or ()}
    return answers.get("PodsHealthy") == "False"


@contextlib.asynccontextmanager
async def many_of(here: World) -> AsyncIterator[Many]:
    """All of them, with nothing to warn of yet."""
    many = Many(here)
    async with here.controller():
        await many.start()
        await asyncio.sleep(3.0)
        assert many.warned() == 0
        yield many


async def test_all_of_many_are_warned_of_in_time_when_the_registry_fails(here: World) -> None:
    async with many_of(here) as many:
        for number in range(MANY):
            many.tell(number, "ErrImagePull")
        assert await many.until_warned() <= IN_TIME_S
        assert many.warned() == MANY


async def test_all_of_many_are_warned_of_in_time_by_events_alone(here: World) -> None:
    """Nothing of the tasks changes: the events are looked at, and few times for all of them."""
    async with many_of(here) as many:
        for number in range(MANY):
            many.mount_fails(number)
        before = here.cluster.requests.count(LOOKS)
        assert await many.until_warned() <= IN_TIME_S
        assert many.warned() == MANY
        looks = here.cluster.requests.count(LOOKS) - before
        assert looks <= 2 * (IN_TIME_S / podwarnings.PAUSE_S + 1)

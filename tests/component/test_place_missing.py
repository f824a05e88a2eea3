"""The namespace of the runs, or the role in it, is missing when the controller starts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests import builders
from tests.component import world
from tests.fake import faults, kinds
from tests.fake.paths import Match
from tests.support import executions
from tests.support.program import free_port

if TYPE_CHECKING:
    from tests.component.world import World

pytestmark = pytest.mark.looptime

GIVE_UP_S = 600.0
BACK_S = 70.0
"""The longest back-off, and a little."""
REFUSED = faults.Answer(403, '{"kind":"Status","reason":"Forbidden","code":403}')
BROKEN = faults.Answer(500, '{"kind":"Status","message":"conversion webhook failed","code":500}')
RUNS = "pipelineruns"
MADE = Match(verbs=("create",), resource=RUNS, agent=world.AGENT)
BAD = {"workflowRef": {"workflowId": "w", "version": "1", "containerImage": "bad image"}}


def refuse(here: World, *resources: str, answer: faults.Answer = REFUSED) -> None:
    for resource in resources:
        here.cluster.faults.add(answer, Match(resource=resource, agent=world.AGENT), times=None)


def on(target: str) -> dict[str, Any]:
    return {"targetResource": f"payment/deployment/{target}"}


def is_in(here: World, name: str, phase: str) -> bool:
    return executions.phase(here.execution(name) or {}) == phase


def waits(here: World, name: str, phase: str) -> bool:
    """Whether it says that it waits for the engine, in that phase."""
    told = executions.answer(here.execution(name) or {}, "EngineAvailable")
    return is_in(here, name, phase) and told == "False"


async def readiness(port: int) -> tuple[int, str]:
    """What the probe is answered, and what it says of the engine."""
    url = f"http://127.0.0.1:{port}/readyz"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        checks: dict[str, str] = (await answer.json())["checks"]
        return answer.status, checks["engine"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(REFUSED, "has no role in it", id="403"),
        pytest.param(BROKEN, "have not been listed yet", id="500"),
    ],
)
async def test_what_needs_no_run_goes_on_and_the_rest_when_runs_can_be_listed(
    here: World, answer: faults.Answer, said: str
) -> None:
    async with here.controller():
        for name in ("works", "deleted"):
            here.ask(name, spec=on(name))
            await here.until_phase("Running", name)
    refuse(here, RUNS, "taskruns", answer=answer)
    port = free_port()
    async with here.controller(controller__healthProbeAddr=f"127.0.0.1:{port}"):
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "deleted")
        here.ask("new", spec=on("new"))
        here.ask("bad", spec={**on("bad"), **BAD})
        await world.until(lambda: is_in(here, "bad", "Failed"), within_s=BACK_S)
        await world.until(lambda: waits(here, "new", "Pending"))
        await world.until(lambda: waits(here, "works", "Running"))
        await asyncio.sleep(GIVE_UP_S + BACK_S)
        assert here.execution("deleted") is None
        status, why = await readiness(port)
        assert (status, said in why) == (503, True)
        before = here.cluster.requests.count(MADE)
        here.cluster.faults.heal()
        await world.until(lambda: before < here.cluster.requests.count(MADE), within_s=BACK_S)
        await here.until_phase("Running", "new")
        await world.until(lambda: not waits(here, "works", "Running"))
        assert await readiness(port) == (200, "ok")
    assert here.cluster.requests.count(MADE) == before + 1


async def test_run_of_a_former_life_is_taken_on_when_the_role_is_there(here: World) -> None:
    status = Match(verbs=("patch",), subresource="status", agent=world.AGENT)
    here.cluster.faults.add(faults.Drop(), status, times=None)
    async with here.controller():
        here.ask()
        await world.until(here.run)
    here.cluster.faults.heal()
    refuse(here, RUNS, "taskruns")
    # By the new settings it would be refused.
    async with here.controller(execution__allowedBundles=["other.example/"]):
        await world.until(lambda: waits(here, "restart-payment", "Pending"))
        here.cluster.faults.heal()
        await here.until_phase("Running")
    assert here.cluster.requests.count(MADE) == 1


async def test_running_execution_says_no_less_when_only_its_tasks_cannot_be_listed(
    here: World,
) -> None:
    def told() -> list[str]:
        said = (here.execution() or {}).get("status") or {}
        return [it["name"] for it in said.get("taskRuns") or ()]

    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        owner, run = here.execution() or {}, here.run() or {}
        task = builders.raw_task("restart", steps=[builders.step(running=True)])
        task["metadata"]["labels"] = {
            **task["metadata"]["labels"],
            "tekton.dev/pipelineRunUID": run["metadata"]["uid"],
            "kubernaut.ai/workflow-execution-uid": owner["metadata"]["uid"],
        }
        here.cluster.create(task)
        here.end_run(("Unknown", "Running", ""), childReferences=[builders.child()])
        await world.until(told)
    before = told()
    refuse(here, "taskruns")
    async with here.controller():
        await world.until(lambda: waits(here, "restart-payment", "Running"))
        assert told() == before
        here.cluster.faults.heal()
        await world.until(lambda: not waits(here, "restart-payment", "Running"))
        assert told() == before

"""Which executions a program serves, and with how many workers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.component import world
from tests.fake.paths import Match

if TYPE_CHECKING:
    from tests.component.world import World

pytestmark = pytest.mark.looptime

OTHERS = "others"
CREATE_RUN = Match(verbs=("create",), resource="pipelineruns", agent=world.AGENT)


async def test_execution_of_another_namespace_is_left_alone(here: World) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OTHERS}}
    here.cluster.create(namespace)
    async with here.controller(controller__watchNamespace=world.TEAM):
        here.ask("foreign", metadata={"namespace": OTHERS})
        here.ask("own", spec={"targetResource": "payment/deployment/own"})
        await here.until_phase("Running", "own")
        await asyncio.sleep(60)
    assert {it.call.name for it in here.writes("workflowexecutions")} == {"own"}
    assert here.cluster.requests.count(CREATE_RUN) == 1


@pytest.mark.parametrize("workers", [1, 3])
async def test_no_more_executions_are_worked_on_at_once_than_there_are_workers(
    here: World, workers: int
) -> None:
    held = here.cluster.faults.hold(CREATE_RUN)
    async with here.controller(controller__workers=workers):
        for number in range(workers + 1):
            target = {"targetResource": f"payment/deployment/{number}"}
            here.ask(f"e-{number}", spec=target)
        await held.reached.wait()
        await asyncio.sleep(3)
        assert here.cluster.requests.count(CREATE_RUN) == workers
        held.release()
        await world.until(lambda: here.cluster.requests.count(CREATE_RUN) == workers + 1)

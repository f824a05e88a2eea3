"""`execution.namespace` is changed while a run works: it is neither lost nor given away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.component import hands, pasts, world
from tests.fake import faults, kinds
from tests.fake.paths import Match
from tests.support import executions
from workflowexecution.api import names

if TYPE_CHECKING:
    from tests.component.world import World

pytestmark = pytest.mark.looptime

NAME = "restart-payment"
ANOTHER = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "another"}}
MAY_BE = (
    f"A run of it may have been made in namespace '{world.NAMESPACE}', which is not looked into: "
    "execution.namespace is 'another'"
)
STATUSES = Match(
    verbs=("patch",), resource="workflowexecutions", subresource="status", agent=world.AGENT
)
MADE = Match(verbs=("create",), resource="pipelineruns", agent=world.AGENT)


async def test_nothing_is_said_to_be_gone_and_nothing_starts_beside_it(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        run = here.run() or {}
        hands.Hands(here.cluster).begin(run)
    async with here.controller(execution__namespace="another"):
        await asyncio.sleep(60)
        status = (here.execution() or {})["status"]
        assert status["phase"] == "Running"
        assert executions.condition_in(status, "EngineAvailable")["status"] == "False"
        here.ask("second", spec=pasts.spec(pasts.OTHER))
        skipped = await here.until_phase("Skipped", "second")
        assert skipped["skipDetails"]["conflictingWorkflow"]["name"] == NAME
    async with here.controller():
        hands.Hands(here.cluster).end(run, hands.SUCCEEDED)
        status = await here.until_phase("Completed")
    assert here.cluster.requests.count(MADE) == 1


@pytest.mark.parametrize("cancelled", [False, True], ids=["wanted", "cancelled"])
async def test_run_of_which_no_status_tells_is_not_made_twice(
    here: World, *, cancelled: bool
) -> None:
    async with here.controller():
        here.cluster.faults.add(faults.Drop(), STATUSES, times=None)
        here.ask()
        await world.until(lambda: here.run() is not None)
        run = here.run() or {}
        hands.Hands(here.cluster).begin(run)
        await asyncio.sleep(3)
    here.cluster.faults.heal()
    here.cluster.create(ANOTHER)
    if cancelled:
        cancel = {"requestedBy": "ann", "reason": "wrong target"}
        here.cluster.patch(kinds.EXECUTIONS, world.TEAM, NAME, {"spec": {"cancel": cancel}})
    async with here.controller(execution__namespace="another"):
        await asyncio.sleep(60)
        status = (here.execution() or {})["status"]
        assert status["phase"] == "Pending"
        said = executions.condition_in(status, "EngineAvailable")
        assert (said["status"], said["message"]) == ("False", MAY_BE)
        here.ask("second", spec=pasts.spec(pasts.OTHER))
        skipped = await here.until_phase("Skipped", "second")
        assert skipped["skipDetails"]["conflictingWorkflow"]["name"] == NAME
    assert here.cluster.requests.count(MADE) == 1
    async with here.controller():
        await here.until_phase("Running")
        hands.Hands(here.cluster).end(run, hands.CANCELLED if cancelled else hands.SUCCEEDED)
        await here.until_phase("Failed" if cancelled else "Completed")
    assert here.cluster.requests.count(MADE) == 1


async def test_deleted_one_is_given_up_and_holds_its_target_until_then(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
    async with here.controller(execution__namespace="another"):
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, NAME)
        await here.until_phase("Failed")
        here.ask("second", spec=pasts.spec(pasts.OTHER))
        await here.until_phase("Skipped", "second")
        await asyncio.sleep(500)
        assert names.FINALIZER in (here.execution() or {})["metadata"]["finalizers"]
        await world.until(lambda: here.execution() is None, within_s=300)
    assert here.run() is not None
    assert here.deletions() == []

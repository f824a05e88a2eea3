"""Who holds a target, and how those are answered who come second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.component import hands, pasts, world
from tests.component.pasts import OTHER
from tests.fake import faults, kinds
from tests.fake.paths import Match
from tests.support import executions

if TYPE_CHECKING:
    from tests.component.world import World
    from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime

CREATE = Match(verbs=("create",), resource="pipelineruns")
LIMIT_S = 30 * 60 + 120
"""The default timeout of a run and the grace that follows it."""


def foreign_run(**metadata: object) -> JsonObject:
    """A run of the target's name that somebody else has made."""
    where = {"name": world.RUN, "namespace": world.NAMESPACE, **metadata}
    return {
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": where,
        "spec": {"timeouts": {"pipeline": "30m0s"}},
    }  # fmt: skip


async def start(here: World, name: str, workflow: str = pasts.WORKFLOW) -> JsonObject:
    here.ask(name, spec=pasts.spec(workflow))
    return await here.until_phase("Running", name)


@pytest.mark.requirement("BR-WE-009", "Prevent parallel execution on same target resource")
@pytest.mark.requirement("BR-WE-011", "Target resource identification for locking")
@pytest.mark.parametrize(
    "target",
    [builders.TARGET, "payment/Deployment/payment-api", "payment/DEPLOYMENT/payment-api"],
)
async def test_second_execution_is_skipped_when_the_first_runs_in_any_spelling(
    here: World, target: str
) -> None:
    async with here.controller():
        holder = await start(here, "holder")
        here.ask("second", spec=pasts.spec(OTHER, target))
        status = await here.until_phase("Skipped", "second")
    until = world.seconds_of(holder["startTime"]) + LIMIT_S
    details = status["skipDetails"]
    assert details == {
        "reason": "ResourceBusy",
        "message": (
            f"Target {target} is held by payment/holder through PipelineRun "
            f"kubernaut-workflows/{world.RUN} since {holder['startTime']}"
        ),
        "skippedAt": details["skippedAt"],
        "conflictingWorkflow": {
            "name": "holder", "workflowId": pasts.WORKFLOW, "startedAt": holder["startTime"],
            "targetResource": builders.TARGET,
        },
        "retryAt": builders.stamp(until),
    }  # fmt: skip
    locked = executions.condition_in(status, "ResourceLocked")
    assert (locked["status"], locked["reason"]) == ("True", "TargetResourceBusy")
    assert locked["message"] == status["message"] == details["message"]
    assert len(here.writes("pipelineruns")) == 1
    assert len(here.writes("workflowexecutions", name="second", subresource="status")) == 1


async def test_execution_of_another_target_is_not_held_up(here: World) -> None:
    async with here.controller():
        await start(here, "holder")
        here.ask("second", spec=pasts.spec(target="payment/statefulset/payment-api"))
        await here.until_phase("Running", "second")


async def test_skipped_is_said_once_and_for_all(here: World) -> None:
    async with here.controller():
        await start(here, "holder")
        here.ask("second", spec=pasts.spec())
        first = await here.until_phase("Skipped", "second")
        here.end_run()
        await here.until_phase("Completed", "holder")
        await asyncio.sleep(1300)
    assert (here.execution("second") or {})["status"] == first
    assert len(here.writes("workflowexecutions", name="second", subresource="status")) == 1


@pytest.mark.parametrize(
    "ended", [pytest.param(False, id="live"), pytest.param(True, id="finished")]
)
async def test_run_without_our_labels_holds_its_target(here: World, *, ended: bool) -> None:
    here.cluster.create(foreign_run())
    if ended:
        here.end_run()
    async with here.controller():
        here.ask("new", spec=pasts.spec())
        status = await here.until_phase("Skipped", "new")
        await asyncio.sleep(120)
    assert status["skipDetails"]["reason"] == "ResourceBusy"
    assert "held by an unknown owner" in status["message"]
    assert "retryAt" not in status["skipDetails"]
    assert here.run() is not None


async def test_older_goes_first_when_two_are_asked_for_in_one_second(here: World) -> None:
    names = ["b", "a", "c"]
    made = {name: here.ask(name, spec=pasts.spec(OTHER)) for name in names}
    oldest, *others = sorted(names, key=lambda name: made[name]["metadata"]["uid"])
    async with here.controller():
        await here.until_phase("Running", oldest)
        for name in others:
            status = await here.until_phase("Skipped", name)
            assert status["skipDetails"]["conflictingWorkflow"]["name"] == oldest
    assert len(here.writes("pipelineruns")) == 1


async def test_younger_starts_after_five_seconds_when_the_older_says_nothing(here: World) -> None:
    held = faults.Hold()
    patch = Match(verbs=("patch",), resource="workflowexecutions", name="older")
    here.cluster.faults.add(held, patch, times=None)
    async with here.controller():
        here.ask("older", spec=pasts.spec())
        await asyncio.sleep(2)
        here.ask("younger", spec=pasts.spec())
        await here.until_phase("Running", "younger")
        (made,) = here.writes("pipelineruns")
        assert 7.0 <= made.at < 7.5
        held.release()
        status = await here.until_phase("Skipped", "older")
    assert status["skipDetails"]["conflictingWorkflow"]["name"] == "younger"
    assert len([it for it in here.writes("pipelineruns") if it.status == 201]) == 1


async def test_younger_is_not_held_up_when_the_create_of_the_older_fails(here: World) -> None:
    failing = here.cluster.faults.add(faults.bad_gateway(), CREATE, times=None)
    async with here.controller():
        here.ask("older", spec=pasts.spec())
        await here.until_phase("Pending", "older")
        await asyncio.sleep(10)
        failing.left = 0
        asked_at = asyncio.get_running_loop().time()
        here.ask("younger", spec=pasts.spec())
        await here.until_phase("Running", "younger")
        made = [it for it in here.writes("pipelineruns") if it.status == 201]
        assert made[0].at - asked_at < 1
        status = await world.until(
            lambda: (here.execution("older") or {})["status"].get("skipDetails"), within_s=400
        )
    assert status["conflictingWorkflow"]["name"] == "younger"


async def test_younger_is_not_held_up_when_the_older_is_cancelled(here: World) -> None:
    async with here.controller(execution__suspend=True):
        here.ask("older", spec=pasts.spec())
        here.ask("younger", spec=pasts.spec())
        await here.until_phase("Pending", "younger")
    asked = {"spec": {"cancel": {"requestedBy": "jane", "reason": "no"}}}
    here.cluster.patch(kinds.EXECUTIONS, world.TEAM, "older", asked)
    async with here.controller():
        await here.until_phase("Running", "younger")
        assert (await here.until_phase("Failed", "older"))["outcome"] == "Cancelled"


async def test_nothing_starts_while_the_server_does_not_say_who_holds_the_target(
    here: World,
) -> None:
    pasts.leave(here, "bad", pasts.failed(ran=True), ago_s=60)
    listing = Match(verbs=("list",), resource="workflowexecutions")
    async with here.controller():
        here.cluster.faults.add(faults.bad_gateway(), listing, times=6)
        here.ask("new", spec=pasts.spec())
        await asyncio.sleep(1)
        assert "status" not in (here.execution("new") or {})
        status = await here.until_phase("Skipped", "new")
    assert status["skipDetails"]["reason"] == "PreviousExecutionFailed"
    assert here.writes("pipelineruns") == []


async def test_witness_sees_an_overlap_when_there_is_one(here: World) -> None:
    witness = hands.Witness(here.cluster)
    async with here.controller():
        await start(here, "one")
        hands.Hands(here.cluster).begin(here.run() or {}, stubborn=True)
        here.cluster.delete(
            kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN, propagation="Background"
        )
        assert witness.overlaps == []
        here.cluster.create(foreign_run())
    assert len(witness.overlaps) == 1

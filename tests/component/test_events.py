"""Kubernetes events that the program writes, and what they cost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.component import world
from tests.fake import faults, kinds, statuses
from tests.fake.paths import Match

if TYPE_CHECKING:
    from tests.component.world import World

pytestmark = pytest.mark.looptime

CREATE_EVENT = Match(verbs=("create",), resource="events")
CREATE_RUN = Match(verbs=("create",), resource="pipelineruns")


def events(here: World) -> dict[str, dict[str, Any]]:
    """The stored events, by reason."""
    return {it["reason"]: it for it in here.cluster.items(kinds.EVENTS, world.TEAM)}


async def until_told(here: World, *reasons: str) -> None:
    await world.until(lambda: set(events(here)) == set(reasons) or None)


@pytest.mark.requirement("BR-WF-005", "Events emitted for all phase transitions")
@pytest.mark.requirement("BR-WF-005", "Events correlatable via remediation_id")
@pytest.mark.requirement("BR-WF-005", "Event details include workflow_id, outcome, duration")
async def test_execution_that_completes_has_an_event_for_each_phase(here: World) -> None:
    async with here.controller():
        here.ask()
        await until_told(here, "PipelineRunCreated")
        await asyncio.sleep(3)
        here.end_run()
        await until_told(here, "PipelineRunCreated", "WorkflowCompleted")
        await asyncio.sleep(3600)
    status = (here.execution() or {})["status"]
    message = events(here)["WorkflowCompleted"]["message"]
    assert "restart-deployment" in message
    assert f"after {status['duration']}" in message
    assert "outcome Success" in message
    assert "RemediationRequest payment/rr-1" in message
    released = events(here)["LockReleased"]
    for fact in (
        "restart-deployment",
        f"outcome Success after {status['duration']}",
        "PipelineRun",
    ):
        assert fact in released["message"]
    assert released["related"] == events(here)["WorkflowCompleted"]["related"]
    assert [it.call.verb for it in here.events()] == ["create"] * 3


async def test_execution_that_fails_or_is_skipped_says_so(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.ask("second")
        await here.until_phase("Skipped", "second")
        await until_told(here, "PipelineRunCreated", "Skipped")
        here.end_run(world.FAILED)
        await until_told(here, "PipelineRunCreated", "Skipped", "WorkflowFailed")
    assert events(here)["WorkflowFailed"]["type"] == "Warning"
    assert events(here)["Skipped"]["involvedObject"]["name"] == "second"


async def test_execution_that_goes_says_so(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        await here.obey()
        await until_told(here, "PipelineRunCreated", "WorkflowFailed", "WorkflowExecutionDeleted")
    deleted = events(here)["WorkflowExecutionDeleted"]
    assert "outcome Cancelled after" in deleted["message"]
    assert "RemediationRequest payment/rr-1" in deleted["message"]
    assert deleted["related"] == {"namespace": "payment", "name": "rr-1"}


async def test_execution_that_fails_to_start_for_an_hour_has_few_events(here: World) -> None:
    here.cluster.faults.add(faults.bad_gateway(), CREATE_RUN, times=None)
    async with here.controller(limits__createRetryFor="2h"):
        here.ask()
        await asyncio.sleep(3600)
        assert here.cluster.requests.count(CREATE_RUN) > 50
    assert len(here.events()) <= 10


async def test_restart_doubles_no_event(here: World) -> None:
    async with here.controller():
        here.ask()
        await until_told(here, "PipelineRunCreated")
    async with here.controller():
        here.end_run()
        await until_told(here, "PipelineRunCreated", "WorkflowCompleted")
    async with here.controller():
        await asyncio.sleep(100)
    assert len(here.events()) == 2


async def test_answer_that_was_lost_doubles_no_event(here: World) -> None:
    here.cluster.faults.add(faults.ApplyThenDrop(), CREATE_EVENT)
    async with here.controller():
        here.ask()
        await world.until(lambda: len(here.events()) == 2)
        await asyncio.sleep(100)
    assert len(here.events()) == 2
    assert events(here)["PipelineRunCreated"]["count"] == 1


@pytest.mark.parametrize(
    "fault",
    [faults.refused(statuses.StatusError(403, "Forbidden", "no")), faults.Hold()],
    ids=["forbidden", "silent"],
)
async def test_execution_goes_on_when_events_cannot_be_written(
    here: World, fault: faults.Effect
) -> None:
    here.cluster.faults.add(fault, CREATE_EVENT, times=None)
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.end_run()
        await here.until_phase("Completed")
    assert len(here.writes()) == 4


async def test_events_give_way_to_executions_that_wait_for_a_worker(here: World) -> None:
    here.cluster.faults.add(faults.Delay(0.2), CREATE_RUN, times=None)
    async with here.controller(controller__workers=1):
        for number in range(4):
            here.ask(f"e-{number}", spec={"targetResource": f"payment/deployment/{number}"})
        await world.until(lambda: len(here.events()) == 4)
    last = max(it.at for it in here.writes("pipelineruns"))
    assert last <= min(it.at for it in here.events())

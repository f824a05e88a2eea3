"""Kubernetes events, as a real API server takes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.fake import kinds
from tests.integration import tekton
from tests.integration.world import COLLECTED_S

if TYPE_CHECKING:
    from tests.fake.api import Endpoint
    from tests.integration.audit import AuditLog
    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject, World

LIMIT_S = 15.0


async def told(world: World, name: str, *reasons: str) -> dict[str, JsonObject]:
    """Wait for the events of an execution; returns them by reason."""
    found: dict[str, JsonObject] = {}
    about = f"involvedObject.name={name}"
    async with (
        asyncio.timeout(LIMIT_S),
        world.api.watch(
            kinds.EVENTS, world.namespace, fieldSelector=about, resourceVersion="0"
        ) as watch,
    ):
        while set(found) != set(reasons):
            event = (await anext(watch)).object
            found[event["reason"]] = event
    return found


@pytest.mark.requirement("BR-WF-005", "Events emitted for all phase transitions")
@pytest.mark.requirement("WE-PRACTICE", "Emit Kubernetes events for visibility")
@pytest.mark.requirement("BR-WF-005", "Events correlatable via remediation_id")
@pytest.mark.requirement("BR-WF-005", "Event details include workflow_id, outcome, duration")
async def test_each_phase_is_one_event_though_the_controller_restarts(
    controllers: Controllers, audit: AuditLog
) -> None:
    world = controllers.world
    async with controllers.running() as first:
        execution = await world.create(world.execution("told"))
        status = await world.phase("told", "Running")
        # What is still to be written is written before the end.
        assert await asyncio.to_thread(first.stop) == 0
    await told(world, "told", "PipelineRunCreated")
    async with controllers.running() as second:
        run = await world.play(status)
        await run.end()
        status = await world.phase("told", "Completed")
        found = await told(world, "told", "PipelineRunCreated", "WorkflowCompleted")
        assert await asyncio.to_thread(second.stop) == 0
    completed = found["WorkflowCompleted"]
    spec = execution["spec"]
    assert completed["involvedObject"]["uid"] == execution["metadata"]["uid"]
    assert completed["source"]["component"] == "workflowexecution-controller"
    assert completed["related"]["name"] == spec["remediationRequestRef"]["name"]
    for part in (
        spec["workflowRef"]["workflowId"],
        "outcome Success",
        f"after {status['duration']}",
        spec["remediationRequestRef"]["name"],
    ):
        assert part in completed["message"]
    for program in (first, second):
        await audit.expect_events(program, ["create events"], world.namespace)


async def test_event_of_a_refused_execution_is_a_warning(controllers: Controllers) -> None:
    world = controllers.world
    async with controllers.running():
        await world.create(world.execution("refused", parameters={"TARGET_RESOURCE": "x"}))
        await world.phase("refused", "Failed")
        found = await told(world, "refused", "WorkflowFailed")
    assert found["WorkflowFailed"]["type"] == "Warning"
    assert "pre-execution failure: ConfigurationError" in found["WorkflowFailed"]["message"]


async def test_executions_of_a_namespace_on_its_way_out_end_all_the_same(
    controllers: Controllers, endpoint: Endpoint
) -> None:
    world = controllers.world
    async with tekton.playing(endpoint, world.runs), controllers.running() as program:
        await world.create(world.execution("leaves"))
        await world.phase("leaves", "Running")
        await world.api.delete(kinds.NAMESPACES, "", world.namespace)
        await world.until_gone("leaves", deadline_s=COLLECTED_S)
        assert program.process.poll() is None
    dropped = [it for it in program.log.read_text().splitlines() if "Events dropped" in it]
    # The first one, and those that followed by the stop.
    assert 1 <= len(dropped) <= 2

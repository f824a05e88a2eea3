"""A target is never free, and nobody is told "cancelled", while something of its run works."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.integration.audit import by

if TYPE_CHECKING:
    from tests.integration.audit import AuditLog
    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject, World

CANCEL = {"spec": {"cancel": {"requestedBy": "admin", "reason": "to see it cancelled"}}}
CANCELLED = ("False", "Cancelled", 'PipelineRun "it" was cancelled')
LONG_ENOUGH_S = 3.0
DELETE = "delete pipelineruns"


def is_stopping(run: JsonObject) -> bool:
    """Whether a run was told to end."""
    return str(run["spec"].get("status", "")).startswith("Cancelled")


async def told_to_end(world: World, status: JsonObject) -> None:
    """Wait until the run of an execution was told to end."""
    async with asyncio.timeout(15):
        while not is_stopping(await world.run_of(status)):  # noqa: ASYNC110 - a few looks
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("started", [False, True], ids=["nothing-started", "task-works"])
async def test_cancelled_is_said_and_the_lock_freed_only_when_the_last_pod_has_ended(
    controllers: Controllers, audit: AuditLog, *, started: bool
) -> None:
    world = controllers.world
    target = f"{world.namespace}/deployment/held"
    async with controllers.running() as program:
        await world.create(world.execution("held", targetResource=target))
        status = await world.phase("held", "Running")
        run = await world.play(status, "restart")
        labels = {"tekton.dev/pipelineRunUID": status["pipelineRunRef"]["uid"]}
        async with world.pod(run.name, labels) as set_phase:
            if started:
                await run.start_task("restart")
            (await world.change("held", CANCEL)).accept()
            await told_to_end(world, status)
            if started:
                await run.end_task("restart", exit_code=143)
            # Tekton says that it is done; a container does not hear it.
            await run.end(CANCELLED)
            await world.until("held", lambda it: "pipelineRunStatus" in it["status"])
            await world.create(world.execution("next", targetResource=target))
            skipped = await world.phase("next", "Skipped")
            assert skipped["skipDetails"]["reason"] == "ResourceBusy"
            await asyncio.sleep(LONG_ENOUGH_S)
            assert (await world.read("held"))["status"]["phase"] == "Running"
            assert [it for it in by(program, audit.requests()) if it.kind == DELETE] == []
            await set_phase("Failed")
            ended = await world.phase("held", "Failed", deadline_s=30)
    assert ended["outcome"] == "Cancelled"


async def test_execution_that_waits_is_cancelled_and_starts_nothing(
    controllers: Controllers, audit: AuditLog
) -> None:
    world = controllers.world
    async with controllers.running(execution={"suspend": True}) as program:
        await world.create(world.execution("waits"))
        await world.phase("waits", "Pending")
        (await world.change("waits", CANCEL)).accept()
        assert (await world.phase("waits", "Failed"))["outcome"] == "Cancelled"
        kinds = {it.kind for it in by(program, audit.requests())}
    assert "create pipelineruns" not in kinds

"""A create that reaches the server long after its sender has gone: it starts nothing again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.fake import kinds
from tests.integration.audit import LINE_S, LOOK_EVERY_S
from tests.integration.world import COLLECTED_S, until, until_gone
from tests.proxy import calls
from tests.proxy.rules import Point

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject, Place, World
    from tests.proxy.rules import Hold
    from tests.support.program import Program

NAME = "late"
STOPPED = "Run of an execution that is over is stopped"
ORPHANED = "Run without an execution is stopped"
# A run of nobody is looked for every 30 s, once it is 30 s old.
SWEPT_S = 75.0


@contextlib.asynccontextmanager
async def stranded(controllers: Controllers) -> AsyncIterator[tuple[Hold, JsonObject]]:
    """An execution whose create is under way still, while its sender was killed."""
    async with controllers.proxy() as proxy:
        hold = proxy.hold(calls.creates("pipelineruns"), Point.BEFORE)
        async with controllers.running(by_way_of=proxy) as first:
            made = await controllers.world.create(controllers.world.execution(NAME))
            await hold.wait()
            first.kill()
        yield hold, made


async def completed(world: World) -> Place:
    """Let the run end well; returns where it is kept."""
    status = await world.phase(NAME, "Running")
    await (await world.play(status)).end()
    await world.phase(NAME, "Completed")
    return kinds.PIPELINE_RUNS, world.runs, status["pipelineRunRef"]["name"]


async def remove(world: World, run: Place) -> None:
    """Delete a kept run, and let its execution know."""
    (await world.api.delete(*run)).accept()
    await until_gone(world.api, run, deadline_s=COLLECTED_S)
    await world.until(NAME, lambda it: "finalizers" not in it["metadata"])


async def stopped(world: World, run: Place, cause: str, *, deadline_s: float = 15.0) -> None:
    """Wait until somebody has told the run to end, at once and for this cause."""
    found = await until(
        world.api, run, lambda it: it["spec"].get("status") == "Cancelled", deadline_s=deadline_s
    )
    assert found["metadata"]["annotations"]["kubernaut.ai/cancel-cause"] == cause


def said(program: Program, event: str) -> list[Any]:
    """The lines of a program's log that tell of an event."""
    # The last one may be half written.
    whole, _, _ = program.log.read_text().rpartition("\n")
    lines = [json.loads(line) for line in whole.splitlines()]
    return [line for line in lines if line["event"] == event]


async def told_once(program: Program, event: str) -> None:
    """Assert that the program tells of an event, once; its effect may be seen before its line."""
    deadline = asyncio.get_running_loop().time() + LINE_S
    while not said(program, event):
        assert asyncio.get_running_loop().time() < deadline, program.tail()
        await asyncio.sleep(LOOK_EVERY_S)
    assert len(said(program, event)) == 1


async def test_late_create_meets_the_kept_run_when_its_execution_has_ended(
    controllers: Controllers,
) -> None:
    world = controllers.world
    async with stranded(controllers) as (hold, made), controllers.running() as second:
        run = await completed(world)
        kept = (await world.api.get(*run)).accept()
        hold.release()
        assert await hold.wait_answered() == 409
        await world.stays(NAME, for_s=1.0)
        assert await world.runs_of(made["metadata"]["uid"]) == [kept]
        assert said(second, STOPPED) == []


async def test_late_run_is_adopted_when_nothing_else_has_happened(
    controllers: Controllers,
) -> None:
    world = controllers.world
    async with stranded(controllers) as (hold, made):
        hold.release()
        assert await hold.wait_answered() == 201
        async with controllers.running():
            status = await world.phase(NAME, "Running")
            (run,) = await world.runs_of(made["metadata"]["uid"])
            assert status["pipelineRunRef"]["uid"] == run["metadata"]["uid"]
            await completed(world)


async def test_late_run_is_stopped_once_when_the_kept_run_was_removed(
    controllers: Controllers,
) -> None:
    world = controllers.world
    async with stranded(controllers) as (hold, _), controllers.running() as second:
        run = await completed(world)
        await remove(world, run)
        before = await world.read(NAME)
        hold.release()
        assert await hold.wait_answered() == 201
        await stopped(world, run, "late")
        await (await world.play(before["status"])).end(("False", "Cancelled", "was cancelled"))
        await world.stays(NAME, for_s=1.0)
        assert await world.read(NAME) == before
        await told_once(second, STOPPED)


async def test_late_create_finds_no_place_when_the_next_execution_has_evicted_the_kept_run(
    controllers: Controllers,
) -> None:
    world = controllers.world
    execution = {"cooldownPeriod": "0s"}
    async with stranded(controllers) as (hold, made), controllers.running(execution=execution):
        await completed(world)
        target = made["spec"]["targetResource"]
        await world.create(world.execution("next", targetResource=target))
        status = await world.phase("next", "Running", deadline_s=COLLECTED_S)
        hold.release()
        assert await hold.wait_answered() == 409
        assert await world.runs_of(made["metadata"]["uid"]) == []
        await (await world.play(status)).end()
        await world.phase("next", "Completed")


async def test_late_run_is_stopped_when_its_execution_was_cancelled_before_it(
    controllers: Controllers,
) -> None:
    world = controllers.world
    cancel = {"requestedBy": "admin", "reason": "the wrong target"}
    async with stranded(controllers) as (hold, made):
        (await world.change(NAME, {"spec": {"cancel": cancel}})).accept()
        async with controllers.running() as second:
            assert (await world.phase(NAME, "Failed"))["outcome"] == "Cancelled"
            hold.release()
            assert await hold.wait_answered() == 201
            (run,) = await world.runs_of(made["metadata"]["uid"])
            place = kinds.PIPELINE_RUNS, world.runs, run["metadata"]["name"]
            await stopped(world, place, "late")
            await told_once(second, STOPPED)


@pytest.mark.long
async def test_late_run_is_swept_away_when_its_execution_was_deleted(
    controllers: Controllers,
) -> None:
    world = controllers.world
    execution = {"runRetention": "0s"}
    async with (
        stranded(controllers) as (hold, _),
        controllers.running(execution=execution) as second,
    ):
        run = await completed(world)
        status = (await world.read(NAME))["status"]
        (await world.api.delete(kinds.EXECUTIONS, world.namespace, NAME)).accept()
        await world.until_gone(NAME, deadline_s=COLLECTED_S)
        assert (await world.api.get(*run)).status == 404
        hold.release()
        assert await hold.wait_answered() == 201
        await stopped(world, run, "orphan", deadline_s=SWEPT_S)
        await told_once(second, ORPHANED)
        await (await world.play(status)).end(("False", "Cancelled", "was cancelled"))
        await until_gone(world.api, run, deadline_s=SWEPT_S)

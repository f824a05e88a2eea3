"""Nothing is lost and nothing done twice, whatever becomes of requests and answers.

By the apiserver's audit log: what was done, and how often.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.fake import kinds
from tests.integration import leaders
from tests.integration.audit import CREATE, by
from tests.integration.leaders import Leaders, Took
from tests.integration.world import COLLECTED_S, until_gone
from tests.proxy.rules import Point

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.audit import AuditLog
    from tests.integration.controllers import Controllers
    from tests.integration.world import World
    from tests.proxy.calls import Call
    from tests.stack.cluster import Stack
    from tests.support.program import Program

# What is promised to a machine that does not stall: three seconds are between two tries.
BACK_S = 12.0
PATIENCE_S = 60.0
LONG_AWAY_S = 60.0
"""Whose server is away for longer plays one turn."""
WAITING = 20
UNHEARD = WAITING // 2
"""The program cannot have heard of so many before its server is killed."""
WRITES = {
    "create leases",
    "patch leases",
    "patch workflowexecutions",
    "create pipelineruns",
    "patch workflowexecutions/status",
    "patch pipelineruns",
    "delete pipelineruns",
    "create events",
    "patch events",
}


def first_of_each_write() -> Callable[[Call], bool]:
    """The first write of each kind: by its verb, its resource and what it says."""
    met: set[tuple[str, ...]] = set()

    def fits(call: Call) -> bool:
        if call.method == "GET" or "review" in call.path:
            return False
        says = str(sorted(call.body.get("metadata", {}))), str(call.body.get("spec", {}))[:40]
        phase = str(call.body.get("status", {}).get("phase", ""))
        place = call.path.rpartition("/namespaces/")[2].split("/")[1::2]
        # What changes from renewal to renewal says nothing of the kind.
        kind = (
            (call.method, *place) if "/leases" in call.path else (call.method, *place, *says, phase)
        )
        if kind in met:
            return False
        met.add(kind)
        return True

    return fits


async def until_told_to_end(world: World, name: str) -> None:
    """Wait until a run is to be cancelled."""

    def is_told(run: dict[str, object]) -> bool:
        spec = run["spec"]
        return isinstance(spec, dict) and bool(spec.get("status"))

    place = kinds.PIPELINE_RUNS, world.runs, name
    async with asyncio.timeout(30):
        while not is_told((await world.api.get(*place)).accept()):  # noqa: ASYNC110 - few looks
            await asyncio.sleep(0.1)


async def test_all_ends_as_ever_when_the_first_answer_to_each_write_is_lost(
    controllers: Controllers, audit: AuditLog
) -> None:
    elected = Leaders(controllers)
    world = elected.world
    async with elected.controllers.proxy() as proxy:
        proxy.fail(first_of_each_write(), 0, Point.AFTER, times=None)
        async with elected.replica(proxy) as program:
            for name in ("completes", "cancelled"):
                await world.create(world.execution(name))
            runs = {
                name: await world.play(await world.phase(name, "Running", deadline_s=30))
                for name in ("completes", "cancelled")
            }
            await runs["completes"].end()
            cancel = {"requestedBy": "admin", "reason": "to see it cancelled"}
            (await world.change("cancelled", {"spec": {"cancel": cancel}})).accept()
            await until_told_to_end(world, runs["cancelled"].name)
            await runs["cancelled"].end(("False", "Cancelled", "cancelled"))
            await world.phase("completes", "Completed", deadline_s=30)
            assert (await world.phase("cancelled", "Failed", deadline_s=30))[
                "outcome"
            ] == "Cancelled"
            place = kinds.EXECUTIONS, world.namespace, "completes"
            (await world.api.delete(*place)).accept()
            await until_gone(world.api, place, deadline_s=COLLECTED_S)
            assert program.process.poll() is None
            await check(audit, program)


async def check(audit: AuditLog, program: Program) -> None:
    """One run for each execution; every kind of write was among what lost its answer."""
    asked = await audit.until_asked(program, WRITES - {"patch events", "create events"})
    done = [it for it in asked if it.code < 300]
    created = [it.name for it in done if it.kind == "create pipelineruns"]
    assert len(created) == len(set(created)) == 2
    assert len([it for it in done if it.kind == "delete pipelineruns"]) <= 2


@pytest.mark.parametrize(
    "away_s",
    [
        pytest.param(13.0, id="shortly"),
        pytest.param(600.0, id="ten-minutes", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
async def test_nothing_is_lost_and_all_goes_on_soon_when_the_server_was_away(
    controllers: Controllers, stack: Stack, audit: AuditLog, away_s: float
) -> None:
    async def play(turn: int) -> list[Took]:
        return [await away_and_back(controllers, stack, audit, away_s, turn)]

    if away_s > LONG_AWAY_S:
        (took,) = await play(0)
        assert took.seconds < took.promised_s
    else:
        await Leaders(controllers).in_time(play)


async def away_and_back(
    controllers: Controllers, stack: Stack, audit: AuditLog, away_s: float, turn: int
) -> Took:
    """The server is killed with work to do, and comes back; how long until all of it goes on."""
    world = controllers.world
    before, names = f"before-{turn}", [f"w-{turn}-{number:02}" for number in range(WAITING)]
    async with controllers.running() as program:
        await world.create(world.execution(before))
        run = await world.play(await world.phase(before, "Running"))
        await asyncio.gather(*(world.create(world.execution(it)) for it in names[UNHEARD:]))
        # It is in the midst of these, or done with them; the others are left to do.
        program.freeze()
        await asyncio.gather(*(world.create(world.execution(it)) for it in names[:UNHEARD]))
        await asyncio.to_thread(stack.kill, "kube-apiserver")
        killed_at = leaders.now()
        program.thaw()
        try:
            await away(program, away_s)
        finally:
            await asyncio.to_thread(stack.start, "kube-apiserver")
            await Leaders(controllers).served()
        back_at = time.monotonic()
        await run.end()
        await world.phase(before, "Completed", deadline_s=PATIENCE_S)
        await asyncio.gather(*(world.phase(it, "Running", deadline_s=PATIENCE_S) for it in names))
        took_s = time.monotonic() - back_at
        assert await asyncio.to_thread(program.wait_probe, "/readyz", 200, deadline_s=PATIENCE_S)
        made = [it for it in by(program, audit.requests()) if it.kind == CREATE]
    await Leaders(controllers).one_run_each(audit, log_is_whole=False)
    assert len([it for it in made if it.at > killed_at and it.code == 201]) >= UNHEARD
    created = [it.name for it in made]
    # A server that is killed takes the last lines of its log along, but what it did is done.
    assert len(set(created)) == len(created) <= WAITING + 1
    runs = (await world.api.list(kinds.PIPELINE_RUNS, world.runs)).accept()["items"]
    assert len(runs) == (WAITING + 1) * (turn + 1)
    return Took(took_s, BACK_S)


async def away(program: Program, seconds: float) -> None:
    """Let time pass without a server; the program is alive and says that it is not ready."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.sleep(1)
        assert program.process.poll() is None
        assert (await asyncio.to_thread(program.probe, "/healthz"))[0] == 200
    body = await asyncio.to_thread(program.wait_probe, "/readyz", 503)
    assert "the API server has not answered" in body

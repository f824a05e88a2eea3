"""One trace for each execution, through a crash and a failover, as a collector gets it."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from tests.integration import trail
from tests.integration.leaders import Leaders
from tests.support import otlp
from tests.support.otlp import Collector

if TYPE_CHECKING:
    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject
    from tests.support.otlp import Span

ARRIVES_S = 20.0
LIFE = {
    "execution": {otlp.ROOT},
    "pending": {"execution"},
    "running": {"execution"},
    "PATCH workflowexecutions": {"reconcile"},
    "POST pipelineruns": {"reconcile"},
    "PATCH workflowexecutions/status": {"reconcile"},
    "audit created": {"execution"},
    "audit started": {"execution"},
    "audit completed": {"execution"},
}


async def arrived(collector: Collector, *names: str) -> None:
    """Wait until there are spans of these names; they come a second after they are told."""
    wanted = set(names)
    await trail.until(lambda: {it.name for it in collector.spans} >= wanted, deadline_s=ARRIVES_S)


async def begun(collector: Collector) -> None:
    """Wait until all spans of a start are there; with nothing said of its run, no more follow.

    What ends before its parent may be sent before it.
    """
    await arrived(collector, "pending", "PATCH workflowexecutions/status", "audit started")
    requests = {name for name, of in LIFE.items() if of == {"reconcile"}}

    def complete() -> bool:
        parents = otlp.parents(collector.spans)
        return all(parents.get(it) == {"reconcile"} for it in requests)

    await trail.until(complete, deadline_s=ARRIVES_S)


def sender_of(collector: Collector, name: str) -> str:
    (found,) = {it.sender for it in collector.spans if it.name == name}
    return found


def check(spans: list[Span], made: JsonObject) -> None:
    """One trace, of this execution; each span belongs to what it is part of."""
    assert {it.trace for it in spans} == {uuid.UUID(made["metadata"]["uid"]).hex}
    found = otlp.parents(spans)
    work = found.pop("reconcile")
    assert {"pending", "running"} <= work <= {"pending", "running", "execution"}
    assert {name: found.get(name) for name in LIFE} == LIFE
    ids = {it.span for it in spans}
    assert all(it.parent in ids for it in spans if it.name != "execution")
    remediation = made["spec"]["remediationRequestRef"]["name"]
    assert {it.attributes["kubernaut.correlation_id"] for it in spans} == {remediation}
    assert all(it.started_ns <= it.ended_ns for it in spans)


def sections(collector: Collector) -> dict[str, Any]:
    return {"tracing": {"endpoint": collector.url}, "audit": {"sink": "log"}}


async def test_execution_is_one_trace_though_its_controller_crashes(
    controllers: Controllers,
) -> None:
    world = controllers.world
    async with Collector().running() as collector:
        async with controllers.running(**sections(collector)) as first:
            made = await world.create(world.execution("traced"))
            await world.phase("traced", "Running")
            await begun(collector)
            first.kill()
        async with controllers.running(**sections(collector)) as second:
            run = await world.play((await world.read("traced"))["status"])
            await run.end()
            status = await world.phase("traced", "Completed")
            await arrived(collector, *LIFE)
            assert await asyncio.to_thread(second.stop) == 0
    check(collector.spans, made)
    (running,) = {it.span for it in collector.spans if it.name == "running"}
    assert otlp.traceparent_of(await world.run_of(status))[1] == running
    assert sender_of(collector, "pending") != sender_of(collector, "execution")


async def test_execution_is_one_trace_though_another_leads_at_its_end(
    controllers: Controllers,
) -> None:
    world, elected = controllers.world, Leaders(controllers)
    async with Collector().running() as collector:
        lease = {"controller": elected.settings(), **sections(collector)}
        async with controllers.running(**lease) as first, controllers.running(**lease) as second:
            holder = await elected.leader()
            leading, other = (first, second) if first.is_called(holder) else (second, first)
            made = await world.create(world.execution("moved"))
            status = await world.phase("moved", "Running")
            await begun(collector)
            leading.kill()
            await (await world.play(status)).end()
            await world.phase("moved", "Completed", deadline_s=30)
            await arrived(collector, *LIFE)
            heir = await elected.leader(leading)
            assert other.is_called(heir)
    check(collector.spans, made)
    assert sender_of(collector, "pending") == holder
    assert sender_of(collector, "execution") == heir


async def test_secrets_are_not_in_traces_and_stop_sends_what_is_there(
    controllers: Controllers,
) -> None:
    world = controllers.world
    async with (
        Collector().running() as collector,
        controllers.running(**sections(collector)) as program,
    ):
        await world.create(world.execution("secret", parameters={"DB_PASSWORD": "hunter2"}))
        run = await world.play(await world.phase("secret", "Running"))
        await run.end(("False", "Failed", "cannot log in: password=hunter2 is wrong"))
        await world.phase("secret", "Failed")
        # Sooner than spans are gathered.
        assert await asyncio.to_thread(program.stop) == 0
    (whole,) = [it for it in collector.spans if it.name == "execution"]
    assert whole.failed
    assert whole.said == "cannot log in: password=***REDACTED*** is wrong"
    assert b"hunter2" not in collector.raw

"""Traces of the whole program, as a collector gets them."""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.component import world
from tests.fake import faults, kinds
from tests.fake.paths import Match
from tests.support import otlp
from tests.support.otlp import Collector
from workflowexecution import app
from workflowexecution.domain import tracecontext
from workflowexecution.runtime import client, clock
from workflowexecution.wiring import tracing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.component.world import World
    from tests.fake.statuses import JsonObject
    from tests.support.otlp import Span

pytestmark = pytest.mark.looptime

ANNOTATION = tracecontext.ANNOTATION


@contextlib.asynccontextmanager
async def traced(
    here: World,
    collector: Collector,
    identity: str = "one",
    **flags: Any,  # noqa: ANN401 - settings
) -> AsyncIterator[None]:
    """Run the program with tracing on."""
    flags = {"tracing__endpoint": collector.url, "audit__sink": "log", **flags}
    settings = world.settings_of(**flags)
    server_clock = clock.ServerClock(now=world.virtual_now)
    traces = tracing.prepare(settings.tracing, identity=identity, clock=server_clock)
    api = client.Client(
        connection=await here.connect(),
        user_agent=f"workflowexecution/{identity}",
        observe_date=server_clock.observe,
        trace_configs=traces.requests,
    )
    program = app.App(settings, app.Cluster(api, server_clock, identity), traces=traces)
    try:
        async with world.running(program):
            yield
    finally:
        await api.close()


async def ended(collector: Collector) -> None:
    await world.until(lambda: [it for it in collector.spans if it.name == "execution"])


def trace_of(execution: JsonObject) -> str:
    return uuid.UUID(execution["metadata"]["uid"]).hex


async def test_execution_is_one_trace_from_its_creation_to_its_audit(here: World) -> None:
    async with Collector().running() as collector, traced(here, collector):
        made = here.ask()
        await here.until_phase("Running")
        here.end_run()
        await here.until_phase("Completed")
        await ended(collector)
        await world.until(lambda: [it for it in collector.spans if it.name == "audit completed"])
    assert {it.trace for it in collector.spans} == {trace_of(made)}
    assert otlp.parents(collector.spans) == {
        "execution": {otlp.ROOT},
        "pending": {"execution"},
        "running": {"execution"},
        "reconcile": {"pending", "running", "execution"},
        "PATCH workflowexecutions": {"reconcile"},
        "POST pipelineruns": {"reconcile"},
        "PATCH workflowexecutions/status": {"reconcile"},
        "audit created": {"execution"},
        "audit started": {"execution"},
        "audit completed": {"execution"},
    }
    about = {it.attributes["kubernaut.correlation_id"] for it in collector.spans}
    assert about == {made["spec"]["remediationRequestRef"]["name"]}


async def test_run_carries_the_span_it_belongs_to(here: World) -> None:
    async with Collector().running() as collector, traced(here, collector):
        made = here.ask()
        await here.until_phase("Running")
        run = here.run() or {}
        here.end_run()
        await ended(collector)
    (running,) = [it for it in collector.spans if it.name == "running"]
    assert otlp.traceparent_of(run) == (trace_of(made), running.span, "01")


async def test_requests_carry_their_span_to_the_server(here: World) -> None:
    async with Collector().running() as collector, traced(here, collector):
        here.ask()
        await here.until_phase("Running")
        here.end_run()
        await ended(collector)
    (create,) = [it for it in collector.spans if it.name == "POST pipelineruns"]
    (seen,) = here.writes("pipelineruns")
    assert seen.traceparent == f"00-{create.trace}-{create.span}-01"
    assert create.attributes["http.response.status_code"] == 201
    assert create.attributes["url.path"].endswith("/pipelineruns")


async def test_nothing_is_told_of_reconciles_that_ask_for_nothing(here: World) -> None:
    async with Collector().running() as collector, traced(here, collector):
        here.ask()
        await here.until_phase("Running")
        # What Tekton says now changes nothing, and wakes the execution all the same.
        run = here.run() or {}
        for number in range(20):
            mark = {"metadata": {"annotations": {"tick": str(number)}}}
            here.cluster.patch(kinds.PIPELINE_RUNS, world.NAMESPACE, run["metadata"]["name"], mark)
            await world.until(lambda: True)
        here.end_run()
        await ended(collector)
    work = [it for it in collector.spans if it.name == "reconcile"]
    assert 2 <= len(work) <= 4
    assert all(it.attributes["kubernaut.requests"] > 0 for it in work)
    assert all(it.span in {other.parent for other in collector.spans} for it in work)


async def test_failure_shows_in_the_spans_of_what_failed(here: World) -> None:
    refusal = Match(verbs=("create",), resource="pipelineruns", agent=world.AGENT)
    here.cluster.faults.add(faults.bad_gateway(), refusal)
    here.cluster.faults.add(faults.Drop(), refusal)
    async with Collector().running() as collector, traced(here, collector):
        here.ask()
        await here.until_phase("Running")
        here.end_run(world.FAILED)
        await ended(collector)
    failed = [it for it in collector.spans if it.failed]
    # Whether a create without an answer took effect is asked for, and the run is not there.
    requests = {"POST pipelineruns", "GET pipelineruns"}
    assert {it.name for it in failed} == {"execution", "running", "reconcile", *requests}
    said = [it.said for it in failed if it.name == "POST pipelineruns"]
    assert "502" in said
    assert any("isconnected" in it or "reset" in it for it in said)


async def test_trace_goes_on_when_the_program_is_started_again(here: World) -> None:
    async with Collector().running() as collector:
        async with traced(here, collector, "one"):
            made = here.ask()
            await world.until(lambda: otlp.parents(collector.spans).get("pending"))
        async with traced(here, collector, "two"):
            here.end_run()
            await here.until_phase("Completed")
            await ended(collector)
    assert {it.trace for it in collector.spans} == {trace_of(made)}
    senders = {name: sender_of(collector.spans, name) for name in ("pending", "execution")}
    assert senders == {"pending": "one", "execution": "two"}
    assert otlp.parents(collector.spans)["reconcile"] >= {"pending", "running"}


def sender_of(spans: list[Span], name: str) -> str:
    (found,) = {it.sender for it in spans if it.name == name}
    return found


async def test_execution_outside_the_sample_leaves_no_span(here: World) -> None:
    async with Collector().running() as collector:
        async with traced(here, collector, tracing__ratio="0"):
            here.ask()
            await here.until_phase("Running")
            here.end_run()
            await here.until_phase("Completed")
        assert collector.requests == 0
    assert otlp.traceparent_of(here.run() or {})[2] == "00"
    (create,) = here.writes("pipelineruns")
    assert create.traceparent == ""


async def test_executions_wait_for_no_collector(here: World) -> None:
    nowhere = Collector(port=1)
    async with traced(here, nowhere):
        here.ask()
        await here.until_phase("Running")
        here.end_run()
        await here.until_phase("Completed")
    assert world.seconds_of((here.execution() or {})["status"]["completionTime"]) < 10


async def test_without_an_endpoint_nothing_of_it_is_there(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
    assert ANNOTATION not in (here.run() or {})["metadata"]["annotations"]
    (create,) = here.writes("pipelineruns")
    assert create.traceparent == ""

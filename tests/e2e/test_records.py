"""What an execution leaves behind on a real cluster: events, audit rows, metrics, a trace."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.datastorage import postgres
from tests.datastorage.server import DataStorage
from tests.datastorage.table import Table
from tests.integration.test_metrics import read
from tests.support import otlp, place, program, workflows
from tests.support.workflows import Task

if TYPE_CHECKING:
    from pathlib import Path

requirement = pytest.mark.requirement

RECORDED = '{.status.conditions[?(@.type=="AuditRecorded")].status}'
REASONS = {
    "ok": {"PipelineRunCreated", "WorkflowCompleted"},
    "bad": {"PipelineRunCreated", "WorkflowFailed"},
    "late": {"Skipped"},
}


def play(where: place.Place) -> None:
    """One that succeeds, one that fails, and one that is skipped for it."""
    names = {"ok": "recorded-ok", "bad": "recorded-bad", "late": "recorded-late"}
    good = workflows.push(where, "recorded-good", Task("works", "echo fine"))
    bad = workflows.push(where, "recorded-exits", Task("breaks", "exit 3"))
    target = f"{place.TEAM}/deployment/recorded"
    for key, pushed, phase in (("ok", good, "Completed"), ("bad", bad, "Failed")):
        own = {"targetResource": f"{target}-{key}"}
        where.kubectl.apply(workflows.execution(names[key], pushed, **own))
        where.kubectl.wait(f"wfe/{names[key]}", place.TEAM, ".status.phase", phase, deadline_s=120)
    where.kubectl.apply(workflows.execution(names["late"], good, targetResource=f"{target}-bad"))
    for name in names.values():
        where.kubectl.wait(f"wfe/{name}", place.TEAM, RECORDED[1:-1], "True", deadline_s=60)


def events_of(where: place.Place, name: str) -> list[Any]:
    query = f"involvedObject.name={name}"
    found = where.kubectl(
        "get", "events", "-n", place.TEAM, "--field-selector", query, "-o", "json"
    )
    items: list[Any] = json.loads(found)["items"]
    return items


@requirement("BR-WF-005", "Events emitted for all phase transitions")
@requirement("BR-WF-005", "Audit records written to Data Storage")
@requirement("BR-WF-005", "Events correlatable via remediation_id")
@requirement("BR-WF-005", "Event details include workflow_id, outcome, duration")
@requirement("WE-PRACTICE", "Emit Kubernetes events for visibility")
@requirement("WE-PRACTICE", "Write audit trail for all executions (including Skipped)")
async def test_executions_leave_events_records_metrics_and_a_trace(
    where: place.Place, tmp_path: Path
) -> None:
    port = program.free_port()
    with postgres.running() as url:
        table = await Table.open(url)
        async with DataStorage(table).running() as storage, otlp.Collector().running() as collector:
            running = program.running(
                tmp_path,
                where.kubectl.kubeconfig,
                controller={"metricsAddr": f"127.0.0.1:{port}", "metricsAuth": False},
                datastorage={"url": storage.url},
                tracing={"endpoint": collector.url},
            )
            await asyncio.to_thread(running.__enter__)
            try:
                await asyncio.to_thread(play, where)
                metrics = (await asyncio.to_thread(read, port))[1]
            finally:
                await asyncio.to_thread(running.__exit__, None, None, None)
            rows = await table.all()
        await table.close()
    check_rows(rows)
    for key, reasons in REASONS.items():
        check_events(where, f"recorded-{key}", reasons)
    assert 'workflowexecution_total{outcome="Failed",workflow_id="' in metrics
    run = where.kubectl.get("wfe", "recorded-ok", place.TEAM)
    trace = run["metadata"]["uid"].replace("-", "")
    assert {"execution", "running", "POST pipelineruns"} <= {it.name for it in collector.of(trace)}
    # Tekton has taken the run's place in the trace over.
    made = where.kubectl.get(
        "pipelinerun", run["status"]["pipelineRunRef"]["name"], place.NAMESPACE
    )
    assert made["status"]["spanContext"]["traceparent"].split("-")[1] == trace


def check_rows(rows: list[dict[str, Any]]) -> None:
    found = {(it["resource_id"], it["event_type"].rpartition(".")[2]) for it in rows}
    assert len(rows) == len(found)
    assert found == {
        *(("recorded-ok", it) for it in ("created", "started", "completed")),
        *(("recorded-bad", it) for it in ("created", "started", "failed")),
        *(("recorded-late", it) for it in ("created", "skipped")),
    }
    for row in rows:
        assert row["correlation_id"] == row["event_data"]["remediation_id"]
        assert row["event_data"]["workflow_id"]


def check_events(where: place.Place, name: str, reasons: set[str]) -> None:
    execution = where.kubectl.get("wfe", name, place.TEAM)
    remediation = execution["spec"]["remediationRequestRef"]["name"]
    found = events_of(where, name)
    assert reasons <= {it["reason"] for it in found}
    for event in found:
        assert event["related"]["name"] == remediation
        assert execution["spec"]["workflowRef"]["workflowId"] in event["message"]

"""What workflows that real Tekton runs leave in a Data Storage over a real PostgreSQL."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.support import place, processes, program, workflows
from tests.support.workflows import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kubectl import JsonObject

READY_S = 60.0
RECORDED = '.status.conditions[?(@.type=="AuditRecorded")].status'


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Data Storage with nothing in it."""
    port = program.free_port()
    log = tmp_path_factory.mktemp("storage") / "log"
    arguments = ["tests.datastorage", f"--port={port}"]
    with processes.running("Data Storage", arguments, log=log, environment={}) as process:
        process.wait_ready_line(deadline_s=READY_S)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def controller(
    where: place.Place,
    accounts: dict[str, list[str]],
    storage: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[program.Program]:
    """The program, whose records go there."""
    folder = tmp_path_factory.mktemp("controller")
    way = {"url": storage}
    kubeconfig = where.kubectl.kubeconfig
    with program.running(folder, kubeconfig, execution=accounts, datastorage=way) as running:
        yield running


def records(storage: str, correlation: str) -> list[JsonObject]:
    """What the store has of a RemediationRequest, in the order of the transitions."""
    query = urllib.parse.urlencode({"correlation_id": correlation, "limit": 100})
    with urllib.request.urlopen(f"{storage}/api/v1/audit/events?{query}", timeout=10) as answer:
        found: list[JsonObject] = json.load(answer)["data"]
    return sorted(found, key=lambda it: (it["event_timestamp"], it["event_type"]))


@pytest.mark.requirement("BR-WF-005", "Audit records written to Data Storage")
@pytest.mark.usefixtures("controller")
@pytest.mark.parametrize(
    ("name", "script", "end"),
    [("audited", "echo applied", "completed"), ("audited-bad", "exit 42", "failed")],
)
def test_workflow_leaves_each_record_once(
    where: place.Place, storage: str, name: str, script: str, end: str
) -> None:
    pushed = workflows.push(where, name, Task("apply", script))
    made = workflows.execution(name, pushed)
    where.kubectl.apply(made)
    where.kubectl.wait(f"wfe/{name}", place.TEAM, ".status.phase", end.capitalize())
    where.kubectl.wait(f"wfe/{name}", place.TEAM, RECORDED, "True")
    found = records(storage, made["spec"]["remediationRequestRef"]["name"])
    words = [row["event_type"].rpartition(".")[2] for row in found]
    assert sorted(words) == sorted(["created", "started", end])
    status = where.kubectl.get("wfe", name, place.TEAM)["status"]
    data = found[words.index(end)]["event_data"]
    assert data["pipelinerun_name"] == status["pipelineRunRef"]["name"]
    assert data["resolved_digest"] == pushed.digest

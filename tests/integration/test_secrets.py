"""Planted secrets are in nothing that the program writes, at its most talkative.

The cluster is the fake one, whose pods have logs; the program is a process of its own.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests import builders
from tests.datastorage.server import DataStorage
from tests.fake import faults, kinds
from tests.fake.api import Api, Endpoint
from tests.fake.cluster import FakeCluster
from tests.fake.paths import Match
from tests.fake.scenarios import End, Refusal, Scenario, Task
from tests.fake.stage import Stage
from tests.fake.tekton import AGENT, playing
from tests.integration.test_metrics import read
from tests.monitoring.stage import Memory
from tests.support import program
from tests.support.executions import is_recorded
from tests.support.otlp import Collector

if TYPE_CHECKING:
    from pathlib import Path

    from tests.datastorage.table import Table
    from tests.fake.statuses import JsonObject

TEAM, RUNS = "payment", "kubernaut-workflows"
DEADLINE_S = 30.0
OPAQUE = base64.b64encode(b"planted by a test, in base64 like a key").decode()
JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJwbGFudGVkIn0.cGxhbnRlZHNpZ25hdHVyZQ"
PLANTED = {
    "DB_PASSWORD": "planted-password",
    "PGPASSWORD": "planted-pg",
    "dbPass": "planted-pass",
    "passwd": "planted-passwd",
    "pwd": "planted-pwd",
    "API_KEY": "planted-api-key",
    "api-key": "planted-apikey",
    "GITHUB_TOKEN": "planted-token",
    "auth": "planted-auth",
    "client_secret": "planted-secret",
    "AWS_ACCESS_KEY_ID": "AKIAPLANTEDPLANTED00",
    "AWS_SECRET_ACCESS_KEY": "planted/aws/key",
    "CONNECTION_STRING": "planted-connection",
    "DATABASE_URL": "postgres://planted-database",
    "HEADER": f"Bearer {JWT}",
    "NOTE": f"the key {OPAQUE}",
}
WORDS = ("planted", "AKIAPLANTED", JWT, JWT.rpartition(".")[2], OPAQUE)
TEXT = "; ".join(f"{key}={value}" for key, value in PLANTED.items())
SCENARIOS = {
    "fails": Scenario(tasks=(Task("apply", End.EXITS, exit_code=3, log=f"{TEXT}\nbye\n"),)),
    "refused": Scenario(refusal=Refusal("CouldntGetPipeline", f"{{run}}: registry said {TEXT}")),
    "works": Scenario(tasks=(Task("apply"),)),
    "hangs": Scenario(tasks=(Task("apply", End.HANGS),)),
}


def choose(run: JsonObject) -> Scenario:
    name: str = run["metadata"]["labels"]["kubernaut.ai/workflow-execution"]
    return SCENARIOS[name]


def ask(cluster: FakeCluster, name: str) -> None:
    target = f"{TEAM}/deployment/{name}"
    spec = {"targetResource": target, "parameters": PLANTED}
    raw = builders.raw_execution(name, spec=spec)
    cluster.create({**raw, "metadata": {"name": name, "namespace": TEAM}})


async def until_over(cluster: FakeCluster) -> None:
    """Wait until every execution has ended, and its records are acknowledged."""
    async with asyncio.timeout(DEADLINE_S):
        while not all(map(is_recorded, cluster.items(kinds.EXECUTIONS))):  # noqa: ASYNC110 - real time
            await asyncio.sleep(0.1)


def plant_errors(cluster: FakeCluster) -> None:
    """The server's own words are quoted in logs and conditions."""
    said = {"kind": "Status", "code": 500, "reason": "InternalError", "message": f"etcd: {TEXT}"}
    refusal = faults.Answer(500, json.dumps(said))
    for resource in ("pipelineruns", "workflowexecutions", "events"):
        match = Match(verbs=("create", "patch"), resource=resource, agent="workflowexecution/")
        cluster.faults.add(refusal, match, times=2)


async def live(cluster: FakeCluster) -> None:
    """Everything that may quote a secret."""
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}})
    plant_errors(cluster)
    for name in SCENARIOS:
        ask(cluster, name)
    async with asyncio.timeout(DEADLINE_S):
        while not (cluster.get(kinds.EXECUTIONS, TEAM, "hangs") or {}).get("status"):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    asked = {"spec": {"cancel": {"requestedBy": "jane", "reason": f"because {TEXT}"}}}
    cluster.patch(kinds.EXECUTIONS, TEAM, "hangs", asked)
    await until_over(cluster)


def logged(log: Path) -> list[JsonObject]:
    """The audit records on the log."""
    lines = map(json.loads, log.read_text().splitlines())
    return [it["audit"] for it in lines if "audit" in it]


@pytest.fixture
def settings() -> dict[str, Any]:
    return {
        "logging": {"level": "debug"},
        "controller": {"metricsAuth": False},
        "datastorage": {"buffer": {"flushInterval": "100ms"}},
    }


@pytest.mark.parametrize("sink", ["http", "log"])
async def test_planted_secrets_are_in_nothing_that_the_program_writes(
    tmp_path: Path, settings: dict[str, Any], sink: str
) -> None:
    memory, port = Memory(), program.free_port()
    settings["audit"] = {"sink": sink}
    settings["controller"]["metricsAddr"] = f"127.0.0.1:{port}"
    async with (
        FakeCluster() as cluster,
        Collector().running() as collector,
        DataStorage(cast("Table", memory)).running() as storage,
        Api(Endpoint(cluster.url), agent=AGENT) as api,
        playing(Stage(api, pods=True, logs=cluster.reviews.logs), RUNS, choose=choose),
    ):
        settings["datastorage"]["url"] = storage.url
        settings["tracing"] = {"endpoint": collector.url}
        config = cluster.write_kubeconfig(tmp_path / "kubeconfig")
        running = program.running(tmp_path, config, **settings)
        started = await asyncio.to_thread(running.__enter__)
        try:
            await live(cluster)
            metrics = (await asyncio.to_thread(read, port))[1]
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)
    executions = cluster.items(kinds.EXECUTIONS)
    written = {
        "log": started.log.read_text(),
        "events": json.dumps(cluster.items(kinds.EVENTS)),
        "statuses": json.dumps([it["status"] for it in executions]),
        "audit": json.dumps(memory.rows if sink == "http" else logged(started.log), default=str),
        "metrics": metrics,
        "traces": collector.raw.decode(errors="replace"),
        "config maps": json.dumps(cluster.items(kinds.CONFIG_MAPS)),
    }
    found = {place: [it for it in WORDS if it in text] for place, text in written.items()}
    assert found == {place: [] for place in written}
    # It was there to be quoted, and what is not secret still is.
    assert "***REDACTED***" in written["log"]
    assert all("REDACTED" in written[place] for place in ("events", "statuses", "audit", "traces"))
    logs = {it["metadata"]["name"]: it["status"].get("failureDetails") for it in executions}
    assert "bye" in (logs["fails"] or {})["logTail"]
    assert '"level":"debug"' in written["log"]
    for run in cluster.items(kinds.PIPELINE_RUNS):
        given = {it["name"]: it["value"] for it in run["spec"]["params"]}
        assert PLANTED.items() <= given.items()

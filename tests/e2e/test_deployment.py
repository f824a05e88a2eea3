"""The image, in the real node, as the Deployment of manifests/default."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import deployed
from tests.support import auditfile, installation, place, prometheus, workflows
from tests.support.workflows import Task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.deployed import Deployed
    from tests.support.kubectl import JsonObject
    from tests.support.workflows import Workflow

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        "WFE_TEST_KUBECONFIG" in os.environ, reason="the image is brought into the stack's own node"
    ),
]

READY_S = 20.0
ALL_DONE_S = 420
LEAST, EVERY_S = 20, 1.0
READER = "prometheus"


@pytest.fixture(scope="module")
def there(where: place.Place, account: Path) -> Iterator[Deployed]:
    """It is installed and rolled out."""
    assert account.exists()
    with deployed.installed(where) as made:
        yield made


@pytest.fixture(scope="module")
def well(where: place.Place) -> Workflow:
    """A workflow that succeeds."""
    return workflows.push(where, "rolls", Task("apply", "true"))


def test_both_replicas_are_ready_and_one_leads(there: Deployed) -> None:
    pods = there.pods()
    assert len(pods) == 2
    for pod in pods.values():
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
        assert deployed.seconds_to_ready(pod) <= READY_S
    leader = there.leader()
    assert [name for name in pods if name != leader] != [leader]


@pytest.mark.requirement(
    "WE-SERVICE", "Health/Ready Port: 8081 (/health, /ready - no auth required)"
)
def test_probes_answer_on_their_port_to_whoever_asks(there: Deployed) -> None:
    for pod in there.pods().values():
        for path in ("/health", "/ready"):
            connection = http.client.HTTPConnection(pod["status"]["podIP"], 8081, timeout=READY_S)
            with contextlib.closing(connection):
                connection.request("GET", path)
                assert connection.getresponse().status == 200


def test_pod_runs_as_nobody_on_a_root_that_cannot_be_written(there: Deployed) -> None:
    program = "import os; print(os.getuid(), os.getgid(), os.access('/', os.W_OK))"
    said = there.hands(
        "exec", "-n", deployed.SYSTEM, there.leader(), "--", "python3", "-c", program
    )
    assert said.split() == ["65532", "65532", "False"]
    with pytest.raises(AssertionError, match="no such file or directory"):
        there.hands("exec", "-n", deployed.SYSTEM, there.leader(), "--", "/bin/sh", "-c", "true")


def test_execution_is_finished_by_real_tekton(there: Deployed, well: Workflow) -> None:
    there.hands.apply(workflows.execution("in-cluster", well))
    there.hands.wait("wfe/in-cluster", place.TEAM, ".status.phase", "Completed")


@pytest.mark.requirement("WE-SERVICE", "Metrics Port: 9090 (/metrics - with auth filter)")
def test_every_replica_is_scraped_with_a_token(there: Deployed, tmp_path: Path) -> None:
    bind(there, READER)
    token = there.hands("create", "token", READER, "-n", deployed.SYSTEM).strip()
    (tmp_path / "token").write_text(token)
    targets = [f"{pod['status']['podIP']}:9090" for pod in there.pods().values()]
    given = {"authorization": {"credentials_file": str(tmp_path / "token")}}
    jobs: list[dict[str, Any]] = [
        {"job_name": "controller", "static_configs": [{"targets": targets}], **given},
        {"job_name": "nobody", "static_configs": [{"targets": targets[:1]}]},
    ]
    with prometheus.running(tmp_path, jobs) as server:
        server.until(lambda: server.values('up{job="controller"}') == [1.0, 1.0])
        server.until(lambda: server.values("sum(leader_election_master_status)") == [1.0])
        server.until(lambda: "nobody" in server.scraped())
        assert "401" in server.scraped()["nobody"][1]


def bind(there: Deployed, account: str) -> None:
    """An account with the role of those who read metrics."""
    role, group = "workflowexecution-metrics-reader", "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": account, "namespace": deployed.SYSTEM}
    metadata = {"name": account, "namespace": deployed.SYSTEM}
    there.hands.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [subject],
        },
    )


def ask(there: Deployed, well: Workflow, name: str) -> str:
    """Ask for an execution and wait until it has a run; returns its name."""
    there.hands.apply(workflows.execution(name, well))
    has_run = "--for=jsonpath={.status.pipelineRunRef.name}"
    there.hands("wait", f"wfe/{name}", "-n", place.TEAM, has_run, f"--timeout={ALL_DONE_S}s")
    return name


@contextlib.contextmanager
def load(there: Deployed, well: Workflow) -> Iterator[list[str]]:
    """Executions are asked for, one by one, as long as something is done, and at least so many.

    Yields:
        Their names, as they are asked for.
    """
    asked: list[str] = []
    enough = threading.Event()

    def go_on() -> None:
        while not enough.is_set() or len(asked) < LEAST:
            name = f"rolled-{len(asked):02}"
            there.hands.apply(workflows.execution(name, well))
            asked.append(name)
            time.sleep(EVERY_S)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield asked
    finally:
        enough.set()
        thread.join()


def test_rolling_update_under_load_loses_nothing(there: Deployed, well: Workflow) -> None:
    before, log = there.leader(), there.where.audit_log
    assert log is not None
    since = log.stat().st_size
    with load(there, well) as asked:
        # Each of both has work of its own to do, however long the one or the other acts.
        early = ask(there, well, "rolled-before")
        there.hands("rollout", "restart", f"deployment/{deployed.NAME}", "-n", deployed.SYSTEM)
        there.rolled_out()
        after = there.leader()
        late = ask(there, well, "rolled-after")
    names = [early, *asked, late]
    for name in names:
        there.hands.wait(
            f"wfe/{name}", place.TEAM, ".status.phase", "Completed", deadline_s=ALL_DONE_S
        )
    assert there.leader() == after != before
    makers = makers_of_runs(log, since)
    runs = {name: run_of(there, name) for name in names}
    assert sorted(run for run, _ in makers) == sorted(runs.values())
    assert before in dict(makers)[runs[early]]
    assert after in dict(makers)[runs[late]]
    ended = [it for it in requests(log, since, "workflowexecutions") if code(it) == 403]
    assert ended == []
    agents = [it["userAgent"] for it in requests(log, since, "workflowexecutions")]
    turns = [one for one, last in zip(agents, ["", *agents], strict=False) if one != last]
    # Each replica that acted did so in one stretch: nobody wrote after another had begun.
    assert len(turns) == len(set(turns)) >= 2


def test_edited_configmap_is_followed_by_every_replica(there: Deployed) -> None:
    before = {pod["metadata"]["uid"] for pod in there.pods().values()}
    (made,) = installation.documents("controller/config.yaml")
    text = made["data"]["config.yaml"]
    there.configure(f"{text}logging:\n  level: debug\nexecution:\n  cooldownPeriod: 1m\n")
    there.said("Configuration taken over")
    there.configure(f"{text}execution:\n  cooldownPeriod: soon\n")
    there.said("Configuration refused")
    for pod in there.pods():
        (line,) = (it for it in there.log(pod) if it["event"] == "Configuration refused")
        assert line["level"] == "error"
        assert "execution.cooldownPeriod" in line["problems"][0]
    assert {pod["metadata"]["uid"] for pod in there.pods().values()} == before


def requests(log: Path, since: int, resource: str = "pipelineruns") -> list[JsonObject]:
    """What the controllers' account has written of a kind, in the order in which it was received.

    Refused requests are among it; the lines of their arrival, which have no answer, are not.
    """
    events = [json.loads(line) for line in auditfile.lines(log, since)]
    found = [
        it
        for it in events
        if it["stage"] == "ResponseComplete"
        and it["user"].get("username") == installation.USER
        and it.get("objectRef", {}).get("resource") == resource
        and it["verb"] in {"create", "patch", "delete"}
    ]
    return sorted(found, key=lambda it: str(it["requestReceivedTimestamp"]))


def makers_of_runs(log: Path, since: int) -> list[tuple[str, str]]:
    """Each run that was created, with who created it."""
    made = [it for it in requests(log, since) if it["verb"] == "create" and code(it) == 201]
    return [(it["objectRef"]["name"], it["userAgent"]) for it in made]


def code(event: JsonObject) -> int:
    found: int = event["responseStatus"]["code"]
    return found


def run_of(there: Deployed, name: str) -> str:
    found: str = there.hands.get("wfe", name, place.TEAM)["status"]["pipelineRunRef"]["name"]
    return found

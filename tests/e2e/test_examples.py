"""The examples, each pushed as its README says, mend a workload that really runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.stack import images
from tests.support import examples, place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.kubectl import JsonObject

pytestmark = pytest.mark.usefixtures("controller", "rights")

IMAGE = os.environ.get("WFE_TEST_KUBECTL_IMAGE", images.KUBECTL)
DEADLINE_S = 240
# A value that would be code if it met a shell unquoted.
NASTY = """it's "debug"; $(id) `id`"""


@pytest.fixture(scope="session")
def accounts() -> dict[str, list[str]]:
    """The accounts of the examples beside the runner's."""
    return {"allowedServiceAccounts": [place.ACCOUNT, *examples.accounts()]}


@pytest.fixture(scope="module")
def rights(where: place.Place, account: Path) -> Iterator[None]:
    """The accounts of the examples; the runner's rights are those of the manifests."""
    assert account.exists()
    made = [it for name in examples.names() for it in examples.documents(name, "account.yaml")]
    where.kubectl.apply(*made)
    yield
    for it in made:
        name = f"{it['kind']}/{it['metadata']['name']}"
        where.kubectl("delete", name, "-n", place.NAMESPACE, "--ignore-not-found")


@pytest.fixture
def workload(where: place.Place) -> Iterator[None]:
    """The workload, new for each test, all of it running."""
    made = examples.workload(where)
    where.kubectl.apply(*made)
    for kind, name, field in (
        ("deployment", examples.DEPLOYMENT, ".status.availableReplicas"),
        ("statefulset", examples.DATABASE, ".status.readyReplicas"),
        ("statefulset", examples.CACHE, ".status.readyReplicas"),
        ("job", examples.JOB, ".status.ready"),
    ):
        wanted = "1" if kind == "job" else "2"
        where.kubectl.wait(f"{kind}/{name}", place.TEAM, field, wanted)
    yield
    names = [f"{it['kind']}/{it['metadata']['name']}" for it in made]
    where.kubectl("delete", *names, "-n", place.TEAM, "--cascade=foreground")


def completes(where: place.Place, name: str, target: str = "", **parameters: str) -> None:
    """Push an example, run its execution, and see it complete."""
    status = ended(where, name, target, **parameters)
    assert status["phase"] == "Completed", status.get("failureDetails")


def ended(where: place.Place, name: str, target: str = "", **parameters: str) -> Any:  # noqa: ANN401 - raw status
    made = examples.execution(name, examples.push(where, name, IMAGE), **parameters)
    if target:
        made["spec"]["targetResource"] = target
    made["metadata"]["namespace"] = place.TEAM
    where.kubectl.apply(made)
    try:
        where.kubectl(
            "wait", f"wfe/{name}", "-n", place.TEAM, "--for=jsonpath={.status.completionTime}",
            f"--timeout={DEADLINE_S}s", timeout_s=DEADLINE_S + 30,
        )  # fmt: skip
        return where.kubectl.get("wfe", name, place.TEAM)["status"]
    finally:
        where.kubectl("delete", f"wfe/{name}", "-n", place.TEAM)


def uids(where: place.Place, app: str) -> set[str]:
    """Of the pods that stay: a rollout is over before the last of the old ones has ended."""
    found = where.kubectl.items("pods", place.TEAM, f"app={app}")
    return {it["metadata"]["uid"] for it in found if "deletionTimestamp" not in it["metadata"]}


def deployment(where: place.Place) -> JsonObject:
    return where.kubectl.get("deployment", examples.DEPLOYMENT, place.TEAM)


@pytest.mark.requirement("WE-NAMESPACE", "Single ServiceAccount with cluster-wide permissions")
@pytest.mark.requirement("WE-NAMESPACE", "ClusterRole with cross-namespace remediation permissions")
@pytest.mark.usefixtures("workload")
def test_restart_deployment_replaces_every_pod(where: place.Place) -> None:
    before = uids(where, examples.DEPLOYMENT)
    completes(where, "restart-deployment")
    assert deployment(where)["status"]["availableReplicas"] == 2
    after = uids(where, examples.DEPLOYMENT)
    assert len(after) == 2
    assert not after & before


@pytest.mark.usefixtures("workload")
def test_restart_deployment_changes_nothing_when_the_target_is_another_kind(
    where: place.Place,
) -> None:
    before = uids(where, examples.DATABASE)
    target = f"{place.TEAM}/statefulset/{examples.DATABASE}"
    details = ended(where, "restart-deployment", target)["failureDetails"]
    assert (details["failedTaskName"], details["exitCode"]) == ("restart", 64)
    assert "is no deployment" in details["logTail"]
    assert uids(where, examples.DATABASE) == before


@pytest.mark.usefixtures("workload")
def test_set_config_writes_the_value_as_it_is_and_restarts(where: place.Place) -> None:
    before = uids(where, examples.DEPLOYMENT)
    completes(where, "set-config", VALUE=NASTY)
    found = where.kubectl.get("configmap", examples.SETTINGS, place.TEAM)["data"]
    assert found == {"log-level": NASTY, "currency": "EUR"}
    assert not uids(where, examples.DEPLOYMENT) & before


@pytest.mark.long
@pytest.mark.usefixtures("workload")
def test_evict_pod_makes_room_for_its_successor(where: place.Place) -> None:
    before = uids(where, examples.CACHE)
    completes(where, "evict-pod")
    where.kubectl.wait(f"statefulset/{examples.CACHE}", place.TEAM, ".status.readyReplicas", "2")
    assert len(before - uids(where, examples.CACHE)) == 1


@pytest.mark.long
@pytest.mark.usefixtures("workload")
def test_scale_deployment_waits_for_the_new_pods(where: place.Place) -> None:
    completes(where, "scale-deployment", REPLICAS="3")
    assert deployment(where)["status"]["availableReplicas"] == 3


@pytest.mark.long
@pytest.mark.usefixtures("workload")
def test_scale_deployment_refuses_what_is_no_number(where: place.Place) -> None:
    details = ended(where, "scale-deployment", REPLICAS='3},"x":{"y":1')["failureDetails"]
    assert (details["failedTaskName"], details["exitCode"]) == ("scale", 64)
    assert deployment(where)["spec"]["replicas"] == 2


@pytest.mark.long
@pytest.mark.usefixtures("workload")
def test_roll_back_deployment_brings_the_former_template_back(where: place.Place) -> None:
    what = f"deployment/{examples.DEPLOYMENT}"
    where.kubectl("set", "env", what, "BROKEN=yes", "-n", place.TEAM)
    where.kubectl("rollout", "status", what, "-n", place.TEAM, "--timeout=60s")
    completes(where, "roll-back-deployment")
    (container,) = deployment(where)["spec"]["template"]["spec"]["containers"]
    assert "env" not in container


@pytest.mark.long
@pytest.mark.usefixtures("workload")
def test_raise_memory_changes_the_only_container(where: place.Place) -> None:
    completes(where, "raise-memory", MEMORY="96Mi")
    (container,) = deployment(where)["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"limits": {"memory": "96Mi"}, "requests": {"memory": "96Mi"}}


@pytest.mark.long
@pytest.mark.usefixtures("workload")
def test_restart_statefulset_replaces_every_member(where: place.Place) -> None:
    before = uids(where, examples.DATABASE)
    completes(where, "restart-statefulset")
    assert not uids(where, examples.DATABASE) & before


@pytest.mark.long
def test_delete_stuck_pod_ends_what_does_not_end(where: place.Place) -> None:
    where.kubectl.apply(examples.stuck_pod(where))
    where.kubectl.wait(f"pod/{examples.STUCK}", place.TEAM, ".status.phase", "Running")
    where.kubectl("delete", f"pod/{examples.STUCK}", "-n", place.TEAM, "--wait=false")
    target = f"{place.TEAM}/pod/{examples.STUCK}"
    completes(where, "delete-stuck-pod", target, GRACE_SECONDS="2")
    assert where.kubectl.items("pods", place.TEAM, f"app={examples.STUCK}") == []


@pytest.mark.long
@pytest.mark.usefixtures("workload")
def test_restart_job_gives_the_job_a_new_pod(where: place.Place) -> None:
    before = uids(where, examples.JOB)
    completes(where, "restart-job")
    where.kubectl.wait(f"job/{examples.JOB}", place.TEAM, ".status.ready", "1")
    assert not uids(where, examples.JOB) & before


@pytest.fixture
def node(where: place.Place) -> Iterator[str]:
    """A node, which is opened again in the end."""
    name = where.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    yield name
    where.kubectl("uncordon", name)


@pytest.mark.long
@pytest.mark.usefixtures("workload")
def test_drain_node_evicts_and_keeps_new_pods_away(where: place.Place, node: str) -> None:
    before = uids(where, examples.DEPLOYMENT)
    completes(where, "drain-node", f"node/{node}")
    found = where.kubectl.get("node", node, "default")
    assert found["spec"]["unschedulable"] is True
    assert "kubernaut.ai/cordoned-because" in found["metadata"]["annotations"]
    assert not uids(where, examples.DEPLOYMENT) & before

"""The manifests as a server takes them, before anything of them is there."""

from __future__ import annotations

import base64
import contextlib
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.stack.api import Api, wait_for
from tests.stack.errors import StackError
from tests.support import installation, prometheus
from tests.support.schemas import Checker

if TYPE_CHECKING:
    from tests.stack.cluster import Stack

OVERLAYS = ["default", "overlays/kind", "overlays/signed-bundles", "overlays/openshift"]
RENDERED = [*OVERLAYS, "monitoring"]
# Kinds of the Prometheus Operator, which no server here serves.
FOREIGN = "ServiceMonitor,PrometheusRule"


@pytest.fixture(scope="module")
def checker(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Checker:
    """kubeconform with the schemas of the server, Tekton's and this project's kinds included."""
    return Checker.of(stack, tmp_path_factory.mktemp("schemas"))


def rendered(stack: Stack, folder: str) -> str:
    return stack.kubectl("kustomize", str(installation.MANIFESTS / folder))


@pytest.mark.parametrize("overlay", RENDERED)
def test_manifests_have_the_fields_of_their_kinds(
    stack: Stack, checker: Checker, overlay: str
) -> None:
    found = checker.check(rendered(stack, overlay), skip=FOREIGN)
    assert [it for it in found["resources"] if "msg" in it] == []
    assert found["summary"]["valid"] > (20 if overlay in OVERLAYS else 5)
    assert (found["summary"]["invalid"], found["summary"]["errors"]) == (0, 0)


def test_misspelt_field_would_be_found(stack: Stack, checker: Checker) -> None:
    wrong = rendered(stack, "default").replace("readOnlyRootFilesystem", "readOnlyFileSystem")
    found = checker.check(wrong)
    assert found["summary"]["invalid"] == 1


@pytest.mark.requirement(
    "WE-SIGNED", "To require signed OCI bundles, deploy a Tekton VerificationPolicy"
)
@pytest.mark.parametrize("overlay", RENDERED)
def test_server_takes_the_manifests(stack: Stack, overlay: str) -> None:
    documents = [
        it
        for it in yaml.safe_load_all(rendered(stack, overlay))
        if it["kind"] not in FOREIGN.split(",")
    ]
    body = yaml.safe_dump_all(documents)
    said = stack.kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=body
    )
    assert said.count("(server dry run)") == len(documents)


@pytest.mark.parametrize("namespace", [installation.SYSTEM, installation.WORKFLOWS])
def test_namespace_enforces_what_it_says(stack: Stack, namespace: str) -> None:
    privileged = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "privileged", "namespace": namespace},
        "spec": {
            "containers": [
                {"name": "c", "image": "x", "securityContext": {"privileged": True}},
            ]
        },
    }
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
    status, content = stack.api.call("POST", path, privileged)
    assert (status, b"violates PodSecurity" in content) == (403, True), content


def test_pod_of_the_controller_is_restricted(stack: Stack) -> None:
    (deployment,) = installation.of_kind(
        installation.documents("controller/deployment.yaml"), "Deployment"
    )
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "like-the-controllers"},
        "spec": deployment["spec"]["template"]["spec"],
    }
    path = f"/api/v1/namespaces/{installation.SYSTEM}/pods?dryRun=All"
    installation.give_access(stack)
    status, content = stack.api.call("POST", path, body)
    assert status == 201, content
    del body["spec"]["containers"][0]["securityContext"]["capabilities"]
    status, content = stack.api.call("POST", path, body)
    assert (status, b"unrestricted capabilities" in content) == (403, True), content


def test_pod_names_no_ids_where_the_cluster_gives_them_out(stack: Stack) -> None:
    made = yaml.safe_load_all(rendered(stack, "overlays/openshift"))
    (deployment,) = installation.of_kind(list(made), "Deployment")
    assert deployment["spec"]["template"]["spec"]["securityContext"] == {
        "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip


@pytest.mark.parametrize("overlay", RENDERED)
def test_everything_is_labelled_as_part_of_the_product(stack: Stack, overlay: str) -> None:
    label = "app.kubernetes.io/part-of"
    documents = list(yaml.safe_load_all(rendered(stack, overlay)))
    # The CRD is written by its generator.
    without = [
        it["metadata"]["name"]
        for it in documents
        if it["metadata"].get("labels", {}).get(label) != "kubernaut"
    ]
    assert without in ([], ["workflowexecutions.kubernaut.ai"])


READER = "workflowexecution-metrics-reader"
PROMETHEUS = "system:serviceaccount:monitoring:prometheus-k8s"


def lacks_discovery(stack: Stack, *where: str) -> str | None:
    """What Prometheus may not watch of all that it finds pods by."""
    for it in ("services", "endpoints", "pods", "endpointslices.discovery.k8s.io"):
        # It fails when the answer is no.
        with contextlib.suppress(StackError):
            if stack.kubectl("auth", "can-i", "watch", it, f"--as={PROMETHEUS}", *where) == "yes\n":
                continue
        return it
    return None


def test_prometheus_finds_the_pods_and_has_a_token_that_reads_metrics(stack: Stack) -> None:
    folder = installation.MANIFESTS / "monitoring"
    installation.give_access(stack)
    files = ["-f", str(folder / "access.yaml"), "-f", str(folder / "discovery.yaml")]
    where = ["-n", installation.SYSTEM]
    stack.kubectl("apply", *files)
    try:
        # The server takes roles in a moment after they are made.
        wait_for("roles", lambda: lacks_discovery(stack, *where), deadline_s=prometheus.READY_S)
        token = "--for=jsonpath={.data.token}"
        stack.kubectl("wait", f"secret/{READER}", token, "--timeout=30s", *where)
        path = f"/api/v1/namespaces/{installation.SYSTEM}/secrets/{READER}"
        text = base64.b64decode(stack.api.json("GET", path)["data"]["token"]).decode()
        api = Api(server_url=stack.server_url, ca_file=stack.ca_file, token=text, timeout_s=15.0)
        wait_for("role", lambda: prometheus.lacks(stack, text), deadline_s=prometheus.READY_S)
        assert api.call("GET", path)[0] == 403
    finally:
        # The Secret goes with its account.
        stack.kubectl("delete", "--ignore-not-found", *files)


def test_optional_limits_can_be_added(stack: Stack) -> None:
    """`components` takes the folder, and its objects are what the server takes."""
    folder = installation.MANIFESTS / "limits"
    program = str(stack.program("kubectl"))
    done = subprocess.run(
        [program, "kustomize", str(folder)], capture_output=True, text=True, check=True
    )
    kinds = sorted(it["kind"] for it in yaml.safe_load_all(done.stdout))
    assert kinds == ["LimitRange", "ResourceQuota"]
    stack.kubectl("apply", "--dry-run=server", "-f", "-", stdin=done.stdout)

"""The CRD in people's hands: kubectl, selectors, columns, samples."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.integration import objects
from workflowexecution.api.workflowexecution import Spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.world import JsonObject
    from tests.stack.cluster import Stack

MANIFESTS = Path(__file__).parents[2] / "manifests"
SAMPLES = sorted((MANIFESTS / "samples").glob("*.yaml"))


def manifest(name: str, namespace: str, **spec: object) -> JsonObject:
    """An execution as a file has it."""
    return objects.changed(objects.execution(name, **spec), "metadata.namespace", namespace)


@pytest.fixture(scope="module")
def team(stack: Stack) -> Iterator[str]:
    """A namespace with two executions, of which one has ended."""
    name = f"it-{uuid.uuid4().hex[:8]}"
    stack.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for body in (
        manifest("first", name, targetResource="payment/deployment/api"),
        manifest("second", name, targetResource="payment/statefulset/db"),
    ):
        stack.kubectl("create", "-f", "-", stdin=json.dumps(body))
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Completed",
        "message": "",
        "lastTransitionTime": "2026-03-01T12:00:00Z",
    }
    status = {"phase": "Completed", "progress": "2/2", "duration": "42s", "conditions": [ready]}
    patch = json.dumps({"status": status})
    stack.kubectl(
        "patch", "wfe", "first", "-n", name, "--subresource=status", "--type=merge", "-p", patch
    )
    yield name
    stack.kubectl("delete", "wfe", "--all", "-n", name)


@pytest.mark.requirement("WE-SERVICE", "CRD API Group: kubernaut.ai/v1alpha1")
def test_crd_is_installed_when_its_folder_is_applied_again(stack: Stack) -> None:
    said = stack.kubectl("apply", "-k", str(MANIFESTS / "crd"))
    assert said.split() == [
        "customresourcedefinition.apiextensions.k8s.io/workflowexecutions.kubernaut.ai",
        "unchanged",
    ]


def test_crd_is_accepted_without_a_complaint(stack: Stack) -> None:
    found = json.loads(stack.kubectl("get", "crd/workflowexecutions.kubernaut.ai", "-o", "json"))
    conditions = {it["type"]: it["status"] for it in found["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("path", SAMPLES, ids=[path.name for path in SAMPLES])
def test_sample_is_accepted_when_it_is_applied(stack: Stack, path: Path) -> None:
    said = stack.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(path))
    for document in yaml.safe_load_all(path.read_text()):
        assert f"/{document['metadata']['name']} created (server dry run)" in said


@pytest.mark.requirement("WE-SERVICE", "CRD API Group: kubernaut.ai/v1alpha1")
@pytest.mark.parametrize("what", ["wfe", "workflowexecution", "workflowexecutions", "kubernaut"])
def test_kubectl_finds_executions_by_every_name(stack: Stack, team: str, what: str) -> None:
    found = stack.kubectl("get", what, "-n", team, "-o", "name").split()
    prefix = "workflowexecution.kubernaut.ai"
    assert found == [f"{prefix}/first", f"{prefix}/second"]


def test_kubectl_shows_where_an_execution_is(stack: Stack, team: str) -> None:
    head, first, second = stack.kubectl("get", "wfe", "-n", team).splitlines()
    assert head.split() == ["NAME", "PHASE", "WORKFLOW", "TARGET", "PROGRESS", "DURATION", "AGE"]
    said = ["first", "Completed", "restart-deployment", "payment/deployment/api", "2/2", "42s"]
    assert first.split()[:-1] == said
    assert second.split()[:-1] == ["second", "restart-deployment", "payment/statefulset/db"]


def test_kubectl_shows_the_reason_when_asked_for_more(stack: Stack, team: str) -> None:
    head, first, _ = stack.kubectl("get", "wfe", "-n", team, "-o", "wide").splitlines()
    assert head.split()[-3:] == ["DURATION", "REASON", "AGE"]
    assert first.split()[-2] == "Completed"


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        pytest.param("spec.targetResource=payment/deployment/api", ["first"], id="target"),
        pytest.param("spec.targetResource=payment/deployment/other", [], id="no-such-target"),
        pytest.param("spec.remediationRequestRef.name=rr-second", ["second"], id="remediation"),
        pytest.param("spec.targetResource!=payment/deployment/api", ["second"], id="another"),
    ],
)
def test_kubectl_selects_executions_by_field(
    stack: Stack, team: str, selector: str, names: list[str]
) -> None:
    found = stack.kubectl("get", "wfe", "-n", team, "--field-selector", selector, "-o", "name")
    assert [line.rpartition("/")[2] for line in found.split()] == names


def test_kubectl_explains_every_field_of_the_spec(stack: Stack) -> None:
    said = stack.kubectl("explain", "wfe.spec")
    for name, field in Spec.model_fields.items():
        assert f"  {field.alias or name}\t" in said
    assert "-required-" in said
    assert "namespace/kind/name" in stack.kubectl("explain", "wfe.spec.targetResource")
    assert "tekton" in stack.kubectl("explain", "wfe.spec.workflowRef.engine")
    assert "nothing ran" in stack.kubectl(
        "explain", "wfe.status.failureDetails.wasExecutionFailure"
    )


def test_server_side_apply_changes_nothing_when_it_is_repeated(stack: Stack, team: str) -> None:
    body = json.dumps(manifest("applied", team))
    arguments = ("apply", "--server-side", "-f", "-", "-o", "jsonpath={.metadata.resourceVersion}")
    first = stack.kubectl(*arguments, stdin=body)
    assert stack.kubectl(*arguments, stdin=body) == first
    stack.kubectl("delete", "wfe", "applied", "-n", team)

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from workflowexecution.api import duration, names
from workflowexecution.domain import locking, pipelinerun, text

NAME = locking.run_name(builders.TARGET)
LABEL = locking.target_label(NAME)
DEFAULTS = pipelinerun.Defaults("kubernaut-workflows", "kubernaut-workflow-runner", 1800.0)
VALID_LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
OTHER = "sha256:" + "b" * 64


def build(
    *,
    defaults: pipelinerun.Defaults = DEFAULTS,
    name: str = "restart-payment",
    metadata: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
) -> dict[str, Any]:
    execution = builders.execution(name, metadata=metadata, spec=spec)
    return pipelinerun.build(
        execution,
        name=NAME,
        target_label=LABEL,
        canonical_target=locking.canonical_target(execution.spec.target_resource),
        defaults=defaults,
    )


MANIFEST = {
    "apiVersion": "tekton.dev/v1",
    "kind": "PipelineRun",
    "metadata": {
        "name": "wfe-cf0cc089293b1165",
        "namespace": "kubernaut-workflows",
        "labels": {
            "kubernaut.ai/workflow-execution": "restart-payment",
            "kubernaut.ai/workflow-execution-uid": "uid-restart-payment",
            "kubernaut.ai/workflow-id": "restart-deployment",
            "kubernaut.ai/source-namespace": "payment",
            "kubernaut.ai/target-resource": "payment__deployment__payment-api",
            "kubernaut.ai/target": "cf0cc089293b1165",
        },
        "annotations": {"kubernaut.ai/target-resource": "payment/deployment/payment-api"},
    },
    "spec": {
        "pipelineRef": {
            "resolver": "bundles",
            "params": [
                {"name": "bundle", "value": "registry.example/workflows/restart:v1"},
                {"name": "name", "value": "workflow"},
                {"name": "kind", "value": "pipeline"},
            ],
        },
        "params": [
            {"name": "MODE", "value": "rolling"},
            {"name": "REPLICAS", "value": "3"},
            {"name": "TARGET_RESOURCE", "value": "payment/deployment/payment-api"},
        ],
        "taskRunTemplate": {"serviceAccountName": "kubernaut-workflow-runner"},
        "timeouts": {"pipeline": "30m0s"},
    },
}


@pytest.mark.requirement("ADR-044", "Does NOT orchestrate steps - Tekton handles this")
@pytest.mark.requirement("BR-WF-001", "PipelineRun created with bundle resolver")
@pytest.mark.requirement("BR-WF-002", "Parameter values passed as strings")
@pytest.mark.requirement("BR-WF-006", "Default used when not specified")
@pytest.mark.requirement(
    "WE-NAMESPACE", "All PipelineRuns execute in kubernaut-workflows namespace"
)
@pytest.mark.requirement(
    "WE-R1", "Create Tekton PipelineRun from user-provided workflow OCI bundle"
)
@pytest.mark.requirement("ADR-044", "Creates a single Tekton PipelineRun from OCI bundle")
@pytest.mark.requirement(
    "ADR-044", "Does NOT implement rollback - Tekton finally tasks or operator responsibility"
)
def test_build_makes_the_manifest_that_is_promised() -> None:
    assert build() == MANIFEST


@pytest.mark.requirement("BR-WF-006", "ServiceAccountName propagated to PipelineRun")
@pytest.mark.requirement("ADR-044", "Workflow timeout handled by Tekton PipelineRun, configurable")
def test_build_follows_the_execution_where_it_says_something() -> None:
    spec = build(spec={"executionConfig": {"timeout": "90s", "serviceAccountName": "other"}})[
        "spec"
    ]
    assert spec["timeouts"] == {"pipeline": "1m30s"}
    assert spec["taskRunTemplate"] == {"serviceAccountName": "other"}
    assert build(spec={"executionConfig": {}}) == build()


@pytest.mark.requirement("BR-WF-002", "All parameters from spec present in PipelineRun")
@pytest.mark.requirement("BR-WF-002", "Parameter names preserved exactly")
@pytest.mark.requirement("WE-R2", "Forward workflow parameters to PipelineRun")
@pytest.mark.requirement("WE-PRACTICE", "Pass all parameters from AIAnalysis to PipelineRun")
@pytest.mark.requirement("ADR-044", "Passes parameters directly to the PipelineRun")
def test_build_passes_parameters_unchanged_in_stable_order() -> None:
    given_values = {"B": "token=abc", "A": "$(context.name)", "C": ""}
    params = build(spec={"parameters": given_values})["spec"]["params"]
    assert [(it["name"], it["value"]) for it in params[:-1]] == sorted(given_values.items())


@pytest.mark.requirement("BR-WF-002", "Empty parameters map handled gracefully")
@pytest.mark.parametrize("given_values", [None, {}], ids=["absent", "empty"])
def test_build_passes_the_target_alone_when_there_are_no_parameters(
    given_values: dict[str, str] | None,
) -> None:
    made = build(spec={"parameters": given_values})
    target = {"name": "TARGET_RESOURCE", "value": "payment/deployment/payment-api"}
    assert made["spec"]["params"] == [target]


def test_build_keeps_the_given_spelling_of_the_target() -> None:
    given_target = "payment/Deployment/payment-api"
    made = build(spec={"targetResource": given_target})
    assert made["spec"]["params"][-1] == {"name": "TARGET_RESOURCE", "value": given_target}
    assert made["metadata"]["annotations"][names.LABEL_TARGET_RESOURCE] == given_target


def test_build_labels_the_run_with_one_spelling_of_the_target() -> None:
    made = build(spec={"targetResource": "payment/DaemonSet/agent"})
    assert made["metadata"]["labels"][names.LABEL_TARGET_RESOURCE] == "payment__daemonset__agent"


def test_build_marks_the_instance_when_there_is_one() -> None:
    defaults = pipelinerun.Defaults("n", "a", 60.0, instance="blue")
    assert build(defaults=defaults)["metadata"]["labels"][names.LABEL_INSTANCE] == "blue"
    assert names.LABEL_INSTANCE not in build()["metadata"]["labels"]


@pytest.mark.requirement("BR-WF-001", "Owner reference set to WorkflowExecution")
@pytest.mark.requirement("BR-WF-004", "Owner reference set on PipelineRun")
@pytest.mark.requirement("WE-PRACTICE", "Set owner reference for cascade deletion")
def test_build_sets_an_owner_only_within_one_namespace() -> None:
    assert "ownerReferences" not in build()["metadata"]
    same = pipelinerun.Defaults("payment", "a", 60.0)
    assert build(defaults=same)["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "kubernaut.ai/v1alpha1",
            "kind": "WorkflowExecution",
            "name": "restart-payment",
            "uid": "uid-restart-payment",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


@pytest.mark.requirement("BR-WF-001", "Container image passed directly from spec")
@pytest.mark.requirement("ADR-044", "Does NOT transform workflows - OCI bundle used directly")
@pytest.mark.parametrize(
    ("image", "digest", "reference"),
    [
        pytest.param("r.example/w:v1", None, "r.example/w:v1", id="verbatim"),
        pytest.param(f"r.example/w:v1@{OTHER}", None, f"r.example/w:v1@{OTHER}", id="verbatim-pin"),
        pytest.param("r.example/w:v1", OTHER, f"r.example/w@{OTHER}", id="tag"),
        pytest.param("r.example/w", OTHER, f"r.example/w@{OTHER}", id="no-tag"),
        pytest.param("localhost:5000/a/w:v1", OTHER, f"localhost:5000/a/w@{OTHER}", id="port"),
        pytest.param("localhost:5000/w", OTHER, f"localhost:5000/w@{OTHER}", id="port-alone"),
        pytest.param(f"r.example/w:v1@{OTHER}", OTHER, f"r.example/w@{OTHER}", id="both"),
        pytest.param(f"r.example/w@{OTHER}", OTHER, f"r.example/w@{OTHER}", id="untagged-pin"),
        pytest.param("w:v1", OTHER, f"w@{OTHER}", id="no-registry"),
    ],
)
def test_bundle_reference_is_pinned_when_there_is_a_digest(
    image: str, digest: str | None, reference: str
) -> None:
    ref = {"workflowId": "w", "version": "1", "containerImage": image, "containerDigest": digest}
    execution = builders.execution(spec={"workflowRef": ref})
    assert pipelinerun.bundle_reference(execution) == reference


DNS = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


@given(
    name=st.from_regex(rf"{DNS}(\.{DNS}){{0,3}}", fullmatch=True).filter(lambda it: len(it) <= 253)
    | st.just("x" * 253),
    workflow=st.text(min_size=1, max_size=253),
    target=st.from_regex(rf"{DNS}/[A-Z][A-Za-z0-9]{{0,30}}/{DNS}(\.{DNS}){{0,2}}", fullmatch=True)
    | st.just("n" * 63 + "/" + "K" * 63 + "/" + "x" * 372),
)  # fmt: skip
def test_build_makes_valid_labels_and_says_whose_it_is(
    name: str, workflow: str, target: str
) -> None:
    ref = {"workflowId": workflow, "version": "1", "containerImage": "i"}
    metadata = build(name=name, spec={"workflowRef": ref, "targetResource": target})["metadata"]
    for value in metadata["labels"].values():
        assert len(value) <= 63
        assert VALID_LABEL.fullmatch(value)
    assert pipelinerun.owner_of(metadata["labels"], metadata["annotations"]) == pipelinerun.Owner(
        namespace="payment",
        name=name,
        uid=metadata["labels"][names.LABEL_EXECUTION_UID],
        workflow_id=text.plain(workflow),
        target=target,
    )


@given(st.integers(1000, 86_400_000))
def test_build_writes_a_timeout_that_reads_back(milliseconds: int) -> None:
    config = {"executionConfig": {"timeout": f"{milliseconds}ms"}}
    written = build(spec=config)["spec"]["timeouts"]["pipeline"]
    assert round(duration.parse(written) * 1000) == milliseconds


def test_owner_of_knows_no_owner_without_a_uid() -> None:
    assert pipelinerun.owner_of({names.LABEL_EXECUTION: "x"}, {}) is None


def test_owner_of_believes_no_endless_annotation() -> None:
    labels = {names.LABEL_EXECUTION_UID: "u"}
    annotations = {
        names.LABEL_EXECUTION: "n" * 100_000,
        names.LABEL_TARGET_RESOURCE: "t" * 100_000,
    }
    owner = pipelinerun.owner_of(labels, annotations)
    assert owner is not None
    assert len(owner.name) + len(owner.target) < 2100


def test_owner_of_reads_labels_where_there_is_no_annotation() -> None:
    owner = pipelinerun.owner_of({names.LABEL_EXECUTION_UID: "u", names.LABEL_EXECUTION: "x"}, {})
    assert owner == pipelinerun.Owner(namespace="", name="x", uid="u", workflow_id="", target="")

from typing import Any, TypeVar

import pydantic
import pytest
from pydantic.alias_generators import to_snake

from tests import builders
from workflowexecution.api import workflowexecution as api
from workflowexecution.domain import validation

RULES = validation.Rules(
    allowed_bundles=(),
    allowed_service_accounts=("kubernaut-workflow-runner",),
    require_digest=False,
)
Model = TypeVar("Model", bound=pydantic.BaseModel)
OTHER = "sha256:" + "b" * 64


def problems(spec: dict[str, Any], rules: validation.Rules = RULES) -> list[str]:
    """Check a spec that got past the schema, as one of an old CRD would."""
    members = {to_snake(key): value for key, value in spec.items()}
    model = builders.execution().spec
    if "workflowRef" in spec:
        members["workflow_ref"] = _changed(model.workflow_ref, spec["workflowRef"])
    if "executionConfig" in spec:
        members["execution_config"] = _changed(api.ExecutionConfig(), spec["executionConfig"])
    return validation.check(model.model_copy(update=members), rules)


def _changed(model: Model, members: dict[str, Any]) -> Model:
    return model.model_copy(update={to_snake(key): value for key, value in members.items()})


def test_check_finds_nothing_when_the_spec_is_fine() -> None:
    assert problems({}) == []
    assert problems({"executionConfig": {}}) == []
    assert problems({"parameters": None}) == []


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        pytest.param({"targetResource": "a/b/c/d"}, "spec.targetResource: 'a/b/c/d' is not namespace/kind/name or kind/name", id="four-parts"),
        pytest.param({"targetResource": "a//c"}, "spec.targetResource: 'a//c' is not namespace/kind/name or kind/name", id="empty-part"),
        pytest.param({"targetResource": "x" * 501}, "spec.targetResource: 501 characters, at most 500 are allowed", id="long"),
        pytest.param({"targetResource": "Ns/pod/x"}, "spec.targetResource: namespace 'Ns' is not an RFC 1123 label", id="namespace"),
        pytest.param({"targetResource": "ns/po_d/x"}, "spec.targetResource: kind 'po_d' is not an RFC 1123 label", id="kind"),
        pytest.param({"targetResource": "ns/pod/X_"}, "spec.targetResource: name 'X_' is not an RFC 1123 name", id="name"),
        pytest.param({"targetResource": "ns/Deployments/x"}, "spec.targetResource: kind 'Deployments' must be written 'deployment': ns/deployment/x", id="plural"),
        pytest.param({"targetResource": "no/x"}, "spec.targetResource: kind 'no' must be written 'node': node/x", id="short-name"),
        pytest.param({"workflowRef": {"containerImage": ""}}, "spec.workflowRef.containerImage: '' is not an image reference", id="no-image"),
        pytest.param({"workflowRef": {"containerImage": "a b"}}, "spec.workflowRef.containerImage: 'a b' is not an image reference", id="space-in-image"),
        pytest.param({"workflowRef": {"containerImage": "a@sha256:1"}}, "spec.workflowRef.containerImage: 'sha256:1' is not a digest (sha256: and 64 hex digits)", id="image-digest"),
        pytest.param({"workflowRef": {"containerDigest": "md5:1"}}, "spec.workflowRef.containerDigest: 'md5:1' is not sha256: and 64 hex digits", id="digest"),
        pytest.param({"workflowRef": {"containerImage": f"a@{OTHER}", "containerDigest": builders.DIGEST}}, f"spec.workflowRef.containerImage: its digest {OTHER} is not spec.workflowRef.containerDigest {builders.DIGEST}", id="two-digests"),
        pytest.param({"parameters": {"1A": ""}}, "spec.parameters: '1A' is not a parameter name that Tekton accepts", id="parameter-name"),
        pytest.param({"parameters": {"TARGET_RESOURCE": "x"}}, "spec.parameters.TARGET_RESOURCE: is added by the controller and cannot be given", id="reserved-parameter"),
        pytest.param({"parameters": {"A": "x" * 524288}}, "spec.parameters: 524289 bytes in all, at most 524288 are allowed", id="parameters-too-large"),
        pytest.param({"executionConfig": {"timeout": 0.5}}, "spec.executionConfig.timeout: 0.5s is not between 1s and 24h", id="timeout"),
        pytest.param({"executionConfig": {"serviceAccountName": "admin"}}, "spec.executionConfig.serviceAccountName: 'admin' is not in execution.allowedServiceAccounts", id="account"),
    ],
)  # fmt: skip
def test_check_names_the_field_when_it_is_wrong(spec: dict[str, Any], problem: str) -> None:
    assert problems(spec) == [problem]


def test_check_names_every_problem_at_once() -> None:
    found = problems({"targetResource": "x", "parameters": {"1": ""}})
    assert [it.split(":")[0] for it in found] == ["spec.targetResource", "spec.parameters"]


@pytest.mark.parametrize(
    ("workflow_ref", "wanted"),
    [
        pytest.param({"containerDigest": builders.DIGEST}, [], id="digest-field"),
        pytest.param({"containerImage": f"a@{OTHER}"}, [], id="digest-in-image"),
        pytest.param(
            {},
            ["spec.workflowRef.containerDigest: required here (execution.requireDigest)"],
            id="none",
        ),
    ],
)
def test_check_wants_a_digest_when_it_is_required(
    workflow_ref: dict[str, str], wanted: list[str]
) -> None:
    rules = validation.Rules((), RULES.allowed_service_accounts, require_digest=True)
    assert problems({"workflowRef": workflow_ref}, rules) == wanted


def test_check_refuses_a_bundle_outside_the_allowed_ones() -> None:
    rules = validation.Rules(("registry.example/workflows/",), RULES.allowed_service_accounts, False)
    assert problems({}, rules) == []
    assert problems({"workflowRef": {"containerImage": "evil.example/x:1"}}, rules) == [
        "spec.workflowRef.containerImage: 'evil.example/x:1' is not in execution.allowedBundles"
    ]

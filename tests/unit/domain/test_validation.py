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


def target(value: str) -> dict[str, Any]:
    return {"targetResource": value}


def bundle(image: str = "a", digest: str | None = None) -> dict[str, Any]:
    return {"workflowRef": {"containerImage": image, "containerDigest": digest}}


NO_TARGET = "is not namespace/kind/name or kind/name"
NO_DIGEST = "is not a digest (sha256: and 64 hex digits)"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param("a/b/c/d", f"'a/b/c/d' {NO_TARGET}", id="four-parts"),
        pytest.param("a//c", f"'a//c' {NO_TARGET}", id="empty-part"),
        pytest.param("x", f"'x' {NO_TARGET}", id="one-part"),
        pytest.param("x" * 501, "501 characters, at most 500 are allowed", id="long"),
        pytest.param("Ns/pod/x", "namespace 'Ns' is not an RFC 1123 label", id="namespace"),
        pytest.param("ns/po_d/x", "kind 'po_d' is not an RFC 1123 label", id="kind"),
        pytest.param("ns/pod/X_", "name 'X_' is not an RFC 1123 name", id="name"),
        pytest.param("ns/pod/a..b", "name 'a..b' is not an RFC 1123 name", id="two-dots"),
        pytest.param(
            "pod/" + "x" * 254, f"name '{'x' * 254}' is not an RFC 1123 name", id="long-name"
        ),
        pytest.param(
            "ns/Deployments/x",
            "kind 'Deployments' must be written 'deployment': ns/deployment/x",
            id="plural",
        ),
        pytest.param("no/x", "kind 'no' must be written 'node': node/x", id="short-name"),
        pytest.param(
            "ns/node/x", "kind 'node' has no namespace, write node/x", id="without-namespace"
        ),
        pytest.param(
            "ns/ClusterRole/x",
            "kind 'ClusterRole' has no namespace, write ClusterRole/x",
            id="without-namespace-mixed-case",
        ),
        pytest.param(
            "ns/nodes/x", "kind 'nodes' must be written 'node': node/x", id="plural-and-namespace"
        ),
    ],
)
def test_check_names_what_is_wrong_with_the_target(value: str, problem: str) -> None:
    assert problems(target(value)) == [f"spec.targetResource: {problem}"]


SHORT_NAMES = """
    cm=configmap cj=cronjob crd=customresourcedefinition crds=customresourcedefinition ds=daemonset
    csr=certificatesigningrequest deploy=deployment ep=endpoints ev=event ing=ingress
    hpa=horizontalpodautoscaler limits=limitrange ns=namespace netpol=networkpolicy no=node
    pv=persistentvolume pvc=persistentvolumeclaim po=pod pdb=poddisruptionbudget pc=priorityclass
    rs=replicaset rc=replicationcontroller quota=resourcequota svc=service sa=serviceaccount
    sts=statefulset sc=storageclass vac=volumeattributesclass cs=componentstatus
"""


def plural(kind: str) -> str:
    if kind.endswith("y"):
        return kind.removesuffix("y") + "ies"
    return kind + ("es" if kind.endswith("s") else "s")


def test_every_short_name_of_kubectl_is_known() -> None:
    short = dict(pair.split("=") for pair in SHORT_NAMES.split())
    known = {it: kind for it, kind in validation.KIND_SPELLINGS.items() if it != plural(kind)}
    assert known == short


def test_every_known_kind_is_known_by_its_plural_and_right_by_itself() -> None:
    spellings = validation.KIND_SPELLINGS
    kinds = set(spellings.values()) - {"endpoints"}
    assert {plural(kind) for kind in kinds} <= spellings.keys()
    assert not spellings.keys() & kinds
    assert {"deployment", "node", "job", "networkpolicy", "ingressclass"} <= kinds


@pytest.mark.parametrize(
    "kind",
    ["componentstatus", "devicetaintrule", "servicecidr", "storageversionmigration"],
)
def test_a_rare_kind_of_the_cluster_has_no_namespace(kind: str) -> None:
    right = f"{kind}/x"
    said = f"spec.targetResource: kind {kind!r} has no namespace, write {right}"
    assert problems(target(f"ns/{kind}/x")) == [said]
    said = f"spec.targetResource: kind {plural(kind)!r} must be written {kind!r}: {right}"
    assert problems(target(f"ns/{plural(kind)}/x")) == [said]


@pytest.mark.parametrize(
    "kind",
    [
        "csistoragecapacity", "ipaddress", "leasecandidate", "resourceclaim",
        "resourceclaimtemplate",
    ],
)  # fmt: skip
def test_a_rare_kind_of_namespaces_is_known_by_its_plural(kind: str) -> None:
    assert problems(target(f"ns/{kind}/x")) == []
    said = f"spec.targetResource: kind {plural(kind)!r} must be written {kind!r}: ns/{kind}/x"
    assert problems(target(f"ns/{plural(kind)}/x")) == [said]


@pytest.mark.parametrize(
    "value",
    [
        "node/worker-node-1",
        "Node/worker-node-1",
        "deployment/payment-api",
        "ns/Pod/a.b",
        "a/b/" + "x" * 253,
        "ns/HTTPRoute/r",
        "n" * 63 + "/" + "k" * 63 + "/" + "x" * 253,
    ],
)
def test_check_takes_a_target_that_names_a_resource(value: str) -> None:
    assert problems(target(value)) == []


@pytest.mark.parametrize(
    ("image", "digest", "problem"),
    [
        pytest.param("", None, "Image: '' is not an image reference", id="no-image"),
        pytest.param("a b", None, "Image: 'a b' is not an image reference", id="space"),
        pytest.param(
            "R.example/Org/a:V1",
            None,
            "Image: 'R.example/Org/a:V1' is not an image reference (names are lower case)",
            id="upper-case",
        ),
        pytest.param("a@", None, "Image: 'a@' is not an image reference", id="empty-digest"),
        pytest.param("a@sha256:1", None, f"Image: 'sha256:1' {NO_DIGEST}", id="image-digest"),
        pytest.param("a", "md5:1", "Digest: 'md5:1' is not sha256: and 64 hex digits", id="digest"),
        pytest.param(
            f"a@{OTHER}",
            builders.DIGEST,
            f"Image: its digest {OTHER} is not spec.workflowRef.containerDigest {builders.DIGEST}",
            id="two-digests",
        ),
    ],
)
def test_check_names_what_is_wrong_with_the_bundle(
    image: str, digest: str | None, problem: str
) -> None:
    assert problems(bundle(image, digest)) == [f"spec.workflowRef.container{problem}"]


@pytest.mark.requirement("ADR-044", "Validate spec (workflowRef, parameters)")
@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        pytest.param(
            {"parameters": {"1A": ""}},
            "spec.parameters: '1A' is not a parameter name that Tekton accepts",
            id="parameter-name",
        ),
        pytest.param(
            {"parameters": {"TARGET_RESOURCE": "x"}},
            "spec.parameters.TARGET_RESOURCE: is added by the controller and cannot be given",
            id="reserved-parameter",
        ),
        pytest.param(
            {"parameters": {"A": "x" * 524288}},
            "spec.parameters: 524289 bytes in all, at most 524288 are allowed",
            id="parameters-too-large",
        ),
        pytest.param(
            {"executionConfig": {"timeout": 0.5}},
            "spec.executionConfig.timeout: 0.5s is not between 1s and 24h",
            id="timeout",
        ),
        pytest.param(
            {"executionConfig": {"timeout": 86401.0}},
            "spec.executionConfig.timeout: 86401s is not between 1s and 24h",
            id="long-timeout",
        ),
        pytest.param(
            {"executionConfig": {"serviceAccountName": "admin"}},
            "spec.executionConfig.serviceAccountName: 'admin' is not in "
            "execution.allowedServiceAccounts",
            id="account",
        ),
    ],
)
def test_check_names_the_field_when_it_is_wrong(spec: dict[str, Any], problem: str) -> None:
    assert problems(spec) == [problem]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"parameters": {"A": "x" * 524287}}, id="largest-parameters"),
        pytest.param({"executionConfig": {"timeout": 1.0}}, id="shortest-timeout"),
        pytest.param({"executionConfig": {"timeout": 86400.0}}, id="longest-timeout"),
        pytest.param({"executionConfig": {"serviceAccountName": ""}}, id="no-account"),
    ],
)
def test_check_takes_what_is_just_within_bounds(spec: dict[str, Any]) -> None:
    assert problems(spec) == []


def test_check_measures_a_target_before_it_looks_inside() -> None:
    assert problems(target("x" * 500)) == [f"spec.targetResource: '{'x' * 500}' {NO_TARGET}"]


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
    rules = validation.Rules(
        ("registry.example/workflows/",), RULES.allowed_service_accounts, False
    )
    assert problems({}, rules) == []
    assert problems({"workflowRef": {"containerImage": "evil.example/x:1"}}, rules) == [
        "spec.workflowRef.containerImage: 'evil.example/x:1' is not in execution.allowedBundles"
    ]


def allows(prefix: str, image: str) -> bool:
    rules = validation.Rules((prefix,), RULES.allowed_service_accounts, False)
    found = problems(bundle(image), rules)
    assert found in ([], [f"{IMAGE}: {image!r} is not in execution.allowedBundles"])
    return not found


IMAGE = "spec.workflowRef.containerImage"


@pytest.mark.parametrize("allowed", [(), ("r.example/workflows/",)], ids=["any", "listed"])
@pytest.mark.parametrize(
    "image",
    [
        "r.example/workflows/../evil/bundle:1",
        "r.example/workflows/./bundle:1",
        "r.example/workflows//bundle:1",
        "r.example/workflows/$(params.P)",
        "r.example/workflows/%2e%2e/evil:1",
        "r.example/workflows/a?b",
        "r.example/workflows/a:$(params.P)",
        "r.example/workflows/a\\..\\b",
    ],
)
def test_check_refuses_a_bundle_that_leads_elsewhere_than_it_begins(
    image: str, allowed: tuple[str, ...]
) -> None:
    rules = validation.Rules(allowed, RULES.allowed_service_accounts, False)
    assert problems(bundle(image), rules) == [f"{IMAGE}: {image!r} is not an image reference"]


@pytest.mark.parametrize(
    ("prefix", "image"),
    [
        ("r.example/team/", "r.example/team/a:1"),
        ("r.example/team", "r.example/team/a:1"),
        ("r.example/team", "r.example/team:1"),
        ("r.example/team", "r.example/team"),
        ("r.example/team", f"r.example/team@{OTHER}"),
        ("r.example/team-", "r.example/team-b/a:1"),
        ("r.example/team:1.", "r.example/team:1.2"),
        ("r.example/team:1.2", f"r.example/team:1.2@{OTHER}"),
        ("r.example", "r.example/a:1"),
        ("r.example:5000", "r.example:5000/a:1"),
        ("busybox", "busybox:1"),
        ("busybox:1.36", "busybox:1.36"),
        ("localhost", "localhost/a:1"),
        ("[::1]:5000", "[::1]:5000/a"),
    ],
)
def test_check_takes_what_is_under_an_allowed_prefix(prefix: str, image: str) -> None:
    assert allows(prefix, image)


@pytest.mark.parametrize(
    ("prefix", "image"),
    [
        ("r.example/team", "r.example/team-b/a:1"),
        ("r.example/team", "r.example/team2/a:1"),
        ("r.example/team:1.2", "r.example/team:1.2.3"),
        ("r.example/team:1.2", "r.example/team:1.20"),
        ("r.example", "r.example.evil.example/a:1"),
        ("r.example.", "r.example.evil.example/a:1"),
        ("r.example", "r.example:5000/a:1"),
        ("r.example:", "r.example:5000/a:1"),
        ("r.example:50", "r.example:5000/a:1"),
        ("r.example", "r.example:5000"),
        ("r.example", "r.example"),
        ("r.example", f"r.example@{OTHER}"),
        ("r.example:5000", "r.example:5000"),
        ("r.example:5000", f"r.example:5000@{OTHER}"),
        ("localhost", "localhost:1"),
        ("busybox", "busybox-b/a:1"),
    ],
)
def test_check_refuses_what_merely_begins_like_an_allowed_prefix(prefix: str, image: str) -> None:
    assert not allows(prefix, image)

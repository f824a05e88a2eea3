import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml

from tests.unit.adapters import fakes
from workflowexecution.adapters import guard
from workflowexecution.runtime import errors, resource

MANIFESTS = Path(__file__).parents[3] / "manifests" / "policies"
SELECTORS: dict[str, Any] = {
    "matchPolicy": "Equivalent",
    "namespaceSelector": {},
    "objectSelector": {},
}
STATUS_RULE = {
    "apiGroups": ["kubernaut.ai"],
    "apiVersions": ["v1alpha1"],
    "operations": ["UPDATE"],
    "resources": ["workflowexecutions/status"],
}

pytestmark = pytest.mark.looptime


def manifest(name: str) -> resource.JsonObject:
    """One of the project's manifests, as it is installed."""
    found: resource.JsonObject = yaml.safe_load((MANIFESTS / name).read_text("utf-8"))
    return found


class Cluster(fakes.FakeClient):
    """Holds the policy and its binding, as the server gives them after the install."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = manifest("policy.yaml")
        self.binding = manifest("binding.yaml")
        constraints = self.policy["spec"]["matchConstraints"]
        constraints.update(copy.deepcopy(SELECTORS))
        constraints["resourceRules"][0]["scope"] = "*"
        self.objects = {guard.POLICIES: self.policy, guard.BINDINGS: self.binding}

    async def get(
        self, resource: resource.Resource, key: resource.ObjectKey, *, deadline_s: float = 10.0
    ) -> resource.JsonObject:
        self._answer("get", resource, key)
        if key != guard.KEY or resource not in self.objects:
            raise fakes.refusal(errors.NotFound)
        return self.objects[resource]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def weakness(cluster: Cluster) -> str:
    """What is wrong with what the cluster holds."""
    found = guard.policy_weakness(cluster.policy["spec"])
    return found or guard.binding_weakness(cluster.binding["spec"])


@pytest.mark.parametrize(
    ("kind", "plural"),
    [
        (guard.POLICIES, "validatingadmissionpolicies"),
        (guard.BINDINGS, "validatingadmissionpolicybindings"),
    ],
)
def test_kinds_are_where_the_api_serves_them(kind: resource.Resource, plural: str) -> None:
    assert kind.path() == f"/apis/admissionregistration.k8s.io/v1/{plural}"


@pytest.mark.parametrize("name", ["policy.yaml", "binding.yaml"])
def test_manifest_is_what_the_guard_looks_for(name: str) -> None:
    found = manifest(name)
    kind = {it.kind: it for it in (guard.POLICIES, guard.BINDINGS)}[found["kind"]]
    assert found["apiVersion"] == kind.api_version
    assert found["metadata"]["name"] == guard.KEY.name


async def test_guard_is_in_force_when_all_is_as_installed(cluster: Cluster) -> None:
    with structlog.testing.capture_logs() as logs:
        assert await guard.AdmissionGuard(client=cluster).in_force()
    assert cluster.calls == [
        ("get", guard.POLICIES, guard.KEY),
        ("get", guard.BINDINGS, guard.KEY),
    ]
    assert logs == []


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        pytest.param(guard.POLICIES, "the policy is not there", id="policy"),
        pytest.param(guard.BINDINGS, "the policy's binding is not there", id="binding"),
    ],
)
async def test_guard_is_not_in_force_when_a_part_is_missing(
    cluster: Cluster, kind: resource.Resource, said: str
) -> None:
    del cluster.objects[kind]
    with structlog.testing.capture_logs() as logs:
        assert not await guard.AdmissionGuard(client=cluster).in_force()
    assert [(it["log_level"], it["policy"], it["reason"]) for it in logs] == [
        ("warning", guard.KEY.name, said)
    ]


async def test_guard_is_not_in_force_when_a_part_is_weakened(cluster: Cluster) -> None:
    cluster.policy["spec"]["failurePolicy"] = "Ignore"
    assert not await guard.AdmissionGuard(client=cluster).in_force()
    cluster.policy["spec"]["failurePolicy"] = "Fail"
    cluster.binding["spec"]["validationActions"] = ["Audit", "Warn"]
    assert not await guard.AdmissionGuard(client=cluster).in_force()


async def test_guard_is_not_in_force_when_it_may_not_be_read(cluster: Cluster) -> None:
    cluster.answer = fakes.refusal(errors.Forbidden)
    assert not await guard.AdmissionGuard(client=cluster).in_force()


@pytest.mark.parametrize("end", [29.9, 30.0])
async def test_an_answer_holds_for_half_a_minute(cluster: Cluster, end: float) -> None:
    asked = guard.AdmissionGuard(client=cluster)
    assert await asked.in_force()
    cluster.objects.clear()
    await asyncio.sleep(end)
    assert await asked.in_force() is (end < 30)
    assert len(cluster.calls) == (2 if end < 30 else 4)


async def test_the_last_answer_can_be_had_without_asking(cluster: Cluster) -> None:
    asked = guard.AdmissionGuard(client=cluster)
    assert asked.last_in_force
    cluster.objects.clear()
    await asked.in_force()
    assert not asked.last_in_force


async def test_a_change_is_logged_once_each_way(cluster: Cluster) -> None:
    asked = guard.AdmissionGuard(client=cluster)
    objects = dict(cluster.objects)
    answers = []
    with structlog.testing.capture_logs() as logs:
        for there in (objects, {}, {}, objects, objects):
            cluster.objects = there
            answers.append(await asked.in_force())
            await asyncio.sleep(30)
    assert answers == [True, False, False, True, True]
    assert [(it["log_level"], it["event"]) for it in logs] == [
        ("warning", "Clearances are not honoured"),
        ("info", "Clearances are honoured again"),
    ]


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(fakes.refusal(errors.ServerError), id="500"),
        pytest.param(fakes.refusal(errors.EndpointMissing), id="not-served"),
        pytest.param(errors.TransportError("reset"), id="reset"),
    ],
)
async def test_nothing_is_claimed_when_the_server_does_not_say(
    cluster: Cluster, failure: errors.ClusterError
) -> None:
    asked = guard.AdmissionGuard(client=cluster)
    assert await asked.in_force()
    await asyncio.sleep(30)
    cluster.answer = failure
    for _ in range(2):
        with pytest.raises(type(failure)):
            await asked.in_force()
    cluster.answer = {}
    assert await asked.in_force()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"failurePolicy": "Ignore"}, "failurePolicy is not Fail", id="ignores"),
        pytest.param({"matchConditions": []}, "its matchConditions", id="conditions"),
        pytest.param({"paramKind": {}, "news": 1}, "its news, paramKind", id="parameters"),
        pytest.param({"validations": []}, "lacks a rule", id="no-rules"),
        pytest.param({"matchConstraints": {}}, "does not match updates", id="matches-nothing"),
    ],
)
def test_policy_is_weak_when_its_spec_is(cluster: Cluster, changes: Any, said: str) -> None:  # noqa: ANN401 - members of a spec
    cluster.policy["spec"].update(changes)
    assert said in weakness(cluster)


@pytest.mark.parametrize("rule", guard.RULES)
def test_policy_is_weak_when_a_rule_is_missing(cluster: Cluster, rule: str) -> None:
    validations = cluster.policy["spec"]["validations"]
    kept = [it for it in validations if it["expression"] != rule]
    assert len(kept) == len(validations) - 1
    cluster.policy["spec"]["validations"] = kept
    assert "lacks a rule on status.blockClearance" in weakness(cluster)


NARROW = {
    "namespaceSelector": {"matchLabels": {"team": "payment"}},
    "objectSelector": {"matchLabels": {"team": "payment"}},
    "excludeResourceRules": [STATUS_RULE],
}


@pytest.mark.parametrize("field", NARROW)
def test_guard_is_weak_when_something_is_exempt(cluster: Cluster, field: str) -> None:
    cluster.binding["spec"]["matchResources"] = SELECTORS | {field: NARROW[field]}
    assert weakness(cluster) == "the binding's matchResources exempt requests"
    cluster.policy["spec"]["matchConstraints"][field] = NARROW[field]
    assert weakness(cluster) == "the policy's matchConstraints exempt requests"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"policyName": "another"}, "of another policy", id="another-policy"),
        pytest.param({"validationActions": ["Warn"]}, "have no Deny", id="warns"),
        pytest.param({"paramRef": {}}, "its paramRef", id="parameters"),
        pytest.param(
            {"matchResources": {"resourceRules": [STATUS_RULE]}}, "matchResources", id="own-rules"
        ),
    ],
)
def test_binding_is_weak_when_its_spec_is(cluster: Cluster, changes: Any, said: str) -> None:  # noqa: ANN401 - members of a spec
    cluster.binding["spec"].update(changes)
    assert said in weakness(cluster)


def test_binding_is_strong_when_it_also_audits(cluster: Cluster) -> None:
    cluster.binding["spec"]["validationActions"] = ["Audit", "Deny"]
    cluster.binding["spec"]["matchResources"] = SELECTORS
    assert weakness(cluster) == ""


@pytest.mark.parametrize(
    ("changes", "strong"),
    [
        pytest.param({}, True, id="as-it-is"),
        pytest.param({"apiGroups": ["*"], "apiVersions": ["*"]}, True, id="all-groups"),
        pytest.param({"operations": ["*"], "resources": ["*/*"]}, True, id="all-resources"),
        pytest.param({"resources": ["workflowexecutions/*"]}, True, id="subresources"),
        pytest.param({"scope": "Namespaced"}, True, id="namespaced"),
        pytest.param({"apiGroups": ["tekton.dev"]}, False, id="group"),
        pytest.param({"apiVersions": ["v1"]}, False, id="version"),
        pytest.param({"operations": ["CREATE"]}, False, id="operation"),
        pytest.param({"resources": ["workflowexecutions", "*"]}, False, id="no-subresource"),
        pytest.param({"resourceNames": ["one"]}, False, id="names"),
        pytest.param({"scope": "Cluster"}, False, id="cluster-scoped"),
    ],
)
def test_policy_must_match_updates_of_the_status(
    cluster: Cluster,
    changes: Any,  # noqa: ANN401 - members of a rule
    strong: bool,
) -> None:
    rules = [{"resources": ["pods"]}, STATUS_RULE | changes]
    cluster.policy["spec"]["matchConstraints"]["resourceRules"] = rules
    assert (weakness(cluster) == "") is strong

"""What the apiserver itself refuses, by the CRD, and in which words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fake import kinds
from tests.integration import objects
from tests.integration.objects import REMOVED

if TYPE_CHECKING:
    from tests.fake.api import Reply
    from tests.integration.world import JsonObject, World

IMAGE = "spec.workflowRef.containerImage"
DIGEST = "spec.workflowRef.containerDigest"
TARGET = "spec.targetResource"
TIMEOUT = "spec.executionConfig.timeout"
ACCOUNT = "spec.executionConfig.serviceAccountName"
CANCEL = {"requestedBy": "alice", "reason": "it makes things worse"}


def case(path: str, value: object, words: str, *, name: str = "", field: str = "") -> object:
    """A field with a bad value, and words of the refusal; `field` where it names another one."""
    said = name or ("missing" if value is REMOVED else "empty" if value in ("", {}) else "")
    last = path.rpartition(".")[2]
    return pytest.param(path, value, words, field or path, id=f"{last}-{said or words}")


REFUSED = [
    case("spec", REMOVED, "Required value"),
    case("spec.remediationRequestRef", REMOVED, "Required value"),
    case("spec.remediationRequestRef", "rr-1", "must be of type object"),
    case("spec.remediationRequestRef.name", REMOVED, "Required value"),
    case("spec.remediationRequestRef.name", "", "at least 1"),
    case("spec.remediationRequestRef.name", "r" * 254, "Too long", name="too-long"),
    case("spec.remediationRequestRef.name", 7, "must be of type string"),
    case("spec.workflowRef", REMOVED, "Required value"),
    case("spec.workflowRef", {}, "Required value", field="spec.workflowRef.workflowId"),
    case("spec.workflowRef.workflowId", REMOVED, "Required value"),
    case("spec.workflowRef.workflowId", "", "at least 1"),
    case("spec.workflowRef.workflowId", "w" * 254, "Too long", name="too-long"),
    case("spec.workflowRef.workflowId", ["restart"], "must be of type string"),
    case("spec.workflowRef.version", REMOVED, "Required value"),
    case("spec.workflowRef.version", "", "at least 1"),
    case("spec.workflowRef.version", "1" * 129, "Too long", name="too-long"),
    case("spec.workflowRef.version", 1.5, "must be of type string"),
    case(IMAGE, REMOVED, "Required value"),
    case(IMAGE, "", "at least 1"),
    case(IMAGE, "i" * 1025, "Too long", name="too-long"),
    case(IMAGE, "registry.example/a b:v1", "should match", name="with-space"),
    case(IMAGE, "registry.example/a:v1\n", "should match", name="with-newline"),
    case(DIGEST, "", "should match"),
    case(DIGEST, "a" * 64, "should match", name="without-algorithm"),
    case(DIGEST, "sha256:" + "A" * 64, "should match", name="upper-case"),
    case(DIGEST, "sha256:" + "a" * 63, "should match", name="too-short"),
    case(DIGEST, "sha256:" + "a" * 65, "Too long", name="too-long"),
    case(DIGEST, "sha512:" + "a" * 64, "should match", name="other-algorithm"),
    case("spec.workflowRef.engine", "argo", 'supported values: "tekton"', name="unknown"),
    case("spec.workflowRef.engine", "", 'supported values: "tekton"'),
    case(TARGET, REMOVED, "Required value"),
    case(TARGET, "", "at least 1"),
    case(TARGET, ["payment", "deployment", "api"], "must be of type string"),
    case("spec.parameters", ["REPLICAS=3"], "must be of type object"),
    case("spec.parameters.REPLICAS", 3, "must be of type string", name="integer"),
    case("spec.parameters.REPLICAS", True, "must be of type string", name="boolean"),
    case("spec.parameters.REPLICAS", {"a": "b"}, "must be of type string", name="object"),
    case("spec.parameters.REPLICAS", "x" * 1048577, "Too long", name="too-long"),
    case("spec.parameters", {f"P{i}": "" for i in range(4097)}, "Too many", name="too-many"),
    case("spec.confidence", 1.01, "less than or equal to 1", name="above-one"),
    case("spec.confidence", -0.01, "greater than or equal to 0", name="negative"),
    case("spec.confidence", "0.9", "must be of type number", name="text"),
    case("spec.rationale", "r" * 16385, "Too long", name="too-long"),
    case("spec.rationale", 7, "must be of type string"),
    case("spec.executionConfig", "10m", "must be of type object"),
    case(TIMEOUT, 600, "must be of type string", name="number"),
    case(TIMEOUT, "", "should match"),
    case(TIMEOUT, "10", "should match", name="without-unit"),
    case(TIMEOUT, "10 m", "should match", name="with-space"),
    case(TIMEOUT, "-10m", "should match", name="negative"),
    case(TIMEOUT, "1d", "should match", name="days"),
    case(TIMEOUT, "ten minutes", "should match", name="words"),
    case(TIMEOUT, "0s", "between 1s and 24h", name="zero"),
    case(TIMEOUT, "999ms", "between 1s and 24h", name="below-a-second"),
    case(TIMEOUT, "24h1s", "between 1s and 24h", name="over-a-day"),
    case(TIMEOUT, "9999999999h", "between 1s and 24h", name="overflow"),
    case(ACCOUNT, "", "at least 1"),
    case(ACCOUNT, "Not_An_Account", "should match", name="bad-name"),
    case(ACCOUNT, "a" * 254, "Too long", name="too-long"),
    case("spec.cancel", {"reason": "enough"}, "Required value", field="spec.cancel.requestedBy"),
    case("spec.cancel", {"requestedBy": "alice"}, "Required value", field="spec.cancel.reason"),
    case("spec.cancel", CANCEL | {"reason": ""}, "at least 1", field="spec.cancel.reason"),
    case("spec.cancel", True, "must be of type object"),
]

BAD_TARGETS = {
    "name-only": "payment-api",
    "four-parts": "cluster/payment/deployment/payment-api",
    "empty-namespace": "/deployment/payment-api",
    "empty-kind": "payment//payment-api",
    "empty-name": "payment/deployment/",
    "trailing-slash": "payment/deployment/payment-api/",
    "upper-case-namespace": "Payment/deployment/payment-api",
    "upper-case-name": "payment/deployment/Payment-API",
    "underscore-in-name": "payment/deployment/payment_api",
    "dot-in-namespace": "pay.ment/deployment/payment-api",
    "dot-at-the-end": "payment/deployment/payment-api.",
    "two-dots": "payment/deployment/payment..api",
    "dash-first": "payment/deployment/-payment-api",
    "group-in-kind": "payment/deployment.apps/payment-api",
    "kind-with-digit-first": "payment/1deployment/payment-api",
    "space": "payment/deployment/payment api",
    "leading-space": " payment/deployment/payment-api",
    "newline-at-the-end": "payment/deployment/payment-api\n",
    "colons": "payment:deployment:payment-api",
    "unicode": "payment/deployment/zahlungsdienst-ä",
    "path-traversal": "../deployment/payment-api",
    "namespace-of-64": "n" * 64 + "/deployment/payment-api",
    "kind-of-64": "payment/" + "k" * 64 + "/payment-api",
    "name-of-254": "payment/deployment/" + "n" * 254,
    "501-characters": "payment/deployment/" + "n" * 482,
}
GOOD_TARGETS = {
    "namespaced": "payment/deployment/payment-api",
    "cluster-scoped": "node/worker-1",
    "kind-as-in-manifests": "payment/StatefulSet/db",
    "dots-in-name": "node/ip-10-0-0-1.eu-west-1.compute.internal",
    "one-letter-each": "a/b/c",
    "digits": "1/v2/3",
    "longest": "n" * 63 + "/" + "k" * 63 + "/" + "a" * 253,
}
GOOD_TIMEOUTS = ["1s", "1000ms", "24h", "23h59m60s", "1h30m", "1.5h", "90s", "0.5h0.5m"]

BAD_STATUS = [
    case("status.phase", "Paused", "supported values"),
    case("status.phase", "completed", "supported values", name="lower-case"),
    case("status.outcome", "Succeeded", "supported values"),
    case("status.failureReason", "Error", "supported values"),
    case("status.skipDetails.reason", "Cooldown", "supported values"),
    case("status.failureDetails.reason", "Error", "supported values"),
    case("status.failureDetails", {"failedTaskName": ""}, "Required value",
         field="status.failureDetails.failedTaskIndex"),
    case("status.failureDetails", {"failedTaskIndex": 0}, "Required value",
         field="status.failureDetails.failedTaskName"),
    case("status.blockClearance.clearMethod", "Phone", "supported values"),
    case("status.blockClearance.clearReason", "r" * 1025, "Too long", name="too-long"),
    case("status.blockClearance.clearedBy", "r" * 254, "Too long", name="too-long"),
    case("status.startTime", "yesterday", "must be of type date-time"),
    case("status.completionTime", 1700000000, "must be of type date-time"),
    case("status.consecutiveFailures", "three", "must be of type integer"),
    case("status.taskRuns", [{"name": "a", "task": "b", "phase": "Done"}], "supported values",
         field="status.taskRuns[0].phase"),
    case("status.conditions", [{"type": "Ready", "status": "Yes"}], "supported values",
         field="status.conditions[0].status"),
    case("status.pipelineRunRef", {}, "Required value", field="status.pipelineRunRef.name"),
]  # fmt: skip


async def attempt(world: World, body: JsonObject) -> Reply:
    """Try to create, without leaving anything."""
    full = objects.changed(body, "metadata.namespace", world.namespace)
    return await world.api.request(
        "POST", kinds.EXECUTIONS.path(world.namespace), query={"dryRun": "All"}, body=full
    )


def assert_refused(reply: Reply, field: str, words: str) -> None:
    """The refusal is a 422 whose cause names the field, and whose text says what is wrong."""
    assert reply.status == 422, reply.raw
    causes = [(cause["field"], cause["message"]) for cause in reply.body["details"]["causes"]]
    assert any(at == field and words in said for at, said in causes), causes
    assert field in reply.body["message"]


@pytest.mark.parametrize(("path", "value", "words", "field"), REFUSED)
async def test_crd_refuses_and_names_the_field_when_a_value_is_bad(
    world: World, path: str, value: object, words: str, field: str
) -> None:
    reply = await attempt(world, objects.changed(objects.execution(), path, value))
    assert_refused(reply, field, words)


@pytest.mark.requirement("BR-WE-011", "Target resource identification for locking")
@pytest.mark.parametrize("target", BAD_TARGETS.values(), ids=BAD_TARGETS)
async def test_crd_refuses_a_target_when_it_is_no_kind_and_name(world: World, target: str) -> None:
    reply = await attempt(world, objects.execution(targetResource=target))
    assert reply.status == 422, reply.raw
    assert TARGET in reply.body["message"]


@pytest.mark.requirement("BR-WE-011", "Target resource identification for locking")
@pytest.mark.parametrize("target", GOOD_TARGETS.values(), ids=GOOD_TARGETS)
async def test_crd_accepts_a_target_when_it_is_well_formed(world: World, target: str) -> None:
    (await attempt(world, objects.execution(targetResource=target))).accept()


async def test_crd_takes_thousands_of_parameters_and_keeps_each_of_them(world: World) -> None:
    many = {f"PARAMETER_{number:05}": "x" * 100 for number in range(4096)}
    await world.create(world.execution("many", parameters=many))
    patch = {"spec": {"parameters": {"PARAMETER_04095": "other"}}}
    reply = await world.api.patch(kinds.EXECUTIONS, world.namespace, "many", patch)
    assert_refused(reply, "spec.parameters", "cannot change after creation")
    patch = {"metadata": {"labels": {"a": "b"}}}
    (await world.api.patch(kinds.EXECUTIONS, world.namespace, "many", patch)).accept()


@pytest.mark.parametrize("text", GOOD_TIMEOUTS)
async def test_crd_accepts_a_timeout_when_it_is_within_a_day(world: World, text: str) -> None:
    (await attempt(world, objects.execution(executionConfig={"timeout": text}))).accept()


async def test_crd_accepts_an_execution_when_it_has_only_what_is_required(world: World) -> None:
    body = objects.execution()
    for path in ("parameters", "confidence", "rationale", "executionConfig"):
        body = objects.changed(body, f"spec.{path}", REMOVED)
    for path in ("containerDigest", "engine"):
        body = objects.changed(body, f"spec.workflowRef.{path}", REMOVED)
    made = (await attempt(world, body)).accept()
    assert made["spec"]["workflowRef"]["engine"] == "tekton"


async def test_crd_names_every_fault_when_there_are_several(world: World) -> None:
    body = objects.changed(objects.execution(confidence=2), IMAGE, REMOVED)
    reply = await attempt(world, objects.changed(body, "spec.workflowRef.engine", "argo"))
    assert reply.status == 422
    said = {cause["field"] for cause in reply.body["details"]["causes"]}
    assert said >= {"spec.confidence", IMAGE, "spec.workflowRef.engine"}


async def test_crd_refuses_a_misspelt_field_when_the_client_asks_for_strictness(
    world: World,
) -> None:
    body = objects.execution(parametres={"REPLICAS": "3"})
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    path = kinds.EXECUTIONS.path(world.namespace)
    reply = await world.api.request("POST", path, query=query, body=body)
    assert reply.status == 400
    assert 'unknown field "spec.parametres"' in reply.body["message"]


@pytest.mark.parametrize(("path", "value", "words", "field"), BAD_STATUS)
async def test_crd_refuses_a_status_when_a_value_is_bad(
    world: World, path: str, value: object, words: str, field: str
) -> None:
    await world.create(world.execution("plain"))
    patch = objects.changed({}, path, value)
    reply = await world.api.patch(
        kinds.EXECUTIONS, world.namespace, "plain", patch, subresource="status"
    )
    assert_refused(reply, field, words)

"""What gets past the CRD is refused by the controller, once, with the field named."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.fake import kinds
from tests.fake.definitions import DEFINITIONS
from tests.integration import objects
from tests.integration.conftest import CRD_FOLDER
from tests.integration.objects import REMOVED
from tests.support import program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.integration.audit import AuditLog
    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject, World
    from tests.stack.cluster import Stack
    from tests.support.program import Program

CRD = "workflowexecutions.kubernaut.ai"
FINALIZER, STATUS = "patch workflowexecutions", "patch workflowexecutions/status"
REFUSED = [FINALIZER, STATUS, FINALIZER]
SERVED_S = 30.0
LOOK_EVERY_S = 0.05

IMAGE = "spec.workflowRef.containerImage"
DIGEST = "spec.workflowRef.containerDigest"
TARGET = "spec.targetResource"
TIMEOUT = "spec.executionConfig.timeout"
ACCOUNT = "spec.executionConfig.serviceAccountName"

requirement = pytest.mark.requirement


@pytest.fixture(scope="module")
def controller(account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program, which allows some bundles and accounts."""
    execution = {
        "allowedBundles": ["registry.example/workflows/"],
        "allowedServiceAccounts": [objects.ACCOUNT, objects.OTHER_ACCOUNT],
    }
    folder = tmp_path_factory.mktemp("controller")
    # What it writes after a refusal is none of these tests'.
    audit = {"sink": "none"}
    with program.running(folder, account, execution=execution, audit=audit) as running:
        yield running


def case(path: str, value: object, name: str, *words: str) -> object:
    """A field with a value, and words of the refusal beside the field's name."""
    return pytest.param(path, value, (path, *words), id=f"{path.rpartition('.')[2]}-{name}")


async def assert_refused(
    world: World, audit: AuditLog, controller: Program, body: JsonObject, words: tuple[str, ...]
) -> None:
    """An execution ends Failed by one status, says why, and nothing was started."""
    made = await world.create(body)
    status = await world.phase("refused", "Failed")
    details = status["failureDetails"]
    assert details["reason"] == status["failureReason"] == "ConfigurationError"
    assert all(word in details["message"] for word in words), details["message"]
    assert details["wasExecutionFailure"] is False
    assert status["requiresManualReview"] is False
    assert status["outcome"] == "Failed"
    assert all(word in status["message"] for word in words)
    said = {it["type"]: (it["status"], it["reason"]) for it in status["conditions"]}
    assert said == {
        "TektonPipelineCreated": ("False", "PipelineCreationFailed"),
        "Ready": ("False", "ConfigurationError"),
    }
    await world.until("refused", lambda it: "finalizers" not in it["metadata"])
    await world.stays("refused", for_s=0.3)
    await audit.expect(controller, REFUSED, world.namespace)
    assert "pipelineRunRef" not in status
    assert await world.runs_of(made["metadata"]["uid"]) == []


def with_spelling(kind: str, right: str) -> object:
    """A plural or short name of a kind, and the right spelling in the refusal."""
    target = f"payment/{kind}/payment-api"
    return case(TARGET, target, kind, repr(kind), f"payment/{right}/payment-api")


PAST_THE_CRD = [
    with_spelling("deployments", "deployment"),
    with_spelling("deploy", "deployment"),
    with_spelling("Deployments", "deployment"),
    with_spelling("sts", "statefulset"),
    with_spelling("po", "pod"),
    case(TARGET, "nodes/worker-1", "cluster-scoped-plural", "node/worker-1"),
    case(TARGET, "monitoring/node/worker-1", "cluster-scoped-in-a-namespace", "node/worker-1"),
    case("spec.parameters.TARGET_RESOURCE", "x/y/z", "reserved", "cannot be given"),
    case("spec.parameters", {"1ST": "x"}, "name-with-digit-first", "'1ST'"),
    case("spec.parameters", {"WITH SPACE": "x"}, "name-with-space", "'WITH SPACE'"),
    case("spec.parameters", {"": "x"}, "empty-name", "''"),
    case("spec.parameters", {"A": "x" * 300_000, "B": "y" * 300_000}, "over-512-KiB", "524288"),
    case("spec.parameters", {"A": "ä" * 262_145}, "over-512-KiB-in-bytes", "524288"),
    case(IMAGE, "registry.evil/workflows/restart:v1", "not-allowed", "execution.allowedBundles"),
    case(IMAGE, "registry.example/other/restart:v1", "prefix", "execution.allowedBundles"),
    case(IMAGE, "registry.example/workflows/../other/restart:v1", "climbs", "image reference"),
    case(IMAGE, "registry.example/workflows/$(params.PART)", "replaced", "image reference"),
    case(IMAGE, f"{objects.IMAGE}@sha256:abc", "half-a-digest", "not a digest"),
    case(ACCOUNT, "cluster-admin", "not-allowed", "execution.allowedServiceAccounts"),
]


@requirement("ADR-044", "Validate spec (workflowRef, parameters)")
@pytest.mark.parametrize(("path", "value", "words"), PAST_THE_CRD)
async def test_execution_is_refused_when_the_crd_cannot_tell(
    world: World,
    audit: AuditLog,
    controller: Program,
    path: str,
    value: object,
    words: tuple[str, ...],
) -> None:
    body = objects.changed(world.execution("refused"), path, value)
    await assert_refused(world, audit, controller, body, words)


async def test_execution_is_refused_when_two_digests_disagree(
    world: World, audit: AuditLog, controller: Program
) -> None:
    body = objects.changed(world.execution("refused"), DIGEST, objects.OTHER_DIGEST)
    body = objects.changed(body, IMAGE, f"{objects.IMAGE}@{objects.DIGEST}")
    words = (IMAGE, DIGEST, objects.DIGEST, objects.OTHER_DIGEST)
    await assert_refused(world, audit, controller, body, words)


async def test_execution_is_refused_with_every_fault_when_there_are_several(
    world: World, audit: AuditLog, controller: Program
) -> None:
    body = objects.changed(world.execution("refused"), TARGET, "payment/deployments/api")
    body = objects.changed(body, ACCOUNT, "cluster-admin")
    body = objects.changed(body, IMAGE, "registry.evil/x:v1")
    words = (TARGET, ACCOUNT, IMAGE)
    await assert_refused(world, audit, controller, body, words)


async def test_execution_without_a_digest_is_refused_when_one_is_required(
    controllers: Controllers, audit: AuditLog
) -> None:
    world = controllers.world
    async with controllers.running(execution={"requireDigest": True}) as strict:
        pinned = objects.changed(world.execution("pinned"), DIGEST, objects.DIGEST)
        await world.create(pinned)
        carried = objects.changed(
            world.execution("carried"), IMAGE, f"{objects.IMAGE}@{objects.DIGEST}"
        )
        await world.create(carried)
        for name in ("pinned", "carried"):
            await world.phase(name, "Running")
        await world.create(world.execution("refused"))
        status = await world.phase("refused", "Failed")
        assert f"{DIGEST}: required here" in status["failureDetails"]["message"]
        assert strict.process.poll() is None
        await audit.expect(strict, REFUSED, "refused")


@pytest_asyncio.fixture
async def relaxed(controllers: Controllers, stack: Stack) -> AsyncIterator[Controllers]:
    """The CRD takes any spec and any status, as an old or broken one might.

    Controllers are to be started afterwards: a watch that is open goes on by the former schema.
    """
    world = controllers.world
    place = (DEFINITIONS, "", CRD)
    found = (await world.api.get(*place)).accept()
    (version,) = found["spec"]["versions"]
    anything = {"x-kubernetes-preserve-unknown-fields": True}
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"] |= {"spec": anything, "status": anything}
    del schema["required"], version["selectableFields"]
    (await world.api.patch(*place, {"spec": {"versions": [version]}})).accept()
    try:
        await _until_answered(world, 201)
        yield controllers
        await world.api.request("DELETE", kinds.EXECUTIONS.path(world.namespace))
    finally:
        await asyncio.to_thread(stack.kubectl, "apply", "-k", str(CRD_FOLDER))
        await _until_answered(world, 422)


async def _until_answered(world: World, status: int) -> None:
    """Wait until the server judges an execution by the schema that it was given."""
    body = objects.execution(targetResource=7)
    path = kinds.EXECUTIONS.path(world.namespace)
    async with asyncio.timeout(SERVED_S):
        while True:
            reply = await world.api.request("POST", path, query={"dryRun": "All"}, body=body)
            if reply.status == status:
                return
            await asyncio.sleep(LOOK_EVERY_S)


UNREADABLE: dict[str, tuple[str, object, str]] = {
    "spec-missing": ("spec", REMOVED, "spec"),
    "spec-empty": ("spec", {}, "spec.workflowRef"),
    "spec-a-text": ("spec", "restart it", "spec"),
    "spec-a-list": ("spec", ["restart it"], "spec"),
    "spec-a-number": ("spec", 7, "spec"),
    "target-missing": (TARGET, REMOVED, TARGET),
    "target-empty": (TARGET, "", TARGET),
    "target-null": (TARGET, None, TARGET),
    "target-a-number": (TARGET, 7, TARGET),
    "target-a-list": (TARGET, ["a", "b", "c"], TARGET),
    "target-without-kind": (TARGET, "payment-api", TARGET),
    "target-of-four-parts": (TARGET, "a/b/c/d", TARGET),
    "target-in-upper-case": (TARGET, "Payment/deployment/api", TARGET),
    "target-with-newline": (TARGET, "payment/deployment/api\n", TARGET),
    "target-too-long": (TARGET, "payment/deployment/" + "n" * 482, TARGET),
    "target-name-too-long": (TARGET, "payment/deployment/" + "n" * 254, TARGET),
    "workflow-missing": ("spec.workflowRef", REMOVED, "spec.workflowRef"),
    "workflow-a-text": ("spec.workflowRef", "restart:v1", "spec.workflowRef"),
    "image-missing": (IMAGE, REMOVED, IMAGE),
    "image-empty": (IMAGE, "", IMAGE),
    "image-with-space": (IMAGE, "registry.example/workflows/a b", IMAGE),
    "digest-of-another-kind": (DIGEST, "sha512:" + "a" * 128, DIGEST),
    "engine-unknown": ("spec.workflowRef.engine", "argo", "spec.workflowRef.engine"),
    "parameters-a-list": ("spec.parameters", ["A=1"], "spec.parameters"),
    "parameter-a-number": ("spec.parameters.REPLICAS", 3, "spec.parameters.REPLICAS"),
    "parameter-null": ("spec.parameters.REPLICAS", None, "spec.parameters.REPLICAS"),
    "confidence-above-one": ("spec.confidence", 1.5, "spec.confidence"),
    "timeout-zero": (TIMEOUT, "0s", TIMEOUT),
    "timeout-over-a-day": (TIMEOUT, "25h", TIMEOUT),
    "timeout-words": (TIMEOUT, "soon", TIMEOUT),
    "timeout-endless": (TIMEOUT, "9" * 400 + "h", TIMEOUT),
    "account-a-list": (ACCOUNT, ["a"], ACCOUNT),
    "remediation-missing": ("spec.remediationRequestRef", REMOVED, "spec.remediationRequestRef"),
}


async def test_every_unreadable_execution_is_refused_when_the_crd_is_relaxed(
    relaxed: Controllers, audit: AuditLog
) -> None:
    world = relaxed.world
    bodies = {
        name: objects.changed(world.execution(name), path, value)
        for name, (path, value, _) in UNREADABLE.items()
    }
    await asyncio.gather(*(world.create(body) for body in bodies.values()))
    wrong = {}
    async with relaxed.running() as program:
        for name, (_, _, field) in UNREADABLE.items():
            details = (await world.phase(name, "Failed"))["failureDetails"]
            if details["reason"] != "ConfigurationError" or field not in details["message"]:
                wrong[name] = details
            assert details["wasExecutionFailure"] is False
            await world.until(name, lambda it: "finalizers" not in it["metadata"])
            await audit.expect(program, REFUSED, name)
        assert audit.writes(program, world.runs) == []
    assert wrong == {}


ODD_STATUS: dict[str, Any] = {
    "status-a-text": "Running",
    "status-a-list": ["Running"],
    "phase-unknown": {"phase": "Paused"},
    "phase-a-number": {"phase": 7},
    "conditions-a-text": {"conditions": "fine"},
    "condition-without-type": {"conditions": [{"status": "True"}]},
    "times-that-are-none": {"startTime": "yesterday", "completionTime": 7},
    "reference-a-text": {"phase": "Pending", "pipelineRunRef": "wfe-1"},
    "tasks-a-mapping": {"taskRuns": {"a": "b"}},
}


async def test_executions_run_when_their_status_alone_is_odd(relaxed: Controllers) -> None:
    world = relaxed.world
    for name, status in ODD_STATUS.items():
        await world.create(world.execution(name))
        place = kinds.EXECUTIONS, world.namespace, name
        patch = {"status": status}
        (await world.api.patch(*place, patch, subresource="status")).accept()
    async with relaxed.running():
        for name in ODD_STATUS:
            said = await world.phase(name, "Running")
            assert {it["type"] for it in said["conditions"]} == {"TektonPipelineCreated", "Ready"}
            await (await world.play(said)).end()
            assert (await world.phase(name, "Completed"))["outcome"] == "Success"

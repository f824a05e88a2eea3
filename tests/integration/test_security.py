"""The security posture: what each identity may do and may not, tried against the real server.

The rows are those of docs/security.md; writes are dry runs, which pass authorization and admission.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.fake import kinds
from tests.fake.api import read_kubeconfig
from tests.integration import objects, people
from tests.stack.api import Api
from tests.support import installation, posture
from workflowexecution.domain import locking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject, World
    from tests.stack.cluster import Stack
    from tests.support.posture import Attempt

MERGE = "application/merge-patch+json"
REFUSED = {403, 422}
READER = "reader"
FREE = '{"metadata":{"finalizers":null}}'
# Who stands for a role, and which.
PEOPLE = {
    "editor": ("alice", "workflowexecution-editor"),
    "admin": ("mallory", "admin"),
    "viewer": ("bob", "workflowexecution-viewer"),
    "clearer": ("carol", "workflowexecution-clearer"),
}
ACCOUNTS = {
    "runner": (installation.WORKFLOWS, "kubernaut-workflow-runner"),
    "controller": (installation.SYSTEM, installation.CONTROLLER),
    "metrics": (installation.SYSTEM, READER),
}


@pytest.fixture(scope="module")
def tokens(stack: Stack, account: Path) -> Iterator[dict[str, tuple[str, str]]]:
    """Name and token of each identity, in a cluster that has something to lose."""
    assert account.exists()
    prepare(stack)
    found = {}
    with people.policy(stack), contextlib.ExitStack() as rights:
        for who, (user, role) in PEOPLE.items():
            rights.enter_context(people.granted(stack, user, role, namespace=posture.TEAM))
            found[who] = user, token_of_user(stack, user)
        # The cluster's own roles take the editor's in some time after it is there.
        people.wait_granted(stack, "mallory", "workflowexecution-editor", namespace=posture.TEAM)
        for who, (namespace, name) in ACCOUNTS.items():
            path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
            made = stack.api.json("POST", path, {"spec": {}})
            found[who] = f"system:serviceaccount:{namespace}:{name}", made["status"]["token"]
        yield found
    place = "-n", posture.TEAM
    stack.kubectl("patch", "wfe", posture.FAILED, *place, "--type=merge", "-p", FREE)
    stack.kubectl("delete", "-k", str(installation.MANIFESTS / "controller"))
    stack.kubectl("delete", "node", "some-node")
    stack.kubectl("delete", "clusterrolebinding", READER)


def token_of_user(stack: Stack, user: str) -> str:
    return str(read_kubeconfig(stack.user_kubeconfig(user)).token)


def prepare(stack: Stack) -> None:
    """Namespaces, a pod, a node, the Deployment, a failed execution, somebody who reads metrics."""
    apply = stack.api.apply
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": posture.TEAM}})
    stack.kubectl("apply", "-k", str(installation.MANIFESTS / "controller"))
    apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "some-node"}})
    installation.wait_admits_pods(stack, posture.TEAM)
    place = {"name": posture.POD, "namespace": posture.TEAM}
    spec = {"containers": [{"name": "c", "image": "any"}]}
    apply({"apiVersion": "v1", "kind": "Pod", "metadata": place, "spec": spec})
    made = objects.execution(posture.FAILED)
    made["metadata"]["namespace"] = posture.TEAM
    # Nobody serves it.
    made["metadata"]["labels"] = {"kubernaut.ai/instance": "nobodys"}
    made["metadata"]["finalizers"] = [posture.FINALIZER]
    apply(made)
    reader = {"name": READER, "namespace": installation.SYSTEM}
    apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": reader})
    group = "rbac.authorization.k8s.io"
    apply({
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": READER},
        "roleRef": {
            "apiGroup": group,
            "kind": "ClusterRole",
            "name": "workflowexecution-metrics-reader",
        },
        "subjects": [{"kind": "ServiceAccount", **reader}],
    })


def named(value: Any, user: str) -> Any:  # noqa: ANN401 - raw JSON
    """The body with the name of who sends it."""
    if isinstance(value, dict):
        return {key: named(it, user) for key, it in value.items()}
    return user if value == "{user}" else value


def answer(stack: Stack, attempt: Attempt, user: str, token: str) -> tuple[int, bytes]:
    api = Api(server_url=stack.server_url, ca_file=stack.ca_file, token=token, timeout_s=15.0)
    if attempt.method == "GET":
        return api.call("GET", attempt.path)
    path = f"{attempt.path}{'&' if '?' in attempt.path else '?'}dryRun=All"
    content_type = MERGE if attempt.method == "PATCH" else "application/json"
    body = named(attempt.body, user) or None
    return api.call(attempt.method, path, body, content_type=content_type)


ROWS = [
    pytest.param(who, attempt, id=f"{who}-{attempt.id}")
    for who, attempts in posture.TABLES.items()
    for attempt in attempts
]


@pytest.mark.requirement("WE-NAMESPACE", "Single ServiceAccount with cluster-wide permissions")
@pytest.mark.requirement("WE-NAMESPACE", "ClusterRole with cross-namespace remediation permissions")
@pytest.mark.parametrize(("who", "attempt"), ROWS)
def test_identity_may_do_what_the_table_says_and_nothing_else(
    stack: Stack, tokens: dict[str, tuple[str, str]], who: str, attempt: Attempt
) -> None:
    user, token = tokens[who]
    status, content = answer(stack, attempt, user, token)
    assert (status < 300) is attempt.allowed, (status, content[:600])
    assert attempt.allowed or status in REFUSED, (status, content[:600])


async def refused(controllers: Controllers, name: str, spec: JsonObject, **limits: Any) -> str:  # noqa: ANN401
    """An execution is refused before anything is created; returns the message."""
    world = controllers.world
    async with controllers.running(execution=limits):
        await world.create(world.execution(name, **spec))
        status = await world.phase(name, "Failed")
    assert status["failureDetails"]["reason"] == "ConfigurationError"
    assert (await world.api.list(kinds.PIPELINE_RUNS, world.runs)).accept()["items"] == []
    return str(status["failureDetails"]["message"])


async def test_bundle_outside_the_list_never_runs(controllers: Controllers) -> None:
    message = await refused(
        controllers, "image", {}, allowedBundles=["registry.example/workflows-of-ours/"]
    )
    assert "allowedBundles" in message


async def test_account_outside_the_list_never_runs(controllers: Controllers) -> None:
    config = {"executionConfig": {"serviceAccountName": "cluster-admin-of-somebody"}}
    message = await refused(controllers, "account", config)
    assert "allowedServiceAccounts" in message


async def test_target_of_somebody_else_is_locked_like_any_other(controllers: Controllers) -> None:
    world = controllers.world
    target = "somebody-else/deployment/theirs"
    async with controllers.running():
        await world.create(world.execution("first", targetResource=target))
        await world.phase("first", "Running")
        await world.create(world.execution("owner", targetResource=target))
        status = await world.phase("owner", "Skipped")
    assert status["skipDetails"]["reason"] == "ResourceBusy"


async def test_block_holds_when_its_labels_are_taken_off(controllers: Controllers) -> None:
    world = controllers.world
    async with controllers.running():
        await fail(world, "hidden")
        off: JsonObject = {"kubernaut.ai/target": None}
        (await world.change("hidden", {"metadata": {"labels": off}})).accept()
        status = await skipped(world, "next", after="hidden")
    assert status["skipDetails"]["reason"] == "PreviousExecutionFailed"


async def test_block_holds_when_its_execution_is_taken_from_its_controller(
    controllers: Controllers,
) -> None:
    world = controllers.world
    async with controllers.running():
        await fail(world, "taken")
        (await world.change("taken", served_by("of-nobody"))).accept()
        status = await skipped(world, "next", after="taken")
    assert status["skipDetails"]["reason"] == "PreviousExecutionFailed"


async def test_lock_holds_when_its_execution_is_taken_from_its_controller(
    controllers: Controllers,
) -> None:
    world = controllers.world
    async with controllers.running():
        await world.create(world.execution("taken"))
        run = await world.play(await world.phase("taken", "Running"))
        (await world.change("taken", served_by("of-nobody"))).accept()
        during = await skipped(world, "during", after="taken")
        await run.end()
        after = await skipped(world, "after", after="taken")
        (await world.change("taken", served_by(world.instance))).accept()
        await world.phase("taken", "Completed")
    for status in (during, after):
        assert status["skipDetails"]["reason"] == "ResourceBusy"
        assert status["skipDetails"]["conflictingWorkflow"]["name"] == "taken"


async def test_execution_starts_when_its_author_has_put_on_the_controllers_marks(
    controllers: Controllers,
) -> None:
    world = controllers.world
    body = world.execution("marked")
    lock = locking.run_name(body["spec"]["targetResource"])
    body["metadata"]["labels"]["kubernaut.ai/target"] = locking.target_label(lock)
    body["metadata"]["finalizers"] = [posture.FINALIZER]
    body["metadata"]["annotations"] = {"kubernaut.ai/start-attempt": "-1e9"}
    async with controllers.running():
        await world.create(body)
        await world.phase("marked", "Running")
    marks = (await world.read("marked"))["metadata"]["annotations"]
    assert marks["kubernaut.ai/start-attempt"] == "1"


def served_by(instance: str) -> JsonObject:
    """The patch that gives an execution to the controllers of an instance."""
    return {"metadata": {"labels": {"kubernaut.ai/instance": instance}}}


async def skipped(world: World, name: str, *, after: str) -> JsonObject:
    """The status of an execution that comes to the target of another in vain."""
    target = (await world.read(after))["spec"]["targetResource"]
    await world.create(world.execution(name, targetResource=target))
    return await world.phase(name, "Skipped")


async def fail(world: World, name: str) -> None:
    """An execution that fails after it has begun."""
    await world.create(world.execution(name))
    run = await world.play(await world.phase(name, "Running"), "apply")
    await run.start_task("apply")
    await run.end_task("apply", exit_code=1)
    await run.end()
    await world.phase(name, "Failed")

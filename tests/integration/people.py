"""Users with the rights that RBAC gives them, and the admission policy that binds them all."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest_asyncio

from tests.fake import kinds
from tests.fake.api import Api, read_kubeconfig
from tests.integration import objects, tekton
from tests.stack.api import wait_for
from tests.stack.settings import DEFAULT_USERS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from tests.fake.api import Reply
    from tests.integration.world import World
    from tests.stack.cluster import Stack

JsonObject = dict[str, Any]

POLICIES: Final = Path(__file__).parents[2] / "manifests" / "policies"
NAME: Final = "workflowexecution-controller-status"
CLEARER: Final = "workflowexecution-clearer"
REASON: Final = "restarted it by hand, all pods are up"
EFFECT_S: Final = 15.0

_RBAC: Final = "rbac.authorization.k8s.io"


@dataclasses.dataclass(frozen=True)
class Person:
    """A user at work on the executions of one namespace."""

    name: str
    api: Api
    namespace: str

    def clearance(self, **fields: str) -> JsonObject:
        """A clearance that is this user's to give; `fields` replace its members."""
        own = {
            "clearedAt": tekton.now(),
            "clearedBy": self.name,
            "clearReason": REASON,
            "clearMethod": "StatusField",
        }
        return own | fields

    async def create(self, body: JsonObject) -> Reply:
        """Ask for a new execution."""
        return await self.api.create(kinds.EXECUTIONS, self.namespace, body)

    async def change(self, execution: str, patch: JsonObject) -> Reply:
        """Merge-patch an execution, but for its status."""
        return await self.api.patch(kinds.EXECUTIONS, self.namespace, execution, patch)

    async def cancel(self, execution: str, by: str, reason: str = REASON) -> Reply:
        """Set spec.cancel of an execution."""
        cancel = {"requestedBy": by, "reason": reason}
        return await self.change(execution, {"spec": {"cancel": cancel}})

    async def set_status(self, execution: str, **fields: object) -> Reply:
        """Merge-patch the status of an execution."""
        return await self.patch_status(execution, {"status": fields})

    async def patch_status(self, execution: str, patch: JsonObject) -> Reply:
        """Merge-patch the status subresource of an execution."""
        return await self.api.patch(
            kinds.EXECUTIONS, self.namespace, execution, patch, subresource="status"
        )

    async def clear(self, execution: str, **fields: str) -> Reply:
        """Give a clearance and touch nothing else."""
        return await self.set_status(execution, blockClearance=self.clearance(**fields))


def assert_denied(reply: Reply, message: str, *, status: int = 403) -> None:
    """A refusal by the policy with exactly this message, which names the field."""
    assert reply.status == status, reply.raw
    by, _, said = reply.body["message"].partition("denied request: ")
    assert f"ValidatingAdmissionPolicy '{NAME}'" in by
    assert said == message


@contextlib.asynccontextmanager
async def at_work(stack: Stack, user: str, namespace: str) -> AsyncGenerator[Person]:
    """A user of the stack's token file, at work in a namespace."""
    endpoint = read_kubeconfig(stack.user_kubeconfig(user))
    # The file has the authority in itself.
    endpoint = dataclasses.replace(endpoint, ca_file=str(stack.ca_file))
    async with Api(endpoint, agent=f"integration-test/{user}") as session:
        yield Person(user, session, namespace)


def fixture(user: str) -> Any:  # noqa: ANN401 - what pytest makes of a function
    """A fixture: the user at work in the test's namespace; its name is that of the variable."""

    @pytest_asyncio.fixture
    async def person(stack: Stack, world: World) -> AsyncIterator[Person]:
        async with at_work(stack, user, world.namespace) as found:
            yield found

    return person


@contextlib.contextmanager
def policy(stack: Stack) -> Iterator[None]:
    """The policies as the documentation says to install them, in force."""
    stack.kubectl("apply", "-k", str(POLICIES))
    try:
        wait_for(
            "policy", lambda: None if _is_refusing(stack) else "not refusing", deadline_s=EFFECT_S
        )
        yield
    finally:
        # Other modules share the cluster.
        stack.kubectl("delete", "-k", str(POLICIES))
        wait_for(
            "end of it", lambda: "refusing" if _is_refusing(stack) else None, deadline_s=EFFECT_S
        )


@contextlib.contextmanager
def granted(
    stack: Stack, user: str, rules: list[JsonObject] | str, *, namespace: str = ""
) -> Iterator[None]:
    """A user with the rights of a role, in a namespace or in all of them, in force.

    Args:
        stack: the cluster.
        user: as the server calls it.
        rules: of a role of its own, or the name of a ClusterRole that is there.
        namespace: empty for all.
    """
    name = f"it-{user.rpartition(':')[2]}-{namespace or 'everywhere'}"
    if isinstance(rules, str):
        role, name = rules, f"{name}-{rules}"
    else:
        role = name
        stack.api.apply(_rbac("ClusterRole", role, rules=rules))
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    subject = {"apiGroup": _RBAC, "kind": "User", "name": user}
    reference = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role}
    body = _rbac(kind, name, roleRef=reference, subjects=[subject])
    body["metadata"]["namespace"] = namespace
    stack.api.apply(body)
    try:
        wait_granted(stack, user, role, namespace=namespace)
        yield
    finally:
        scope = ("-n", namespace) if namespace else ()
        stack.kubectl("delete", kind, name, *scope)
        if role == name:
            stack.kubectl("delete", "ClusterRole", role)


def wait_granted(stack: Stack, user: str, role: str, *, namespace: str = "") -> None:
    """Wait until a user has the rights of a ClusterRole: the server takes a binding in later."""
    rules = stack.api.json("GET", f"/apis/{_RBAC}/v1/clusterroles/{role}")["rules"]
    what = f"role {role} of {user}"
    wait_for(what, lambda: _lacks(stack, user, rules, namespace), deadline_s=EFFECT_S)


def _rbac(kind: str, name: str, **fields: object) -> JsonObject:
    metadata = {"name": name}
    return {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": metadata, **fields}


def _lacks(stack: Stack, user: str, rules: list[JsonObject], namespace: str) -> str | None:
    """The first rule that the server does not know of yet."""
    for rule in rules:
        resource, _, subresource = rule["resources"][0].partition("/")
        attributes = {
            "group": rule["apiGroups"][0],
            "resource": resource,
            "subresource": subresource,
            "name": rule.get("resourceNames", [""])[0],
            "verb": rule["verbs"][-1],
            "namespace": namespace,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user,
                "groups": list(DEFAULT_USERS.get(user, ())),
                "resourceAttributes": attributes,
            },
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        if not stack.api.json("POST", path, review)["status"]["allowed"]:
            return f"{user} has not {rule}"
    return None


def _is_refusing(stack: Stack) -> bool:
    """Whether the server refuses what only the policy can refuse."""
    path = kinds.EXECUTIONS.path("default") + "?dryRun=All"
    cancel = {"requestedBy": "nobody", "reason": "to see whether that is refused"}
    status, content = stack.api.call("POST", path, objects.execution("probe", cancel=cancel))
    assert status in {201, 403}, content
    return status == 403

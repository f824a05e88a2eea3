"""What the manifests install, as the tests use it: the controller's account and its roles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.stack.cluster import Stack

JsonObject = dict[str, Any]

MANIFESTS: Final = Path(__file__).parents[2] / "manifests"
CONTROLLER: Final = "workflowexecution-controller"
SYSTEM: Final = "kubernaut-system"
WORKFLOWS: Final = "kubernaut-workflows"
USER: Final = f"system:serviceaccount:{SYSTEM}:{CONTROLLER}"
# What has no objects of this project's own kinds, and starts nothing.
ACCESS: Final = ("namespaces", "rbac")


def documents(path: str) -> list[JsonObject]:
    """The objects of a file of the manifests."""
    return list(yaml.safe_load_all((MANIFESTS / path).read_text("utf-8")))


def create_namespaces(stack: Stack) -> None:
    """Install the namespaces, and wait until they admit pods: young ones lack their account."""
    stack.kubectl("apply", "-k", str(MANIFESTS / "namespaces"))
    for name in (SYSTEM, WORKFLOWS):
        wait_admits_pods(stack, name)


def wait_admits_pods(stack: Stack, namespace: str) -> None:
    """Wait until a namespace has the account that pods get."""
    stack.kubectl(
        "wait", "--for=create", "serviceaccount/default", "-n", namespace, "--timeout=60s"
    )


def give_access(stack: Stack) -> Path:
    """Install namespaces, accounts and roles; returns a kubeconfig of the controller's account."""
    for folder in ACCESS:
        stack.kubectl("apply", "-k", str(MANIFESTS / folder))
    return stack.service_account_kubeconfig(SYSTEM, CONTROLLER)


def roles_in(namespace: str, *instances: str) -> Iterator[JsonObject]:
    """The controller's Roles and their bindings, as they are for another namespace.

    It takes the place of both: PipelineRuns, leases of the instances, and outbox are in it.
    """
    for made in documents("rbac/controller.yaml"):
        if made["kind"] not in {"Role", "RoleBinding"}:
            continue
        name = f"{CONTROLLER}-{made['metadata']['namespace']}"
        moved = {**made, "metadata": {"name": name, "namespace": namespace}}
        if made["kind"] == "RoleBinding":
            moved["roleRef"] = {**made["roleRef"], "name": name}
        else:
            moved["rules"] = [_for_instances(rule, instances) for rule in made["rules"]]
        yield moved


def _for_instances(rule: JsonObject, instances: Sequence[str]) -> JsonObject:
    """A rule with the leases of these as well, where it is of leases by their names."""
    if rule["resources"] != ["leases"] or "resourceNames" not in rule:
        return rule
    names = rule["resourceNames"]
    theirs = [f"{instance}.{name}" for instance in instances for name in names]
    return {**rule, "resourceNames": [*names, *theirs]}


def rules() -> Iterator[tuple[JsonObject, str]]:
    """Each rule of the controller's roles, with its namespace, or nothing for all of them."""
    for made in documents("rbac/controller.yaml"):
        for rule in made.get("rules", ()):
            yield rule, made["metadata"].get("namespace", "")


def of_kind(made: Sequence[JsonObject], kind: str) -> list[JsonObject]:
    """The objects of a kind."""
    return [it for it in made if it["kind"] == kind]

"""Where the end-to-end suite runs: this project's own stack, or any cluster with Tekton.

`WFE_TEST_KUBECONFIG` names a kubeconfig of such a cluster (kind, say), `WFE_TEST_REGISTRY` a
registry that this machine and the cluster both reach without TLS, `WFE_TEST_STEP_IMAGE` an image
with a shell.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.stack import cluster, images
from tests.support import installation, kubectl

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = "kubernaut-workflows"
TEAM = "payment"
ACCOUNT = "kubernaut-workflow-runner"
OTHER_ACCOUNT = "careful-runner"
MISSING_ACCOUNT = "nobody"
CRD = Path(__file__).parents[2] / "manifests" / "crd"


@dataclass(frozen=True)
class Place:
    """A cluster with Tekton, a registry it reads bundles from, and an image for steps."""

    kubectl: kubectl.Kubectl
    registry: str
    step_image: str
    pull_policy: str
    stack: cluster.Stack | None = None

    @property
    def audit_log(self) -> Path | None:
        """The API server's, where it can be read."""
        return self.stack.audit_log if self.stack is not None else None

    @property
    def user(self) -> str:
        """Who this suite is to the cluster."""
        return self.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")

    def install(self, folder: Path) -> Path:
        """Install what manifests/default does, but for the Deployment, and prepare the rest.

        Returns:
            A kubeconfig of the controller's account, which has the roles of the manifests and no
            others; it is in the folder.
        """
        for base in ("namespaces", "rbac", "policies"):
            self.kubectl("apply", "-k", str(installation.MANIFESTS / base))
        self.prepare()
        return self._kubeconfig(installation.SYSTEM, installation.CONTROLLER, folder)

    def _kubeconfig(self, namespace: str, account: str, folder: Path) -> Path:
        """The administrator's kubeconfig with the token of a service account in it."""
        token = self.kubectl("create", "token", account, "-n", namespace, "--duration=24h")
        own = json.loads(self.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        own["users"] = [{"name": it["name"], "user": {"token": token}} for it in own["users"]]
        path = folder / f"{account}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(own))
        return path

    def prepare(self) -> None:
        """Install what the program needs: its CRD, the namespaces, the accounts."""
        self.kubectl("apply", "-k", str(CRD))
        kubectl.wait_served(self.kubectl)
        self.kubectl.apply(
            *(_namespace(name) for name in (NAMESPACE, TEAM)),
            *(_account(name) for name in (ACCOUNT, OTHER_ACCOUNT)),
        )


@contextlib.contextmanager
def find() -> Iterator[Place]:
    """The cluster that the environment names, or a stack of this suite's own."""
    given = os.environ.get("WFE_TEST_KUBECONFIG")
    if given:
        program = shutil.which("kubectl")
        assert program, "WFE_TEST_KUBECONFIG needs kubectl on the PATH"
        registry = os.environ.get("WFE_TEST_REGISTRY")
        assert registry, "WFE_TEST_KUBECONFIG needs WFE_TEST_REGISTRY"
        image = os.environ.get("WFE_TEST_STEP_IMAGE", "busybox:1.36")
        yield Place(kubectl.Kubectl(program, Path(given)), registry, image, "IfNotPresent")
        return
    stack = cluster.Stack(name="e2e", parts=cluster.Parts.FULL)
    try:
        # Not one that an ended run of the suite may have left.
        stack.up(fresh=True)
        hands = kubectl.Kubectl(str(stack.program("kubectl")), stack.kubeconfig)
        yield Place(hands, stack.registry, images.STEP, "Never", stack)
    finally:
        stack.down()


def _namespace(name: str) -> kubectl.JsonObject:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _account(name: str) -> kubectl.JsonObject:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}

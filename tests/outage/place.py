"""The cluster of a run: a control plane whose audit log holds what was written to a status."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.outage import objects
from tests.stack.cluster import Parts, Stack
from tests.support import kubectl

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "outage"

_CRD = Path(__file__).parents[2] / "manifests" / "crd"
_STATUSES = (
    {"group": "kubernaut.ai", "resources": ["workflowexecutions/status"]},
    {"group": "tekton.dev", "resources": ["pipelineruns/status"]},
)
_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Request", "verbs": ["patch"], "resources": list(_STATUSES)},
        {"level": "Metadata"},
    ],
}


@contextlib.contextmanager
def fresh(folder: Path) -> Iterator[Stack]:
    """A new control plane with both APIs and empty namespaces; nothing is left of it."""
    policy = folder / "audit-policy.yaml"
    policy.write_text(yaml.safe_dump(_POLICY))
    stack = Stack(
        name=NAME,
        parts=Parts.CONTROL_PLANE,
        tekton_crds=True,
        # The last one of a name counts.
        apiserver_flags=(f"--audit-policy-file={policy}",),
    )
    try:
        stack.up(fresh=True)
        stack.kubectl("apply", "-k", str(_CRD))
        kubectl.wait_served(stack.kubectl)
        for namespace in objects.NAMESPACES:
            metadata = {"name": namespace}
            stack.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        yield stack
    finally:
        stack.down()

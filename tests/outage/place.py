"""The cluster of a run: a control plane whose audit log holds what was written to a status."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import yaml

from tests.outage import objects
from tests.support import controlplane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack.cluster import Stack

NAME = "outage"

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
    # The last one of a name counts.
    flags = (f"--audit-policy-file={policy}",)
    with controlplane.fresh(NAME, objects.NAMESPACES, apiserver_flags=flags) as stack:
        yield stack

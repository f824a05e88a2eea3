"""A control plane of one's own, with Tekton's CRDs and this project's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import yaml

from tests.stack import crds
from tests.stack.cluster import Parts, Stack
from tests.support import installation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

CRD = installation.MANIFESTS / "crd" / "workflowexecutions.kubernaut.ai.yaml"


@contextlib.contextmanager
def fresh(
    name: str,
    namespaces: Sequence[str] = (),
    *,
    crd: Path = CRD,
    apiserver_flags: Sequence[str] = (),
) -> Iterator[Stack]:
    """Start a new control plane with these namespaces, and leave nothing of it but logs."""
    stack = Stack(
        name=name,
        parts=Parts.CONTROL_PLANE,
        tekton_crds=True,
        apiserver_flags=apiserver_flags,
    )
    try:
        stack.up(fresh=True)
        crds.install(stack.api, [yaml.safe_load(crd.read_text("utf-8"))])
        for namespace in namespaces:
            metadata = {"name": namespace}
            stack.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        yield stack
    finally:
        stack.down()

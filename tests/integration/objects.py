"""Objects as a client sends them: a test names only what it is about."""

from __future__ import annotations

import copy
from typing import Any, Final

JsonObject = dict[str, Any]

RUNS: Final = "kubernaut-workflows"
ACCOUNT: Final = "kubernaut-workflow-runner"
OTHER_ACCOUNT: Final = "restarter"
DIGEST: Final = "sha256:" + "a" * 64
OTHER_DIGEST: Final = "sha256:" + "b" * 64
IMAGE: Final = "registry.example/workflows/restart:v1"
REMOVED: Final = object()
"""As a value of `changed`: take the field away."""


def execution(name: str = "restart", **spec: Any) -> JsonObject:  # noqa: ANN401 - raw spec
    """A WorkflowExecution with every field of its spec but cancel; `spec` replaces members."""
    return {
        "apiVersion": "kubernaut.ai/v1alpha1",
        "kind": "WorkflowExecution",
        "metadata": {"name": name},
        "spec": {
            "remediationRequestRef": {"name": f"rr-{name}", "namespace": "remediations"},
            "workflowRef": {
                "workflowId": "restart-deployment",
                "version": "1.0.0",
                "containerImage": IMAGE,
                "containerDigest": DIGEST,
                "engine": "tekton",
            },
            "targetResource": f"payment/deployment/{name}",
            "parameters": {"REPLICAS": "3", "MODE": "rolling"},
            "confidence": 0.9,
            "rationale": "Out of memory three times within an hour",
            "executionConfig": {"timeout": "10m", "serviceAccountName": ACCOUNT},
            **spec,
        },
    }


def changed(body: JsonObject, path: str, value: object) -> JsonObject:
    """A copy with another value at a dotted path, or without it for `REMOVED`."""
    made = copy.deepcopy(body)
    *parents, last = path.split(".")
    place = made
    for parent in parents:
        place = place.setdefault(parent, {})
    if value is REMOVED:
        place.pop(last, None)
    else:
        place[last] = value
    return made

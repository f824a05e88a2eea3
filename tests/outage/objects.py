"""The executions of a run, and where everything lives."""

from __future__ import annotations

import hashlib
from typing import Any

EXECUTIONS, RUNS, OWN = "outage", "kubernaut-workflows", "kubernaut-system"
NAMESPACES = (EXECUTIONS, RUNS, OWN)
LEASE = "the-lease"
OUTBOX = "workflowexecution-audit-outbox"

JsonObject = dict[str, Any]

_NAME = "we-{:06d}"
_TARGET = "payment/deployment/api-{:06d}"


def name(number: int) -> str:
    """Name of an execution."""
    return _NAME.format(number)


def run_name(number: int) -> str:
    """Name of its run."""
    target = _TARGET.format(number)
    return f"wfe-{hashlib.sha256(target.encode()).hexdigest()[:16]}"


def execution(number: int) -> JsonObject:
    """An execution on a target of its own."""
    return {
        "apiVersion": "kubernaut.ai/v1alpha1",
        "kind": "WorkflowExecution",
        "metadata": {"name": name(number), "namespace": EXECUTIONS},
        "spec": {
            "remediationRequestRef": {"name": f"rr-{number:06d}", "namespace": EXECUTIONS},
            "workflowRef": {
                "workflowId": "increase-memory-conservative",
                "version": "1.0.0",
                "containerImage": "registry.example/workflows/increase-memory:v1.0.0",
            },
            "targetResource": _TARGET.format(number),
            "parameters": {"MEMORY_LIMIT": "1Gi", "REASON": "OOMKilled", "TIMEOUT": "120"},
            "confidence": 0.92,
            "rationale": "Three OOM kills within ten minutes; usage grows with the request rate.",
        },
    }

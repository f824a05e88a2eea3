"""Executions by their number, each on a target of its own, so that no lock is ever contended.

Nothing of the program is imported: what the benchmark compares it with reads names here too.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.kubectl import JsonObject

_GROUP_VERSION = "kubernaut.ai/v1alpha1"
_HASH_DIGITS = 16


def name(number: int) -> str:
    """Return the name of an execution; all are equally long."""
    return f"we-rr-{number:06d}"


def target(number: int) -> str:
    """Return an execution's own target."""
    return f"payment/deployment/api-{number:06d}"


def target_hash(text: str) -> str:
    """Return what the names of runs and the target label are made of."""
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]


def run_name(number: int) -> str:
    """Return the name of the PipelineRun that holds an execution's target."""
    return f"wfe-{target_hash(target(number))}"


def execution(number: int, namespace: str) -> JsonObject:
    """Return an execution as a remediation orchestrator creates it."""
    return {
        "apiVersion": _GROUP_VERSION,
        "kind": "WorkflowExecution",
        "metadata": {"name": name(number), "namespace": namespace},
        "spec": {
            "remediationRequestRef": {
                "apiVersion": _GROUP_VERSION,
                "kind": "RemediationRequest",
                "name": f"rr-{number:06d}",
                "namespace": namespace,
            },
            "workflowRef": {
                "workflowId": "increase-memory-conservative",
                "version": "1.0.0",
                "containerImage": "registry.example/workflows/increase-memory:v1.0.0",
            },
            "targetResource": target(number),
            "parameters": {"MEMORY_LIMIT": "1Gi", "REASON": "OOMKilled", "TIMEOUT": "120"},
            "confidence": 0.92,
            "rationale": "Three OOM kills within ten minutes; usage grows with the request rate.",
        },
    }

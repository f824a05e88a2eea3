"""The objects of a measurement, and where they live."""

import hashlib

from tests.benchmark.client import JsonObject

GROUP = "kubernaut.ai"
EXECUTIONS_NAMESPACE = "benchmark"
RUNS_NAMESPACE = "kubernaut-workflows"
NAMESPACES = (EXECUTIONS_NAMESPACE, RUNS_NAMESPACE, "kubernaut-system")

EXECUTIONS = f"/apis/{GROUP}/v1alpha1/namespaces/{EXECUTIONS_NAMESPACE}/workflowexecutions"
ALL_EXECUTIONS = f"/apis/{GROUP}/v1alpha1/workflowexecutions"
RUNS = f"/apis/tekton.dev/v1/namespaces/{RUNS_NAMESPACE}/pipelineruns"
TASK_RUNS = f"/apis/tekton.dev/v1/namespaces/{RUNS_NAMESPACE}/taskruns"
EVENTS = f"/api/v1/namespaces/{EXECUTIONS_NAMESPACE}/events"

EXECUTION_LABEL = f"{GROUP}/workflow-execution"
UID_LABEL = f"{GROUP}/workflow-execution-uid"
TERMINAL = frozenset({"Completed", "Failed", "Skipped"})

_HASH_DIGITS = 16


def execution_name(number: int) -> str:
    """Return the name of an execution; all are equally long."""
    return f"we-rr-{number:06d}"


def target(number: int) -> str:
    """Return an execution's own target, so that no lock is ever contended."""
    return f"payment/deployment/api-{number:06d}"


def target_hash(text: str) -> str:
    """Return what the names of runs and the target label are made of."""
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]


def run_name(number: int) -> str:
    """Return the name of the PipelineRun that holds an execution's target."""
    return f"wfe-{target_hash(target(number))}"


def execution(number: int) -> JsonObject:
    """Return an execution as a remediation orchestrator creates it."""
    return {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "WorkflowExecution",
        "metadata": {"name": execution_name(number), "namespace": EXECUTIONS_NAMESPACE},
        "spec": {
            "remediationRequestRef": {
                "apiVersion": f"{GROUP}/v1alpha1",
                "kind": "RemediationRequest",
                "name": f"rr-{number:06d}",
                "namespace": EXECUTIONS_NAMESPACE,
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


def phase(item: JsonObject) -> str:
    """Return an execution's phase; empty when none was written yet."""
    return str(item.get("status", {}).get("phase", ""))


def is_done(run: JsonObject) -> bool:
    """Tell whether Tekton has ended a run."""
    conditions = run.get("status", {}).get("conditions") or ()
    return any(each["type"] == "Succeeded" and each["status"] != "Unknown" for each in conditions)

"""The objects of a measurement, and where they live."""

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


def phase(item: JsonObject) -> str:
    """Return an execution's phase; empty when none was written yet."""
    return str(item.get("status", {}).get("phase", ""))


def is_done(run: JsonObject) -> bool:
    """Tell whether Tekton has ended a run."""
    conditions = run.get("status", {}).get("conditions") or ()
    return any(each["type"] == "Succeeded" and each["status"] != "Unknown" for each in conditions)

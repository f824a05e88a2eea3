"""Where the objects of a measurement live, and how they are marked."""

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

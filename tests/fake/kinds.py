"""The resources that a cluster for the controller has from the start."""

from tests.fake import definitions, validation
from tests.fake.resources import ResourceType

NAMESPACES = ResourceType("", "v1", "namespaces", "Namespace", namespaced=False, status=True)
PODS = ResourceType(
    "", "v1", "pods", "Pod", status=True, selectable=("status.phase", "spec.nodeName")
)
EVENTS = ResourceType(
    "",
    "v1",
    "events",
    "Event",
    selectable=("involvedObject.kind", "involvedObject.name", "reason", "type"),
)
CONFIG_MAPS = ResourceType("", "v1", "configmaps", "ConfigMap")
LEASES = ResourceType(
    "coordination.k8s.io", "v1", "leases", "Lease", validate=(validation.check_lease,)
)
_ADMISSION = ("admissionregistration.k8s.io", "v1")
POLICIES = ResourceType(
    *_ADMISSION,
    plural="validatingadmissionpolicies",
    kind="ValidatingAdmissionPolicy",
    namespaced=False,
)
BINDINGS = ResourceType(
    *_ADMISSION,
    plural="validatingadmissionpolicybindings",
    kind="ValidatingAdmissionPolicyBinding",
    namespaced=False,
)

EXECUTIONS = ResourceType(
    "kubernaut.ai",
    "v1alpha1",
    "workflowexecutions",
    "WorkflowExecution",
    status=True,
    custom=True,
    selectable=("spec.targetResource", "spec.remediationRequestRef.name"),
)
REMEDIATION_REQUESTS = ResourceType(
    "kubernaut.ai",
    "v1alpha1",
    "remediationrequests",
    "RemediationRequest",
    status=True,
    custom=True,
)
PIPELINE_RUNS = ResourceType(
    "tekton.dev", "v1", "pipelineruns", "PipelineRun", status=True, custom=True
)
TASK_RUNS = ResourceType("tekton.dev", "v1", "taskruns", "TaskRun", status=True, custom=True)
CUSTOM_RUNS = ResourceType(
    "tekton.dev", "v1beta1", "customruns", "CustomRun", status=True, custom=True
)

BUILT_IN = (
    NAMESPACES,
    PODS,
    EVENTS,
    CONFIG_MAPS,
    LEASES,
    POLICIES,
    BINDINGS,
    definitions.DEFINITIONS,
)
# Served because their definitions are stored.
DEFINED = (EXECUTIONS, REMEDIATION_REQUESTS, PIPELINE_RUNS, TASK_RUNS, CUSTOM_RUNS)

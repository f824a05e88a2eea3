import pytest

from workflowexecution.api import names


@pytest.mark.requirement("WE-SERVICE", "CRD API Group: kubernaut.ai/v1alpha1")
def test_names_that_clusters_carry_never_change() -> None:
    carried = {name: value for name, value in vars(names).items() if isinstance(value, str)}
    assert {name: value for name, value in carried.items() if name.isupper()} == {
        "GROUP": "kubernaut.ai",
        "VERSION": "v1alpha1",
        "API_VERSION": "kubernaut.ai/v1alpha1",
        "KIND": "WorkflowExecution",
        "PLURAL": "workflowexecutions",
        "FINALIZER": "kubernaut.ai/workflowexecution-cleanup",
        "LEGACY_FINALIZER": "workflowexecution.kubernaut.ai/workflowexecution-cleanup",
        "LABEL_EXECUTION": "kubernaut.ai/workflow-execution",
        "LABEL_EXECUTION_UID": "kubernaut.ai/workflow-execution-uid",
        "LABEL_WORKFLOW_ID": "kubernaut.ai/workflow-id",
        "LABEL_TARGET_RESOURCE": "kubernaut.ai/target-resource",
        "LABEL_SOURCE_NAMESPACE": "kubernaut.ai/source-namespace",
        "LABEL_INSTANCE": "kubernaut.ai/instance",
        "LABEL_TARGET": "kubernaut.ai/target",
        "ANNOTATION_START_ATTEMPT": "kubernaut.ai/start-attempt",
        "ANNOTATION_CLAIMED": "kubernaut.ai/claimed",
        "ANNOTATION_CLAIMED_IN": "kubernaut.ai/claimed-in",
        "ANNOTATION_CANCEL_CAUSE": "kubernaut.ai/cancel-cause",
        "ANNOTATION_CANCEL_REQUESTED_AT": "kubernaut.ai/cancel-requested-at",
        "ANNOTATION_CANCEL_FORCED_AT": "kubernaut.ai/cancel-forced-at",
        "ANNOTATION_NUDGED_AT": "kubernaut.ai/nudged-at",
        "TEKTON_API_VERSION": "tekton.dev/v1",
        "ANNOTATION_SIGNATURE": "tekton.dev/signature",
        "PIPELINE_IN_BUNDLE": "workflow",
        "TARGET_PARAMETER": "TARGET_RESOURCE",
    }
    assert names.FINALIZERS == (names.FINALIZER, names.LEGACY_FINALIZER)

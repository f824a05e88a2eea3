"""Names that clusters carry: they outlive every process, so they never change."""

from __future__ import annotations

from typing import Final

GROUP: Final = "kubernaut.ai"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "WorkflowExecution"
PLURAL: Final = "workflowexecutions"

FINALIZER: Final = "kubernaut.ai/workflowexecution-cleanup"
LEGACY_FINALIZER: Final = "workflowexecution.kubernaut.ai/workflowexecution-cleanup"
"""Left by the Go implementation; taken off on deletion, never put on."""
FINALIZERS: Final = (FINALIZER, LEGACY_FINALIZER)

# On the run; an annotation of the same name holds what the label cannot.
LABEL_EXECUTION: Final = "kubernaut.ai/workflow-execution"
LABEL_EXECUTION_UID: Final = "kubernaut.ai/workflow-execution-uid"
LABEL_WORKFLOW_ID: Final = "kubernaut.ai/workflow-id"
LABEL_TARGET_RESOURCE: Final = "kubernaut.ai/target-resource"
LABEL_SOURCE_NAMESPACE: Final = "kubernaut.ai/source-namespace"

# On executions and runs alike.
LABEL_INSTANCE: Final = "kubernaut.ai/instance"
LABEL_TARGET: Final = "kubernaut.ai/target"

ANNOTATION_START_ATTEMPT: Final = "kubernaut.ai/start-attempt"
ANNOTATION_CLAIMED: Final = "kubernaut.ai/claimed"
"""`<name>/<uid>` of the execution that was taken up, so that a restored copy shows as one."""
ANNOTATION_CLAIMED_IN: Final = "kubernaut.ai/claimed-in"
"""The namespace in which a run of it may have been created, whatever its status knows of that."""

# On the run: how far its cancellation has come, so that a restart goes on where it was.
ANNOTATION_CANCEL_CAUSE: Final = "kubernaut.ai/cancel-cause"
ANNOTATION_CANCEL_REQUESTED_AT: Final = "kubernaut.ai/cancel-requested-at"
ANNOTATION_CANCEL_FORCED_AT: Final = "kubernaut.ai/cancel-forced-at"
ANNOTATION_NUDGED_AT: Final = "kubernaut.ai/nudged-at"
"""When Tekton was asked to look again at a run that does not leave resolution."""

# Tekton's own, and what is agreed upon with those who write workflows.
TEKTON_API_VERSION: Final = "tekton.dev/v1"
ANNOTATION_SIGNATURE: Final = "tekton.dev/signature"
PIPELINE_IN_BUNDLE: Final = "workflow"
TARGET_PARAMETER: Final = "TARGET_RESOURCE"
"""Of every workflow: what it is to work on, as the execution names it."""

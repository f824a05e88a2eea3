"""Builds the PipelineRun of an execution, and reads back from a run whose it is.

The run lives in the execution namespace, mostly another than its execution's, where an owner
reference is not allowed: the way back is by labels. Labels hold what a label can hold; the full
text stands in an annotation of the same name.

Source: tekton.dev/v1 PipelineRun; bundle resolver of Tekton Pipelines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workflowexecution.api import duration, names
from workflowexecution.domain import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workflowexecution.api.workflowexecution import Spec, WorkflowExecution

KIND = "PipelineRun"
RESOLVER = "bundles"
_NONE: Mapping[str, str] = {}
MAX_OWNER_BYTES = 1024
"""Of each part of an owner; the longest true one is a workflow's id of 253 characters."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for a run whose execution does not say otherwise."""

    namespace: str
    service_account: str
    timeout_s: float
    instance: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a run is, by what the run itself carries."""

    namespace: str
    name: str
    uid: str
    workflow_id: str
    target: str


def build(
    execution: WorkflowExecution,
    *,
    name: str,
    target_label: str,
    canonical_target: str,
    defaults: Defaults,
    annotations: Mapping[str, str] = _NONE,
) -> dict[str, Any]:
    """The manifest of an execution's run.

    Args:
        execution: a checked execution.
        name: the run's name, which is the lock of the target.
        target_label: the hash under which runs and executions of one target are listed.
        canonical_target: the target in the one spelling by which people select runs of it.
        defaults: from the settings.
        annotations: what the run carries beside those that lead back to the execution.
    """
    spec = execution.spec
    config = spec.execution_config
    account = (config.service_account_name if config else None) or defaults.service_account
    labels, full_texts = _marks(execution, defaults.instance)
    # A slash is no label character; the customary spelling for people is a double underscore.
    labels[names.LABEL_TARGET_RESOURCE] = text.label_value(canonical_target.replace("/", "__"))
    labels[names.LABEL_TARGET] = target_label
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": defaults.namespace,
        "labels": labels,
        "annotations": {**annotations, **full_texts},
    }
    if execution.metadata.namespace == defaults.namespace:
        metadata["ownerReferences"] = [_owner_reference(execution)]
    return {
        "apiVersion": names.TEKTON_API_VERSION,
        "kind": KIND,
        "metadata": metadata,
        "spec": {
            "pipelineRef": {
                "resolver": RESOLVER,
                "params": [
                    {"name": "bundle", "value": bundle_reference(execution)},
                    {"name": "name", "value": names.PIPELINE_IN_BUNDLE},
                    {"name": "kind", "value": "pipeline"},
                ],
            },
            "params": _params(spec.parameters or {}, spec.target_resource),
            "taskRunTemplate": {"serviceAccountName": account},
            # The whole run and nothing else: budgets for tasks or finally end runs whose tasks
            # all succeeded.
            "timeouts": {"pipeline": duration.format_seconds(timeout_s(spec, defaults))},
        },
    }


def timeout_s(spec: Spec, defaults: Defaults) -> float:
    """How long the whole run of an execution may take."""
    config = spec.execution_config
    return (config.timeout if config else None) or defaults.timeout_s


def bundle_reference(execution: WorkflowExecution) -> str:
    """The image as given or, with a digest of its own, the image without tag @ digest."""
    image = execution.spec.workflow_ref.container_image
    digest = execution.spec.workflow_ref.container_digest
    if not digest:
        return image
    repository = image.partition("@")[0]
    head, slash, last = repository.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}@{digest}"


def owner_of(labels: Mapping[str, str], annotations: Mapping[str, str]) -> Owner | None:
    """Whose run this is, or None for a run that is not of this program's making."""
    uid = labels.get(names.LABEL_EXECUTION_UID, "")
    if not uid:
        return None

    def full(key: str) -> str:
        # Whoever may create runs may write anything here, and it is quoted in statuses.
        return text.cut(annotations.get(key) or labels.get(key, ""), MAX_OWNER_BYTES)

    return Owner(
        namespace=full(names.LABEL_SOURCE_NAMESPACE),
        name=full(names.LABEL_EXECUTION),
        uid=uid,
        workflow_id=full(names.LABEL_WORKFLOW_ID),
        target=full(names.LABEL_TARGET_RESOURCE),
    )


def _marks(execution: WorkflowExecution, instance: str) -> tuple[dict[str, str], dict[str, str]]:
    texts = {
        names.LABEL_EXECUTION: execution.metadata.name,
        names.LABEL_EXECUTION_UID: execution.metadata.uid,
        names.LABEL_WORKFLOW_ID: execution.spec.workflow_ref.workflow_id,
        names.LABEL_SOURCE_NAMESPACE: execution.metadata.namespace,
    }
    if instance:
        texts[names.LABEL_INSTANCE] = instance
    labels = {key: text.label_value(value) for key, value in texts.items()}
    annotations = {key: value for key, value in texts.items() if labels[key] != value}
    annotations[names.LABEL_TARGET_RESOURCE] = execution.spec.target_resource
    return labels, annotations


def _owner_reference(execution: WorkflowExecution) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": execution.metadata.name,
        "uid": execution.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _params(parameters: Mapping[str, str], target: str) -> list[dict[str, str]]:
    params = [{"name": name, "value": parameters[name]} for name in sorted(parameters)]
    params.append({"name": names.TARGET_PARAMETER, "value": target})
    return params

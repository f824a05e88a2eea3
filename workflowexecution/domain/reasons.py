"""The reason of a failure, from a ranked table: what was observed first, words in messages last.

A container's own end ranks before everything that ended with it, and no message is even looked at
where an exit code tells. Words are matched whole: `oom` never matches `room`.

Source: Tekton Pipelines 1.9, `pkg/apis/pipeline/v1` and `pkg/pod/status.go`; each row was seen in
what real Tekton reports (tests/golden) or stands in that source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workflowexecution.api.status import FailureReason

if TYPE_CHECKING:
    from workflowexecution.api import tekton

_CONFIGURATION_RUNS: Final = (
    "CouldntGetPipeline",
    "CouldntGetTask",
    "CouldntGetPipelineResult",
    "InvalidPipelineResourceBindings",
    "InvalidWorkspaceBindings",
    "InvalidTaskRunSpecs",
    "ParameterMissing",
    "ParameterTypeMismatch",
    "ObjectParameterMissKeys",
    "ParamArrayIndexingInvalid",
    "PipelineValidationFailed",
    "PipelineInvalidGraph",
    "InvalidMatrixParameterTypes",
    "InvalidParamValue",
    "InvalidPipelineResultReference",
    "InvalidTaskResultReference",
    "CELEvaluationFailed",
    "RequiredWorkspaceMarkedOptional",
    "ResourceVerificationFailed",
)
_RUNS: Final = {
    "PipelineRunTimeout": FailureReason.DEADLINE_EXCEEDED,
    "Cancelled": FailureReason.CANCELLED,
    "CancelledRunningFinally": FailureReason.CANCELLED,
    "StoppedRunningFinally": FailureReason.CANCELLED,
    **dict.fromkeys(_CONFIGURATION_RUNS, FailureReason.CONFIGURATION_ERROR),
}
_UNRESOLVED: Final = frozenset({"CouldntGetPipeline", "CouldntGetTask"})
_TASKS: Final = {
    "TaskRunTimeout": FailureReason.DEADLINE_EXCEEDED,
    "TaskRunImagePullFailed": FailureReason.IMAGE_PULL_BACK_OFF,
    "PullImageFailed": FailureReason.IMAGE_PULL_BACK_OFF,
    "CreateContainerConfigError": FailureReason.CONFIGURATION_ERROR,
    "TaskRunValidationFailed": FailureReason.CONFIGURATION_ERROR,
    "TaskRunResolutionFailed": FailureReason.CONFIGURATION_ERROR,
    "TaskValidationFailed": FailureReason.CONFIGURATION_ERROR,
    "InvalidParamValue": FailureReason.CONFIGURATION_ERROR,
    "ResourceVerificationFailed": FailureReason.CONFIGURATION_ERROR,
    "PodAdmissionFailed": FailureReason.FORBIDDEN,
    "ExceededResourceQuota": FailureReason.RESOURCE_EXHAUSTED,
    "ExceededNodeResources": FailureReason.RESOURCE_EXHAUSTED,
    "TaskRunCancelled": FailureReason.CANCELLED,
}
_PODS: Final = {
    "Evicted": FailureReason.RESOURCE_EXHAUSTED,
    "Preempting": FailureReason.RESOURCE_EXHAUSTED,
    "OutOfcpu": FailureReason.RESOURCE_EXHAUSTED,
    "OutOfmemory": FailureReason.RESOURCE_EXHAUSTED,
    "OutOfpods": FailureReason.RESOURCE_EXHAUSTED,
    "DeadlineExceeded": FailureReason.DEADLINE_EXCEEDED,
}
_STEPS: Final = {
    "OOMKilled": FailureReason.OOM_KILLED,
    "TimeoutExceeded": FailureReason.DEADLINE_EXCEEDED,
    "Evicted": FailureReason.RESOURCE_EXHAUSTED,
    "StartError": FailureReason.CONFIGURATION_ERROR,
    "ContainerCannotRun": FailureReason.CONFIGURATION_ERROR,
}
_Words = tuple[tuple[re.Pattern[str], FailureReason], ...]


def _words(*rows: tuple[str, FailureReason], flags: int = re.IGNORECASE) -> _Words:
    return tuple((re.compile(rf"\b(?:{it})\b", flags), reason) for it, reason in rows)


# Ranked. Of pods that it does not admit the apiserver says "forbidden", whatever the cause.
_WORDS: Final = _words(
    ("oomkilled|out of memory", FailureReason.OOM_KILLED),
    (
        "error looking up service account|must specify|(?:min|max)imum \\w+ usage per",
        FailureReason.CONFIGURATION_ERROR,
    ),
    (
        "exceeded quota|resource exhausted|insufficient (?:cpu|memory)",
        FailureReason.RESOURCE_EXHAUSTED,
    ),
    ("forbidden|permission denied|unauthorized", FailureReason.FORBIDDEN),
    ("imagepullbackoff|errimagepull|image pull", FailureReason.IMAGE_PULL_BACK_OFF),
    ("timed out|timeout|deadline exceeded", FailureReason.DEADLINE_EXCEEDED),
    ("invalid|not found", FailureReason.CONFIGURATION_ERROR),
)
# What registries say, as codes of the distribution specification or as HTTP; in capitals, which
# the name of a repository never has.
_REGISTRY_WORDS: Final = _words(
    ("UNAUTHORIZED|DENIED|401 Unauthorized|403 Forbidden", FailureReason.FORBIDDEN),
    ("TOOMANYREQUESTS|429 Too Many Requests", FailureReason.RESOURCE_EXHAUSTED),
    flags=0,
)
_UNREACHABLE: Final = re.compile(
    r"connection refused|no such host|no route to host|i/o timeout|deadline exceeded"
    r"|TLS handshake timeout|connection reset|status code 5\d\d"
)
_TRY_AGAIN: Final = (
    "The bundle's registry did not answer as it should: see whether it is up and rightly named, "
    "then try again."
)
_NEVER_BEGAN: Final = (
    "More time alone will not help: find out what the pod waited for, such as an image, a volume, "
    "a Secret, quota, or room on a node."
)
_NEVER_CREATED: Final = (
    "More time alone will not help: no task was even created, as when the parameters are too large "
    "for what Tekton makes of them."
)
_LOST: Final = "Find out what became of the pod and of its node."
ADVICE: Final = {
    FailureReason.OOM_KILLED: "Raise the memory limit of the step before another attempt.",
    FailureReason.DEADLINE_EXCEEDED: (
        "Allow more time (spec.executionConfig.timeout and the task's own timeout, 60 minutes "
        "unless the pipeline sets one) or use a faster workflow."
    ),
    FailureReason.FORBIDDEN: (
        "Have it allowed by whoever may (a role, credentials, a policy), or choose a workflow that "
        "needs less."
    ),
    FailureReason.RESOURCE_EXHAUSTED: "Free or add capacity or quota, then try again.",
    FailureReason.CONFIGURATION_ERROR: (
        "Correct the workflow, its parameters or its service account; the same request will fail "
        "the same way."
    ),
    FailureReason.IMAGE_PULL_BACK_OFF: "Check the image reference and the pull credentials.",
    FailureReason.TASK_FAILED: "Read the log of the step and mend its cause.",
    FailureReason.CANCELLED: "Find out who stopped it and why before another attempt.",
    FailureReason.UNKNOWN: "Read the PipelineRun and the logs of its steps.",
}
EVERY_ADVICE: Final = frozenset({*ADVICE.values(), _TRY_AGAIN, _NEVER_BEGAN, _NEVER_CREATED, _LOST})


@dataclass(frozen=True, slots=True)
class Finding:
    """A reason, and what to do about it."""

    reason: FailureReason
    advice: str


def classify(
    run: tekton.PipelineRun,
    child: tekton.TaskRun | None,
    step: tekton.Step | None,
    pod: tekton.Pod | None,
) -> Finding:
    """The reason of a run's bad end.

    Args:
        run: what ended.
        child: the task that caused it, if one did.
        step: its step that failed, or never began.
        pod: its pod, where that can still be read.
    """
    if child is not None and not child.is_cancelled:
        return _of_task(child, step, pod)
    reason = run.condition.reason if run.condition else ""
    message = run.condition.message if run.condition else ""
    if reason in _UNRESOLVED:
        return _of_resolution(message)
    known = _RUNS.get(reason)
    if known is None and child is not None:
        known = FailureReason.CANCELLED
    if known is FailureReason.DEADLINE_EXCEEDED:
        return Finding(known, _deadline_advice(run, child))
    return _advised(known or _by_words(_WORDS, message) or FailureReason.UNKNOWN)


def _deadline_advice(run: tekton.PipelineRun, child: tekton.TaskRun | None) -> str:
    """More time helps only what had begun."""
    if child is None and not run.children:
        return _NEVER_CREATED
    if child is not None and not child.ran:
        return _NEVER_BEGAN
    return ADVICE[FailureReason.DEADLINE_EXCEEDED]


def _of_task(child: tekton.TaskRun, step: tekton.Step | None, pod: tekton.Pod | None) -> Finding:
    """The reason of a task that failed by itself."""
    said = child.condition
    if pod is not None and pod.reason in _PODS:
        return _advised(_PODS[pod.reason])
    if said is not None and said.reason in _TASKS:
        known = _TASKS[said.reason]
        late_for_nothing = known is FailureReason.DEADLINE_EXCEEDED and not child.ran
        return Finding(known, _NEVER_BEGAN) if late_for_nothing else _advised(known)
    if step is not None and step.running:
        return Finding(FailureReason.UNKNOWN, _LOST)
    if step is not None and step.ran:
        return _advised(_STEPS.get(step.reason, FailureReason.TASK_FAILED))
    by_words = _by_words(_WORDS, said.message if said else "")
    if by_words is not None:
        return _advised(by_words)
    if said is not None and said.reason == "PodCreationFailed":
        return _advised(FailureReason.CONFIGURATION_ERROR)
    began = step is not None or child.ran
    return _advised(FailureReason.TASK_FAILED if began else FailureReason.UNKNOWN)


def _of_resolution(message: str) -> Finding:
    """The reason why a pipeline or a task could not be fetched: nothing but words tells."""
    by_words = _by_words(_REGISTRY_WORDS, message)
    if by_words is None and _UNREACHABLE.search(message):
        return Finding(FailureReason.CONFIGURATION_ERROR, _TRY_AGAIN)
    return _advised(by_words or FailureReason.CONFIGURATION_ERROR)


def _by_words(table: _Words, message: str) -> FailureReason | None:
    return next((reason for pattern, reason in table if pattern.search(message)), None)


def _advised(reason: FailureReason) -> Finding:
    return Finding(reason, ADVICE[reason])

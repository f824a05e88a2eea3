"""The reason of a failure, from a ranked table: what was observed first, words in messages last.

The end of the task's pod ranks first, then Tekton's reason for the task, then the end of the step
(ADR 0018); words of a message name the reason only where none of these tells. In the message of a
pod that was ended they tell its own limit from a node that was short. Words are matched whole:
`oom` never matches `room`.

Source: Tekton Pipelines 1.9, `pkg/apis/pipeline/v1` and `pkg/pod/status.go`; each row was seen in
what real Tekton reports (tests/golden) or stands in that source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workflowexecution.api.status import FailureReason
from workflowexecution.domain import advice

if TYPE_CHECKING:
    from workflowexecution.api import containers, tekton

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
# The apiserver did not take what Tekton made of a task: the one a TaskRun, the other a pod.
_UNCREATED_RUN: Final = "CreateRunFailed"
_UNCREATED_POD: Final = "PodCreationFailed"
_UNTRUSTED: Final = "ResourceVerificationFailed"
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
# What a pod as a whole ended of; `Unknown` says that its node is to be asked, not the task. Beside
# these a kubelet says "OutOf" and the name of what it has too little of.
_PODS: Final = {
    "Evicted": FailureReason.RESOURCE_EXHAUSTED,
    "Preempting": FailureReason.RESOURCE_EXHAUSTED,
    "DeadlineExceeded": FailureReason.DEADLINE_EXCEEDED,
    "Terminated": FailureReason.UNKNOWN,
    "Shutdown": FailureReason.UNKNOWN,
    "NodeShutdown": FailureReason.UNKNOWN,
    "NodeLost": FailureReason.UNKNOWN,
}
_OUT_OF: Final = "OutOf"
# What was to end a pod, by its condition DisruptionTarget; the others have to do with its node.
_PREEMPTED: Final = "PreemptionByScheduler"
# How a step ends that was ended from outside: what Tekton's entrypoint makes of any signal, and a
# shell of SIGKILL and SIGTERM.
_BY_SIGNAL: Final = frozenset({255, 137, 143})
# A kubelet's words for a pod that it evicts for what the pod itself was granted.
_OWN_LIMIT: Final = re.compile(
    r"\bexceed(?:s|ed) (?:the limit|the total limit|its local ephemeral storage limit)\b"
)
_STEPS: Final = {
    "OOMKilled": FailureReason.OOM_KILLED,
    "TimeoutExceeded": FailureReason.DEADLINE_EXCEEDED,
    "Evicted": FailureReason.RESOURCE_EXHAUSTED,
    "StartError": FailureReason.CONFIGURATION_ERROR,
    "ContainerCannotRun": FailureReason.CONFIGURATION_ERROR,
    "ContainerStatusUnknown": FailureReason.UNKNOWN,
}
# A message may be as long as an object, and the event loop waits while words are looked for in it:
# what tells a reason stands at its beginning or at its end, around what it quotes.
_END_OF_MESSAGE: Final = 16 * 1024
# A letter of a word, so that what the cut leaves of one is never a word of its own.
_LEFT_OUT: Final = "_"
_Words = tuple[tuple[re.Pattern[str], FailureReason], ...]


def _words(*rows: tuple[str, FailureReason], flags: int = re.IGNORECASE) -> _Words:
    return tuple((re.compile(rf"\b(?:{it})\b", flags), reason) for it, reason in rows)


# Ranked. Of pods that it does not admit the apiserver says "forbidden", whatever the cause. That a
# time was over is never taken from words: whatever calls another says so of that, and Tekton has
# reasons for its own.
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
    r"|TLS handshake timeout|connection reset|status code 5\d\d|resolution took longer"
)
# The apiserver could not ask a webhook; what one that answers refuses, it "denied".
_UNASKED: Final = re.compile(r"\bfailed calling webhook\b")
# A kubelet's own trouble with its container runtime, as it says it of a container.
_SLOW_NODE: Final = re.compile(
    r"\b(?:context deadline exceeded|code = (?:DeadlineExceeded|Unavailable)"
    r"|failed to reserve container name)\b"
)
_NO_POLICY: Final = re.compile(r"\bno matching policies\b")


@dataclass(frozen=True, slots=True)
class Finding:
    """A reason, and what to do about it.

    Attributes:
        seen: what was observed that Tekton does not tell, as a sentence without its full stop.
    """

    reason: FailureReason
    advice: str
    seen: str = ""


def classify(
    run: tekton.PipelineRun,
    child: tekton.TaskRun | None,
    step: containers.Step | None,
    pod: tekton.Pod | None,
    *,
    elsewhere: FailureReason | None = None,
) -> Finding:
    """The reason of a run's bad end.

    Args:
        run: what ended.
        child: the task that caused it, if one did.
        step: its step that failed, or never began.
        pod: its pod, where that can still be read.
        elsewhere: how a task that is no TaskRun ended, if that is the cause.
    """
    if child is not None and not child.is_cancelled:
        return _of_task(run, child, step, pod)
    reason = run.condition.reason if run.condition else ""
    message = _message(run.condition)
    if reason in _UNRESOLVED:
        return _of_resolution(message)
    if reason == _UNTRUSTED:
        return _of_trust(run, message)
    if reason == _UNCREATED_RUN:
        return _of_creation(message)
    known = _RUNS.get(reason)
    if known is None and child is not None:
        known = FailureReason.CANCELLED
    if known is FailureReason.DEADLINE_EXCEEDED:
        return _of_deadline(run, child, pod)
    if known is None and elsewhere is FailureReason.TASK_FAILED:
        return Finding(elsewhere, advice.ELSEWHERE)
    known = known or elsewhere
    return _advised(known or _by_words(_WORDS, message) or FailureReason.UNKNOWN)


def blames_the_request(run: tekton.PipelineRun) -> bool:
    """Whether Tekton ended the run for what was asked of it, whatever its tasks did."""
    return run.condition is not None and run.condition.reason in _CONFIGURATION_RUNS


def _of_deadline(
    run: tekton.PipelineRun, child: tekton.TaskRun | None, pod: tekton.Pod | None
) -> Finding:
    """More time helps only what had begun, and is still there."""
    reason = FailureReason.DEADLINE_EXCEEDED
    if child is None and not run.children:
        return Finding(reason, advice.NEVER_CREATED)
    if child is None and any(not it.is_task_run for it in run.children):
        return Finding(reason, advice.UNSERVED)
    if child is not None and not child.has_begun:
        return Finding(reason, advice.NEVER_BEGAN)
    if pod is not None and pod.is_unheard:
        return Finding(reason, advice.UNHEARD, "The node of its pod no longer answers")
    if pod is not None and pod.disruption:
        return Finding(reason, advice.LOST, _said_of_pod(pod.disruption))
    return _advised(reason)


def _of_task(
    run: tekton.PipelineRun,
    child: tekton.TaskRun,
    step: containers.Step | None,
    pod: tekton.Pod | None,
) -> Finding:
    """The reason of a task that failed by itself."""
    said = child.condition.reason if child.condition else ""
    message = _message(child.condition)
    if pod is not None and (pod.reason in _PODS or pod.reason.startswith(_OUT_OF)):
        return _of_pod(pod.reason, message)
    known = _TASKS.get(said)
    if known is FailureReason.DEADLINE_EXCEEDED:
        return _of_deadline(run, child, pod)
    if known is not None:
        return _advised(known)
    if pod is not None and pod.disruption and _is_from_outside(step):
        return _of_pod(pod.disruption, message)
    if step is not None and step.running:
        return Finding(FailureReason.UNKNOWN, advice.LOST)
    if step is not None and step.ran:
        return _of_step(step)
    if said == _UNCREATED_POD:
        return _of_creation(message)
    began = step is not None or child.has_begun
    otherwise = FailureReason.TASK_FAILED if began else FailureReason.UNKNOWN
    return _advised(_by_words(_WORDS, message) or otherwise)


def _of_pod(ended: str, message: str) -> Finding:
    """The reason of a task whose pod was ended, and not by what its step did."""
    seen = _said_of_pod(ended)
    if _OWN_LIMIT.search(message):
        return Finding(FailureReason.RESOURCE_EXHAUSTED, advice.OVERFULL, seen)
    short = ended == _PREEMPTED or ended.startswith(_OUT_OF)
    of_node = FailureReason.RESOURCE_EXHAUSTED if short else FailureReason.UNKNOWN
    reason = _PODS.get(ended, of_node)
    lost = reason is FailureReason.UNKNOWN
    return Finding(reason, advice.LOST if lost else advice.BY_REASON[reason], seen)


def _said_of_pod(ended: str) -> str:
    return f"The cluster says of its pod: {ended}"


def _is_from_outside(step: containers.Step | None) -> bool:
    """Whether a step's end, if it has one, is not its own but that of its pod."""
    if step is None:
        return True
    by_itself = step.exited and step.exit_code not in _BY_SIGNAL
    return not by_itself and step.reason not in _STEPS


def _of_step(step: containers.Step) -> Finding:
    reason = _STEPS.get(step.reason, FailureReason.TASK_FAILED)
    match reason:
        case FailureReason.UNKNOWN:
            return Finding(reason, advice.LOST)
        case FailureReason.DEADLINE_EXCEEDED:
            return Finding(reason, advice.STEP_LATE)
        case _:
            return _advised(reason)


def _of_creation(message: str) -> Finding:
    """The reason why an object, or a container, was not made: nothing but words tells."""
    if _UNASKED.search(message):
        return Finding(FailureReason.UNKNOWN, advice.ASK_AGAIN)
    if _SLOW_NODE.search(message):
        return Finding(FailureReason.UNKNOWN, advice.NODE_BUSY)
    return _advised(_by_words(_WORDS, message) or FailureReason.CONFIGURATION_ERROR)


def _of_resolution(message: str) -> Finding:
    """The reason why a pipeline or a task could not be fetched: nothing but words tells."""
    by_words = _by_words(_REGISTRY_WORDS, message)
    if by_words is None and _UNREACHABLE.search(message):
        return Finding(FailureReason.CONFIGURATION_ERROR, advice.TRY_AGAIN)
    return _advised(by_words or FailureReason.CONFIGURATION_ERROR)


def _of_trust(run: tekton.PipelineRun, message: str) -> Finding:
    """What to do about a bundle that a policy refuses: Tekton says the same of most causes."""
    if _NO_POLICY.search(message):
        what = advice.UNCOVERED
    else:
        what = advice.WRONGLY_SIGNED if run.is_signed else advice.UNSIGNED
    return Finding(FailureReason.CONFIGURATION_ERROR, what)


def _message(said: tekton.Condition | None) -> str:
    """What words are looked for in: the message, or the ends of a long one."""
    whole = said.message if said is not None else ""
    if len(whole) <= 2 * _END_OF_MESSAGE:
        return whole
    return f"{whole[:_END_OF_MESSAGE]}{_LEFT_OUT}{whole[-_END_OF_MESSAGE:]}"


def _by_words(table: _Words, message: str) -> FailureReason | None:
    return next((reason for pattern, reason in table if pattern.search(message)), None)


def _advised(reason: FailureReason) -> Finding:
    return Finding(reason, advice.BY_REASON[reason])

"""Why a run failed: one record, from which reason, task, step, exit code and summary are derived.

Facts come first (the run, its TaskRuns with their earlier attempts), then one classification. What
Tekton and the containers report ranks before words in messages, which are the last resort and are
matched whole: `oom` never matches `room`.

Source: Tekton Pipelines 1.9, `pkg/apis/pipeline/v1` run reasons; upstream failureDetails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflowexecution.api import duration
from workflowexecution.api.status import FailureDetails, FailureReason, Outcome
from workflowexecution.domain import redaction, text

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from workflowexecution.api import tekton

MAX_MESSAGE_BYTES = 4096
MAX_SUMMARY = 1200
MAX_NAME_BYTES = 120
SIGNAL_BASE = 128

_RUN_REASONS = {
    "PipelineRunTimeout": FailureReason.DEADLINE_EXCEEDED,
    "Cancelled": FailureReason.CANCELLED,
    "CancelledRunningFinally": FailureReason.CANCELLED,
    "StoppedRunningFinally": FailureReason.CANCELLED,
    "CouldntGetPipeline": FailureReason.CONFIGURATION_ERROR,
    "CouldntGetTask": FailureReason.CONFIGURATION_ERROR,
    "CouldntGetPipelineResult": FailureReason.CONFIGURATION_ERROR,
    "InvalidPipelineResourceBindings": FailureReason.CONFIGURATION_ERROR,
    "InvalidWorkspaceBindings": FailureReason.CONFIGURATION_ERROR,
    "InvalidTaskRunSpecs": FailureReason.CONFIGURATION_ERROR,
    "ParameterMissing": FailureReason.CONFIGURATION_ERROR,
    "ParameterTypeMismatch": FailureReason.CONFIGURATION_ERROR,
    "ObjectParameterMissKeys": FailureReason.CONFIGURATION_ERROR,
    "ParamArrayIndexingInvalid": FailureReason.CONFIGURATION_ERROR,
    "PipelineValidationFailed": FailureReason.CONFIGURATION_ERROR,
    "PipelineInvalidGraph": FailureReason.CONFIGURATION_ERROR,
    "InvalidMatrixParameterTypes": FailureReason.CONFIGURATION_ERROR,
    "InvalidParamValue": FailureReason.CONFIGURATION_ERROR,
    "InvalidPipelineResultReference": FailureReason.CONFIGURATION_ERROR,
    "InvalidTaskResultReference": FailureReason.CONFIGURATION_ERROR,
    "CELEvaluationFailed": FailureReason.CONFIGURATION_ERROR,
    "RequiredWorkspaceMarkedOptional": FailureReason.CONFIGURATION_ERROR,
    "ResourceVerificationFailed": FailureReason.CONFIGURATION_ERROR,
}
_TASK_REASONS = {
    "TaskRunTimeout": FailureReason.DEADLINE_EXCEEDED,
    "TaskRunImagePullFailed": FailureReason.IMAGE_PULL_BACK_OFF,
    "PullImageFailed": FailureReason.IMAGE_PULL_BACK_OFF,
    "CreateContainerConfigError": FailureReason.CONFIGURATION_ERROR,
    "TaskRunValidationFailed": FailureReason.CONFIGURATION_ERROR,
    "TaskRunResolutionFailed": FailureReason.CONFIGURATION_ERROR,
    "TaskValidationFailed": FailureReason.CONFIGURATION_ERROR,
    "InvalidParamValue": FailureReason.CONFIGURATION_ERROR,
    "ResourceVerificationFailed": FailureReason.CONFIGURATION_ERROR,
    "ExceededResourceQuota": FailureReason.RESOURCE_EXHAUSTED,
    "ExceededNodeResources": FailureReason.RESOURCE_EXHAUSTED,
    "TaskRunCancelled": FailureReason.CANCELLED,
}
_STEP_REASONS = {
    "OOMKilled": FailureReason.OOM_KILLED,
    "TimeoutExceeded": FailureReason.DEADLINE_EXCEEDED,
    "Evicted": FailureReason.RESOURCE_EXHAUSTED,
}
# Ranked; whole words only.
_WORDS = tuple(
    (re.compile(rf"\b(?:{words})\b", re.IGNORECASE), reason)
    for words, reason in (
        ("oomkilled|out of memory", FailureReason.OOM_KILLED),
        # Of a pod whose account is not there the apiserver says "forbidden".
        ("error looking up service account", FailureReason.CONFIGURATION_ERROR),
        ("exceeded quota|resource exhausted|insufficient (?:cpu|memory)",
         FailureReason.RESOURCE_EXHAUSTED),
        ("forbidden|permission denied|unauthorized", FailureReason.FORBIDDEN),
        ("imagepullbackoff|errimagepull|image pull", FailureReason.IMAGE_PULL_BACK_OFF),
        ("timed out|timeout|deadline exceeded", FailureReason.DEADLINE_EXCEEDED),
        ("invalid|not found", FailureReason.CONFIGURATION_ERROR),
    )
)  # fmt: skip
_ADVICE = {
    FailureReason.OOM_KILLED: "Raise the memory limit of the step before another attempt.",
    FailureReason.DEADLINE_EXCEEDED: (
        "Allow more time (spec.executionConfig.timeout and the task's own timeout, 60 minutes "
        "unless the pipeline sets one) or use a faster workflow."
    ),
    FailureReason.FORBIDDEN: (
        "Grant the service account what the step needs, or choose a workflow that needs less."
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


@dataclass(frozen=True, slots=True)
class Subject:
    """What was tried on what, for the summary."""

    workflow_id: str
    target: str
    started: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class Facts:
    """A run that ended badly, and what its tasks did.

    Attributes:
        run: the run as last seen; None when it never existed, or is gone unseen.
        children: its TaskRuns from one live list, after all were final.
        started: names of TaskRuns that were ever seen started.
        vanished: when the run was deleted before its end, the sentence that says so.
        vanished_reason: what that counts as.
        stopped: when this program ended the run, the sentence that says why.
        stopped_reason: what that counts as.
    """

    run: tekton.PipelineRun | None
    children: Sequence[tekton.TaskRun]
    started: frozenset[str] = frozenset()
    vanished: str = ""
    vanished_reason: FailureReason = FailureReason.UNKNOWN
    stopped: str = ""
    stopped_reason: FailureReason = FailureReason.CANCELLED


@dataclass(frozen=True, slots=True)
class _Cause:
    reason: FailureReason
    message: str
    child: tekton.TaskRun | None
    step: tekton.Step | None
    by_tekton: bool = False
    """Whether the message is Tekton's."""


def nothing_ran(facts: Facts) -> bool:
    """Whether it is proven that no container of the run ever started.

    A CustomRun, a child PipelineRun, a child that is not in the list, a pod without step states, a
    task once seen started, or a run nobody saw the end of: each of them leaves the proof open.
    """
    run = facts.run
    if run is None or facts.vanished or facts.started:
        return False
    listed = {child.name for child in facts.children}
    for reference in run.children:
        if reference.kind != "TaskRun" or reference.name not in listed:
            return False
    return all(_never_ran(child) for child in facts.children)


def outcome_of(reason: FailureReason) -> Outcome:
    """The outcome that a failure reason stands for."""
    match reason:
        case FailureReason.DEADLINE_EXCEEDED:
            return Outcome.TIMEOUT
        case FailureReason.CANCELLED:
            return Outcome.CANCELLED
        case _:
            return Outcome.FAILED


def classify_run(facts: Facts, subject: Subject, at: datetime.datetime) -> FailureDetails:
    """The failure record of a run that ended, or vanished, without success.

    Args:
        facts: what is known.
        subject: what was tried.
        at: when it failed.
    """
    cause = _cause(facts)
    return _details(cause, facts, subject, at, ran=not nothing_ran(facts))


def refused(
    reason: FailureReason, message: str, subject: Subject, at: datetime.datetime
) -> FailureDetails:
    """The record of an execution that ended before there was a run: nothing was changed."""
    cause = _Cause(reason, text.cut(redaction.redact(message), MAX_MESSAGE_BYTES), None, None)
    return _details(cause, Facts(run=None, children=()), subject, at, ran=False)


def _never_ran(child: tekton.TaskRun) -> bool:
    return not child.ran and (not child.pod_name or bool(child.steps))


def _cause(facts: Facts) -> _Cause:
    run = facts.run
    if facts.stopped:
        return _stopped(facts)
    if facts.vanished:
        return _Cause(facts.vanished_reason, facts.vanished, None, None)
    said = run.condition if run else None
    run_reason = said.reason if said else ""
    run_message = said.message if said else ""
    child = _failed_child(facts)
    step = _failed_step(child) if child else None
    reason = _reason(run_reason, run_message, child, step)
    parts = [run_message]
    if child is not None and child.condition is not None:
        parts.insert(0, child.condition.message)
    message = ". ".join(part.rstrip(". ") for part in dict.fromkeys(parts) if part)
    cleaned = text.cut(redaction.redact(message), MAX_MESSAGE_BYTES)
    return _Cause(
        reason, cleaned or "The run gave no message", child, step, by_tekton=bool(cleaned)
    )


def _stopped(facts: Facts) -> _Cause:
    """What Tekton says of a run that was ended from outside is no cause; where it was, is told."""
    child = _failed_child(facts)
    step = _failed_step(child) if child else None
    message = text.cut(redaction.redact(facts.stopped), MAX_MESSAGE_BYTES)
    return _Cause(facts.stopped_reason, message, child, step)


def _failed_child(facts: Facts) -> tekton.TaskRun | None:
    """The task that caused the end: not a bystander that was cancelled because of it.

    A task whose failure the pipeline ignores is none either. A failed task of the pipeline ranks
    before a failed `finally` task, which runs after the end is decided; among equals the first to
    end is the cause.
    """
    finally_tasks = set(facts.run.finally_names) if facts.run else set()
    failed = [
        child
        for child in facts.children
        if child.is_done and not child.is_successful and not child.is_ignored
    ]
    causes = [child for child in failed if not child.is_cancelled] or failed
    causes.sort(key=lambda child: (child.task in finally_tasks, _end(child), child.name))
    return causes[0] if causes else None


def _end(child: tekton.TaskRun) -> float:
    return child.completed_at.timestamp() if child.completed_at else float("inf")


def _failed_step(child: tekton.TaskRun) -> tekton.Step | None:
    failing = [step for step in child.steps if step.has_failed]
    # Steps that were ended from outside rank behind one that ended by itself.
    candidates = [step for step in failing if step.exited] or [step for step in failing if step.ran]
    return min(candidates or failing, key=lambda step: step.finished or "~", default=None)


def _reason(
    run_reason: str, run_message: str, child: tekton.TaskRun | None, step: tekton.Step | None
) -> FailureReason:
    by_run = _RUN_REASONS.get(run_reason)
    if by_run is not None:
        return by_run
    if child is not None:
        said = child.condition.reason if child.condition else ""
        known = _TASK_REASONS.get(said)
        if known is not None:
            return known
        if step is not None and step.ran:
            return _STEP_REASONS.get(step.reason, FailureReason.TASK_FAILED)
        words = child.condition.message if child.condition else ""
        by_words = _by_words(words)
        if by_words is not None:
            return by_words
        if step is not None or child.ran:
            return FailureReason.TASK_FAILED
    return _by_words(run_message) or FailureReason.UNKNOWN


def _by_words(message: str) -> FailureReason | None:
    return next((reason for pattern, reason in _WORDS if pattern.search(message)), None)


def _details(
    cause: _Cause, facts: Facts, subject: Subject, at: datetime.datetime, *, ran: bool
) -> FailureDetails:
    child, step = cause.child, cause.step
    code = step.exit_code if step is not None and step.exited else None
    elapsed = max(0.0, (at - subject.started).total_seconds()) if subject.started else 0.0
    names = facts.run.task_names if facts.run else ()
    task = child.task if child else ""
    return FailureDetails(
        failed_task_index=names.index(task) if task in names else 0,
        failed_task_name=task,
        failed_step_name=step.name if step else None,
        reason=cause.reason,
        message=cause.message,
        exit_code=code,
        signal=code - SIGNAL_BASE if code is not None and SIGNAL_BASE < code <= 192 else None,
        failed_at=at.replace(microsecond=0),
        execution_time_before_failure=duration.format_seconds(int(elapsed)),
        natural_language_summary=_summary(cause, subject, elapsed, ran=ran),
        was_execution_failure=ran,
    )


def _summary(cause: _Cause, subject: Subject, elapsed: float, *, ran: bool) -> str:
    said = "Tekton says: " if cause.by_tekton else ""
    after = f" after {duration.format_seconds(int(elapsed))}" if subject.started else ""
    workflow, target = _quoted(subject.workflow_id), _quoted(subject.target, 2 * MAX_NAME_BYTES)
    sentences = [
        f"Workflow {workflow} on target {target} failed{after}{_place(cause)}.",
        f"The reason is {cause.reason}.",
        f"{said}{cause.message.rstrip('. ')}.",
        "Steps of it have run, or may have run, so the target may have been changed: look at it "
        "before anything is tried again."
        if ran
        else "No step of it has run, so nothing was changed and another attempt is safe.",
        _ADVICE[cause.reason],
    ]
    summary = " ".join(sentences)
    if len(summary) > MAX_SUMMARY:
        # The message is the only part without a bound of its own, and the others leave it room.
        excess = len(summary) - MAX_SUMMARY + len(text.CUT_MARK)
        sentences[2] = f"{said}{cause.message.rstrip('. ')[:-excess]}{text.CUT_MARK}."
        summary = " ".join(sentences)
    return summary


def _place(cause: _Cause) -> str:
    if cause.child is None:
        return ""
    place = f" in task {_quoted(cause.child.task)}"
    if cause.step is not None:
        place += f", step {_quoted(cause.step.name)}"
        if cause.step.exited:
            place += f", which ended with exit code {cause.step.exit_code}"
    return place


def _quoted(value: str, max_bytes: int = MAX_NAME_BYTES) -> str:
    """A name as it stands in the summary, whatever is in it."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in value)
    return f"'{text.cut(printable, max_bytes)}'"

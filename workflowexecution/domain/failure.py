"""Why a run failed: one record, from which reason, task, step, exit code and summary are derived.

Facts come first (the run, its TaskRuns with their earlier attempts, their pods), then one cause:
the task that brought the end about, its step, and the reason, which `reasons` finds. `summary` puts
the record into sentences.

Source: Tekton Pipelines 1.9; upstream failureDetails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflowexecution.api import duration
from workflowexecution.api.status import FailureDetails, FailureReason, Outcome
from workflowexecution.domain import reasons, redaction, summary, text

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from workflowexecution.api import tekton

MAX_MESSAGE_BYTES = 4096
SIGNAL_BASE, MAX_SIGNAL = 128, 64
_IMAGE_REASONS = frozenset({"TaskRunImagePullFailed", "PullImageFailed"})
_NO_MESSAGE = "The run gave no message"
# Waits that belong to every healthy start.
_STARTING = frozenset({"", "PodInitializing", "ContainerCreating"})

Subject = summary.Subject


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
        lingers: whether something of it is still there, and may begin yet.
        pods: its pods, as far as they can still be read.
        waited_for: what a task that never began was last seen waiting for; Tekton writes over that
            when the run's time is over.
    """

    run: tekton.PipelineRun | None
    children: Sequence[tekton.TaskRun]
    started: frozenset[str] = frozenset()
    vanished: str = ""
    vanished_reason: FailureReason = FailureReason.UNKNOWN
    stopped: str = ""
    stopped_reason: FailureReason = FailureReason.CANCELLED
    lingers: bool = False
    pods: Sequence[tekton.Pod] = ()
    waited_for: str = ""


@dataclass(frozen=True, slots=True)
class _Cause:
    """What brought the end about; everything that is told is derived from it.

    Attributes:
        message: in full, redacted.
        task: the failed task, which may be of a kind of which nothing more is known.
        said: the part of it that tells most.
        by_tekton: whether the message is Tekton's.
    """

    finding: reasons.Finding
    message: str
    said: str
    child: tekton.TaskRun | None = None
    step: tekton.Step | None = None
    task: str = ""
    by_tekton: bool = False


def nothing_ran(facts: Facts) -> bool:
    """Whether it is proven that no container of the run ever started.

    A CustomRun, a child PipelineRun, a child that is not in the list, a pod without step states, a
    task once seen started, or a run nobody saw the end of: each of them leaves the proof open.
    Pods count for themselves: Tekton leaves one that lacked its ConfigMap to run when that comes.
    """
    run = facts.run
    if run is None or facts.vanished or facts.started or facts.lingers:
        return False
    if any(pod.ran for pod in facts.pods):
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
    return _details(_cause(facts), facts, subject, at, ran=not nothing_ran(facts))


def refused(
    reason: FailureReason, message: str, subject: Subject, at: datetime.datetime
) -> FailureDetails:
    """The record of an execution that ended before there was a run: nothing was changed."""
    cause = _untold(reason, text.cut(redaction.redact(message), MAX_MESSAGE_BYTES))
    return _details(cause, Facts(run=None, children=()), subject, at, ran=False)


def _never_ran(child: tekton.TaskRun) -> bool:
    return not child.ran and (not child.pod_name or bool(child.steps))


def _untold(reason: FailureReason, message: str) -> _Cause:
    """A cause that is known by its reason and a sentence alone."""
    return _Cause(reasons.Finding(reason, reasons.ADVICE[reason]), message, message)


def _cause(facts: Facts) -> _Cause:
    run = facts.run
    if facts.stopped:
        return _stopped(facts)
    if facts.vanished:
        return _untold(facts.vanished_reason, facts.vanished)
    if run is None:
        return _untold(FailureReason.UNKNOWN, "The run is not there")
    child = _failed_child(run, facts.children)
    step = _failed_step(child) if child else None
    pod = next((it for it in facts.pods if child and it.name == child.pod_name), None)
    finding = reasons.classify(run, child, step, pod)
    message, said = (_clean(it) for it in _told(run, child, step, facts.waited_for))
    task = child.task if child else _foreign_task(run, finding.reason)
    if not message:
        return _Cause(finding, _NO_MESSAGE, _NO_MESSAGE, child, step, task)
    return _Cause(finding, message, said or message, child, step, task, by_tekton=True)


def _stopped(facts: Facts) -> _Cause:
    """What Tekton says of a run that was ended from outside is no cause; where it was, is told."""
    child = _failed_child(facts.run, facts.children) if facts.run is not None else None
    step = _failed_step(child) if child else None
    finding = reasons.Finding(facts.stopped_reason, reasons.ADVICE[facts.stopped_reason])
    message = _clean([facts.stopped])
    return _Cause(finding, message, message, child, step, child.task if child else "")


def _told(
    run: tekton.PipelineRun,
    child: tekton.TaskRun | None,
    step: tekton.Step | None,
    waited_for: str,
) -> tuple[list[str], list[str]]:
    """Who said what, in full and in short; of a task ended from outside the run knows more."""
    of_run = run.condition.message if run.condition else ""
    of_task = child.condition.message if child is not None and child.condition else ""
    own = [of_task, step.detail if step else ""]
    waited = []
    if child is not None and not child.ran and waited_for:
        waited.append(f"It was last seen waiting: {waited_for}")
    if child is None or child.is_cancelled:
        return [of_run, *own, *waited], [of_run, *waited]
    return [*own, *waited, of_run], [*own, *waited]


def _clean(parts: Sequence[str]) -> str:
    """Different parts as sentences, without secrets, within the budget."""
    told = [part.rstrip(". ") for part in dict.fromkeys(parts) if part]
    return text.cut(redaction.redact(". ".join(told)), MAX_MESSAGE_BYTES)


def _failed_child(
    run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
) -> tekton.TaskRun | None:
    """The task that caused the end: not a bystander that was cancelled because of it.

    A task whose failure the pipeline ignores is none either. A task of the pipeline ranks before a
    `finally` task, which runs after the end is decided, and one that failed by itself before one
    that was ended from outside; among equals the first to end is the cause.
    """
    finally_tasks = set(run.finally_names)
    failed = [
        child
        for child in children
        if child.is_done and not child.is_successful and not child.is_ignored
    ]
    failed.sort(
        key=lambda child: (
            child.task in finally_tasks,
            child.is_cancelled,
            _end(child),
            child.name,
        )
    )
    return failed[0] if failed else None


def _foreign_task(run: tekton.PipelineRun, reason: FailureReason) -> str:
    """The task at fault when no TaskRun is: the only one of another kind, or none for certain."""
    foreign = [child.task for child in run.children if child.kind != "TaskRun"]
    by_a_task = reason in {FailureReason.DEADLINE_EXCEEDED, FailureReason.UNKNOWN}
    return foreign[0] if by_a_task and len(foreign) == 1 else ""


def _end(child: tekton.TaskRun) -> float:
    return child.completed_at.timestamp() if child.completed_at else float("inf")


def _failed_step(child: tekton.TaskRun) -> tekton.Step | None:
    """The step at fault: one that ended by itself before one that was ended or never began."""
    failing = [step for step in child.steps if step.has_failed]
    if child.condition is not None and child.condition.reason in _IMAGE_REASONS:
        # Those that ran waited for the one without an image, which may be a sidecar.
        return next((step for step in child.steps if not step.ran), None)
    ranked = [step for step in failing if step.exited] or [step for step in failing if step.ran]
    ended = min(ranked or failing, key=lambda step: step.finished or "~", default=None)
    return ended or next((step for step in child.steps if _is_stuck(step)), None)


def _is_stuck(step: tekton.Step) -> bool:
    """Whether a step without an end is why its task ended: it could not begin, or was lost."""
    return step.running or step.waiting not in _STARTING


def _details(
    cause: _Cause, facts: Facts, subject: Subject, at: datetime.datetime, *, ran: bool
) -> FailureDetails:
    step = cause.step
    code = step.exit_code if step is not None and step.exited else None
    names = facts.run.task_names if facts.run else ()
    elapsed = int(summary.elapsed_s(subject, at))
    return FailureDetails(
        failed_task_index=names.index(cause.task) if cause.task in names else 0,
        failed_task_name=cause.task,
        failed_step_name=step.name if step else None,
        reason=cause.finding.reason,
        message=cause.message,
        exit_code=code,
        signal=_signal(code),
        failed_at=at.replace(microsecond=0),
        execution_time_before_failure=duration.format_seconds(elapsed),
        natural_language_summary=_summary(cause, facts, subject, at, ran=ran),
        was_execution_failure=ran,
    )


def _signal(code: int | None) -> int | None:
    """The signal that a shell's exit code stands for."""
    if code is None or not SIGNAL_BASE < code <= SIGNAL_BASE + MAX_SIGNAL:
        return None
    return code - SIGNAL_BASE


def _summary(
    cause: _Cause, facts: Facts, subject: Subject, at: datetime.datetime, *, ran: bool
) -> str:
    child, step = cause.child, cause.step
    place = summary.Place(
        task=cause.task,
        attempts=child.retries + 1 if child else 1,
        step=step.name if step else "",
        exit_code=step.exit_code if step is not None and step.exited else None,
    )
    tasks = sorted(facts.children, key=lambda it: (it.created, it.name))
    completed = [it.task for it in tasks if it.is_successful]
    begun = [it.task for it in tasks if it.ran and not it.is_successful]
    return summary.write(
        summary.Story(
            subject=subject,
            reason=cause.finding.reason,
            place=place,
            traces=summary.Traces(
                ran, tuple(dict.fromkeys(completed)), tuple(dict.fromkeys(begun))
            ),
            said=cause.said,
            by_tekton=cause.by_tekton,
            at=at,
            advice=cause.finding.advice,
        )
    )

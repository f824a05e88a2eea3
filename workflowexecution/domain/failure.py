"""Why a run failed: one record, from which reason, task, step, exit code and summary are derived.

Facts come first (the run, its TaskRuns with their earlier attempts, their pods), then one cause:
the task that brought the end about, its step, and the reason, which `reasons` finds. `summary` puts
the record into sentences.

Source: Tekton Pipelines 1.9; upstream failureDetails.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflowexecution.api import duration, times
from workflowexecution.api.status import FailureDetails, FailureReason, Outcome
from workflowexecution.domain import advice, blame, reasons, redaction, summary, text

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from workflowexecution.api import containers, tekton
    from workflowexecution.api.workflowexecution import Spec

MAX_MESSAGE_BYTES = 4096
SIGNAL_BASE = 128
# Those that end a process that does not expect them: HUP to TRAP, ABRT to TERM (USR1 and USR2
# included), XCPU, XFSZ and SYS. Other codes above the base are as likely a program's own.
_ENDING = frozenset({*range(1, 16), 24, 25, 31})
_NO_MESSAGE = "The run gave no message"


@dataclass(frozen=True, slots=True)
class Facts:
    """A run that ended badly, and what its tasks did.

    Attributes:
        run: the run as last seen; None when it never existed, or is gone unseen.
        children: its TaskRuns, after all were final; what is told comes from them.
        started: names of TaskRuns that were ever seen started.
        unlisted: names of those that the server's one list lacked: they are told of by what was
            seen of them earlier, and prove nothing.
        vanished: when the run was deleted before its end, the sentence that says so.
        vanished_reason: what that counts as.
        stopped: when this program ended the run, what says why.
        stopped_reason: what that counts as.
        stopped_by: the cause of it, a `stopping.Cause`.
        lingers: whether something of it is still there, and may begin yet.
        pods: its pods, as far as they can still be read.
        waited_for: what a task that never began was last seen waiting for; Tekton writes over that
            when the run's time is over.
    """

    run: tekton.PipelineRun | None
    children: Sequence[tekton.TaskRun]
    started: frozenset[str] = frozenset()
    unlisted: frozenset[str] = frozenset()
    vanished: str = ""
    vanished_reason: FailureReason = FailureReason.UNKNOWN
    stopped: summary.Said | None = None
    stopped_reason: FailureReason = FailureReason.CANCELLED
    stopped_by: str = ""
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
    """

    finding: reasons.Finding
    message: str
    said: summary.Said
    child: tekton.TaskRun | None = None
    step: containers.Step | None = None
    task: str = ""


def nothing_ran(facts: Facts) -> bool:
    """Whether it is proven that no container of the run ever started.

    A CustomRun, a child PipelineRun, a child that is not in the list, a pod without step states, a
    task once seen started, or a run nobody saw the end of: each of them leaves the proof open.
    Pods count for themselves: Tekton leaves one that lacked its ConfigMap to run when that comes.
    """
    run = facts.run
    if run is None or facts.vanished or facts.lingers or facts.started or facts.unlisted:
        return False
    if any(pod.ran for pod in facts.pods):
        return False
    listed = {child.name for child in facts.children}
    for reference in run.children:
        if not reference.is_task_run or reference.name not in listed:
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


def classify_run(facts: Facts, subject: summary.Subject, at: datetime.datetime) -> FailureDetails:
    """The failure record of a run that ended, or vanished, without success.

    Args:
        facts: what is known.
        subject: what was tried.
        at: when it ended, which may be long after what it failed of.
    """
    cause = _cause(facts)
    failed_at = at if facts.stopped else min(at, _failed_at(cause) or at)
    return _details(cause, facts, subject, failed_at, ran=not nothing_ran(facts))


def refused(
    reason: FailureReason,
    message: str | summary.Said,
    subject: summary.Subject,
    at: datetime.datetime,
) -> FailureDetails:
    """The record of an execution that ended before there was a run: nothing was changed."""
    said = _redacted(summary.own(message) if isinstance(message, str) else message)
    cause = _Cause(reasons.Finding(reason, advice.BY_REASON[reason]), said.message, said)
    return _details(cause, Facts(run=None, children=()), subject, at, ran=False)


def attribute(message: str, spec: Spec, cancelled: str) -> summary.Said:
    """What is said of a stop, with the words of whoever asked for it told from our own.

    Args:
        message: in full.
        spec: of what was stopped.
        cancelled: the sentence with which the message begins if a person has asked for the stop.
    """
    if spec.cancel is None or not message.startswith(cancelled):
        return summary.own(message)
    return summary.Said(
        message,
        f"The execution was cancelled by {summary.name(spec.cancel.requested_by)}",
        spec.cancel.reason,
        after=message.removeprefix(cancelled),
    )


def _redacted(said: summary.Said) -> summary.Said:
    parts = {it.name: getattr(said, it.name) for it in dataclasses.fields(said)}
    return summary.Said(**{
        key: text.cut(redaction.redact(it), MAX_MESSAGE_BYTES) for key, it in parts.items()
    })


def _never_ran(child: tekton.TaskRun) -> bool:
    return not child.ran and (not child.pod_name or bool(child.steps))


def _untold(reason: FailureReason, message: str, what: str = "") -> _Cause:
    """A cause that is known by its reason and a sentence alone."""
    finding = reasons.Finding(reason, what or advice.BY_REASON[reason])
    return _Cause(finding, message, summary.own(message))


def _cause(facts: Facts) -> _Cause:
    run = facts.run
    if facts.stopped is not None:
        return _stopped(facts, facts.stopped)
    if facts.vanished:
        unknown = facts.vanished_reason is FailureReason.UNKNOWN
        return _untold(facts.vanished_reason, facts.vanished, advice.GONE if unknown else "")
    if run is None:
        return _untold(FailureReason.UNKNOWN, "The run is not there", advice.GONE)
    child, elsewhere = blame.at_fault(run, facts.children)
    step = blame.failed_step(child) if child else None
    pod = next((it for it in facts.pods if child and it.name == child.pod_name), None)
    finding = reasons.classify(run, child, step, pod, elsewhere=elsewhere)
    message, said = (
        _clean(it) for it in _told(run, child, step, [finding.seen, _waited(facts, child)])
    )
    task = child.task if child else blame.foreign_task(run, finding.reason)
    if not message:
        return _Cause(finding, _NO_MESSAGE, summary.own(_NO_MESSAGE), child, step, task)
    return _Cause(finding, message, summary.by("Tekton", said or message), child, step, task)


def _stopped(facts: Facts, stopped: summary.Said) -> _Cause:
    """What Tekton says of a run that was ended from outside is no cause; where it was, is told."""
    child = blame.failed_child(facts.run, facts.children) if facts.run is not None else None
    step = blame.failed_step(child) if child else None
    reason = facts.stopped_reason
    what = advice.BY_STOP.get(facts.stopped_by, advice.BY_REASON[reason])
    finding = reasons.Finding(reason, what)
    message = _clean([stopped.message])
    return _Cause(finding, message, _redacted(stopped), child, step, child.task if child else "")


def _waited(facts: Facts, child: tekton.TaskRun | None) -> str:
    if child is None or child.has_begun or not facts.waited_for:
        return ""
    return f"It was last seen waiting: {facts.waited_for}"


def _told(
    run: tekton.PipelineRun,
    child: tekton.TaskRun | None,
    step: containers.Step | None,
    seen: Sequence[str],
) -> tuple[list[str], list[str]]:
    """Who said what, in full and in short; of a task ended from outside the run knows more."""
    of_run = run.condition.message if run.condition else ""
    of_task = child.condition.message if child is not None and child.condition else ""
    own = [of_task, step.detail if step else ""]
    if child is None or child.is_cancelled:
        return [of_run, *own, *seen], [of_run, *seen]
    return [*own, *seen, of_run], [*own, *seen]


def _clean(parts: Sequence[str]) -> str:
    """Different parts as sentences, without secrets, within the budget."""
    told = [part.rstrip(". ") for part in dict.fromkeys(parts) if part]
    return text.cut(redaction.redact(". ".join(told)), MAX_MESSAGE_BYTES)


def _failed_at(cause: _Cause) -> datetime.datetime | None:
    """When what brought the end about happened; None where only the run's end tells."""
    of_step = times.parse(cause.step.finished) if cause.step is not None else None
    return of_step or (cause.child.completed_at if cause.child is not None else None)


def _details(
    cause: _Cause, facts: Facts, subject: summary.Subject, at: datetime.datetime, *, ran: bool
) -> FailureDetails:
    step = cause.step
    code = step.exit_code if step is not None and step.exited else None
    names = (*facts.run.task_names, *facts.run.finally_names) if facts.run else ()
    elapsed = int(summary.elapsed_s(subject, at))
    return FailureDetails(
        failed_task_index=names.index(cause.task) if cause.task in names else 0,
        failed_task_name=text.cut(cause.task, text.MAX_NAME_BYTES),
        failed_step_name=text.cut(step.name, text.MAX_NAME_BYTES) if step else None,
        reason=cause.finding.reason,
        message=cause.message,
        exit_code=code,
        signal=_signal(code),
        failed_at=times.second(at),
        execution_time_before_failure=duration.format_seconds(elapsed),
        natural_language_summary=_summary(cause, facts, subject, at, ran=ran),
        was_execution_failure=ran,
    )


def _signal(code: int | None) -> int | None:
    """The signal that a shell's exit code stands for, if it is one that ends a process."""
    signal = code - SIGNAL_BASE if code is not None else 0
    return signal if signal in _ENDING else None


def _summary(
    cause: _Cause, facts: Facts, subject: summary.Subject, at: datetime.datetime, *, ran: bool
) -> str:
    child, step = cause.child, cause.step
    place = summary.Place(
        task=cause.task,
        attempts=child.retries + 1 if child else 1,
        step=step.name if step else "",
        exit_code=step.exit_code if step is not None and step.exited else None,
    )
    tasks = sorted(facts.children, key=lambda it: (it.created, it.name))
    all_of = Counter(it.task for it in tasks)
    completed = Counter(it.task for it in tasks if it.is_successful)
    begun = Counter(it.task for it in tasks if it.ran and not it.is_successful)
    return summary.write(
        summary.Story(
            subject=subject,
            reason=cause.finding.reason,
            place=place,
            traces=summary.Traces(
                ran,
                [summary.Work(task, count, all_of[task]) for task, count in completed.items()],
                [summary.Work(task, count, all_of[task]) for task, count in begun.items()],
                [summary.Work(task) for task in blame.foreign_tasks(facts.run)]
                if facts.run
                else (),
            ),
            said=cause.said,
            at=at,
            advice=cause.finding.advice,
        )
    )

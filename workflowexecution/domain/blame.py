"""Who is to blame: the task that brought a run's end about, and the step of it.

Source: Tekton Pipelines 1.9, `pkg/reconciler/pipelinerun/resources/pipelinerunstate.go` and
`pkg/reconciler/taskrun/taskrun.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflowexecution.api.status import FailureReason
from workflowexecution.domain import reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workflowexecution.api import containers, tekton
    from workflowexecution.api.status import FailureDetails

# Tekton ends a task so for a container that cannot begin, whatever those that did were doing.
_UNBEGUN = frozenset({
    "TaskRunImagePullFailed",
    "PullImageFailed",
    "CreateContainerConfigError",
    "PodCreationFailed",
})
# Waits that belong to every healthy start.
_STARTING = frozenset({"", "PodInitializing", "ContainerCreating"})


def told_of(details: FailureDetails, children: Sequence[tekton.TaskRun]) -> tekton.TaskRun | None:
    """The TaskRun that a record of these TaskRuns tells of: of a matrix it is one of several."""
    named = (child for child in children if child.task == details.failed_task_name)
    return min((child for child in named if child.has_failed), key=_rank, default=None)


def failed_child(
    run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
) -> tekton.TaskRun | None:
    """The task that caused the end: not a bystander that was cancelled because of it.

    A task whose failure the pipeline ignores is none either. A task of the pipeline ranks before a
    `finally` task, which runs after the end is decided, and one that failed by itself before one
    that was ended from outside; among equals the first to end is the cause.
    """
    last = set(run.finally_names)
    failed = (child for child in children if child.has_failed)
    return min(failed, key=lambda child: (child.task in last, *_rank(child)), default=None)


def _rank(child: tekton.TaskRun) -> tuple[bool, float, str]:
    return child.is_cancelled, _end(child), child.name


def at_fault(
    run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
) -> tuple[tekton.TaskRun | None, FailureReason | None]:
    """The TaskRun that caused the end; else how a task of another kind ended that did.

    A `finally` task that failed by itself is the cause only if nothing else is: it runs after a
    wrong request and after any other task that failed, too.
    """
    child = failed_child(run, children)
    if child is not None and (child.task not in run.finally_names or child.is_cancelled):
        return child, None
    if child is not None and reasons.blames_the_request(run):
        return None, None
    suspects = foreign_tasks(run) if child is None else _foreign_of_pipeline(run)
    elsewhere = _end_elsewhere(run, children, suspects)
    return (child, None) if elsewhere is None else (None, elsewhere)


def _end_elsewhere(
    run: tekton.PipelineRun, children: Sequence[tekton.TaskRun], suspects: Sequence[str]
) -> FailureReason | None:
    """How one of these tasks ended, if Tekton counts more bad ends than others account for."""
    counts = run.counts
    if counts is None or not suspects:
        return None
    listed = {child.name for child in children}
    bad = [child for child in children if not child.is_successful and not child.is_ignored]
    ended = {child.task for child in bad if child.is_cancelled}
    # What became of these is not known: any of them may be meant.
    failed = {child.task for child in bad} - ended
    failed |= {it.task for it in run.children if it.name not in listed} - set(suspects)
    if counts.failed + counts.cancelled <= len(failed | ended):
        return None
    by_itself = counts.failed > len(failed)
    return FailureReason.TASK_FAILED if by_itself else FailureReason.CANCELLED


def foreign_tasks(run: tekton.PipelineRun) -> Sequence[str]:
    """Tasks of another kind than TaskRun; those of `finally` only where there are no others."""
    foreign = dict.fromkeys(child.task for child in run.children if not child.is_task_run)
    return _foreign_of_pipeline(run) or tuple(foreign)


def _foreign_of_pipeline(run: tekton.PipelineRun) -> Sequence[str]:
    last = set(run.finally_names)
    tasks = [child.task for child in run.children if not child.is_task_run]
    return tuple(dict.fromkeys(task for task in tasks if task not in last))


def foreign_task(run: tekton.PipelineRun, reason: FailureReason) -> str:
    """The task at fault when no TaskRun is: the only one of another kind, or none for certain."""
    foreign = foreign_tasks(run)
    by_a_task = reason in {
        FailureReason.DEADLINE_EXCEEDED, FailureReason.TASK_FAILED, FailureReason.UNKNOWN,
    }  # fmt: skip
    return foreign[0] if by_a_task and len(foreign) == 1 else ""


def _end(child: tekton.TaskRun) -> float:
    return child.completed_at.timestamp() if child.completed_at else float("inf")


def failed_step(child: tekton.TaskRun) -> containers.Step | None:
    """The step at fault: one that ended by itself before one that was ended or never began."""
    failing = [step for step in child.steps if step.has_failed]
    said = child.condition.reason if child.condition else ""
    if said in _UNBEGUN and child.pod_name:
        # Those that ran waited for the one that could not, which may be a sidecar.
        unbegun = [step for step in child.steps if not step.ran]
        return next((step for step in unbegun if _is_stuck(step)), next(iter(unbegun), None))
    ranked = [step for step in failing if step.exited] or [step for step in failing if step.ran]
    ended = min(ranked or failing, key=lambda step: step.finished or "~", default=None)
    return ended or next((step for step in child.steps if _is_stuck(step)), None)


def _is_stuck(step: containers.Step) -> bool:
    """Whether a step without an end is why its task ended: it could not begin, or was lost."""
    return step.running or step.waiting not in _STARTING

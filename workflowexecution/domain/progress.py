"""How far a run is: tasks done of tasks in all, each task, and the current step.

The total comes from the resolved pipeline, not from the children seen so far, so that it does not
grow while the run goes on; at the end the run's own final message has the last word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workflowexecution.api.status import TaskRunPhase, TaskRunStatus
from workflowexecution.domain import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workflowexecution.api import tekton

MAX_TASK_RUNS = 50
MAX_TASK_BYTES = 63


class Progress(NamedTuple):
    """What is known of the way through the pipeline.

    `total` is None until the pipeline is resolved.
    """

    completed: int | None
    total: int | None
    current_step: str | None
    task_runs: tuple[TaskRunStatus, ...]

    @property
    def text(self) -> str | None:
        """`2/3`, once there is a total."""
        return None if self.total is None else f"{self.completed or 0}/{self.total}"


def map_progress(
    run: tekton.PipelineRun,
    children: Iterable[tekton.TaskRun],
    before: Sequence[TaskRunStatus] | None,
    completed_before: int | None,
) -> Progress:
    """The progress of a run by its own status and its TaskRuns.

    Args:
        run: the run as last seen.
        children: its TaskRuns as last seen, in any order.
        before: what the status says of the TaskRuns so far; `started` in it is latched, and an
            entry stays when its TaskRun goes.
        completed_before: the count in the status; it never runs backwards.
    """
    ordered = sorted(children, key=lambda child: (child.created, child.name))
    counts = run.counts
    total = run.task_count
    if run.is_done and counts:
        done = counts.done
        total = total or done
    else:
        # Only Tekton counts tasks that are no TaskRuns; the TaskRuns may be ahead of its word.
        done = max(_done(ordered) + run.skipped, counts.done if counts else 0)
    completed = max(done if total is None else min(done, total), completed_before or 0)
    return Progress(
        completed=completed,
        total=None if total is None else max(total, completed),
        current_step=None if run.is_done else _current_step(ordered),
        task_runs=_entries(ordered, before or ()),
    )


def _entries(
    children: Sequence[tekton.TaskRun], before: Iterable[TaskRunStatus]
) -> tuple[TaskRunStatus, ...]:
    entries = {entry.name: entry for entry in before}
    for child in children:
        # Tekton's own names are no longer than that, and stay what they are.
        name = text.label_value(child.name)
        old = entries.get(name)
        if old is None and len(entries) >= MAX_TASK_RUNS:
            # A run may have thousands, and an entry costs more than all else of it.
            continue
        entries[name] = _entry(child, name, started=old is not None and old.started)
    return tuple(entries.values())[:MAX_TASK_RUNS]


def _done(children: Sequence[tekton.TaskRun]) -> int:
    """Pipeline tasks of which every TaskRun has ended: a matrix fans out into several."""
    ended: dict[str, bool] = {}
    for child in children:
        ended[child.task] = ended.get(child.task, True) and child.is_done
    return sum(ended.values())


def _current_step(children: Sequence[tekton.TaskRun]) -> str | None:
    for child in children:
        if step := child.current_step:
            return text.cut(f"{child.task}/{step.name}", text.MAX_NAME_BYTES)
    return None


def _entry(child: tekton.TaskRun, name: str, *, started: bool) -> TaskRunStatus:
    codes = [step.exit_code for step in child.steps if step.has_failed and step.exited]
    return TaskRunStatus(
        name=name,
        task=text.cut(child.task, MAX_TASK_BYTES),
        phase=_phase(child),
        started=started or child.ran,
        start_time=child.started_at,
        completion_time=child.completed_at,
        exit_code=0 if child.is_successful else next(iter(codes), None),
        attempts=1 + child.retries,
    )


def _phase(child: tekton.TaskRun) -> TaskRunPhase:
    if child.is_successful:
        return TaskRunPhase.SUCCEEDED
    if child.is_done:
        return TaskRunPhase.CANCELLED if child.is_cancelled else TaskRunPhase.FAILED
    return TaskRunPhase.RUNNING if child.started_at else TaskRunPhase.PENDING

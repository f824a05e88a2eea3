"""Whether a run moves, and what it waits for when it does not.

Only times that the API holds are looked at, so a restart begins no new patience.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflowexecution.api import duration, times

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Iterator, Sequence

    from workflowexecution.api import tekton


def last_change(run: tekton.PipelineRun, children: Iterable[tekton.TaskRun]) -> float:
    """Unix time of the last change that the run or a task of it shows; 0 when none is known."""
    latest = max(_changes(run, children), default=None)
    return latest.timestamp() if latest is not None else 0.0


def left_s(
    run: tekton.PipelineRun,
    children: Iterable[tekton.TaskRun],
    now: datetime.datetime,
    stall_after_s: float,
) -> float:
    """Seconds until a run stands still unless it changes; 0 and less when it does."""
    return last_change(run, children) + stall_after_s - now.timestamp()


def stall_of(
    run: tekton.PipelineRun,
    children: Sequence[tekton.TaskRun],
    now: datetime.datetime,
    stall_after_s: float,
) -> str:
    """Since when a run makes no progress and what it waits for; empty while it changes.

    Args:
        run: a run that goes on.
        children: its TaskRuns.
        now: the server's time.
        stall_after_s: from the settings.
    """
    left = left_s(run, children, now, stall_after_s)
    if left > 0:
        return ""
    since = times.shifted(now, left - stall_after_s)
    return (
        f"Nothing of the run has changed since {times.stamp(since)}, for "
        f"{duration.format_seconds(stall_after_s)} and more; {_waits_for(run, children)}"
    )


def _changes(
    run: tekton.PipelineRun, children: Iterable[tekton.TaskRun]
) -> Iterator[datetime.datetime]:
    known = [run.created_at, run.started_at, run.condition.since if run.condition else None]
    # Of thousands of tasks many tell the same second, which is read once.
    told: set[str] = set()
    for child in children:
        known += (child.started_at, child.completed_at)
        told.add(child.created)
        told.update(step.finished for step in child.steps)
        if child.condition is not None:
            known.append(child.condition.since)
    known.extend(map(times.parse, told))
    return (when for when in known if when is not None)


def _waits_for(run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]) -> str:
    if run.condition is None:
        return "Tekton has not looked at it yet"
    open_tasks = [child for child in children if not child.is_done]
    for child in open_tasks:
        for step in child.steps:
            if step.running:
                return f"step {step.name!r} of task {child.task!r} is still running"
    for child in open_tasks:
        for step in child.steps:
            if step.waiting:
                return f"step {step.name!r} of task {child.task!r} waits: {step.waiting}"
    for child in open_tasks:
        said = child.condition.message if child.condition else ""
        return f"task {child.task!r} waits: {said}" if said else f"task {child.task!r} waits"
    return f"Tekton says: {run.condition.message or run.condition.reason}"

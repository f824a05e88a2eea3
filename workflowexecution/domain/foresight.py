"""Which tasks Tekton is about to end for their time: with the pod goes the log that says why.

Source: Tekton Pipelines 1.9, `failTaskRun` of `pkg/reconciler/taskrun/taskrun.go`: it deletes the
pod before it says the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflowexecution.api import times

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

    from workflowexecution.api import tekton

LEAD_S = 4.0
"""How long before its time is over a task is looked at; times on the server are whole seconds."""


def due_at(run: tekton.PipelineRun, child: tekton.TaskRun) -> datetime.datetime | None:
    """When to look at a task that works; None when nothing is known to end it."""
    if child.is_done:
        return None
    spans = ((run.started_at, run.timeout_s), (child.started_at, child.timeout_s))
    ends = [times.shifted(since, for_s) for since, for_s in spans if since and for_s]
    return times.shifted(min(ends), -LEAD_S) if ends else None


def left_s(
    run: tekton.PipelineRun, children: Iterable[tekton.TaskRun], now: datetime.datetime
) -> float | None:
    """Seconds until the next task is to be looked at; None when none will be.

    Args:
        run: as last seen.
        children: its TaskRuns as last seen.
        now: the server's time; what was due before is none of the next.
    """
    known = (due_at(run, child) for child in children)
    coming = [(at - now).total_seconds() for at in known if at is not None and at > now]
    return min(coming, default=None)

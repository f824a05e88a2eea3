"""Surplus: runs that carry an execution's UID and are not the one that it waits for.

A create may come late, when its execution is over. And whoever copies a run, as "Rerun" of Tekton's
dashboard does, copies its labels, and with them the right to nothing: nobody has checked the
target, and no status tells what becomes of it. Such a run is ended as soon as it is seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from workflowexecution.domain import locking, stopping
from workflowexecution.domain.events import Reason
from workflowexecution.reconciler import ladder
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime import queue
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    from workflowexecution.api import tekton
    from workflowexecution.reconciler import view

_log = structlog.get_logger(__name__)

STALE_S = 1.0


def going_on(tools: common.Tools, seen: view.Execution) -> tekton.PipelineRun | None:
    """A run of an execution that is over, by the cache, that is not done."""
    return next((run for run in tools.engine.runs_of(seen.uid) if not run.is_done), None)


def beside(tools: common.Tools, seen: view.Execution) -> tekton.PipelineRun | None:
    """A run beside the one that a running execution has, by the cache, that is not done."""
    runs = tools.engine.runs_of(seen.uid)
    if len(runs) == 1:
        return None
    others = (run for run in runs if run.uid != seen.run_uid)
    return next((run for run in others if not run.is_done), None)


async def left(tools: common.Tools, seen: view.Execution) -> tekton.PipelineRun | None:
    """A copy of the run of an execution that goes, which has not ended, by the server.

    Raises:
        ClusterError: nothing is known.
    """
    for run in tools.engine.runs_of(seen.uid):
        if run.name != seen.lock and not run.is_done:
            live = await common.read_unended(tools, run)
            if live is not None:
                return live
    return None


async def on_target(tools: common.Tools, lock: str) -> tekton.PipelineRun | None:
    """A copy that works on the target of a lock, by the server, whoever's run it is one of.

    Where the cache has none, which is nearly always, nothing is asked.

    Raises:
        ClusterError: nothing is known.
    """
    for run in tools.engine.copies(locking.target_label(lock)):
        live = await tools.engine.read(run.name)
        if live is not None and live.uid == run.uid and await common.is_live(tools, live):
            return live
    return None


async def stop(tools: common.Tools, seen: view.Execution, cached: tekton.PipelineRun) -> Result:
    """Take a surplus run down the ladder.

    The cache may be behind what the status was decided on, so the server is asked first.

    Raises:
        ClusterError: a step failed, or its outcome is not known.
    """
    run = await common.read_unended(tools, cached)
    if run is None:
        return Result(requeue_after_s=STALE_S, priority=queue.Priority.LOW)
    is_copy = run.name != seen.lock
    cause = stopping.Cause.COPY if is_copy else stopping.Cause.LATE
    step, result = await ladder.climb(tools, seen.key, run, cause)
    if step is stopping.Step.ASK:
        tools.metrics.late_run_cancelled()
        if is_copy:
            _log.error("Copy of a run is stopped", run=run.place)
            message = (
                f"PipelineRun {run.place} is a copy of this execution's run, and is stopped: for "
                "another run, create another execution"
            )
            common.remark(tools, seen, Reason.CANCEL_REQUESTED, message)
        else:
            _log.error("Run of an execution that is over is stopped", run=run.place)
    return result

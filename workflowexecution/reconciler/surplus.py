"""Surplus: runs that carry an execution's UID and are not the one that it waits for.

A create may come late, when its execution is over. And whoever copies a run, as "Rerun" of Tekton's
dashboard does, copies its labels, and with them the right to nothing: nobody has checked the
target, and no status tells what becomes of it. Such a run is ended as soon as it is seen.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog

from workflowexecution.domain import locking, stopping
from workflowexecution.domain.events import Reason
from workflowexecution.reconciler import ladder
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from workflowexecution.api import tekton
    from workflowexecution.reconciler import view
    from workflowexecution.runtime.controller import Result

_log = structlog.get_logger(__name__)

STALE_S = 1.0


def going_on(tools: common.Tools, seen: view.Execution) -> Sequence[tekton.PipelineRun]:
    """Runs of an execution, by the cache, that are not done."""
    return [run for run in tools.engine.runs_of(seen.uid) if not run.is_done]


def beside(tools: common.Tools, seen: view.Execution) -> Sequence[tekton.PipelineRun]:
    """Runs beside the one that a running execution has, by the cache, that are not done."""
    return [run for run in going_on(tools, seen) if not _is_own(seen, run)]


async def left(tools: common.Tools, seen: view.Execution) -> Sequence[tekton.PipelineRun]:
    """Copies of the run of an execution that goes, which have not ended, by the server.

    Raises:
        ClusterError: nothing is known.
    """
    known = [run for run in tools.engine.runs_of(seen.uid) if run.name != seen.lock]
    found = [await common.read_unended(tools, run) for run in known if not run.is_done]
    return [run for run in found if run is not None]


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


async def each(*steps: Callable[[], Awaitable[Result]]) -> Result:
    """Take steps of which none waits for what another fails of.

    Returns:
        When the first of them is to be taken again.

    Raises:
        ClusterError: the first that was raised, once all were taken.
    """
    results: list[Result] = []
    failed: list[errors.ClusterError] = []
    for step in steps:
        try:
            results.append(await step())
        except errors.ClusterError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return common.sooner(*results)


async def stop(
    tools: common.Tools, seen: view.Execution, cached: Sequence[tekton.PipelineRun]
) -> Result:
    """Take surplus runs down the ladder.

    The cache may be behind what the status was decided on, so the server is asked first.

    Raises:
        ClusterError: a step failed, or its outcome is not known.
    """
    return await each(*(partial(_stop, tools, seen, run) for run in cached))


async def _stop(tools: common.Tools, seen: view.Execution, cached: tekton.PipelineRun) -> Result:
    run = await common.read_unended(tools, cached)
    if run is None:
        return common.later(STALE_S)
    # Beside the run of one that is not over, its name does not make another run its own.
    is_copy = run.name != seen.lock or not seen.ended
    cause = stopping.Cause.COPY if is_copy else stopping.Cause.LATE
    step, result = await ladder.climb(tools, seen.key, run, cause)
    if step is stopping.Step.ASK:
        _tell(tools, seen, run, is_copy=is_copy)
    return result


def _tell(
    tools: common.Tools, seen: view.Execution, run: tekton.PipelineRun, *, is_copy: bool
) -> None:
    tools.metrics.late_run_cancelled()
    if not is_copy:
        _log.error("Run of an execution that is over is stopped", run=run.place)
        return
    _log.error("Copy of a run is stopped", run=run.place)
    message = (
        f"PipelineRun {run.place} is a copy of this execution's run, and is stopped: for another "
        "run, create another execution"
    )
    common.remark(tools, seen, Reason.CANCEL_REQUESTED, message)


def _is_own(seen: view.Execution, run: tekton.PipelineRun) -> bool:
    """Whether it is the one that a status tells of, which may say no more than its name.

    The UID of its execution proves nothing here, as it may elsewhere: all of these carry it.
    """
    return run.uid == seen.run_uid if seen.run_uid else run.name == seen.lock

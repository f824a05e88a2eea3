"""Collision: the name of the run is taken when it is to be created.

By the execution's own run, of a create whose answer was lost: it is taken on. By one that is live,
or of nobody known: the execution is skipped. By one that has ended and is kept for people to look
at: it makes room, once the server itself says that nothing of it works any more and that its
execution's status holds how it ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from workflowexecution.api.status import ConditionReason, ConditionStatus, ConditionType
from workflowexecution.domain import pipelinerun, status
from workflowexecution.reconciler import failures, skipping, surplus
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime import errors, queue, resource
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    from workflowexecution.api import tekton
    from workflowexecution.reconciler import admission

_log = structlog.get_logger(__name__)

GONE_AGAIN_S = 0.5
RELEASING_S = 15.0
"""The disappearance wakes the execution; this is for one that was missed."""


class Collision:
    """Says what becomes of an execution that finds its run's name taken."""

    def __init__(self, tools: common.Tools, admission: admission.Admission) -> None:
        """Decide with these collaborators."""
        self._tools = tools
        self._admission = admission

    async def meet(self, case: common.Case, version: str) -> Result:
        """Look at who has the name, by the server, and act on it.

        Args:
            case: the execution.
            version: the resourceVersion of the own write that went before the create.

        Raises:
            ClusterError: nothing is known; the execution stays Pending.
        """
        run = await self._tools.engine.read(case.seen.lock)
        if run is None:
            return Result(requeue_after_s=GONE_AGAIN_S, priority=queue.Priority.HIGH)
        return await self.meet_run(case, run, version)

    async def meet_run(self, case: common.Case, run: tekton.PipelineRun, version: str) -> Result:
        """The same with the run that has the name, as the server gave it."""
        tools = self._tools
        if run.owner_uid == case.seen.uid:
            return await take_on(tools, case, run, version)
        owner = pipelinerun.owner_of(run.labels, run.annotations)
        if owner is None:
            _log.warning("Run of unknown making holds a target", run=run.place)
            tools.metrics.foreign_run_met()
            return await skipping.busy(tools, case, run, version)
        if await common.is_live(tools, run) or not await self._is_over(owner):
            return await skipping.busy(tools, case, run, version)
        obstacle = await self._admission.check_live(case.seen)
        if obstacle is not None:
            return await skipping.meet(tools, case, obstacle, version=version)
        copy = await surplus.on_target(tools, case.seen.lock)
        if copy is not None:
            return await skipping.busy(tools, case, copy, version)
        return await self._evict(case, run, version)

    async def _is_over(self, owner: pipelinerun.Owner) -> bool:
        """Whether the run's execution has said how it ended, or is there no more."""
        key = resource.ObjectKey(owner.namespace, owner.name)
        live = await common.read_same(self._tools, key, owner.uid)
        return live is None or live.ended

    async def _evict(self, case: common.Case, run: tekton.PipelineRun, version: str) -> Result:
        """Delete the kept run; its name stays taken until its pods are gone.

        Raises:
            ClusterError: it is not deleted. Where the server refuses that, it is said.
        """
        tools = self._tools
        if not run.deleting:
            try:
                await tools.engine.delete(case.seen.key, run)
            except errors.ApiError as error:
                if failures.is_refusal(error):
                    await _say_kept(tools, case, run, error, version)
                raise
            _log.info(
                "Kept run makes room", run=run.place, run_uid=run.uid,
                said=run.condition.message if run.condition else "",
            )  # fmt: skip
            tools.metrics.lock_evicted()
        note = _releasing(f"PipelineRun {run.place} has ended and is being deleted")
        await common.write(tools, case, common.waits(case, note), version=version)
        return Result(requeue_after_s=RELEASING_S, priority=queue.Priority.NORMAL)


async def _say_kept(
    tools: common.Tools,
    case: common.Case,
    run: tekton.PipelineRun,
    error: errors.ApiError,
    version: str,
) -> None:
    """Say once that the kept run may not be deleted: the server's words may be others each time."""
    words = f"PipelineRun {run.place} has ended and cannot be deleted: "
    said = case.status.condition(ConditionType.RESOURCE_LOCKED)
    if said is None or not said.message.startswith(words):
        after = common.waits(case, _releasing(f"{words}{error}"))
        await common.write(tools, case, after, version=version)


def _releasing(message: str) -> status.Note:
    return status.Note(
        ConditionType.RESOURCE_LOCKED, ConditionStatus.FALSE, ConditionReason.RELEASING, message
    )


async def take_on(
    tools: common.Tools, case: common.Case, run: tekton.PipelineRun, version: str
) -> Result:
    """Say that the execution has this run: a create of it was done whose answer was lost."""
    _log.info("PipelineRun adopted", run=run.place, run_uid=run.uid)
    await common.write(tools, case, common.adopt(case, run), version=version)
    return common.LOOK_AT_ONCE

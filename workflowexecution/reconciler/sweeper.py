"""Sweeper: ends and removes runs whose execution is not there any more.

Such a run is left when an execution was let go before its run, or when a create came after
everything was over. Nobody waits for it, and it holds its target.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from workflowexecution.api import names, times
from workflowexecution.domain import pipelinerun, stopping
from workflowexecution.reconciler import ladder, view
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime import errors, resource

if TYPE_CHECKING:
    from workflowexecution.api import tekton

_log = structlog.get_logger(__name__)

SWEEP_EVERY_S = 30.0
MIN_AGE_S = 30.0
"""Younger ones are of executions that the cache may not have yet."""


class Sweeper:
    """Looks through the cached runs now and then."""

    def __init__(self, tools: common.Tools, *, instance: str) -> None:
        """Sweep the runs of this instance."""
        self._tools = tools
        self._instance = instance

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            await self.sweep()

    async def sweep(self) -> None:
        """Look at every run once; what cannot be told now is looked at again next time."""
        tools = self._tools
        if tools.engine.unavailable() or not tools.executions.synced:
            return
        for run in [run for run in tools.engine.runs() if self._is_lost(run)]:
            try:
                await self._tend(run)
            except errors.ClusterError as error:
                _log.warning("Lost run was not swept", run=run.place, error=str(error))

    def _is_lost(self, run: tekton.PipelineRun) -> bool:
        """Whether the cache knows no execution of an old enough run of this instance."""
        if run.labels.get(names.LABEL_INSTANCE, "") != self._instance or run.created_at is None:
            return False
        if run.is_child:
            # It ends with the run whose task it is.
            return False
        if self._tools.executions.by_index(view.BY_UID, run.owner_uid):
            return False
        return self._tools.clock.now() - run.created_at >= timedelta(seconds=MIN_AGE_S)

    async def _tend(self, run: tekton.PipelineRun) -> None:
        """End a run of nobody, and remove it when it has been kept long enough."""
        tools = self._tools
        owner = pipelinerun.owner_of(run.labels, run.annotations)
        if owner is None:
            return
        key = resource.ObjectKey(owner.namespace, owner.name)
        if await common.read_same(tools, key, owner.uid) is not None:
            return
        if await common.is_live(tools, run):
            step, _ = await ladder.climb(tools, key, run, stopping.Cause.ORPHAN)
            if step is stopping.Step.ASK:
                _log.error("Run without an execution is stopped", run=run.place)
                tools.metrics.late_run_cancelled()
            return
        kept_for_s, ended = tools.policy.run_retention_s, run.completed_at
        if run.deleting or (ended and tools.clock.now() < times.shifted(ended, kept_for_s)):
            return
        await tools.engine.delete(key, run)
        _log.info("Run without an execution is deleted", run=run.place)

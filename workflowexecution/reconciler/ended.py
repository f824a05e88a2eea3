"""Ended: keep the run for people to look at, then let it and the finalizer go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from workflowexecution.api import names, tekton
from workflowexecution.runtime import queue
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    from workflowexecution.reconciler import tools as common
    from workflowexecution.reconciler import view

_log = structlog.get_logger(__name__)

DELETIONS_PER_S = 20.0


class Retention:
    """Cleans up after executions that have ended.

    Deletions are spaced out: after a long absence thousands may be due at once, and none of them is
    urgent.
    """

    def __init__(self, tools: common.Tools) -> None:
        """Clean up with these collaborators."""
        self._tools = tools
        self._next_slot = 0.0

    async def reconcile(self, seen: view.Execution) -> Result:
        """Delete the run when its time has come; then the finalizer has nothing to wait for."""
        if await self._tools.audit.settle(seen):
            return Result()
        run = self._tools.engine.observe(seen.uid)
        if run is None:
            return await self._release(seen)
        retention = self._tools.policy.run_retention_s
        if retention == 0 or run.deleting:
            return Result()
        left = self._left(seen, retention)
        if left > 0:
            return Result(requeue_after_s=left, priority=queue.Priority.LOW)
        wait = self._slot()
        if wait > 0:
            return Result(requeue_after_s=wait, priority=queue.Priority.LOW)
        await self._tools.engine.delete(seen.key, run)
        _log.info("Kept run deleted", run=f"{run.namespace}/{run.name}")
        return Result()

    async def _release(self, seen: view.Execution) -> Result:
        if not seen.held or self._tools.engine.unavailable():
            # Without the engine "no run" is not known; its return wakes this again.
            return Result()
        if not self._tools.audit.may_go(seen):
            # The last answer of the audit store wakes this again.
            return Result()
        wait = self._slot()
        if wait > 0:
            return Result(requeue_after_s=wait, priority=queue.Priority.LOW)
        await release(self._tools, seen)
        return Result()

    def _left(self, seen: view.Execution, retention_s: float) -> float:
        """Seconds until the run's time has come; an end that cannot be read is long ago."""
        ended = tekton.parse_time(seen.completion_time)
        if ended is None:
            return 0.0
        return retention_s - (self._tools.clock.now() - ended).total_seconds()

    def _slot(self) -> float:
        """Seconds until the next deletion may go; 0 takes the slot."""
        now = asyncio.get_running_loop().time()
        if now < self._next_slot:
            return self._next_slot - now
        self._next_slot = now + 1 / DELETIONS_PER_S
        return 0.0


async def release(tools: common.Tools, seen: view.Execution) -> None:
    """Take this program's finalizers off, and leave those of others."""
    left = [name for name in seen.finalizers if name not in names.FINALIZERS]
    await tools.writer.patch(
        seen.key,
        {"metadata": {"finalizers": left or None}},
        resource_version=seen.resource_version,
    )

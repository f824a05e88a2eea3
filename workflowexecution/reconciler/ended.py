"""Ended: keep the run for people to look at, then let it and the finalizer go."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from workflowexecution.api import names, times
from workflowexecution.domain.events import Reason
from workflowexecution.reconciler import clearance, duty, surplus, view
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    from workflowexecution.api import tekton
    from workflowexecution.runtime.resource import ObjectKey

_log = structlog.get_logger(__name__)

DELETIONS_PER_S = 20.0
_CLOSE_S = 0.02
"""Who finds the one before it late by a timer's inaccuracy waits for it, and keeps its place."""


class Line:
    """Hands out turns for deletions, each a twentieth of a second after the one before.

    A key keeps its place until that is used or forgotten, and is told when its own turn is: so each
    of a thousand comes twice, instead of all of them at every turn. Those that come late, as after
    an outage, go at the same pace: whoever finds too many before it gets a new place at the end.

    Lock-free: it changes only between awaits.
    """

    def __init__(self) -> None:
        """Begin with nobody in line."""
        self._places: dict[ObjectKey, float] = {}
        self._end = float("-inf")
        # When the turn that was used last is over.
        self._spent = float("-inf")

    def __len__(self) -> int:
        """Count the places that are not used yet."""
        return len(self._places)

    def wait_s(self, key: ObjectKey) -> float:
        """Seconds until the turn of the key; 0 uses it."""
        now = asyncio.get_running_loop().time()
        place = self._places.get(key)
        if place is None or (place <= now and self._spent > now + _CLOSE_S):
            place = self._places[key] = max(now, self._end, self._spent)
            self._end = place + 1 / DELETIONS_PER_S
        elif place <= now < self._spent:
            place = self._places[key] = self._spent
        if place > now:
            return place - now
        del self._places[key]
        self._spent = now + 1 / DELETIONS_PER_S
        return 0.0

    def forget(self, key: ObjectKey) -> None:
        """Give back the place of a key that needs none any more."""
        self._places.pop(key, None)


class Retention:
    """Cleans up after executions that have ended.

    Deletions are spaced out: after a long absence thousands may be due at once, and none of them is
    urgent.
    """

    def __init__(self, tools: common.Tools) -> None:
        """Clean up with these collaborators."""
        self._tools = tools
        self.line = Line()
        self._told_of_kept = False

    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered of an execution that is not kept any more."""
        self.line.forget(key)

    async def reconcile(self, seen: view.Execution) -> Result:
        """Delete the run when its time has come; then the finalizer has nothing to wait for.

        Raises:
            ClusterError: a step failed or its outcome is not known.
        """
        cleared = seen.clearance in (view.Clearance.GIVEN, view.Clearance.UNGUARDED)
        if cleared and await clearance.take(self._tools, seen):
            # What is to be done is decided on what was written, which wakes it in the cache.
            return Result()
        late = surplus.going_on(self._tools, seen)
        kept = self._kept(seen)
        if not late and kept is None:
            settled = await self._tools.audit.settle(seen)
            may_go = settled is duty.Settled.UNCHANGED
            return await self._release(seen) if may_go else Result()
        steps = [partial(self._settle, seen)]
        if late:
            steps.append(partial(surplus.stop, self._tools, seen, late))
        if kept is not None:
            steps.append(partial(self._keep, seen, kept))
        return await surplus.each(*steps)

    async def _settle(self, seen: view.Execution) -> Result:
        """Write the last acknowledgements, for whose write nothing of a run waits."""
        await self._tools.audit.settle(seen)
        return Result()

    def _kept(self, seen: view.Execution) -> tekton.PipelineRun | None:
        """A run that is done, of those that there are: copies go after what they are copies of."""
        own = self._tools.engine.observe(seen.uid)
        if own is not None:
            return own if own.is_done else None
        return next((run for run in self._tools.engine.runs_of(seen.uid) if run.is_done), None)

    async def _keep(self, seen: view.Execution, run: tekton.PipelineRun) -> Result:
        retention = self._tools.policy.run_retention_s
        if retention == 0 or run.deleting:
            return Result()
        left = self._left(seen, retention)
        if left > 0:
            return common.later(left)
        wait = self.line.wait_s(seen.key)
        if wait > 0:
            return common.later(wait)
        await self._tools.engine.delete(seen.key, run)
        _log.info("Kept run deleted", run=run.place)
        message = f"PipelineRun {run.place} was kept long enough and is deleted"
        common.remark(self._tools, seen, Reason.LOCK_RELEASED, message)
        return Result()

    async def _release(self, seen: view.Execution) -> Result:
        if not seen.held or self._tools.engine.unavailable():
            # Without the engine "no run" is not known; its return wakes this again.
            return Result()
        if why := common.elsewhere(self._tools, seen):
            # Neither is it here. Whoever deletes the execution does not wait for it for ever.
            self._tell_of_kept(why)
            return Result()
        if not self._tools.audit.may_go(seen):
            # The last answer of the audit store wakes this again.
            return Result()
        wait = self.line.wait_s(seen.key)
        if wait > 0:
            return common.later(wait)
        await release(self._tools, seen)
        return Result()

    def _tell_of_kept(self, why: str) -> None:
        """Say once what may be so of thousands."""
        if not self._told_of_kept:
            self._told_of_kept = True
            _log.warning("Finalizers of ended executions are kept", reason=why)

    def _left(self, seen: view.Execution, retention_s: float) -> float:
        """Seconds until the run's time has come; an end that cannot be read is long ago.

        They count from when that was told: the run is what a late create meets, for as long as it
        may be late by the server's time, and when it ended Tekton says by a clock of its own.
        """
        ended = times.parse(seen.completion_time)
        if ended is None:
            return 0.0
        since_s = (self._tools.clock.now() - ended).total_seconds()
        return retention_s + seen.told_late_s - since_s


async def release(tools: common.Tools, seen: view.Execution) -> None:
    """Take this program's finalizers off, and leave those of others."""
    left = [name for name in seen.finalizers if name not in names.FINALIZERS]
    await tools.writer.patch(
        seen.key,
        {"metadata": {"finalizers": left or None}},
        resource_version=seen.resource_version,
    )

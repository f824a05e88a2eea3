"""The one reconcile function: picks the room for an execution by its phase."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from workflowexecution import logcontext
from workflowexecution.api.status import Phase
from workflowexecution.reconciler import deleted, ended, failures, pending, running, surplus
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    from workflowexecution.reconciler import view
    from workflowexecution.runtime.resource import ObjectKey


class WorkflowExecutionReconciler:
    """Brings one execution nearer to its end; level-based, so the key is all it is told."""

    def __init__(self, tools: common.Tools) -> None:
        """Reconcile with these collaborators."""
        self._tools = tools
        self._start = pending.Start(tools)
        self._mirror = running.Mirror(tools)
        self._retention = ended.Retention(tools)
        self._failing = failures.Failures()

    async def reconcile(self, key: ObjectKey) -> Result:
        """Read, decide, act, write the status once.

        Raises:
            ClusterError: the cluster did not answer, or refused; the caller backs off.
        """
        seen = self._tools.executions.get(key)
        # Each worker is a task of its own: what is bound here stands on every line until its next
        # reconcile, the worker's own lines included.
        logcontext.clear()
        if seen is None or not seen.served:
            self._start.forget(key)
            self._mirror.forget(key)
            self._retention.forget(key)
            self._failing.forget(key)
            self._tools.unanswered.forget(key)
            return Result()
        logcontext.bind({
            "namespace": key.namespace,
            "name": key.name,
            "uid": seen.uid,
            "correlation_id": seen.correlation_id,
        })
        common.catch_up(self._tools, seen)
        return await self._dispatch(seen)

    async def _dispatch(self, seen: view.Execution) -> Result:
        if seen.deleting or seen.phase is not Phase.PENDING:
            self._start.forget(seen.key)
        if seen.deleting:
            self._mirror.forget(seen.key)
            self._retention.forget(seen.key)
            return await deleted.reconcile(self._tools, seen, self._failing)
        match seen.phase:
            case Phase.PENDING:
                result = await self._start.reconcile(common.open_case(self._tools, seen))
                self._mirror.started(seen.key)
                return result
            case Phase.RUNNING:
                extra = surplus.beside(self._tools, seen)
                if not extra:
                    return await self._mirrored(seen)
                stop = partial(surplus.stop, self._tools, seen, extra)
                return await surplus.each(stop, partial(self._mirrored, seen))
            case Phase.COMPLETED | Phase.FAILED | Phase.SKIPPED:
                self._mirror.forget(seen.key)
                return await self._retention.reconcile(seen)

    async def _mirrored(self, seen: view.Execution) -> Result:
        put_off_s = self._mirror.put_off_s(seen)
        if put_off_s > 0:
            return common.later(put_off_s)
        return await self._mirror.reconcile(common.open_case(self._tools, seen))

"""The census: how many executions are where, which locks are old, which targets keep failing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflowexecution.adapters.prometheus import moment
from workflowexecution.api import times
from workflowexecution.api.status import Phase
from workflowexecution.domain import history
from workflowexecution.reconciler import view

if TYPE_CHECKING:
    import datetime

    from workflowexecution.runtime import store


class CensusTaker:
    """Looks at the executions of the cache when somebody reads the metrics.

    Failures in a row are judged as before a start, so a clearance counts only while it is guarded
    who gives them. They are kept by target, and counted again only where an end came or went, for
    nothing else is done during a look.

    Lock-free: called by informer and renderer between awaits.
    """

    def __init__(self, executions: store.Store[view.Execution]) -> None:
        """Look into this cache, of which `changed` hears."""
        self._executions = executions
        self._rows: dict[str, int] = {}
        """Failures in a row of each target of which some failure is in the cache."""
        self._unsure: set[str] = set()
        """Targets of which they are to be counted again."""
        self._guarded = True

    def changed(self, delta: store.Delta[view.Execution]) -> None:
        """Take note of an end that came, went, or was cleared."""
        if delta.old is delta.new:
            return
        for it in (delta.old, delta.new):
            if it is None or it.past is None:
                continue
            if it.past.counts or it.lock in self._rows:
                self._unsure.add(it.lock)

    def take(self, now: datetime.datetime, *, guarded: bool) -> moment.Census:
        """Look at all executions once.

        A lock is held by each execution in phase Running that is served here, from its start on.

        Args:
            now: the server's time.
            guarded: whether it is guarded who gives clearances.
        """
        phases = dict.fromkeys(Phase, 0)
        ages: list[float] = []
        for execution in self._executions:
            phases[execution.phase] += 1
            if execution.phase is Phase.RUNNING and execution.document is not None:
                started = times.parse(execution.document["status"].get("startTime"))
                ages.append(0.0 if started is None else max(0.0, (now - started).total_seconds()))
        self._count(guarded)
        return moment.Census(
            phases={phase.value: number for phase, number in phases.items()},
            lock_ages_s=ages,
            failures=[failures for failures in self._rows.values() if failures],
        )

    def _count(self, guarded: bool) -> None:
        """Bring the rows up to date."""
        if guarded is not self._guarded:
            self._guarded = guarded
            self._unsure.update(self._rows)
        for lock in self._unsure:
            ended = self._executions.by_index(view.BY_LOCK_PAST, lock)
            pasts = [it.past for it in ended if it.past is not None]
            if any(past.counts for past in pasts):
                known = pasts if guarded else map(history.uncleared, pasts)
                self._rows[lock] = history.streak(known)
            else:
                self._rows.pop(lock, None)
        self._unsure.clear()

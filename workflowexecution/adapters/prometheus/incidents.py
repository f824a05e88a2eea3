"""What happened and shows in no status: the port `Metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workflowexecution.adapters.prometheus import book


class Incidents:
    """Counts what alerts are made of; a first scrape reads 0, so that all are increases."""

    def __init__(self, families: book.Book) -> None:
        """Count in this book."""
        self._evicted = families.counter(
            "workflowexecution_lock_evictions_total",
            "Finished runs that were taken away so that their target can be used",
            from_zero=True,
        ).series()
        self._late = families.counter(
            "workflowexecution_late_runs_cancelled_total",
            "Live runs that no execution waits for, met and cancelled: its execution had ended or "
            "was gone, or the run is a copy",
            from_zero=True,
        ).series()
        self._foreign = families.counter(
            "workflowexecution_foreign_runs_total",
            "Times that a run without a known owner was met on a target",
            from_zero=True,
        ).series()
        self._stuck = families.counter(
            "workflowexecution_cancellations_stuck_total",
            "Cancellations that did not end their run; the lock stays",
            from_zero=True,
        ).series()
        self._given_up = families.counter(
            "workflowexecution_deletions_given_up_total",
            "Deleted executions let go before their run; the run stays and holds the lock",
            from_zero=True,
        ).series()

    def lock_evicted(self) -> None:
        """Count an eviction."""
        self._evicted.add()

    def late_run_cancelled(self) -> None:
        """Count a late run."""
        self._late.add()

    def foreign_run_met(self) -> None:
        """Count a foreign run."""
        self._foreign.add()

    def cancel_stuck(self) -> None:
        """Count a cancellation without effect."""
        self._stuck.add()

    def deletion_given_up(self) -> None:
        """Count a release before the run was gone."""
        self._given_up.add()

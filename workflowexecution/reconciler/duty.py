"""What a reconcile owes to audit: the few calls, and the one who owes nothing."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from workflowexecution.api.status import Status
    from workflowexecution.domain import status
    from workflowexecution.reconciler import view


class Settled(enum.Enum):
    """What became of the last acknowledgements of an execution that has ended."""

    UNCHANGED = enum.auto()
    """There is nothing to write, or not yet."""
    LATER = enum.auto()
    """They are to be written in a moment that is called for."""
    WRITTEN = enum.auto()
    """Its entry in the cache is stale now."""


class Audit(Protocol):
    """What a reconcile needs of auditing."""

    def merged(self, uid: str, moment: status.Moment, after: Status) -> Status:
        """A status that is about to be written, with what has been acknowledged meanwhile."""
        ...

    async def settle(self, seen: view.Execution) -> Settled:
        """Write the acknowledgements of an ended execution.

        Raises:
            ClusterError: a request failed.
        """
        ...

    def acknowledged(self, uid: str) -> None:
        """Note that the status of an ended execution shows no record as due."""
        ...

    def may_go(self, seen: view.Execution) -> bool:
        """Whether all records of an execution have been answered."""
        ...

    async def part(self, seen: view.Execution, *, overdue: bool) -> float:
        """Bring the records of an execution that is being deleted to where they outlive it.

        Args:
            seen: its entry in the cache.
            overdue: it cannot wait any longer.

        Returns:
            Seconds for which its finalizer has to stay at most; 0: it may go now.

        Raises:
            ClusterError: a request failed.
        """
        ...

    def forget(self, uid: str) -> None:
        """Drop what is remembered of an execution that is gone."""
        ...


class NoAudit:
    """Nothing is due: the sink is `none`."""

    def merged(self, uid: str, moment: status.Moment, after: Status) -> Status:
        """The status as it is."""
        return after

    async def settle(self, seen: view.Execution) -> Settled:
        """Have nothing to write."""
        return Settled.UNCHANGED

    def acknowledged(self, uid: str) -> None:
        """Know it before."""

    def may_go(self, seen: view.Execution) -> bool:
        """Always."""
        return True

    async def part(self, seen: view.Execution, *, overdue: bool) -> float:
        """Have nothing to wait for."""
        return 0.0

    def forget(self, uid: str) -> None:
        """Have nothing to drop."""

"""What a reconcile owes to audit: the few calls, and the one who owes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from workflowexecution.api import workflowexecution as api
    from workflowexecution.api.status import Status
    from workflowexecution.domain import status
    from workflowexecution.reconciler import view


class Case(Protocol):
    """What a status is decided on, as `tools.Case` has it."""

    @property
    def seen(self) -> view.Execution:
        """Its entry in the cache."""
        ...

    @property
    def execution(self) -> api.WorkflowExecution:
        """Its model."""
        ...

    @property
    def moment(self) -> status.Moment:
        """When it is decided."""
        ...


class Audit(Protocol):
    """What a reconcile needs of auditing."""

    def merged(self, case: Case, after: Status) -> Status:
        """A status that is about to be written, with what has been acknowledged meanwhile."""
        ...

    async def settle(self, seen: view.Execution) -> bool:
        """Write the acknowledgements of an ended execution; whether its entry is stale now.

        Raises:
            ClusterError: a request failed.
        """
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
        """Drop what is remembered of an execution that is gone, or has nothing due any more."""
        ...


class NoAudit:
    """Nothing is due: the sink is `none`."""

    def merged(self, case: Case, after: Status) -> Status:
        """The status as it is."""
        return after

    async def settle(self, seen: view.Execution) -> bool:
        """Have nothing to write."""
        return False

    def may_go(self, seen: view.Execution) -> bool:
        """Always."""
        return True

    async def part(self, seen: view.Execution, *, overdue: bool) -> float:
        """Have nothing to wait for."""
        return 0.0

    def forget(self, uid: str) -> None:
        """Have nothing to drop."""

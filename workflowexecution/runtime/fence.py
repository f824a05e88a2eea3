"""The fence: no write is sent when another process may act."""

from collections.abc import Callable
from typing import Protocol

from workflowexecution.runtime import clock, errors


class Fence(Protocol):
    """Asked directly before each write is sent."""

    def check(self) -> float:
        """Allow a write that is sent now; returns after how many seconds it must be over.

        Raises:
            errors.LeaseLost: this process must not write.
        """


class NoFence:
    """Lets everything through: there is no other process that could act."""

    def check(self) -> float:
        """Allow it for ever."""
        return float("inf")


class LeaseFence:
    """Lets writes through while a lease is held for certain.

    All times count from the START of the last good renewal, on a clock of this machine that counts
    the time it was suspended: the server has taken that renewal then or later, and so nobody can
    have begun to wait for the lease's end any earlier. It needs no timer: who asks late is refused,
    whatever the process did meanwhile. Once shut it stays shut, and before the first renewal it is.

    Lock-free: it changes only between awaits.
    """

    def __init__(
        self,
        *,
        closes_after_s: float,
        ends_after_s: float,
        now: Callable[[], float] = clock.boottime,
    ) -> None:
        """Begin shut, as one who has no lease.

        Args:
            closes_after_s: writes may begin for so long after a renewal.
            ends_after_s: and must be over, answered or given up, after so long.
            now: the clock, in seconds.
        """
        self.now = now
        self._closes_after_s = closes_after_s
        self._ends_after_s = ends_after_s
        self._renewed_at = float("-inf")
        self._lost = False

    @property
    def left_s(self) -> float:
        """For how many seconds writes may still begin; not positive: for none."""
        if self._lost:
            return float("-inf")
        return self._renewed_at + self._closes_after_s - self.now()

    @property
    def ends_in_s(self) -> float:
        """After how many seconds everything that was begun must be over."""
        return self._renewed_at + self._ends_after_s - self.now()

    def renewed(self, started_at: float) -> None:
        """Open, or stay open for longer.

        Args:
            started_at: when the request was begun that took or renewed the lease.

        Raises:
            errors.LeaseLost: too late, the lease may have ended meanwhile.
        """
        if self._renewed_at > float("-inf"):
            self.check()
        self._renewed_at = started_at
        self.check()

    def close(self) -> None:
        """Shut for ever."""
        self._lost = True

    def check(self) -> float:
        """Allow a write while the lease is held for certain.

        Raises:
            errors.LeaseLost: it is not; and never will be again, if it once was.
        """
        if self.left_s > 0:
            return self.ends_in_s
        if self._renewed_at > float("-inf"):
            self._lost = True
        message = "the lease is not held for certain any more"
        raise errors.LeaseLost(message)

"""Deadlines that share one timer, since what they bound is nearly always over long before."""

import asyncio
from types import TracebackType
from typing import Self

from workflowexecution.runtime import clock


class Deadline:
    """A bound of what is done within it, as `asyncio.timeout` is one; used once, by `with`.

    Raises:
        TimeoutError: on leaving it, when it was the deadline that cancelled the task.

    Source: CPython Lib/asyncio/timeouts.py.
    """

    __slots__ = ("_cancelling", "_deadlines", "_expired", "_task", "at")

    def __init__(self, deadlines: "Deadlines", at: float) -> None:
        """Use `Deadlines.within` instead."""
        self._deadlines = deadlines
        self._expired = False
        self.at = at
        """When it is over, in the loop's time."""

    def expired(self) -> bool:
        """Whether its time was over before what it bounds was."""
        return self._expired

    def expire(self) -> None:
        """Cancel the task that is within it."""
        self._expired = True
        self._task.cancel()

    def __enter__(self) -> Self:
        """Bound what the current task does from now on."""
        task = asyncio.current_task()
        if task is None:
            message = "a deadline is for a task"
            raise RuntimeError(message)
        self._task = task
        self._cancelling = task.cancelling()
        self._deadlines.begun(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Tell a cancellation of its own, by another name, from one by somebody else."""
        self._deadlines.ended(self)
        if not self._expired:
            return
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error


class Deadlines:
    """Gives deadlines, and has one timer for all of them that are under way.

    The timer is set for the earliest, or before it: it stays when that one is over, and is set
    again when it fires.

    Lock-free: it changes only between awaits.
    """

    def __init__(self) -> None:
        """Begin with none under way."""
        self._open: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None

    def within(self, seconds: float) -> Deadline:
        """A deadline so many seconds from now."""
        return Deadline(self, clock.loop_time() + seconds)

    def begun(self, deadline: Deadline) -> None:
        """Have it expire in its time; done by entering it."""
        self._open.add(deadline)
        if self._timer is None or deadline.at < self._timer.when():
            self._set(deadline.at)

    def ended(self, deadline: Deadline) -> None:
        """Have it expire no more; done by leaving it."""
        self._open.discard(deadline)

    def _set(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        now = clock.loop_time()
        for deadline in [it for it in self._open if it.at <= now]:
            self._open.discard(deadline)
            deadline.expire()
        if self._open:
            self._set(min(it.at for it in self._open))

"""Which change wakes which execution, and how urgently.

A key carries no event and no reason: a lost, doubled or reordered one costs a reconcile, never
correctness.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

from workflowexecution.api.status import Phase
from workflowexecution.reconciler import view
from workflowexecution.runtime import queue, store

if TYPE_CHECKING:
    from collections.abc import Callable


PROGRESS_DELAY_S = 0.5


class Child(store.Cached, Protocol):
    """An object of the engine that says whose it is."""

    @property
    def owner_uid(self) -> str:
        """UID of the execution."""
        ...


class Run(Child, Protocol):
    """A run, which may be done."""

    @property
    def is_done(self) -> bool:
        """Whether its end is final."""
        ...


ChildT = TypeVar("ChildT", bound=Child)
RunT = TypeVar("RunT", bound=Run)


class Router:
    """Turns changes of the caches into keys on the queue.

    Lock-free: called by the informers between awaits.
    """

    def __init__(
        self,
        *,
        executions: store.Store[view.Execution],
        queue: queue.WorkQueue,
        forget: Callable[[view.Execution], None],
        acknowledged: Callable[[str], None],
        run_is_done: Callable[[str], bool],
    ) -> None:
        """Route into this queue.

        Args:
            executions: the cache, for the way from a run to its execution.
            queue: where keys go.
            forget: told the last of an execution that is gone.
            acknowledged: told the UID of one that has ended and needs nothing more for its audit.
            run_is_done: whether the run of the execution of a UID has ended.
        """
        self._executions = executions
        self._queue = queue
        self._forget = forget
        self._acknowledged = acknowledged
        self._run_is_done = run_is_done
        # A dict, for its order: places and targets that are free since the loop's last turn.
        self._freed: dict[str, None] = {}

    def execution_changed(self, delta: store.Delta[view.Execution]) -> None:
        """Wake an execution for what others have changed; its own status writes wake nobody."""
        old, new = delta.old, delta.new
        if old is not None and _leaves(old, new):
            # Its place in the line is free, or its target is: the next one gets its answer.
            self._wake_next(old.lock)
        if new is None:
            if old is not None:
                self._let_go(old)
            return
        if not new.served:
            return
        if old is new:
            self._queue.add(new.key, queue.Priority.LOW)
        elif new.ended:
            self._ended_changed(old, new)
        elif old is None:
            self._queue.add(new.key, _urgency(new))
        elif new.cancelling and not old.cancelling:
            self._queue.add(new.key, queue.Priority.URGENT)
        elif old.essence != new.essence and not _is_own_start(old, new):
            self._queue.add(new.key, _urgency(new))

    def run_changed(self, delta: store.Delta[RunT]) -> None:
        """Wake the run's execution: for an end, which others may wait for, or for progress."""
        run = delta.new or delta.old
        if run is None:
            return
        if delta.new is None:
            self._wake(run.owner_uid, queue.Priority.NORMAL)
            self._wake_next(run.key.name)
        elif run.is_done:
            self._wake(run.owner_uid, queue.Priority.NORMAL)
        else:
            self._wake_soon(run.owner_uid)
            if delta.old is None:
                self._wake_ended(run.owner_uid)

    def task_changed(self, delta: store.Delta[ChildT]) -> None:
        """Wake the execution of a task's run, once for several changes; at once for a late end."""
        task = delta.new or delta.old
        if task is None:
            return
        if self._run_is_done(task.owner_uid):
            self._wake(task.owner_uid, queue.Priority.NORMAL)
        else:
            self._wake_soon(task.owner_uid)

    def engine_changed(self) -> None:
        """Wake every live execution: the engine went away, or came back."""
        for execution in self._executions:
            if execution.served and (not execution.ended or execution.held):
                self._queue.add(execution.key, queue.Priority.NORMAL)

    def _ended_changed(self, old: view.Execution | None, new: view.Execution) -> None:
        if old is not None and not old.ended:
            # What another process has brought to its end is not urgent when this one begins.
            self._queue.drop(new.key)
        if self._is_acknowledgement(old, new):
            self._acknowledged(new.uid)
        else:
            self._queue.add(new.key, queue.Priority.LOW)

    def _is_acknowledgement(self, old: view.Execution | None, new: view.Execution) -> bool:
        """Whether all that is new is that the audit of one whose run is kept is complete.

        Who has ended has been looked at before, and that look has set the timer of its run.
        """
        if old is None or not old.due or new.due:
            return False
        return old.essence == new.essence and self._run_is_done(new.uid)

    def _let_go(self, gone: view.Execution) -> None:
        """Have an execution forgotten that is gone, by those who work too, if anybody does."""
        self._forget(gone)
        if not self._queue.drop(gone.key):
            self._queue.add(gone.key, queue.Priority.LOW)

    def _wake(self, owner_uid: str, priority: queue.Priority) -> None:
        for execution in self._executions.by_index(view.BY_UID, owner_uid):
            self._queue.add(execution.key, priority)

    def _wake_next(self, lock: str) -> None:
        """Have the next one in line for a target woken, once for all that leave in a turn.

        The line is gone through for that, and thousands may leave it at once.
        """
        if not self._freed:
            asyncio.get_running_loop().call_soon(self._wake_those_next)
        self._freed[lock] = None

    def _wake_those_next(self) -> None:
        """Wake the oldest execution that waits for each target; the others would only wait on.

        One that will not start, or cannot so far, comes after all that may.
        """
        freed, self._freed = self._freed, {}
        for lock in freed:
            waiting = self._executions.by_index(view.BY_LOCK_WAITING, lock)
            if waiting:
                first = min(waiting, key=lambda it: (not _in_line(it), view.age(it)))
                self._queue.add(first.key, queue.Priority.NORMAL)

    def _wake_soon(self, owner_uid: str) -> None:
        for execution in self._executions.by_index(view.BY_UID, owner_uid):
            if not execution.ended:
                self._queue.add_after(execution.key, PROGRESS_DELAY_S, queue.Priority.LOW)

    def _wake_ended(self, owner_uid: str) -> None:
        """Wake an execution that is over, of which a run has begun all the same."""
        for execution in self._executions.by_index(view.BY_UID, owner_uid):
            if execution.ended:
                self._queue.add(execution.key, queue.Priority.NORMAL)


def _leaves(old: view.Execution, new: view.Execution | None) -> bool:
    """Whether an execution stands in the line, or on the target, no more."""
    if new is None:
        return True
    return old.phase is not new.phase or (_in_line(old) and not _in_line(new))


def _urgency(it: view.Execution) -> queue.Priority:
    """Only a start goes before an end: behind a thousand of them everything else would wait."""
    return queue.Priority.HIGH if it.phase is Phase.PENDING else queue.Priority.NORMAL


def _in_line(it: view.Execution) -> bool:
    """Whether an execution may start next."""
    return it.phase is Phase.PENDING and not (it.cancelling or it.deleting or it.failing)


def _is_own_start(old: view.Execution, new: view.Execution) -> bool:
    """Whether the change is the start that a reconcile has just written; the run wakes the next."""
    started = old.phase is Phase.PENDING and new.phase is Phase.RUNNING
    return started and old.generation == new.generation and not new.deleting

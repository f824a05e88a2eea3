"""The work queue: which keys need a reconcile, in what order and not before when."""

import asyncio
import collections
import enum
import heapq
import random
from collections.abc import Callable
from typing import Protocol

from workflowexecution.runtime import backoff, resource

_FAIR_EVERY = 8
_COMPACT_ABOVE = 64


class Priority(enum.IntEnum):
    """How urgent a key is; a smaller number goes first."""

    URGENT = 0
    """Somebody waits for a cancellation."""
    HIGH = 1
    """Starts."""
    NORMAL = 2
    """Ends, and whatever else is asked of what has begun; behind starts for a second at most."""
    LOW = 3
    """Progress, resync and retention."""


# A key that has waited so long goes before those of more urgent classes, but for the first.
_PATIENCE_S = {
    Priority.URGENT: 0.0,
    Priority.HIGH: float("inf"),
    Priority.NORMAL: 1.0,
    Priority.LOW: float("inf"),
}


class QueueClosed(Exception):
    """The queue is shut down and hands out nothing more."""


class QueueObserver(Protocol):
    """Sees what the queue does. Calls are synchronous and must be cheap."""

    def added(self, priority: Priority) -> None:
        """Note that a key began to wait; one that waits already is not counted again."""

    def started(self, wait_s: float) -> None:
        """Note that a key was handed out after waiting so many seconds, delays not counted."""

    def done(self, work_s: float) -> None:
        """Note that work on a key ended after so many seconds."""

    def retried(self) -> None:
        """Note that a key failed and comes again after its back-off."""


class NoObserver:
    """Sees nothing."""

    def added(self, priority: Priority) -> None:
        """Ignore it."""

    def started(self, wait_s: float) -> None:
        """Ignore it."""

    def done(self, work_s: float) -> None:
        """Ignore it."""

    def retried(self) -> None:
        """Ignore it."""


class _Waiting:
    """A key that can be handed out; `sequence` is its age, `since` the loop time of its arrival."""

    __slots__ = ("key", "priority", "sequence", "since")

    def __init__(
        self, key: resource.ObjectKey, priority: Priority, sequence: int, since: float
    ) -> None:
        self.key = key
        self.priority = priority
        self.sequence = sequence
        self.since = since


class WorkQueue:
    """Deduplicating, delaying queue of keys with priorities and per-key back-off.

    The contract of client-go's work queue: a key that waits is not added twice; a key is never
    handed out twice at once; one that is added while it is being worked on waits until `done` and
    is then handed out again.

    Order: the most urgent class first, within a class by arrival; a key of class NORMAL that has
    waited for a second goes before those of class HIGH: an end is of use within a second, and a
    start at once, but neither puts the other off for longer. After eight keys that were handed
    out while more than one class waited, the key that has waited longest of all is next: none
    starves, and the n-th oldest key is handed out within 9 n.

    A wait begins with the first `get` at the earliest: before it there is nobody to wait for, as in
    a replica that does not lead and gathers keys all the same, but for those it is told to drop.

    Lock-free: it changes only between awaits. Times are loop times, in seconds.

    Source: client-go util/workqueue/queue.go, delaying_queue.go, default_rate_limiters.go.
    """

    def __init__(
        self,
        *,
        observer: QueueObserver | None = None,
        backoff_base_s: float = 0.05,
        backoff_cap_s: float = 60.0,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        """Start empty.

        Args:
            observer: sees what happens; default: nobody.
            backoff_base_s: delay after the first failure of a key; it doubles with each further.
            backoff_cap_s: the delay never exceeds this.
            uniform: random number in [0, 1) for the jitter.
        """
        self._observer: QueueObserver = observer or NoObserver()
        self._backoff_base_s = backoff_base_s
        self._backoff_cap_s = backoff_cap_s
        self._uniform = uniform
        self._classes: list[collections.deque[_Waiting]] = [collections.deque() for _ in Priority]
        # The truth about who waits, in the order of arrival; an entry of a class that is not here
        # has moved to a more urgent class.
        self._waiting: dict[resource.ObjectKey, _Waiting] = {}
        self._processing: dict[resource.ObjectKey, tuple[Priority, float]] = {}
        # Added while being worked on; never in `_waiting` at the same time.
        self._again: dict[resource.ObjectKey, Priority] = {}
        # The truth about delays; a heap entry that differs from it is stale.
        self._delayed: dict[resource.ObjectKey, tuple[float, Priority]] = {}
        self._heap: list[tuple[float, resource.ObjectKey]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._failures: dict[resource.ObjectKey, int] = {}
        self._getters: collections.deque[asyncio.Future[None]] = collections.deque()
        self._served_since: float | None = None
        self._sequence = 0
        self._overtakes = 0
        self._closed = False

    def __len__(self) -> int:
        """Count the keys that can be handed out now or after their current work."""
        return len(self._waiting) + len(self._again)

    @property
    def depth(self) -> int:
        """How many keys wait for somebody to take them; none where nobody does."""
        return 0 if self._served_since is None else len(self)

    def working_s(self) -> list[float]:
        """Return for each key that is being worked on how many seconds it has been so."""
        now = asyncio.get_running_loop().time()
        return [now - started for _, started in self._processing.values()]

    def oldest_s(self) -> float:
        """Return for how many seconds the key has waited that waits longest; 0 when none does."""
        oldest = min(self._waiting.values(), key=lambda entry: entry.since, default=None)
        return 0.0 if oldest is None else self._waited_s(oldest, asyncio.get_running_loop().time())

    def is_waiting(self, *, before: Priority) -> bool:
        """Tell whether a key of a more urgent class could be handed out now."""
        return any(self._head(entries) is not None for entries in self._classes[:before])

    def is_working(self, *, before: Priority) -> bool:
        """Tell whether a key of a more urgent class is being worked on."""
        return any(priority < before for priority, _ in self._processing.values())

    def priority_of(self, key: resource.ObjectKey) -> Priority:
        """Return the class with which a key is being worked on.

        Raises:
            KeyError: it is not.
        """
        return self._processing[key][0]

    def failures(self, key: resource.ObjectKey) -> int:
        """Return how often the key failed since it was last forgotten."""
        return self._failures.get(key, 0)

    def add(self, key: resource.ObjectKey, priority: Priority = Priority.NORMAL) -> None:
        """Ask for a reconcile now. A key that waits already keeps the more urgent priority."""
        if self._closed:
            return
        if key in self._processing:
            before = self._again.get(key)
            self._again[key] = priority if before is None else min(priority, before)
            return
        entry = self._waiting.get(key)
        if entry is None:
            self._push(key, priority)
        elif priority < entry.priority:
            moved = self._waiting[key] = _Waiting(key, priority, entry.sequence, entry.since)
            self._classes[priority].append(moved)

    def add_after(
        self, key: resource.ObjectKey, delay_s: float, priority: Priority = Priority.NORMAL
    ) -> None:
        """Ask for a reconcile after a delay. Of several delays of a key the earliest counts."""
        if self._closed:
            return
        if delay_s <= 0:
            self.add(key, priority)
            return
        deadline = asyncio.get_running_loop().time() + delay_s
        before = self._delayed.get(key)
        if before is not None:
            priority = min(priority, before[1])
            if before[0] <= deadline:
                self._delayed[key] = (before[0], priority)
                return
        self._delayed[key] = (deadline, priority)
        heapq.heappush(self._heap, (deadline, key))
        self._compact()
        if self._heap[0][0] == deadline:
            self._arm()

    def add_backoff(
        self,
        key: resource.ObjectKey,
        *,
        at_least_s: float = 0.0,
    ) -> float:
        """Ask for a reconcile after the key's back-off, and count a failure.

        Its priority is the one it is being worked on with, else NORMAL.

        Args:
            key: what failed.
            at_least_s: what the server asked for; it is kept, with jitter on top.

        Returns:
            The delay in seconds.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self._observer.retried()
        delay_s = backoff.delay_s(
            failures, self._backoff_base_s, self._backoff_cap_s, self._uniform,
            at_least_s=at_least_s,
        )  # fmt: skip
        priority, _ = self._processing.get(key, (Priority.NORMAL, 0.0))
        self.add_after(key, delay_s, priority)
        return delay_s

    def drop(self, key: resource.ObjectKey) -> bool:
        """Take a key out and tell so; never once a key was handed out, for that left memories."""
        if self._served_since is not None:
            return False
        self._waiting.pop(key, None)
        self._delayed.pop(key, None)
        if sum(map(len, self._classes)) > _COMPACT_ABOVE + 2 * len(self._waiting):
            for entries in self._classes:
                entries.clear()
            for entry in self._waiting.values():
                self._classes[entry.priority].append(entry)
        return True

    def forget(self, key: resource.ObjectKey) -> None:
        """Reset the key's back-off; whoever waits goes on waiting."""
        self._failures.pop(key, None)

    async def get(self) -> resource.ObjectKey:
        """Wait for a key; it is the caller's until `done`. Cancelling loses no key.

        Raises:
            QueueClosed: the queue is shut down.
        """
        if self._served_since is None:
            self._served_since = asyncio.get_running_loop().time()
        while not self._waiting:
            if self._closed:
                raise QueueClosed
            await self._wait()
        return self._pop()

    def done(self, key: resource.ObjectKey) -> None:
        """Give a key back. If it was added meanwhile it waits again."""
        _, started = self._processing.pop(key)
        self._observer.done(asyncio.get_running_loop().time() - started)
        priority = self._again.pop(key, None)
        if priority is not None:
            self._push(key, priority)

    def shut_down(self) -> None:
        """Take nothing more, drop what waits, and wake whoever waits for a key."""
        self._closed = True
        self._delayed.clear()
        self._heap.clear()
        self._arm()
        self._waiting.clear()
        self._again.clear()
        for entries in self._classes:
            entries.clear()
        self._wake_all()

    def _push(self, key: resource.ObjectKey, priority: Priority) -> None:
        self._sequence += 1
        now = asyncio.get_running_loop().time()
        entry = self._waiting[key] = _Waiting(key, priority, self._sequence, now)
        self._classes[priority].append(entry)
        self._observer.added(priority)
        self._wake_one()

    def _pop(self) -> resource.ObjectKey:
        now = asyncio.get_running_loop().time()
        heads = [head for entries in self._classes if (head := self._head(entries)) is not None]
        chosen = self._choose(heads, now) if len(heads) > 1 else heads[0]
        self._classes[chosen.priority].popleft()
        del self._waiting[chosen.key]
        self._processing[chosen.key] = (chosen.priority, now)
        self._observer.started(self._waited_s(chosen, now))
        return chosen.key

    def _waited_s(self, entry: _Waiting, now: float) -> float:
        return 0.0 if self._served_since is None else now - max(entry.since, self._served_since)

    def _choose(self, heads: list[_Waiting], now: float) -> _Waiting:
        self._overtakes += 1
        if self._overtakes > _FAIR_EVERY:
            self._overtakes = 0
            return min(heads, key=lambda head: head.sequence)
        impatient = (head for head in heads if now - head.since >= _PATIENCE_S[head.priority])
        return next(impatient, heads[0])

    def _head(self, entries: collections.deque[_Waiting]) -> _Waiting | None:
        while entries:
            if self._waiting.get(entries[0].key) is entries[0]:
                return entries[0]
            entries.popleft()
        return None

    async def _wait(self) -> None:
        getter = asyncio.get_running_loop().create_future()
        self._getters.append(getter)
        try:
            await getter
        except asyncio.CancelledError:
            if not getter.cancelled():
                # Woken and cancelled in one turn: the wake-up goes to somebody who can use it.
                self._wake_one()
            raise

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            # A cancelled getter stays in the line until its turn comes.
            if not getter.done():
                getter.set_result(None)
                return

    def _wake_all(self) -> None:
        while self._getters:
            self._wake_one()

    def _compact(self) -> None:
        """Drop stale heap entries once they are the larger part."""
        if len(self._heap) > _COMPACT_ABOVE and len(self._heap) > 2 * len(self._delayed):
            self._heap = [(deadline, key) for key, (deadline, _) in self._delayed.items()]
            heapq.heapify(self._heap)

    def _arm(self) -> None:
        """Let the one timer stand at the earliest deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer = asyncio.get_running_loop().call_at(self._heap[0][0], self._release_due)

    def _release_due(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            deadline, key = heapq.heappop(self._heap)
            current = self._delayed.get(key)
            if current is not None and current[0] == deadline:
                del self._delayed[key]
                self.add(key, current[1])
        self._arm()

"""Lulls: moments in which nobody starts or ends, for writes that nobody waits for.

An acknowledgement is a write for a reader of another day. While a thousand executions begin and end
it would take as much of the server as each of their own writes does.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from workflowexecution.runtime.resource import ObjectKey

AT_MOST_S = 30.0
LOOK_EVERY_S = 0.2
CALLS_PER_LOOK = 20


class Lull:
    """Says when a write of a key may be made, and calls those that had to wait, the oldest first.

    Nobody waits for longer than half a minute; those who have, of many, are called at the pace of
    all others. A lull may be over before who was called has come: then it waits on.

    Lock-free: it changes only between awaits.
    """

    def __init__(self, *, busy: Callable[[], bool], call: Callable[[ObjectKey], None]) -> None:
        """Start with nobody waiting.

        Args:
            busy: whether anything else is being done, or waits to be.
            call: asks for a look at a key.
        """
        self._busy = busy
        self._call = call
        self._since: dict[ObjectKey, float] = {}
        self._called: set[ObjectKey] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Count those that wait."""
        return len(self._since)

    def has_come(self, key: ObjectKey) -> bool:
        """Whether the key may write now; if not, it waits from the first time on, and is called."""
        if not self._busy() or _now() - self._since.get(key, _now()) >= AT_MOST_S:
            self.forget(key)
            return True
        self._since.setdefault(key, _now())
        self._called.discard(key)
        self._arm()
        return False

    def forget(self, key: ObjectKey) -> None:
        """Drop a key that has nothing to write any more."""
        self._since.pop(key, None)
        self._called.discard(key)

    def _arm(self) -> None:
        if self._timer is None and self._since:
            self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self._timer = None
        since = _now() - AT_MOST_S if self._busy() else _now()
        due = itertools.takewhile(lambda key: self._since[key] <= since, self._since)
        uncalled = (key for key in due if key not in self._called)
        for key in [*itertools.islice(uncalled, CALLS_PER_LOOK)]:
            self._called.add(key)
            self._call(key)
        self._arm()


def _now() -> float:
    return asyncio.get_running_loop().time()

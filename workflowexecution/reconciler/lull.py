"""Lulls: moments in which nobody starts or ends, for writes that nobody waits for.

An acknowledgement is a write for a reader of another day. While a thousand executions begin and end
it would take as much of the server as each of their own writes does.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from typing import TYPE_CHECKING

from workflowexecution.runtime import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from workflowexecution.runtime.resource import ObjectKey

AT_MOST_S = 30.0
LOOK_EVERY_S = 0.2
CALLS_PER_LOOK = 20


class Lull:
    """Says when an execution may be written, and calls those that had to wait, the oldest first.

    Nobody waits for longer than half a minute, tries that fail included; those who have, of many,
    are called at the pace of all others. A lull may be over before who was called has come: then
    it waits on, at the head of the line.

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
        self._since: dict[str, float] = {}
        """Since when each waits, by UID; kept until its write was made."""
        self._line: OrderedDict[str, ObjectKey] = OrderedDict()
        """Those that are to be called."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Count those whose write is not made."""
        return len(self._since)

    def has_come(self, uid: str, key: ObjectKey) -> bool:
        """Whether it may be written now; if not, it waits from the first time on, and is called."""
        since = self._since.get(uid)
        if not self._busy() or (since is not None and clock.loop_time() - since >= AT_MOST_S):
            return True
        if uid not in self._line:
            self._line[uid] = key
            if since is not None:
                self._line.move_to_end(uid, last=False)
        self._since.setdefault(uid, clock.loop_time())
        self._arm()
        return False

    def forget(self, uid: str) -> None:
        """Note that it is written, or that there is nothing to write any more."""
        self._since.pop(uid, None)
        self._line.pop(uid, None)

    def _arm(self) -> None:
        if self._timer is None and self._line:
            self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self._timer = None
        since = clock.loop_time() - AT_MOST_S if self._busy() else clock.loop_time()
        due = itertools.takewhile(lambda uid: self._since[uid] <= since, self._line)
        for uid in [*itertools.islice(due, CALLS_PER_LOOK)]:
            self._call(self._line.pop(uid))
        self._arm()

"""How late the event loop is: what one slow callback costs all others."""

import asyncio
from collections.abc import Callable

from workflowexecution.runtime import clock

_EVERY_S = 1.0


class LoopLag:
    """Asks for a turn once a second, and tells how late it came."""

    def __init__(self, *, observe: Callable[[float], None]) -> None:
        """Tell `observe` seconds of delay, never below 0."""
        self._observe = observe
        self._due = float("inf")

    @property
    def overdue_s(self) -> float:
        """By how many seconds a turn is late that is still to come; not positive: it is not."""
        return clock.loop_time() - self._due

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            self._due = clock.loop_time() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            self._observe(max(0.0, clock.loop_time() - self._due))

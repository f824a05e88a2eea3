"""How many requests go out: a bucket of tokens, and who gets the next one."""

import asyncio
import enum
import heapq

from workflowexecution.runtime import clock

_SHORTEST_S = 0.001
_ALMOST = 1 - 1e-6
"""What comes back in parts adds up to a little less than a token."""


class Rank(enum.IntEnum):
    """How urgent a request is; a smaller number goes first. Leases have a way of their own."""

    ACT = 0
    """Starts, cancels, deletes, and reads what that hangs on."""
    TELL = 1
    """Writes a status."""
    NOTE = 2
    """Writes an event, which nothing hangs on."""


class Budget:
    """A token for each request; they come back at a steady rate, up to a burst.

    It is generous, and binds nobody who does what is to be done: it is there for the mistake that
    asks again and again, and for the burst after which the server would have to say no. While
    tokens are short the most urgent request goes first, of those the one that came first.

    Lock-free: it changes only between awaits.
    """

    def __init__(self, *, per_s: float, burst: int) -> None:
        """Start with a full bucket.

        Args:
            per_s: tokens that come back in a second.
            burst: the most that are ever there.
        """
        self._per_s = per_s
        self._burst = float(burst)
        self._tokens = float(burst)
        self._filled_at = float("-inf")
        self._waiting: list[tuple[Rank, int, asyncio.Future[None]]] = []
        self._sequence = 0
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, rank: Rank) -> None:
        """Wait for a token; cancelling takes none."""
        if not self._waiting and self._take():
            return
        turn = asyncio.get_running_loop().create_future()
        self._sequence += 1
        heapq.heappush(self._waiting, (rank, self._sequence, turn))
        self._arm()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # Given and cancelled in one turn: the token goes to somebody who can use it.
                self._tokens += 1
                self._give()
            raise

    def _take(self) -> bool:
        now = clock.loop_time()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_s)
        self._filled_at = now
        if self._tokens < _ALMOST:
            return False
        self._tokens -= 1
        return True

    def _give(self) -> None:
        """Give what is there to those who wait."""
        while self._waiting:
            turn = self._waiting[0][2]
            if not turn.done() and not self._take():
                break
            heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            after_s = max(_SHORTEST_S, (1 - self._tokens) / self._per_s)
            self._timer = asyncio.get_running_loop().call_later(after_s, self._give)

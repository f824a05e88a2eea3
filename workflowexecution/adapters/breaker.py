"""A circuit breaker: leaves a failing service alone, and finds out when it is back."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from workflowexecution.runtime import backoff

if TYPE_CHECKING:
    from collections.abc import Callable

THRESHOLD = 5
BASE_S = 1.0
CAP_S = 30.0
MAX_ASKED_S = 60.0
"""The longest wait that the other side is granted: a header must not silence it for hours, and what
waits for it is tried again before a deleted execution goes."""


class State(Enum):
    """Closed lets everything through, half-open one attempt, open nothing."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


class Breaker:
    """Opens after failures in a row; then one attempt at a time probes, ever more seldom.

    Lock-free: it changes only between awaits.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        threshold: int = THRESHOLD,
        cap_s: float = CAP_S,
        on_change: Callable[[State], None] | None = None,
    ) -> None:
        """Start closed.

        Args:
            clock: monotonic seconds.
            threshold: failures in a row that open it.
            cap_s: the longest time between two attempts, unless the other side asks for more.
            on_change: told each new state, for a metric.
        """
        self._clock = clock
        self._threshold = threshold
        self._on_change = on_change
        self._delays = backoff.Backoff(base_s=BASE_S, cap_s=cap_s)
        self._state = State.CLOSED
        self._failures = 0
        self._probe_at = 0.0

    @property
    def state(self) -> State:
        """Where it is."""
        return self._state

    @property
    def is_closed(self) -> bool:
        """Whether everything goes through."""
        return self._state is State.CLOSED

    def wait_s(self) -> float:
        """Seconds until an attempt may go; 0 lets one go, and is a probe when it was open."""
        if self._state is not State.OPEN:
            return 0.0
        left = self._probe_at - self._clock()
        if left > 0:
            return left
        self._become(State.HALF_OPEN)
        return 0.0

    def succeeded(self) -> None:
        """An attempt went well."""
        self._failures = 0
        self._delays.reset()
        self._become(State.CLOSED)

    def failed(self, *, at_least_s: float = 0.0) -> float:
        """An attempt failed; returns the seconds after which another one is welcome.

        Args:
            at_least_s: what the other side asked for; kept up to `MAX_ASKED_S`.
        """
        self._failures += 1
        wait = self._delays.next_s(at_least_s=min(at_least_s, MAX_ASKED_S))
        if self._state is State.HALF_OPEN or self._failures >= self._threshold:
            self._probe_at = self._clock() + wait
            self._become(State.OPEN)
        return wait

    def _become(self, state: State) -> None:
        if state is self._state:
            return
        self._state = state
        if self._on_change is not None:
            self._on_change(state)

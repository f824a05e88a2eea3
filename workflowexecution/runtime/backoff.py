"""Growing, jittered, capped, resetting delays between attempts."""

import random
from collections.abc import Callable

_MAX_EXPONENT = 32


class Backoff:
    """Delays that double with each failure in a row, each drawn from its upper half."""

    __slots__ = ("_base_s", "_cap_s", "_failures", "_uniform")

    def __init__(
        self, *, base_s: float, cap_s: float, uniform: Callable[[], float] = random.random
    ) -> None:
        """Start without a failure.

        Args:
            base_s: the longest delay after the first failure.
            cap_s: the longest delay ever.
            uniform: random number in [0, 1).
        """
        self._base_s = base_s
        self._cap_s = cap_s
        self._uniform = uniform
        self._failures = 0

    def next_s(self, *, at_least_s: float = 0.0) -> float:
        """Count a failure and return the delay that follows it.

        Args:
            at_least_s: what the other side asked for: kept, with up to a quarter on top.
        """
        full = self._base_s * 2.0 ** min(self._failures, _MAX_EXPONENT)
        self._failures += 1
        delay_s = min(full, self._cap_s) * (1 + self._uniform()) / 2
        return max(delay_s, at_least_s * (1 + self._uniform() / 4))

    def reset(self) -> None:
        """Forget the failures."""
        self._failures = 0

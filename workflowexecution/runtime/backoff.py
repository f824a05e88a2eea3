"""Growing, jittered, capped, resetting delays between attempts."""

import random
from collections.abc import Callable

_MAX_EXPONENT = 32


def delay_s(
    failures: int,
    base_s: float,
    cap_s: float,
    uniform: Callable[[], float],
    *,
    at_least_s: float = 0.0,
) -> float:
    """The delay that follows a failure: it doubles with each, and is drawn from its upper half.

    Args:
        failures: how many in a row there were before this one.
        base_s: the longest delay after the first failure.
        cap_s: the longest delay ever.
        uniform: random number in [0, 1).
        at_least_s: what the other side asked for: kept, with up to a quarter on top.
    """
    delay = min(base_s * 2.0 ** min(failures, _MAX_EXPONENT), cap_s) * (1 + uniform()) / 2
    if at_least_s <= 0:
        return delay
    return max(delay, at_least_s * (1 + uniform() / 4))


class Backoff:
    """The delays of one thing that is tried, with the failures in a row that it has had."""

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
        failures, self._failures = self._failures, self._failures + 1
        return delay_s(failures, self._base_s, self._cap_s, self._uniform, at_least_s=at_least_s)

    def reset(self) -> None:
        """Forget the failures."""
        self._failures = 0

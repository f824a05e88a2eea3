"""What happens when: the same for a run with faults and for the one that it is compared with."""

from __future__ import annotations

import collections
import enum
import operator
from dataclasses import dataclass


class Act(enum.Enum):
    """What somebody does to the store or to the controllers."""

    STOP_STORE = "the store is stopped"
    SLOW_STORE = "the store is back, and stores after its client's deadline"
    BROKEN_STORE = "the store answers 500 after it has stored"
    MEND_STORE = "the store is well"
    KILL_LEADER = "kill -9 of the leader: the other one takes over"
    KILL_ALL = "kill -9 of both: nobody is left, both are started again"
    END_LOAD = "no more executions"


KILLS = {Act.KILL_LEADER: 1, Act.KILL_ALL: 2}
"""How many controllers each of these ends."""
FAULTS = frozenset({Act.STOP_STORE, Act.SLOW_STORE, Act.BROKEN_STORE, Act.MEND_STORE})

_SHORTEST_S = 8.0
_WARM_S = 3.0
_LONG_S = 120.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """The length of a run, and what follows from it.

    Attributes:
        minutes: how long the store is stopped; it is faulty for a fifth of that besides.
        rate: executions a second.
        faulty: without, the store is well all the time and everything else is the same.
    """

    minutes: float
    rate: float = 10.0
    faulty: bool = True

    @property
    def is_long(self) -> bool:
        """Whether the program's own defaults have the time to show what they do."""
        return self._away_s >= _LONG_S

    @property
    def store_timeout_s(self) -> float:
        """The client's deadline for a request to the store."""
        return 10.0 if self.is_long else 2.0

    @property
    def slow_s(self) -> float:
        """How late a slow store stores: too late for its client, long before that asks for it."""
        return 1.25 * self.store_timeout_s

    @property
    def before_deletion_s(self) -> float:
        """How long a deleted execution waits for its records: less than the outage takes."""
        return 60.0 if self.is_long else 2.0

    @property
    def lease_s(self) -> tuple[float, float, float]:
        """Duration, renew deadline and retry period of the leader's lease."""
        return (15.0, 10.0, 2.0) if self.is_long else (8.0, 6.0, 1.0)

    @property
    def rest_s(self) -> float:
        """How long after a new leader's beginning its latencies are not taken for the usual."""
        return 10.0 if self.is_long else 3.0

    @property
    def acts(self) -> tuple[tuple[float, Act], ...]:
        """What is done, by seconds after the first execution."""
        away, other = self._away_s, max(_SHORTEST_S, 0.1 * self._away_s)
        warm = max(_WARM_S, 0.05 * away)
        back = warm + away
        planned = [
            (warm, Act.STOP_STORE),
            (warm + 0.3 * away, Act.KILL_LEADER),
            (back, Act.SLOW_STORE),
            (back + other, Act.BROKEN_STORE),
            (back + 1.5 * other, Act.KILL_ALL),
            (back + 2 * other, Act.MEND_STORE),
            (back + 2 * other + warm, Act.END_LOAD),
        ]
        if self.is_long:
            # A short one would be without a leader most of the time.
            planned.append((warm + 0.6 * away, Act.KILL_ALL))
            planned.append((back + 0.5 * other, Act.KILL_LEADER))
        planned.sort(key=operator.itemgetter(0))
        return tuple((at, act) for at, act in planned if self.faulty or act not in FAULTS)

    @property
    def killed(self) -> collections.Counter[Act]:
        """How many controllers each kind of kill is to end in all."""
        total: collections.Counter[Act] = collections.Counter()
        for _, act in self.acts:
            total[act] += KILLS.get(act, 0)
        return +total

    @property
    def _away_s(self) -> float:
        return 60.0 * self.minutes

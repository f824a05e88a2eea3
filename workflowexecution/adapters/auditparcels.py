"""Records on their way to a store, and how they travel: together, or apart once it fails of them.

A store that answers 500 may be ill, or may choke on one record of a batch. Which of the two it is
shows when the batch is sent again in halves: while the store is ill nothing goes through; else all
does but the halves with that record, until it is alone.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workflowexecution.domain.auditevent import Event

MAX_LONELY_FAILURES = 3
"""How often the store may fail of a record alone, others having gone through between each two."""

IN_A_ROW = 2
"""So many requests of which the store fails, and none between that goes through, are an outage; one
fewer may be the fault of what was in it."""


@dataclass(slots=True)
class Parcel:
    """A record on its way.

    Attributes:
        event: the record.
        since: when it was taken.
        doubtful: whether it may be in the store.
        ripe_at: before that the store may still be busy with it.
        share: with how many at most it travels, itself included.
        failures: how often the store has failed of it alone, others having gone through since the
            last time.
        why: the store's last words on it.
    """

    event: Event
    since: float
    doubtful: bool
    ripe_at: float
    share: int = sys.maxsize
    failures: int = 0
    why: str = ""
    _passed_then: int = -1

    @property
    def is_hopeless(self) -> bool:
        """Whether the store fails of it, and of it alone."""
        return self.failures >= MAX_LONELY_FAILURES

    def failed(self, *, among: int, passed: int, why: str) -> None:
        """Note that the store failed of a request with it.

        Args:
            among: how many were in that request.
            passed: how many requests have gone through so far. Who fails again and again while
                nothing goes through has no part in it.
            why: the store's words.
        """
        self.share = (among + 1) // 2
        self.why = why
        if among == 1 and passed != self._passed_then:
            self._passed_then = passed
            self.failures += 1


def portions(parcels: Iterable[Parcel]) -> list[list[Parcel]]:
    """What goes in one request each; what has failed least goes first, as it may pass."""
    made: list[list[Parcel]] = []
    for parcel in sorted(parcels, key=lambda it: -it.share):
        if made and made[-1][0].share == parcel.share and len(made[-1]) < parcel.share:
            made[-1].append(parcel)
        else:
            made.append([parcel])
    return made


def halves(portion: list[Parcel]) -> tuple[list[Parcel], list[Parcel]]:
    """Two portions of one."""
    half = len(portion) // 2
    return portion[:half], portion[half:]

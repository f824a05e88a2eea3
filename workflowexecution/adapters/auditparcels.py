"""Records on their way to a store, and how they travel: together, or apart once it fails of them.

A store that answers 500 may be ill, or may choke on one record of a batch. Which of the two it is
shows when the batch is sent again in halves: while the store is ill nothing goes through; else all
does but the halves with that record, until it is alone.

A store may also fail by chance, now of this one and now of that, and then a record can fail alone
again and again through no fault of its own. So a record is held to be at fault only while nearly
all else goes through, and for long enough.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workflowexecution.domain.auditevent import Event

_log = structlog.get_logger(__name__)

MAX_LONELY_FAILURES = 5
"""How many spans a record may fail alone in, the store being well in each."""

SPAN_S = 120.0
"""How long a span is at least: with `MAX_LONELY_FAILURES` of them, ten minutes."""

MIN_PASSED = 5
"""How many requests go through in a span; it lasts until so many have."""

WELL_RATIO = 10
"""How many requests go through for each that fails, in a store that is well."""

MAX_PAUSE_S = 60.0
"""The longest that a record which fails alone waits for its next try."""

IN_A_ROW = 2
"""So many requests of which the store fails, and none between that goes through, are an outage; one
fewer may be the fault of what was in it. All questions about one correlation are one."""


@dataclass(slots=True)
class Seen:
    """What has become of all requests so far.

    Attributes:
        passed: those that stored something.
        failed: those that did not, but for the tries of suspects, which tell nothing of the store.
        answered: questions that were answered.
        unanswered: those of which the store failed; of those about suspects, the ones to which it
            was silent, or that failed while it answered none.
    """

    passed: int = 0
    failed: int = 0
    answered: int = 0
    unanswered: int = 0

    @property
    def through(self) -> int:
        """All that went through."""
        return self.passed + self.answered

    def is_well_since(self, then: Seen) -> bool:
        """Whether hardly anything has failed."""
        failed, unanswered = self.failed - then.failed, self.unanswered - then.unanswered
        return (
            failed * WELL_RATIO <= self.passed - then.passed
            and unanswered * WELL_RATIO <= self.answered - then.answered
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept, and how long is waited; durations in seconds."""

    buffer_size: int
    batch_size: int
    flush_interval_s: float
    max_retries: int
    settle_s: float


@dataclass(slots=True)
class Counts:
    """What became of events since the start, for metrics."""

    recorded: int = 0
    found: int = 0
    """Of those: were there already, when they were looked for."""
    refused: int = 0
    untaken: int = 0
    """The dialect has no word for them; they are on the log."""
    shed: int = 0
    failed_attempts: int = 0


@dataclass(slots=True)
class Parcel:
    """A record on its way.

    Attributes:
        event: the record.
        since: when it was taken.
        doubtful: whether it may be in the store.
        ripe_at: before that the store may still be busy with it.
        share: with how many at most it travels, itself included.
        strikes: how often the store has failed of it alone; who has fewest is tried first.
        is_suspect: whether the store has failed of it alone where others went through, or refused
            it and no log took it. It travels by itself from then on, ever more seldom.
        failures: in how many spans the store has failed of it, and was well else.
        why: the store's last words on it.
    """

    event: Event
    since: float
    doubtful: bool
    ripe_at: float
    share: int = sys.maxsize
    strikes: int = 0
    is_suspect: bool = False
    failures: int = 0
    why: str = ""
    _then: Seen | None = field(default=None, repr=False)
    """What was seen when the span began; before it is a suspect, when it, or what is asked in its
    stead, first failed."""
    _began: float = 0.0
    _pause_s: float = 1.0
    _is_told: bool = False

    @property
    def is_hopeless(self) -> bool:
        """Whether the store fails of it, and of it alone."""
        return self.failures >= MAX_LONELY_FAILURES

    @property
    def is_stubborn(self) -> bool:
        """Whether it was tried by itself again and again, and its pauses grow no more."""
        return self._pause_s == MAX_PAUSE_S

    def failed(self, *, among: int, seen: Seen, now: float, why: str, asked: bool = False) -> None:
        """Note that the store failed of a request with it.

        Args:
            among: how many were in that request.
            seen: who fails again and again while nothing goes through, or much else fails, has no
                part in it.
            now: the time.
            why: the store's words.
            asked: it was a question, which may fail alone among those that are answered, too.
        """
        self.share = (among + 1) // 2
        self.strikes += among == 1
        self.why = why
        if self._then is None:
            self._begin(seen, now)
        elif among == 1 and (
            seen.passed > self._then.passed or (asked and seen.answered > self._then.answered)
        ):
            self._failed_alone(self._then, seen, now)
        if self.is_suspect:
            self._rest(now)

    def failed_beside(self, *, seen: Seen, now: float) -> None:
        """Note that the store failed of a question about its correlation, and was asked no more.

        That is no strike: it is asked for before those that were.
        """
        self.share = 1
        if self._then is None:
            self._begin(seen, now)

    def set_apart(self, now: float) -> None:
        """Let it travel by itself from now on, ever more seldom."""
        self.is_suspect, self.share = True, 1
        self._rest(now)

    def tell(self) -> None:
        """Say once that the store fails of it alone, if it does; for who sees that others pass."""
        if self.is_suspect and not self._is_told:
            self._is_told = True
            _log.warning(
                "Audit store fails of an event alone: it is tried by itself",
                event_key=self.event.key,
                error=self.why,
            )

    def _rest(self, now: float) -> None:
        self.ripe_at = max(self.ripe_at, now + self._pause_s)
        self._pause_s = min(self._pause_s * 2, MAX_PAUSE_S)

    def _failed_alone(self, then: Seen, seen: Seen, now: float) -> None:
        if not self.is_suspect:
            self.is_suspect = True
            self._begin(seen, now)
        elif now - self._began >= SPAN_S and seen.passed - then.passed >= MIN_PASSED:
            self.failures += seen.is_well_since(then)
            self._begin(seen, now)

    def _begin(self, seen: Seen, now: float) -> None:
        self._then, self._began = replace(seen), now


def next_batch(waiting: Mapping[str, Parcel], now: float, size: int) -> list[str]:
    """The keys of those that go next: the oldest, half of them in no doubt if there are so many.

    Those wait for no question, which the store may not answer. They are not all of a batch: if each
    one were new, no record in it would ever be found that the store fails of.
    """
    ripe = [key for key, it in waiting.items() if it.ripe_at <= now]
    sure = [key for key in ripe if not waiting[key].doubtful]
    return list(dict.fromkeys([*sure[: (size + 1) // 2], *ripe]))[:size]


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

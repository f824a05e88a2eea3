"""Failures: for how long something has failed for an execution or a run, as this process saw it.

Time in which nothing is tried is no time in which it fails. So a restart begins anew, and so does
an execution that was not tried for longer than any back-off takes, as while the server was away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from workflowexecution.runtime import errors

if TYPE_CHECKING:
    import datetime

    from workflowexecution.runtime.resource import ObjectKey

LASTING_S = 60.0
"""What fails for so long is not about to pass."""
SILENCE_S = 180.0
"""No two tries in a row are further apart: three times the longest back-off."""

_UNANSWERED = frozenset({502, 503, 504})
"""What a gateway says for a server that does not answer."""
_TO_BE_REPEATED = (errors.Conflict, errors.Throttled)


def is_refusal(error: errors.ClusterError) -> bool:
    """Whether the server said no, and nothing of another try."""
    return not (is_unanswered(error) or isinstance(error, _TO_BE_REPEATED))


def is_unanswered(error: errors.ClusterError) -> bool:
    """Whether the server said nothing, as in an outage: that is no refusal, nor the end of one."""
    return not isinstance(error, errors.ApiError) or error.status in _UNANSWERED


@dataclass(frozen=True, slots=True)
class _Row:
    """Failures of one kind, one after the other."""

    kind: str
    first: datetime.datetime
    last: datetime.datetime
    is_paused: bool = False
    """Whether nobody knows how it would have fared since the last of them."""

    def lasted(self, now: datetime.datetime) -> datetime.timedelta:
        """How long they have gone on."""
        return (self.last if self.is_paused else now) - self.first


class Failures:
    """Remembers, for those of which something fails, since when it does.

    The rows are in the order of their last tries: what is not tried any more goes by itself.
    Lock-free: it changes only between awaits.
    """

    def __init__(self) -> None:
        """Know of no failure."""
        self._rows: dict[ObjectKey, _Row] = {}

    def __len__(self) -> int:
        """Count those of which something fails."""
        return len(self._rows)

    def note(self, key: ObjectKey, now: datetime.datetime, kind: str = "") -> float:
        """Note a failure; returns for how many seconds those of its kind have gone on."""
        row = self._rows.pop(key, None)
        first = now
        if row is not None and row.kind == kind and not _is_over(row, now):
            first = now - row.lasted(now)
        self._rows[key] = _Row(kind, first, now)
        while _is_over(self._rows[oldest := next(iter(self._rows))], now):
            del self._rows[oldest]
        return (now - first).total_seconds()

    def lasted_s(self, key: ObjectKey, now: datetime.datetime) -> float:
        """For how many seconds it has failed, if it fails now as well."""
        row = self._rows.get(key)
        return 0.0 if row is None or _is_over(row, now) else row.lasted(now).total_seconds()

    def pause(self, key: ObjectKey) -> None:
        """Count nothing from the last failure to the next: a try has met silence."""
        if row := self._rows.get(key):
            self._rows[key] = replace(row, is_paused=True)

    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered: it went well, or is tried no more."""
        self._rows.pop(key, None)


def _is_over(row: _Row, now: datetime.datetime) -> bool:
    return (now - row.last).total_seconds() > SILENCE_S

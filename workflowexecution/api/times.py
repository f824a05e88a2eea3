"""Times as the API writes them: RFC 3339, in UTC, to the second.

Source: Kubernetes, metav1.Time.
"""

from __future__ import annotations

import datetime
import functools

_FIRST = datetime.datetime.min.replace(tzinfo=datetime.UTC)
_LAST = datetime.datetime.max.replace(tzinfo=datetime.UTC)


def parse(value: object) -> datetime.datetime | None:
    """A metav1.Time or MicroTime, in UTC; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        when = datetime.datetime.fromisoformat(value)
        if when.tzinfo is datetime.UTC:
            return when
        return when.astimezone(datetime.UTC) if when.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def shifted(when: datetime.datetime, by_s: float) -> datetime.datetime:
    """The time so many seconds later, or earlier; at most the last, or first, of the calendar.

    A status may hold any time that can be written: that is no reason for a sum to fail.
    """
    try:
        return when + datetime.timedelta(seconds=by_s)
    except OverflowError:
        return _LAST if by_s > 0 else _FIRST


def second(when: datetime.datetime) -> datetime.datetime:
    """The time as metav1.Time holds it, to the whole second."""
    return when.replace(microsecond=0)


# The same few moments are written again and again: in each status, event and record of a step.
@functools.lru_cache(maxsize=1024)
def stamp(when: datetime.datetime, *, precision: str = "seconds") -> str:
    """The text of an aware time.

    Args:
        when: what is written.
        precision: as `isoformat` takes it, "seconds" or finer.
    """
    # Not strftime: it writes the year 1, Go's zero time, without its zeros.
    return when.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(timespec=precision) + "Z"

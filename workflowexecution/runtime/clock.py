"""Clocks: the server's time, as seen in the Date headers of its answers, and ones never set."""

import asyncio
import collections
import datetime
import email.utils
import time
from collections.abc import Callable

import structlog

_SAMPLES = 20
_SAMPLE_EVERY_S = 1.0
_SKEW_S = 5.0

_log = structlog.get_logger(__name__)


def utc_now() -> datetime.datetime:
    """Return this machine's wall time in UTC."""
    return datetime.datetime.now(datetime.UTC)


def loop_time() -> float:
    """Return the time of the event loop that runs, in seconds; of use for differences alone."""
    return asyncio.get_running_loop().time()


def boottime() -> float:
    """Return the seconds since this machine was started, those it slept through included.

    Nobody can set it, and unlike the event loop's clock it does not stand still while the machine
    is suspended. Both go on while a process is stopped.

    Source: clock_gettime(2), CLOCK_BOOTTIME.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyTime:
    """The wall time of the moment this was made, and what has passed since.

    Whoever sets this machine's clock moves no deadline: else all runs would be overdue at once, or
    none ever, until the server's answers have been asked often enough to tell.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], datetime.datetime] = utc_now,
        steady: Callable[[], float] = boottime,
    ) -> None:
        """Look at both clocks.

        Args:
            wall: the one that people set, aware; never looked at again.
            steady: the one that nobody sets, in seconds.
        """
        self._steady = steady
        self._began = wall()
        self._began_at = steady()

    def __call__(self) -> datetime.datetime:
        """Return the present time, aware."""
        return self._began + datetime.timedelta(seconds=self._steady() - self._began_at)


class ServerClock:
    """This machine's time plus the median offset of the last 20 Date headers.

    A Date header has whole seconds, so whole seconds are compared: the offset is zero as long as
    both clocks agree, and never a fraction that the header cannot show. At most one answer a second
    counts, so that a burst does not push out what was seen before.

    Lock-free: it changes only between awaits.
    """

    def __init__(self, *, now: Callable[[], datetime.datetime] = utc_now) -> None:
        """Start with no offset.

        Args:
            now: this machine's time, aware; best one that is never set, as `SteadyTime`.
        """
        self._now = now
        self._samples: collections.deque[float] = collections.deque(maxlen=_SAMPLES)
        self._next_sample_at = float("-inf")
        self._offset_s = 0.0
        self._skewed = False

    @property
    def offset_s(self) -> float:
        """How many seconds the server is ahead of this machine."""
        return self._offset_s

    def now(self) -> datetime.datetime:
        """Return the server's time, aware, in UTC."""
        return self._now() + datetime.timedelta(seconds=self._offset_s)

    def observe(self, date: str, answered_at: float) -> None:
        """Take the Date header of an answer that has just come; nonsense is ignored.

        Args:
            date: the header.
            answered_at: loop time of the answer.
        """
        if answered_at < self._next_sample_at:
            return
        try:
            server = email.utils.parsedate_to_datetime(date)
        except ValueError:
            return
        if server.tzinfo is None:
            return
        self._next_sample_at = answered_at + _SAMPLE_EVERY_S
        self._samples.append((server - self._now().replace(microsecond=0)).total_seconds())
        offset_s = sorted(self._samples)[(len(self._samples) - 1) // 2]
        if offset_s != self._offset_s:
            self._offset_s = offset_s
            self._tell()

    def _tell(self) -> None:
        """Log when the limit is crossed, in either direction."""
        skewed = abs(self._offset_s) > _SKEW_S
        if skewed == self._skewed:
            return
        self._skewed = skewed
        if skewed:
            _log.warning("Clock differs from the API server's", server_ahead_s=self._offset_s)
        else:
            _log.info("Clock agrees with the API server's again", server_ahead_s=self._offset_s)

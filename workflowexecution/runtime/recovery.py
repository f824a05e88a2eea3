"""What follows when a list or a watch fails: a pause, and a resumption or a new list."""

import random
from collections.abc import Callable
from typing import NamedTuple

from workflowexecution.runtime import backoff, clock, errors

_BACKOFF_BASE_S = 0.8
_BACKOFF_CAP_S = 30.0
_AWAY_CAP_S = 3.0
_FUTURE_VERSIONS = 3
_AWAY_STATUSES = frozenset({502, 503})
_REFUSED_FOR_S = 30.0
_REFRESH_AFTER = 10


class Step(NamedTuple):
    """Wait so many seconds; then watch on from the last good version, or list without one.

    Attributes:
        doubts: the cache may be of another past than the server's, until the list is in it.
        refreshes: list, and watch on from the last good version if that fails too.
    """

    pause_s: float
    lists: bool = False
    doubts: bool = False
    refreshes: bool = False


class Recovery:
    """Remembers the failures in a row, and decides.

    - A version that has expired, in whatever form the server says so, leads to a new list, and at
      once the first time: nothing is wrong with the server. So does a version that the server calls
      future three times in a row. Every other failure, unknown ERROR events included, is waited
      out, and the watch resumes from the last good version.
    - No watch that fails leaves the cache as it is for ever: after ten failures in a row that tell
      nothing of the version, a few minutes, it is listed once. So it is where it may be listed and
      not watched, or where something that only the watch meets is broken.
    - A server whose database was restored takes a version from its lost future without a word, and
      then sends nothing older, not even bookmarks. Nobody can tell by the version; but no database
      is restored under a running server, and no healthy watch is silent. So a list follows a watch
      that was silent for too long, and a server that was not there, or says that it has only just
      found its database: its absence may have fallen into a pause.
    - The delays double from 0.8 s to 30 s. A server that is not there, by itself or by the word of
      a proxy, has delays of its own, to 3 s: who was away is not overloaded when it is back.

    Source: client-go tools/cache/reflector.go.
    """

    def __init__(self, *, uniform: Callable[[], float] = random.random) -> None:
        """Start without a failure.

        Args:
            uniform: random number in [0, 1) for the jitter.
        """
        self._backoff = backoff.Backoff(
            base_s=_BACKOFF_BASE_S, cap_s=_BACKOFF_CAP_S, uniform=uniform
        )
        self._away = backoff.Backoff(base_s=_BACKOFF_BASE_S, cap_s=_AWAY_CAP_S, uniform=uniform)
        self._expired = False
        self._future_versions = 0
        self._refused_since: float | None = None
        self._failures = 0

    def heard(self) -> None:
        """Note that the server is there."""
        self._away.reset()

    def progressed(self) -> None:
        """Note an event: its version is one that the server knows."""
        self._future_versions = 0
        self._failures = 0

    def lived(self) -> None:
        """Note a stream that was in order: whatever failed before is over."""
        self._backoff.reset()
        self._expired = False
        self._failures = 0

    def is_refused(self, error: errors.ClusterError) -> bool:
        """Whether a list that has never succeeded, and failed again, may go on failing for long.

        Nobody may read it here, or the server has had another answer for half a minute, as when
        something that it asks for is broken. A server that is not there says nothing of the kind,
        and what it said before that may have been of its going. Nor does one that asks to come
        back, or to begin anew.
        """
        if isinstance(error, errors.Forbidden):
            return True
        if not isinstance(error, errors.ApiError) or error.status in _AWAY_STATUSES:
            self._refused_since = None
            return False
        if isinstance(error, errors.Throttled | errors.Gone):
            return False
        now = clock.loop_time()
        if self._refused_since is None:
            self._refused_since = now
        return now - self._refused_since >= _REFUSED_FOR_S

    def after_short_stream(self) -> Step:
        """Decide after a stream that the server ended at once."""
        return self._step_on()

    def after(self, error: errors.ClusterError, *, opened: bool, silent: bool) -> Step:
        """Decide after a failure.

        Args:
            error: what failed; that the API is not served is for others to decide on.
            opened: whether the server had answered before that.
            silent: whether nothing was heard for longer than a healthy watch is silent, though the
                error may tell of something else: who was stopped meanwhile hears of that first.
        """
        match error:
            case errors.Gone():
                first, self._expired = not self._expired, True
                pause_s = self._backoff.next_s()
                return Step(0.0 if first else pause_s, lists=True)
            case errors.Throttled() if error.storage_starting:
                pause_s = self._away.next_s(at_least_s=error.retry_after_s or 0.0)
                return Step(pause_s, lists=True, doubts=True)
            case errors.Throttled():
                return self._step_on(at_least_s=error.retry_after_s or 0.0)
            case errors.TransportError() if not opened:
                return Step(self._away.next_s(), lists=True, doubts=True)
            case errors.TransportError() if silent or error.silent:
                return Step(self._backoff.next_s(), lists=True, doubts=True)
            case errors.ApiError() if error.status in _AWAY_STATUSES:
                return Step(self._away.next_s(), lists=True, doubts=True)
            case errors.ApiError() if error.status == 504 or error.resource_version_too_large:
                return Step(self._backoff.next_s(), lists=self._is_of_the_future())
            case _:
                return self._step_on()

    def _step_on(self, *, at_least_s: float = 0.0) -> Step:
        """Watch on, as a rule."""
        self._failures = (self._failures + 1) % _REFRESH_AFTER
        pause_s = self._backoff.next_s(at_least_s=at_least_s)
        return Step(pause_s, refreshes=self._failures == 0)

    def _is_of_the_future(self) -> bool:
        """Whether the version was called future often enough to be believed to be."""
        self._future_versions = (self._future_versions + 1) % _FUTURE_VERSIONS
        return self._future_versions == 0

"""When an informer has last heard the server, when last of what changes, and what is due."""

from workflowexecution.runtime import clock

_LIVED_AFTER_S = 5.0


class Hearing:
    """Two accounts, as an answer tells that the server is there, and not that the watch works.

    A stream that opens, and ends at once or in an error, is an answer. Nothing that changes is ever
    heard by it, however often it opens. So the age is that of the last batch, of the last list that
    was no makeshift, or of the opening of a stream that has lived for 5 s: what had changed before
    it has come by then.

    Lock-free: it changes only between awaits.
    """

    def __init__(self) -> None:
        """Begin without a word."""
        self._heard_at = float("-inf")
        self._told_at = float("-inf")
        # Infinite while no stream is open: that has never lived.
        self._opened_at = float("inf")
        self._due_at = float("inf")

    @property
    def silent_s(self) -> float:
        """Seconds since anything was heard; infinite before that."""
        return clock.loop_time() - self._heard_at

    @property
    def age_s(self) -> float:
        """Seconds since the last word of what changes; infinite before that."""
        told_at = max(self._told_at, self._opened_at) if self._lives else self._told_at
        return clock.loop_time() - told_at

    @property
    def overdue_s(self) -> float:
        """Seconds by which something of the informer's own is overdue; not positive: nothing is."""
        return clock.loop_time() - self._due_at

    @property
    def _lives(self) -> bool:
        return clock.loop_time() - self._opened_at >= _LIVED_AFTER_S

    def heard(self) -> None:
        """Note an answer, of whatever kind."""
        self._heard_at = clock.loop_time()

    def told(self) -> None:
        """Note a word of what changes, or that nothing has: a batch, or a whole list."""
        self._told_at = clock.loop_time()

    def opened(self) -> None:
        """Note that a stream has opened."""
        self._opened_at = clock.loop_time()

    def ended(self) -> bool:
        """Note that the stream has ended, if one had opened; tell whether it had lived."""
        lived = self._lives
        if lived:
            self._told_at = max(self._told_at, self._opened_at)
        self._opened_at = float("inf")
        return lived

    def expect_within(self, seconds: float) -> None:
        """Note by when the informer does something again, whatever the server does."""
        self._due_at = clock.loop_time() + seconds

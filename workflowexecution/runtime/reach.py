"""Whether the API server answers, as this process's requests tell; who waits until it does."""

import asyncio
import collections
from collections.abc import Callable

import structlog

from workflowexecution.runtime import clock, queue, resource, transport

_AWAY_AFTER = 3
_PROBE_EVERY_S = 2.0
_NOT_THE_SERVER = frozenset({502, 503})
"""What a proxy says for a server that is not there, and a server that is about to end."""
_UNAUTHORIZED = 401

_log = structlog.get_logger(__name__)


class Reach:
    """Sees every request, and holds work while there is nobody to do it with.

    Three requests in a row without an answer mean that the server is away; any answer, and anything
    that comes by a watch, that it is back. Requests that it hands on to somebody else, and that are
    not answered well, mean nothing. Meanwhile keys that come up are held: one of them is let
    through each two seconds, since somebody has to try, and all of them when the server is back. So
    an outage costs no key its back-off, however long it is, and costs next to no requests, however
    many keys wait.

    A server that was away may have another past when it is back. While caches are in doubt because
    of that, every key is held: nothing follows from what has perhaps never been. Only
    those are spared of which whoever wires this says so: their work must not rely on such a cache.

    Lock-free: it changes only between awaits.
    """

    def __init__(
        self,
        *,
        on_release: Callable[[resource.ObjectKey, queue.Priority], None],
        on_back: Callable[[], None],
        in_doubt: Callable[[], bool],
        spares: Callable[[resource.ObjectKey], bool],
        observer: transport.RequestObserver,
    ) -> None:
        """Take the server to be there.

        Args:
            on_release: called with a key that was held and need not wait any more, and with the
                most urgent class that it came up with.
            on_back: called when the server answers again.
            in_doubt: whether any cache is; whoever knows calls `look` when that changes.
            spares: whether a key need not wait for caches; asked each two seconds for each key.
            observer: sees the requests too.
        """
        self._on_release = on_release
        self._on_back = on_back
        self._in_doubt = in_doubt
        self._spares = spares
        self._observer = observer
        self._missed = 0
        self._away_since = 0.0
        self._rejected_since: float | None = None
        # In the order of their arrival; a dict, since a key is held once.
        self._held: collections.OrderedDict[resource.ObjectKey, queue.Priority] = (
            collections.OrderedDict()
        )
        self._let_through: resource.ObjectKey | None = None
        self._probe: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Count the keys that are held."""
        return len(self._held)

    @property
    def is_away(self) -> bool:
        """Whether the server does not answer, so that a failure is nobody's fault."""
        return self._missed >= _AWAY_AFTER

    @property
    def away_s(self) -> float:
        """For how many seconds it has not answered; 0 when it does."""
        return clock.loop_time() - self._away_since if self.is_away else 0.0

    @property
    def rejected_s(self) -> float:
        """For how many seconds it has answered nothing but that it does not know us; or 0."""
        since = self._rejected_since
        return 0.0 if since is None else clock.loop_time() - since

    def answered(self, method: str, status: int, *, relayed: bool = False) -> None:
        """Note an answer."""
        self._observer.answered(method, status, relayed=relayed)
        if status in _NOT_THE_SERVER:
            if not relayed:
                self._miss()
            return
        if status != _UNAUTHORIZED:
            self._rejected_since = None
        elif self._rejected_since is None:
            self._rejected_since = clock.loop_time()
        self.heard()

    def heard(self) -> None:
        """Note a sign of the server: an answer, or something that came by a watch."""
        was_away, self._missed = self.is_away, 0
        if was_away:
            self._come_back()

    def unanswered(self, method: str, *, relayed: bool = False) -> None:
        """Note that no answer came."""
        self._observer.unanswered(method, relayed=relayed)
        if not relayed:
            self._miss()

    def holds(self, key: resource.ObjectKey, priority: queue.Priority) -> bool:
        """Tell whether the key must wait; if so, `on_release` is called for it when it need not."""
        doubtful = self._in_doubt() and not self._spares(key)
        if not self.is_away and not doubtful:
            return False
        if self._let_through == key and not doubtful:
            self._let_through = None
            return False
        self._held[key] = min(priority, self._held.get(key, priority))
        if self._probe is None:
            self._arm()
        return True

    def look(self) -> None:
        """Let everything go if nothing is in its way any more."""
        if self.is_away or self._in_doubt():
            return
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None
        self._let_through = None
        held, self._held = self._held, collections.OrderedDict()
        for key, priority in held.items():
            self._on_release(key, priority)

    def _miss(self) -> None:
        if self._missed == 0:
            self._away_since = clock.loop_time()
        self._missed += 1
        if self._missed == _AWAY_AFTER:
            _log.warning("API server does not answer: work waits")

    def _come_back(self) -> None:
        seconds = clock.loop_time() - self._away_since
        _log.info("API server answers again", away_s=round(seconds, 3), waited=len(self._held))
        self._on_back()
        self.look()

    def _let_the_spared_through(self) -> None:
        if self.is_away:
            return
        for key in [key for key in self._held if self._spares(key)]:
            self._on_release(key, self._held.pop(key))

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._probe = loop.call_later(_PROBE_EVERY_S, self._let_one_through)

    def _let_one_through(self) -> None:
        self._probe = None
        if self._in_doubt():
            # The informers try, and what they hear is what the others wait for.
            self._let_the_spared_through()
            if self._held:
                self._arm()
            return
        key, priority = self._held.popitem(last=False)
        self._let_through = key
        if self._held:
            self._arm()
        self._on_release(key, priority)

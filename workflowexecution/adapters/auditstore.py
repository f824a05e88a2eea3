"""The audit trail into a Data Storage: batches, retries, doubts cleared before anything is resent.

The store makes its own ids and takes a record twice if it is sent twice. So a batch whose outcome
is not known is looked for before it is sent again, and not before the server has had the time to
end what it may still be doing with it.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Protocol

import structlog

from workflowexecution.adapters import auditclient, auditlog, auditparcels, auditquestions, breaker
from workflowexecution.domain import auditevent
from workflowexecution.runtime import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workflowexecution import ports
    from workflowexecution.adapters.auditparcels import Parcel
    from workflowexecution.domain.auditevent import Event

SETTLE_TIMEOUTS = 3.0
"""How many request deadlines a request without an answer counts as undecided: the server's own
limit is three times the usual one."""

_log = structlog.get_logger(__name__)


class Store(auditquestions.Finder, Protocol):
    """The Data Storage, as `auditclient.AuditClient` reaches it."""

    async def send(self, documents: Sequence[dict[str, object]]) -> None:
        """Store a batch as a whole."""
        ...


class HttpTrail:
    """The `AuditTrail` into a Data Storage.

    Its memory is bounded: by `buffer_size`, and by one batch while the breaker is not closed. What
    finds no room is turned away, or shed: it is due by its execution's status, and offered again
    once there is room, but as one in doubt. So there is room for one batch more of what is in none:
    it goes through also where the store answers no question about all the others.

    Lock-free: it changes only between awaits.
    """

    def __init__(
        self,
        *,
        store: Store,
        limits: auditparcels.Limits,
        clock: Callable[[], float],
    ) -> None:
        """Send through this store.

        Args:
            store: the Data Storage.
            limits: sizes and durations.
            clock: the loop's time.
        """
        self._store = store
        self._seen = auditparcels.Seen()
        self._questions = auditquestions.Questions(store, found=self._found, seen=self._seen)
        self._limits = limits
        self._clock = clock
        self._breaker = breaker.Breaker(clock=clock, on_change=self._breaker_changed)
        self._waiting: dict[str, Parcel] = {}
        self._sending: dict[str, Parcel] = {}
        self._listeners: list[ports.AuditListener] = []
        self._changed = asyncio.Event()
        self._turned_away = False
        self._stopped = asyncio.Event()
        self._was_sent = False
        """Whether the attempt at hand, or the last one, has sent anything; else it only asked."""
        self._quiet_at = clock() + limits.settle_s
        self.counts = auditparcels.Counts()

    @property
    def pending(self) -> int:
        """How many events are on their way."""
        return len(self._waiting) + len(self._sending)

    @property
    def is_working(self) -> bool:
        """Whether the store is not left alone."""
        return self._breaker.is_closed

    @property
    def is_through(self) -> bool:
        """Whether all are answered, but for those that fail by themselves again and again."""
        return not self._sending and all(it.is_stubborn for it in self._waiting.values())

    @property
    def breaker_state(self) -> breaker.State:
        """Whether the store is left alone."""
        return self._breaker.state

    def has_room(self, *, doubtful: bool = True) -> bool:
        """Whether another event finds room; who finds none is called when there is."""
        if self.pending < self._capacity() or (not doubtful and self._has_reserve()):
            return True
        self._turned_away = True
        return False

    def _has_reserve(self) -> bool:
        """Whether less than a batch is in no doubt, and beyond the capacity."""
        size = self._limits.batch_size
        held = (*self._waiting.values(), *self._sending.values())
        sure = sum(not it.doubtful for it in held)
        return sure < size and len(held) < self._capacity() + size

    def listen(self, listener: ports.AuditListener) -> None:
        """Tell this listener, too."""
        self._listeners.append(listener)

    def offer(self, event: Event, *, doubtful: bool) -> bool:
        """Take an event, or turn it away."""
        if not event.taken:
            auditlog.write(event, why=auditevent.NO_WORD)
            self.counts.untaken += 1
            self._tell_recorded(event)
            return True
        if event.key in self._waiting or event.key in self._sending:
            return True
        if not self.has_room(doubtful=doubtful):
            return False
        now = self._clock()
        ripe_at = max(now, self._quiet_at) if doubtful else now
        self._waiting[event.key] = auditparcels.Parcel(event, now, doubtful, ripe_at)
        self._changed.set()
        return True

    def stop(self) -> None:
        """Send what is there, as far as the store takes it at once, and let `run` return."""
        self._stopped.set()
        self._changed.set()

    async def run(self) -> None:
        """Deliver until `stop`; an outage is waited out, never given up."""
        self._let_settle()
        while not self._stopped.is_set():
            await self._until_due()
            if self._stopped.is_set():
                break
            if not await self._deliver(self._take()) and self._stopped.is_set():
                return
        while self._breaker.is_closed and (batch := self._take()):
            if not await self._deliver(batch):
                return

    def _let_settle(self) -> None:
        """Wait for what another process has sent last: until now it may have been the leader."""
        self._quiet_at = max(self._quiet_at, self._clock() + self._limits.settle_s)
        for parcel in self._waiting.values():
            if parcel.doubtful:
                parcel.ripe_at = max(parcel.ripe_at, self._quiet_at)

    def _capacity(self) -> int:
        limits = self._limits
        return limits.buffer_size if self._breaker.is_closed else limits.batch_size

    async def _until_due(self) -> None:
        """Wait for a full batch, or for the first of a smaller one to have waited long enough."""
        while not self._stopped.is_set():
            self._changed.clear()
            wait = self._breaker.wait_s() or self._due_in_s()
            if wait == 0:
                return
            # A timer may end a hair early, and a wait for that hair at once, for ever.
            await waiting.set_within(self._changed, wait and max(wait, 0.001))

    def _due_in_s(self) -> float | None:
        now = self._clock()
        ripe = sum(1 for it in self._waiting.values() if it.ripe_at <= now)
        if ripe >= self._limits.batch_size:
            return 0.0
        flush_s = self._limits.flush_interval_s
        due = min(
            (max(it.ripe_at, it.since + flush_s) for it in self._waiting.values()), default=None
        )
        return None if due is None else max(0.0, due - now)

    def _take(self) -> dict[str, Parcel]:
        keys = auditparcels.next_batch(self._waiting, self._clock(), self._limits.batch_size)
        return {key: self._waiting.pop(key) for key in keys}

    async def _deliver(self, batch: dict[str, Parcel]) -> bool:
        """Bring a batch into the store, or back into the queue; whether any went."""
        self._sending = batch
        try:
            went = await self._persist()
        finally:
            self._put_back()
        self._shed()
        self._offer_room()
        return went

    def _put_back(self) -> None:
        """What the store has failed of alone goes behind all others, the rest before them.

        Of those behind, whom it has failed of the least go first: where nobody else waits, as after
        an outage, the order would stay the same, and the first two could keep all others back.
        """
        first = {key: it for key, it in self._sending.items() if it.share > 1}
        last = dict(sorted(self._sending.items(), key=lambda it: it[1].strikes))
        self._waiting = {**first, **self._waiting, **last}
        self._sending = {}

    async def _persist(self) -> bool:
        """Try as often as is allowed; whether the store took anything."""
        left = self._limits.max_retries
        while True:
            try:
                await self._round()
            except auditclient.Unavailable as error:
                if self._says_nothing(error):
                    # At a stop, whoever came while a suspect was tried is still to be sent.
                    untried = (*self._sending.values(), *self._waiting.values())
                    return not all(it.is_suspect for it in untried)
                wait_s = self._breaker.failed(at_least_s=error.retry_after_s)
                if not self._breaker.is_closed:
                    return False
                if left == 0 or self._stopped.is_set():
                    _log.warning("Audit batch failed", events=len(self._sending), error=str(error))
                    return self._stopped.is_set() and self._kept_waiting(error)
            else:
                return True
            left -= 1
            # A stop ends the wait before the next attempt.
            await waiting.set_within(self._stopped, wait_s)
            # The server may still be busy with some of these; what is ripe goes on.
            self._put_back()
            self._shed()
            self._sending = self._take()

    def _says_nothing(self, error: auditclient.Unavailable) -> bool:
        # What suspects fail of is theirs, while others have shown that the store is there.
        tried = (it for key, it in self._sending.items() if key not in self._questions.unasked)
        alone = all(it.is_suspect for it in tried)
        return alone and self._breaker.is_closed and isinstance(error, auditclient.Failing)

    def _kept_waiting(self, error: auditclient.Unavailable) -> bool:
        """Whether any in no doubt came while others were asked for in vain; only those go then."""
        if self._was_sent or not isinstance(error, auditclient.Failing):
            return False
        for parcel in (*self._sending.values(), *self._waiting.values()):
            if parcel.doubtful:
                parcel.ripe_at = math.inf
        return any(not it.doubtful for it in self._waiting.values())

    async def _round(self) -> None:
        """One attempt: clear the doubts, then send what is missing.

        Raises:
            auditclient.Unavailable: some are still in `_sending`.
        """
        if not self._sending:
            # Nothing was asked, so nothing is known about the store.
            return
        self._was_sent = False
        try:
            await self._attempt()
        except auditclient.Unavailable:
            self.counts.failed_attempts += 1
            raise
        self._breaker.succeeded()

    async def _attempt(self) -> None:
        through = self._seen.through
        failing = await self._questions.clear(list(self._sending.values()), clock=self._clock)
        for parcel in list(self._sending.values()):
            silent = isinstance(failing.get(parcel.event.key), auditclient.Silent)
            if parcel.is_hopeless and not silent:
                self._refused(parcel, parcel.why)
        ready = [it for key, it in self._sending.items() if key not in failing]
        await self._send_all(auditparcels.portions(ready))
        if failing and self._seen.through == through:
            raise next(iter(failing.values()))

    async def _send_all(self, portions: list[list[Parcel]]) -> None:
        """Send portions; one of which the store fails keeps no other one back.

        Raises:
            auditclient.Unavailable: the store takes nothing now.
        """
        passed_before = self._seen.passed
        failures: list[auditclient.Failing] = []
        for portion in portions:
            try:
                await self._send(portion)
            except auditclient.Failing as error:
                among, now = len(portion), self._clock()
                for parcel in portion:
                    parcel.failed(among=among, seen=self._seen, now=now, why=str(error))
                    parcel.tell()
                failures.append(error)
                if self._seen.passed == passed_before and len(failures) == auditparcels.IN_A_ROW:
                    break
        if failures and self._seen.passed == passed_before:
            raise failures[-1]

    async def _send(self, parcels: list[Parcel]) -> None:
        """Send parcels in one request; of one that is refused, each half by itself.

        Raises:
            auditclient.Unavailable: not now; they know whether they are in doubt.
        """
        sent_at, self._was_sent = self._clock(), True
        try:
            await self._store.send([it.event.document for it in parcels])
        except auditclient.Unavailable as error:
            self._seen.failed += not parcels[0].is_suspect
            self._doubt(parcels, error.outcome, sent_at)
            raise
        except auditclient.Rejected as error:
            if len(parcels) == 1:
                self._refused(parcels[0], str(error))
            else:
                await self._send_all(list(auditparcels.halves(parcels)))
            return
        self._seen.passed += 1
        for parcel in parcels:
            self._recorded(parcel)

    def _doubt(self, parcels: list[Parcel], outcome: auditclient.Outcome, sent_at: float) -> None:
        if outcome is auditclient.Outcome.NOTHING:
            return
        ripe_at = sent_at
        if outcome is auditclient.Outcome.UNDECIDED:
            ripe_at += self._limits.settle_s
            self._quiet_at = max(self._quiet_at, ripe_at)
        for parcel in parcels:
            parcel.doubtful = True
            parcel.ripe_at = ripe_at

    def _found(self, parcel: Parcel) -> None:
        self.counts.found += 1
        self._recorded(parcel)

    def _recorded(self, parcel: Parcel) -> None:
        del self._sending[parcel.event.key]
        self._tell_recorded(parcel.event)

    def _tell_recorded(self, event: Event) -> None:
        self.counts.recorded += 1
        for listener in self._listeners:
            listener.recorded(event)

    def _refused(self, parcel: Parcel, why: str) -> None:
        key = parcel.event.key
        try:
            auditlog.write(parcel.event, why=why)
        except OSError:
            # It is nowhere yet: it stays due, is sent again, and keeps no other one waiting.
            parcel.set_apart(self._clock())
            return
        del self._sending[key]
        self.counts.refused += 1
        _log.error("Audit event refused", event_key=key, error=why)
        for listener in self._listeners:
            listener.refused(parcel.event, why)

    def _shed(self) -> None:
        """Let go what is beyond the capacity, the newest first, what is in doubt before others."""
        surplus = len(self._waiting) - self._capacity()
        if surplus <= 0:
            return
        self._turned_away = True
        self.counts.shed += surplus
        kept = sorted(self._waiting.items(), key=lambda it: (it[1].doubtful, it[1].since))
        for key, parcel in kept[-surplus:]:
            del self._waiting[key]
            for listener in self._listeners:
                listener.shed(parcel.event)

    def _offer_room(self) -> None:
        """Call for what was turned away, once half of the room is free."""
        if not self._turned_away or not self._breaker.is_closed:
            return
        if self.pending * 2 <= self._limits.buffer_size:
            self._turned_away = False
            for listener in self._listeners:
                listener.room()

    def _breaker_changed(self, state: breaker.State) -> None:
        if state is breaker.State.OPEN:
            _log.warning("Audit store is left alone", pending=self.pending)
        elif state is breaker.State.CLOSED:
            _log.info("Audit store is back", pending=self.pending)

"""The way out of the outbox: what it holds is offered to the trail, and taken off when answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from workflowexecution.adapters import outbox
from workflowexecution.runtime import backoff, clock, errors, waiting

if TYPE_CHECKING:
    from workflowexecution import ports
    from workflowexecution.domain.auditevent import Event

_LOOK_EVERY_S = 600.0
_AGAIN_S = 30.0
_PATIENCE_S = 60.0
"""How long the other parts wait while no answer comes about one."""

_log = structlog.get_logger(__name__)


class Drain:
    """Brings what the outbox holds into the store; the `AuditListener` that waits for it.

    One part after the other, so that no more than one is in memory. Lock-free: it changes only
    between awaits.
    """

    def __init__(self, *, outbox: outbox.ConfigMapOutbox, trail: ports.AuditTrail) -> None:
        """Drain this outbox into this trail."""
        self._outbox = outbox
        self._trail = trail
        self._under_way: set[str] = set()
        """Offered from the part at hand, or from one that was left, and not answered."""
        self._answered: set[str] = set()
        self._unwritten: set[str] = set()
        """Belong on the log, which has not taken them; tried again when all is looked at again."""
        self._news = asyncio.Event()
        trail.listen(self)

    def recorded(self, event: Event) -> None:
        """Note that an entry can go."""
        self._answer(event)

    def refused(self, event: Event, why: str) -> None:
        """Note that an entry can go: it is on the log."""
        self._answer(event)

    def shed(self, event: Event) -> None:
        """Note that an entry is to be offered again."""
        self._under_way.discard(event.key)

    def room(self) -> None:
        """Offer again what found no room."""
        self._news.set()

    async def run(self) -> None:
        """Drain whenever there is something; never returns."""
        delays = backoff.Backoff(base_s=_AGAIN_S, cap_s=_LOOK_EVERY_S)
        while True:
            self._outbox.filled.clear()
            self._unwritten.clear()
            left: set[str] = set()
            try:
                for part in range(outbox.PARTS):
                    left |= await self._drain(part)
            except errors.ClusterError as error:
                wait_s = delays.next_s()
                _log.warning("Audit outbox cannot be drained", error=str(error), retry_s=wait_s)
            else:
                delays.reset()
                wait_s = _AGAIN_S if left else _LOOK_EVERY_S
                # Of what is left that is still to be known; all else is there no more.
                self._answered &= left
                if self._unwritten:
                    _log.warning("Audit outbox waits for the log", events=len(self._unwritten))
            await waiting.set_within(self._outbox.filled, wait_s)

    async def _drain(self, part: int) -> set[str]:
        """Offer what a part holds, and take off what is answered, until nothing is left of it.

        Or until no answer comes about one of them for a while, whatever else there is to hear, so
        that no record keeps those of other parts waiting.

        Returns:
            What is left of it, by its keys.

        Raises:
            ClusterError: it cannot be read or written.
        """
        kept = await self._outbox.load(part)
        unanswered: set[str] = set()
        leave_at = 0.0
        while kept:
            if self._under_way.isdisjoint(kept):
                await self._take_off(part, kept)
            self._news.clear()
            self._offer(kept)
            before, unanswered = unanswered, self._unanswered(kept)
            now = clock.loop_time()
            if unanswered != before:
                leave_at = now + _PATIENCE_S
            if not unanswered or not await waiting.set_within(self._news, leave_at - now):
                await self._take_off(part, kept)
                break
        return set(kept)

    async def _take_off(self, part: int, kept: dict[str, Event | None]) -> None:
        done = [key for key, event in kept.items() if event is None or key in self._answered]
        if not done:
            return
        await self._outbox.remove(part, done)
        _log.info("Audit events taken off the outbox", events=len(done))
        self._answered.difference_update(done)
        for key in done:
            del kept[key]

    def _unanswered(self, kept: dict[str, Event | None]) -> set[str]:
        """Those that an answer may come about."""
        readable = {key for key, event in kept.items() if event is not None}
        return readable - self._answered - self._unwritten

    def _offer(self, kept: dict[str, Event | None]) -> None:
        """Offer what is neither answered nor under way, as far as there is room."""
        unanswered = self._unanswered(kept) - self._under_way
        for key, event in kept.items():
            if event is None or key not in unanswered:
                continue
            self._under_way.add(key)
            try:
                taken = self._trail.offer(event, doubtful=True)
            except OSError:
                self._under_way.discard(key)
                self._unwritten.add(key)
                continue
            if not taken:
                # The trail says when there is room.
                self._under_way.discard(key)
                break

    def _answer(self, event: Event) -> None:
        if event.key in self._under_way:
            self._under_way.discard(event.key)
            self._answered.add(event.key)
            self._news.set()

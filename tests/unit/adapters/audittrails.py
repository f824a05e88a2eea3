"""A trail over a store that fails in every way it can, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any

from tests.unit import background
from tests.unit.adapters import audits
from workflowexecution.adapters import auditclient, auditparcels, auditstore
from workflowexecution.adapters.auditclient import Failing, Outcome, Rejected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from workflowexecution.domain.auditevent import Event

SETTLE_S = 30.0


class FakeStore:
    """Stores what it is sent, and then answers as told, one error an attempt."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.batches: list[list[str]] = []
        self.asked: list[str] = []
        self.errors: list[auditclient.StoreError] = []
        self.down: auditclient.StoreError | None = None
        self.stores_anyway = False
        self.stored_first = 0
        """How many of the first batches are stored whatever is answered."""
        self.bad: set[str] = set()
        self.poison: set[str] = set()
        """Of a batch with one of these the store fails."""
        self.unaskable: dict[str, auditclient.StoreError] = {}
        self.silent_s = 0.0
        """How long a question waits that fails, or whose answer does not come."""
        self.query_error: auditclient.StoreError | None = None
        self.query_errors: list[auditclient.StoreError] = []
        self.chances = (0.0, 0.0)
        """Of a sending, and of a question, to fail."""
        self.random = random.Random(7)

    async def send(self, documents: Sequence[dict[str, Any]]) -> None:
        names = [str(it["event_data"]["execution_name"]) for it in documents]
        self.batches.append(names)
        error = self.errors.pop(0) if self.errors else self.down
        if error is None and self.bad & set(names):
            error = Rejected("400 bad")
        if error is None and self.random.random() < self.chances[0]:
            error = Failing("500 pool", outcome=Outcome.UNKNOWN)
        if error is None and self.poison & set(names):
            error = Failing("500 choked", outcome=Outcome.UNKNOWN)
        if error is None or self.stores_anyway or len(self.batches) <= self.stored_first:
            self.rows += names
        if error is not None:
            raise error

    async def find(self, event: Event) -> bool:
        self.asked.append(audits.name_of(event))
        error = self.query_errors.pop(0) if self.query_errors else self.query_error
        error = error or self.unaskable.get(audits.name_of(event))
        if error is None and self.random.random() < self.chances[1]:
            error = Failing("500 pool")
        if error is not None:
            await asyncio.sleep(self.silent_s)
            raise error
        return audits.name_of(event) in self.rows


class Bed:
    """A trail over the store."""

    def __init__(self, **limits: Any) -> None:  # noqa: ANN401 - members of the limits
        settled: dict[str, Any] = {
            "buffer_size": 100,
            "batch_size": 4,
            "flush_interval_s": 1.0,
            "max_retries": 3,
            "settle_s": SETTLE_S,
        }
        self.store = FakeStore()
        self.trail = auditstore.HttpTrail(
            store=self.store,
            limits=auditparcels.Limits(**(settled | limits)),
            clock=asyncio.get_running_loop().time,
        )
        self.listener = audits.Listener()
        self.trail.listen(self.listener)
        self.each = 0

    def offer(self, *names: str, doubtful: bool = False, of: str = "") -> list[bool]:
        """Offer records, each of a remediation of its own, or all of one."""
        refs = {name: {"name": of or name, "namespace": "payment"} for name in names}
        events = [audits.event(name, remediationRequestRef=ref) for name, ref in refs.items()]
        return [self.trail.offer(event, doubtful=doubtful) for event in events]

    async def offer_each(self, every_s: float, *, times: int) -> None:
        """Records that nothing is wrong with, one after the other."""
        for _ in range(times):
            self.each += 1
            self.offer(f"each-{self.each}")
            await asyncio.sleep(every_s)

    @contextlib.asynccontextmanager
    async def running(self, for_s: float = 0.0) -> AsyncIterator[None]:
        async with background.running(self.trail.run(), for_s=for_s):
            yield

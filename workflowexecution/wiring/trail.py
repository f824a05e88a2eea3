"""What auditing has of its own: the sink, the outbox, the sweep, and who turns for them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workflowexecution import identity as who
from workflowexecution.adapters import (
    auditclient,
    auditlog,
    auditparcels,
    auditstore,
    drain,
    outbox,
)
from workflowexecution.adapters.prometheus import records
from workflowexecution.domain import auditevent
from workflowexecution.reconciler import auditing, duty, parting
from workflowexecution.runtime import clock, errors, manager
from workflowexecution.wiring import election

if TYPE_CHECKING:
    from collections.abc import Callable

    from workflowexecution import ports
    from workflowexecution.adapters.breaker import State
    from workflowexecution.adapters.executions import Executions
    from workflowexecution.adapters.prometheus import book
    from workflowexecution.reconciler import view
    from workflowexecution.runtime import client, store
    from workflowexecution.runtime.resource import ObjectKey
    from workflowexecution.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What of the program auditing works with."""

    identity: str
    api: client.Client
    executions: store.Store[view.Execution]
    writer: Executions
    clock: ports.Clock
    wake: Callable[[ObjectKey], None]
    busy: Callable[[], bool]
    traced: Callable[[ports.AuditTrail], ports.AuditTrail]


@dataclass(frozen=True, slots=True)
class Trail:
    """Auditing, built and not yet running.

    Attributes:
        audit: what a reconcile asks.
        observers: who is told of statuses.
        services: in the order of their start; they write, so they come after a leader.
        store: the way to the Data Storage, if there is one.
        sender: what sends to it.
        auditor: what keeps the account.
    """

    audit: duty.Audit = field(default_factory=duty.NoAudit)
    observers: tuple[ports.Observer, ...] = ()
    services: tuple[manager.Service, ...] = ()
    store: auditclient.AuditClient | None = None
    sender: auditstore.HttpTrail | None = None
    auditor: auditing.Auditor | None = None

    def counts(self) -> dict[str, int]:
        """What became of records since the start, for metrics; always of the same results."""
        sent = self.sender.counts if self.sender is not None else auditparcels.Counts()
        parted = self.auditor.counts if self.auditor is not None else parting.Counts()
        return dataclasses.asdict(sent) | dataclasses.asdict(parted)

    def pending(self) -> int:
        """How many records are on their way."""
        return self.sender.pending if self.sender is not None else 0

    def breaker(self) -> State | None:
        """State of the circuit breaker; None without a Data Storage."""
        return self.sender.breaker_state if self.sender is not None else None

    def show(self, families: book.Book) -> None:
        """Say where the metrics of records come from."""
        records.add_audit(families, counts=self.counts, waiting=self.pending, breaker=self.breaker)

    async def close(self) -> None:
        """Close the connections."""
        if self.store is not None:
            await self.store.close()


def prepare(settings: Settings, around: Around) -> Trail:
    """Build what the settings ask for; called in the running loop.

    Raises:
        errors.ConnectionConfigError: token or certificates of the Data Storage cannot be read.
    """
    kind = settings.audit_sink
    if kind == "none":
        return Trail()
    store = build_store(settings, around.identity) if kind == "http" else None
    sender = build_sender(settings, store) if store is not None else None
    sink = around.traced(sender or auditlog.LogTrail())
    style = style_of(settings)
    kept = outbox.ConfigMapOutbox(
        client=around.api, namespace=outbox_namespace(settings), style=style
    )
    emptied = drain.Drain(outbox=kept, trail=sink)
    auditor = auditing.Auditor(
        trail=sink,
        outbox=kept,
        executions=around.executions,
        reader=around.writer,
        writer=around.writer,
        clock=around.clock,
        wake=around.wake,
        busy=around.busy,
        log=lambda event, why: auditlog.write(event, why=why),
        style=style,
        before_deletion_s=settings.limits.audit_before_deletion,
    )
    services = [
        manager.Service(name="audit-outbox", run=emptied.run),
        manager.Service(name="audit-sweep", run=auditor.sweep),
    ]
    if sender is not None:
        # First: it sends what the others have offered to the last.
        services.insert(0, manager.Service(name="audit", run=sender.run, stop=sender.stop))
    return Trail(auditor, (auditor,), tuple(services), store, sender, auditor)


def style_of(settings: Settings) -> auditevent.Style:
    """How records are spelled."""
    wished = settings.audit
    return auditevent.Style(wished.dialect, wished.category, wished.skipped_outcome)


def outbox_namespace(settings: Settings) -> str:
    """The controller's own namespace: where its lease is."""
    return election.home(settings.controller)


def build_store(settings: Settings, identity: str) -> auditclient.AuditClient:
    """The way to the Data Storage.

    Args:
        settings: where it is, and how to be admitted.
        identity: who asks, for its log.

    Raises:
        errors.ConnectionConfigError: token or certificates cannot be read.
    """
    wished = settings.datastorage
    try:
        return auditclient.AuditClient(
            url=wished.url,
            timeout_s=wished.timeout,
            user_agent=who.user_agent(identity),
            token_file=wished.token_file,
            ca_file=wished.ca_file,
        )
    except errors.ConnectionConfigError as error:
        message = f"datastorage: {error}"
        raise errors.ConnectionConfigError(message) from error


def build_sender(settings: Settings, store: auditclient.AuditClient) -> auditstore.HttpTrail:
    """What sends to it; called in the running loop."""
    wished = settings.datastorage
    return auditstore.HttpTrail(
        store=store,
        limits=auditparcels.Limits(
            buffer_size=wished.buffer.buffer_size,
            batch_size=wished.buffer.batch_size,
            flush_interval_s=wished.buffer.flush_interval,
            max_retries=wished.buffer.max_retries,
            settle_s=auditstore.SETTLE_TIMEOUTS * wished.timeout,
        ),
        clock=clock.loop_time,
    )

"""Auditing: each transition's record offered, acknowledged in the status, awaited before the end.

What is due is a function of the status (`domain.audit`), so nothing here has to survive: what is
remembered of an execution is which of its records are on their way or have been answered.
Acknowledgements ride on the next status write; only the last ones get a write of their own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from workflowexecution.api import times
from workflowexecution.api import workflowexecution as api
from workflowexecution.api.status import ConditionType
from workflowexecution.domain import audit, auditevent, status
from workflowexecution.reconciler import lull, parting, recollection
from workflowexecution.reconciler.duty import Settled
from workflowexecution.reconciler.ledger import Ledger
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from workflowexecution import ports
    from workflowexecution.api.status import Status
    from workflowexecution.domain.audit import Transition
    from workflowexecution.domain.auditevent import Event
    from workflowexecution.reconciler import view
    from workflowexecution.runtime import store
    from workflowexecution.runtime.resource import ObjectKey

_log = structlog.get_logger(__name__)

READS_PER_S = 50.0
"""Ended executions that are read again to offer their records: none of them is urgent."""
SWEEP_EVERY_S = 1.0
OUTBOX_AGAIN_S = 15.0
"""How long a deleted execution waits for room in the outbox, or for an API that answers."""


class Auditor:
    """Offers records when statuses have been written, and keeps account of the answers.

    An `Observer` of statuses and the `AuditListener` of the trail. Lock-free: the account changes
    only between awaits.
    """

    def __init__(  # noqa: PLR0913 - each is one collaborator
        self,
        *,
        trail: ports.AuditTrail,
        outbox: ports.Outbox,
        executions: store.Store[view.Execution],
        reader: ports.ExecutionReader,
        writer: ports.ExecutionWriter,
        clock: ports.Clock,
        wake: Callable[[ObjectKey], None],
        busy: Callable[[], bool],
        log: Callable[[Event, str], None],
        style: auditevent.Style,
        before_deletion_s: float,
    ) -> None:
        """Audit with these collaborators.

        Args:
            trail: where records go.
            outbox: where they go when their execution does not wait.
            executions: the cache.
            reader: reads an ended execution again, of which the cache keeps little.
            writer: writes acknowledgements.
            clock: the server's time.
            wake: puts a key on the queue, behind all that is urgent.
            busy: whether any other execution begins or ends: its writes go before what is written
                here.
            log: the last resort: a record and why it is there.
            style: how records are spelled.
            before_deletion_s: how long a deleted execution waits for its records.
        """
        self._trail = trail
        self._executions = executions
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._wake = wake
        self._style = style
        self._before_deletion_s = before_deletion_s
        self._ledgers: dict[str, Ledger] = {}
        self._recollection = recollection.Recollection()
        self._lull = lull.Lull(busy=busy, call=wake)
        self._left_behind = asyncio.Event()
        self._parting = parting.Parting(outbox=outbox, log=log)
        trail.listen(self)

    @property
    def counts(self) -> parting.Counts:
        """What became of records whose execution went first."""
        return self._parting.counts

    @property
    def remembered(self) -> int:
        """Of how many executions something is kept in memory."""
        # There is no recollection without a ledger.
        return max(len(self._ledgers), len(self._recollection))

    # As an observer of statuses.

    def wrote(self, change: ports.StatusWrite) -> None:
        """Offer the records that the written status makes due."""
        if not change.version:
            # Its answer was lost, and so may have been that of another one: the sweep offers what
            # stands, and nothing else is ever acknowledged.
            self._left_behind.set()
            return
        before = change.execution.status
        execution = change.execution.model_copy(update={"status": change.after})
        # Records are offered after a status write alone: before the first one there was none.
        earlier = audit.made(before) if before.phase is not None else ()
        self._offer_due(change.key, execution, earlier)
        if change.after.phase in status.TERMINAL:
            self._recall(execution.metadata.uid, change.version, change.after)

    # As the listener of the trail.

    def recorded(self, event: Event) -> None:
        """Note an acknowledgement."""
        ledger = self._ledgers.get(event.uid)
        if ledger is not None:
            ledger.recorded.add(event.transition)
            self._answered(ledger, event)

    def refused(self, event: Event, why: str) -> None:
        """Note that a record will never be taken; it is on the log."""
        ledger = self._ledgers.get(event.uid)
        if ledger is not None:
            ledger.refused[event.transition] = why
            self._answered(ledger, event)

    def shed(self, event: Event) -> None:
        """Note that a record is due as if it had never been offered."""
        ledger = self._ledgers.get(event.uid)
        if ledger is not None:
            ledger.under_way.discard(event.transition)
            self._tidy(event.uid, ledger)
        self._left_behind.set()

    def room(self) -> None:
        """Let the sweep offer again what was left behind."""
        self._left_behind.set()

    # As the reconcile's own.

    def merged(self, uid: str, moment: status.Moment, after: Status) -> Status:
        """The status with what has been acknowledged meanwhile, and condition AuditRecorded."""
        return _said(after, moment, self._ledgers.get(uid))

    async def settle(self, seen: view.Execution) -> Settled:
        """Write the acknowledgements of an ended execution once the last one is there."""
        if not seen.due:
            self.acknowledged(seen.uid)
            return Settled.UNCHANGED
        ledger = self._ledgers.get(seen.uid)
        if ledger is None or not ledger.covers(seen.due):
            # What is under way wakes it by its answer; what is not is for the sweep.
            self._lull.forget(seen.uid)
            self._left_behind.set()
            return Settled.UNCHANGED
        if not self._lull.has_come(seen.uid, seen.key):
            return Settled.LATER
        settled = await self._settle(seen, ledger)
        # One that fails has its place in the line for the next time.
        self._lull.forget(seen.uid)
        return settled

    def acknowledged(self, uid: str) -> None:
        """Drop the account of an execution with nothing due, unless the cache is late to say it."""
        ledger = self._ledgers.get(uid)
        if ledger is None or not ledger.under_way:
            self.forget(uid)

    async def _settle(self, seen: view.Execution, ledger: Ledger) -> Settled:
        before = await self._written(seen)
        if before is None:
            return Settled.UNCHANGED
        after = _said(before, status.Moment(self._clock.now(), seen.generation), ledger)
        changes = status.patch(before, after)
        if not changes:
            return Settled.UNCHANGED
        version = await self._writer.patch_status(
            seen.key, changes, resource_version=seen.resource_version
        )
        if audit.due(after):
            self._recall(seen.uid, version, after)
        else:
            self._recollection.forget(seen.uid)
        return Settled.WRITTEN

    def may_go(self, seen: view.Execution) -> bool:
        """Whether every record is settled: in the status, by its answer, or as it was moved."""
        ledger = self._ledgers.get(seen.uid)
        return not seen.due or (ledger is not None and ledger.covers(seen.due))

    async def part(self, seen: view.Execution, *, overdue: bool) -> float:
        """Wait for the records of an execution that is being deleted, then move them."""
        if self.may_go(seen):
            return 0.0
        left_s = self._left_s(seen)
        if left_s > 0 and not overdue:
            self._left_behind.set()
            return left_s
        return 0.0 if await self._move(seen, overdue=overdue) else OUTBOX_AGAIN_S

    def forget(self, uid: str) -> None:
        """Drop the account of an execution that is gone, and with it what was refused.

        What is on its way needs no account to arrive, and its answer finds none.
        """
        self._ledgers.pop(uid, None)
        self._lull.forget(uid)
        self._recollection.forget(uid)

    async def sweep(self) -> None:
        """Offer again what was left behind, whenever there is room; never returns."""
        self._left_behind.set()
        while True:
            await self._left_behind.wait()
            self._left_behind.clear()
            await self._sweep_once()
            await asyncio.sleep(SWEEP_EVERY_S)

    async def _sweep_once(self) -> None:
        for uid, key in [(it.uid, it.key) for it in self._executions if it.served and it.due]:
            seen = self._executions.get(key)
            if seen is None or seen.uid != uid or not self._is_left(seen):
                continue
            if not self._trail.has_room():
                return
            try:
                execution = await self._whole(seen)
            except errors.ClusterError as error:
                _log.warning("Execution cannot be read for its audit", error=str(error))
                self._left_behind.set()
                return
            if execution is not None:
                try:
                    self._offer_due(key, execution, tuple(audit.Transition))
                except OSError:
                    return

    def _is_left(self, seen: view.Execution) -> bool:
        """Whether a record is due that is neither answered nor under way."""
        ledger = self._ledgers.get(seen.uid)
        if ledger is None:
            return bool(seen.due)
        return not ledger.covers(seen.due, or_under_way=True)

    async def _whole(self, seen: view.Execution) -> api.WorkflowExecution | None:
        """All of an execution: of a live one the cache has it, an ended one is read, in its turn.

        None when it is gone, or nothing has been decided on it.
        """
        if seen.document is not None:
            # Of many that nobody has looked at yet, none is worth its parsing.
            if not seen.document["status"]:
                return None
            execution = api.parse_readable(seen.document)
            return execution if execution.status.phase is not None else None
        await asyncio.sleep(1 / READS_PER_S)
        return await self._read(seen)

    async def _written(self, seen: view.Execution) -> Status | None:
        """The status as it stands: remembered, where nobody has written since, else read."""
        known = self._recollection.at(seen.uid, seen.resource_version)
        if known is not None:
            return known
        execution = await self._read(seen)
        return execution.status if execution is not None else None

    async def _read(self, seen: view.Execution) -> api.WorkflowExecution | None:
        raw = await self._reader.read(seen.key)
        if raw is None or raw["metadata"]["uid"] != seen.uid:
            return None
        return api.parse_readable(raw)

    def _offer_due(
        self, key: ObjectKey, execution: api.WorkflowExecution, doubtful: Collection[Transition]
    ) -> None:
        """Offer each record that is due and neither answered nor under way.

        Args:
            key: of the execution.
            execution: with the status that the records are due by.
            doubtful: transitions whose record an earlier life may have sent.
        """
        uid = execution.metadata.uid
        ledger = self._ledgers.setdefault(uid, Ledger(key))
        ledger.recorded.difference_update(execution.status.audited_transitions or ())
        for transition in audit.due(execution.status):
            if ledger.covers((transition,), or_under_way=True):
                continue
            event = auditevent.build(execution, transition, self._style)
            ledger.under_way.add(transition)
            taken = False
            try:
                taken = self._trail.offer(event, doubtful=transition in doubtful)
            except OSError:
                # The log is the store, and its disk is full.
                self._left_behind.set()
                raise
            finally:
                if not taken:
                    ledger.under_way.discard(transition)
        self._tidy(uid, ledger)

    def _tidy(self, uid: str, ledger: Ledger) -> None:
        """Forget an account that has nothing in it."""
        if ledger.is_empty:
            self.forget(uid)

    def _recall(self, uid: str, version: str, after: Status) -> None:
        """Remember a status that was written, for as long as there is an account.

        An execution may be gone before the answer to its last write has come.
        """
        if uid in self._ledgers:
            self._recollection.note(uid, version, after)

    def _answered(self, ledger: Ledger, event: Event) -> None:
        """The last answer wakes an execution that nothing else would."""
        ledger.under_way.discard(event.transition)
        seen = self._executions.get(ledger.key)
        if seen is None or seen.uid != event.uid:
            self.forget(event.uid)
        elif not ledger.under_way and (seen.ended or seen.deleting):
            self._wake(ledger.key)

    def _left_s(self, seen: view.Execution) -> float:
        since = times.parse(seen.deletion_time)
        waited_s = (self._clock.now() - since).total_seconds() if since is not None else 0.0
        return self._before_deletion_s - waited_s

    async def _move(self, seen: view.Execution, *, overdue: bool) -> bool:
        """The time is over: what is due goes where it outlives the execution; whether it may go."""
        try:
            execution = await self._read(seen)
        except errors.ClusterError as error:
            # Nobody else knows what is due, so not even an overdue one goes unread.
            _log.warning("Deleted execution cannot be read for its audit", error=str(error))
            return False
        if execution is None:
            return True
        left = self._left_of(execution)
        if not await self._parting.move(left, overdue=overdue):
            return False
        ledger = self._ledgers.get(seen.uid)
        if ledger is None and self._is_there(seen):
            ledger = self._ledgers[seen.uid] = Ledger(seen.key)
        if ledger is not None:
            ledger.moved.update(event.transition for event in left)
        return True

    def _is_there(self, seen: view.Execution) -> bool:
        current = self._executions.get(seen.key)
        return current is not None and current.uid == seen.uid

    def _left_of(self, execution: api.WorkflowExecution) -> list[Event]:
        """The records of an execution that are due and were not answered in this life."""
        ledger = self._ledgers.get(execution.metadata.uid)
        due = audit.due(execution.status)
        left = [it for it in due if ledger is None or not ledger.covers((it,))]
        return [auditevent.build(execution, it, self._style) for it in left]


def _said(after: Status, moment: status.Moment, ledger: Ledger | None) -> Status:
    """The status with its acknowledged transitions, and AuditRecorded where there is news."""
    if ledger is not None:
        after = audit.acknowledged(after, ledger.recorded)
    said = audit.recorded(after, ledger.refused if ledger is not None else {})
    if said is None:
        return after
    note = status.Note(ConditionType.AUDIT_RECORDED, said.status, said.reason, said.message)
    return status.noted(after, moment, [note])

"""Where the records of a deleted execution go that does not wait for them any longer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from workflowexecution import ports
from workflowexecution.domain import auditevent
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workflowexecution.domain.auditevent import Event

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Counts:
    """What became of records whose execution went first, for metrics."""

    moved: int = 0
    lost: int = 0
    """Kept on the log alone, since the outbox took them not."""


class Parting:
    """Moves records into the outbox, and onto the log when there is no other way."""

    def __init__(self, *, outbox: ports.Outbox, log: Callable[[Event, str], None]) -> None:
        """Move them with these.

        Args:
            outbox: where records outlive their execution.
            log: the last resort: a record and why it is there.
        """
        self._outbox = outbox
        self._log_event = log
        self.counts = Counts()

    async def move(self, events: Sequence[Event], *, overdue: bool) -> bool:
        """Move all of these; whether their execution may go.

        One that is not overdue waits for room in the outbox, and for an API that takes it. Of one
        that is, what the outbox does not take goes onto the log, in full.
        """
        if not await self._kept([event for event in events if event.taken], overdue=overdue):
            return False
        for event in events:
            if not event.taken:
                self._log_event(event, auditevent.NO_WORD)
        return True

    async def _kept(self, events: Sequence[Event], *, overdue: bool) -> bool:
        if not events:
            return True
        try:
            await self._outbox.put(events)
        except (ports.OutboxFull, errors.ClusterError) as error:
            if not overdue:
                _log.warning("Audit outbox takes nothing", error=str(error), events=len(events))
                return False
            self.counts.lost += len(events)
            _log.error("Audit events are on the log alone", error=str(error), events=len(events))
            for event in events:
                self._log_event(event, f"the outbox did not take it: {error}")
        else:
            self.counts.moved += len(events)
            _log.info("Audit events moved to the outbox", events=len(events))
        return True

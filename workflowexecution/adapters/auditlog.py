"""Audit events on the log: for users without a Data Storage, and for what it does not take."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from workflowexecution import ports
    from workflowexecution.domain.auditevent import Event

MESSAGE = "Audit event"

# A record is no chatter: `logs` writes a line that carries one whatever the level, and this logger
# has none either.
_log = structlog.wrap_logger(
    None, wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET)
)


def write(event: Event, *, why: str = "") -> None:
    """Put an event on the log, in full, as one line.

    Args:
        event: the record.
        why: what keeps it from the store, if something does.
    """
    more = {"not_stored": why} if why else {}
    _log.info(MESSAGE, audit=event, **more)


class LogTrail:
    """The `AuditTrail` whose store is the log: what is written is recorded."""

    def __init__(self) -> None:
        """Write to the log of the program."""
        self._listeners: list[ports.AuditListener] = []

    def has_room(self) -> bool:
        """Always."""
        return True

    def listen(self, listener: ports.AuditListener) -> None:
        """Tell this listener, too."""
        self._listeners.append(listener)

    def offer(self, event: Event, *, doubtful: bool) -> bool:
        """Write it down; a log cannot be asked whether it has been there before."""
        write(event)
        for listener in self._listeners:
            listener.recorded(event)
        return True

"""Asks a Data Storage for records that it may have, and notices when it never answers.

A refusal (403, 404) says nothing of the record. It may be about everything, as when the rights are
being put right or a gateway has lost its way, and then a question that is asked a moment later is
answered; or the server has no query for us, and then only sending is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

from workflowexecution.adapters import auditclient

if TYPE_CHECKING:
    from workflowexecution.domain.auditevent import Event

_log = structlog.get_logger(__name__)


class Finder(Protocol):
    """What can be asked."""

    async def find(self, event: Event) -> bool:
        """Whether a record is there."""
        ...


class Questions:
    """Asks, and remembers whether the last question was refused."""

    def __init__(self, store: Finder) -> None:
        """Ask this store."""
        self._store = store
        self._refused = False

    async def is_there(self, event: Event) -> bool | None:
        """Whether a record is there; None when nobody can know.

        The first refusal counts as an outage: it is asked again after a while, and only a second
        one in a row means that there are no answers. Who sends unasked then keeps the doubt until
        that has gone through: where sending is refused too, the next question may be answered.

        Raises:
            auditclient.Unavailable: it cannot be told now.
        """
        try:
            there = await self._store.find(event)
        except auditclient.NotAskable as error:
            if self._refused:
                return None
            self._refused = True
            _log.warning(
                "Audit store refuses to be asked; if it does again, records in doubt go unasked",
                error=str(error),
            )
            message = f"query: {error}"
            raise auditclient.Unavailable(message) from error
        self._refused = False
        return there

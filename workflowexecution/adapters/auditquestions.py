"""Asks a Data Storage for records that it may have, and notices when it never answers.

A refusal (403, 404) says nothing of the record. It may be about everything, as when the rights are
being put right or a gateway has lost its way, and then a question that is asked a moment later is
answered; about that one record; or the server has no query for us, and then only sending is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

from workflowexecution.adapters import auditclient, auditparcels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workflowexecution.adapters.auditclient import Failing
    from workflowexecution.adapters.auditparcels import Parcel
    from workflowexecution.domain.auditevent import Event

_log = structlog.get_logger(__name__)


class Finder(Protocol):
    """What can be asked."""

    async def find(self, event: Event) -> bool:
        """Whether a record is there."""
        ...


class Questions:
    """Clears doubts, and remembers whether questions are refused."""

    def __init__(
        self, store: Finder, *, found: Callable[[Parcel], None], seen: auditparcels.Seen
    ) -> None:
        """Ask this store.

        Args:
            store: the one to ask.
            found: told of each record that is there.
            seen: what has become of requests, and of these questions.
        """
        self._store = store
        self._seen = seen
        self._found = found
        self._failed_about = ""
        """The correlation of the first question that has failed since one was answered."""
        self._are_away = False
        """Whether questions about two correlations have failed, and none was answered since."""
        self._why_away = ""
        """What the last of these that is no suspect failed of, in the attempt at hand."""
        self._is_told = False
        """Whether the log says so."""
        self._refused = False
        """Whether the last question was."""
        self._refused_key = ""
        """Of the record whose question was refused the last."""
        self.unasked: set[str] = set()
        """The keys of those that were not asked for the last time, since it failed of others."""

    async def clear(
        self, parcels: Iterable[Parcel], *, clock: Callable[[], float]
    ) -> dict[str, Failing]:
        """Ask for those that are in doubt. Where nobody can know, they stay so, and are sent.

        Where one fails, no more are asked about its correlation, of which the store may fail as a
        whole; where two of different ones fail and none is answered, none at all.

        Args:
            parcels: some of which may be in doubt.
            clock: the loop's time.

        Returns:
            Those that are better not sent now, by their keys: the store fails of their question, or
            they were not asked for since it has failed of others, or been silent. Silent where that
            is no word on the record.

        Raises:
            auditclient.Unavailable: nothing can be told now.
        """
        failing: dict[str, Failing] = {}
        self.unasked, self._why_away = set(), ""
        failed_of: set[str] = set()
        unknown_in_a_row = 0
        before = self._seen.answered
        # Those of one correlation take turns.
        doubtful = sorted((it for it in parcels if it.doubtful), key=lambda it: it.strikes)
        for number, parcel in enumerate(doubtful):
            if parcel.event.key in self.unasked:
                continue
            try:
                there = await self._is_there(parcel.event)
            except auditclient.Failing as error:
                failed_of.add(_about(parcel))
                self._failed(parcel, error, clock())
                untold = auditclient.Silent(str(error), retry_after_s=error.retry_after_s)
                failing[parcel.event.key] = untold if self._are_away else error
                in_a_row = len(failed_of) == auditparcels.IN_A_ROW
                is_over = in_a_row and self._seen.answered == before
                left = doubtful[number + 1 :]
                alike = self._alike(parcel, left, clock())
                # Each of the others may take as long, and what is not in doubt waits for them.
                spared = left if is_over or isinstance(error, auditclient.Silent) else alike
                self.unasked |= {it.event.key for it in spared}
                failing |= dict.fromkeys(self.unasked, untold)
                continue
            if there is None:
                unknown_in_a_row += 1
                if unknown_in_a_row == auditparcels.IN_A_ROW:
                    # It answers no query, so all that are left go unasked.
                    break
                continue
            unknown_in_a_row = 0
            self._answered()
            parcel.doubtful = False
            if there:
                self._found(parcel)
        if self._seen.answered == before:
            self._tell()
        return failing

    def _answered(self) -> None:
        self._seen.answered += 1
        if self._is_told:
            _log.info("Audit store answers questions again")
        self._failed_about, self._are_away, self._is_told = "", False, False

    def _tell(self) -> None:
        """Say once that no question is answered.

        Not before the attempt is over: one of the next may be answered, of a store that fails by
        chance.
        """
        if self._why_away and not self._is_told:
            self._is_told = True
            _log.warning(
                "Audit store answers no question: records in doubt wait", error=self._why_away
            )

    def _failed(self, parcel: Parcel, error: Failing, now: float) -> None:
        """Note that the store failed of a question."""
        self._failed_about = self._failed_about or _about(parcel)
        self._are_away |= _about(parcel) != self._failed_about
        # A suspect's tells nothing of the store.
        tells = not parcel.is_suspect
        if tells and self._are_away:
            self._why_away = str(error)
        # Silence does even so: each attempt ends with it. So does what fails where no question is
        # answered: then all who are asked for are suspects soon.
        is_silent = isinstance(error, auditclient.Silent)
        self._seen.unanswered += tells or self._are_away or is_silent
        parcel.failed(among=1, seen=self._seen, now=now, why=str(error), asked=True)
        if not self._are_away:
            parcel.tell()

    def _alike(self, parcel: Parcel, left: list[Parcel], now: float) -> list[Parcel]:
        """Those of the others that the store may fail of with this one; they go behind, too."""
        alike = [it for it in left if _about(it) == _about(parcel)]
        for it in alike:
            it.failed_beside(seen=self._seen, now=now)
        return alike

    async def _is_there(self, event: Event) -> bool | None:
        """Whether a record is there; None when nobody can know.

        The first refusal counts as an outage: it is asked again after a while, and only a second
        one in a row, or of the same record, means that there is no answer. Who sends unasked then
        keeps the doubt until that has gone through: where sending is refused too, the next question
        may be answered.

        Raises:
            auditclient.Unavailable: it cannot be told now.
        """
        try:
            there = await self._store.find(event)
        except auditclient.NotAskable as error:
            if self._refused or self._refused_key == event.key:
                return None
            self._refused, self._refused_key = True, event.key
            _log.warning(
                "Audit store refuses to be asked; if it does again, records in doubt go unasked",
                error=str(error),
            )
            message = f"query: {error}"
            raise auditclient.Unavailable(message) from error
        self._refused = False
        return there


def _about(parcel: Parcel) -> str:
    return str(parcel.event.document["correlation_id"])

"""Status writes without an answer: whether the server has taken one, the cache tells.

Observers hear of a status once it stands. Where the answer is lost nobody knows that it does until
the watch has it; the retry finds nothing to write any more, or is refused.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from workflowexecution.domain import status
from workflowexecution.reconciler import view
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from workflowexecution import ports
    from workflowexecution.api.status import Status
    from workflowexecution.runtime.resource import ObjectKey

UNKNOWN = (errors.TransportError, errors.ServerError, asyncio.CancelledError)
"""What leaves open whether a write was taken; a cancellation is that by a reconcile's deadline."""


class _Stand(NamedTuple):
    """How far an execution is, as both its status and its entry in the cache tell it.

    Times and reasons are left out, of which the cache has not all: of a write and its retry either
    may be the one that was taken. Who needs to know which, as the audit does, reads what stands.
    """

    phase: str
    outcome: str
    run_uid: str
    cleared: bool


class Unanswered:
    """The last write of each execution that moved it on and was not answered.

    Lock-free: it changes only between awaits.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._writes: dict[ObjectKey, ports.StatusWrite] = {}

    def __len__(self) -> int:
        """Count those that nobody knows about."""
        return len(self._writes)

    def keep(self, change: ports.StatusWrite) -> None:
        """Remember a write that may have been taken, if the cache is able to tell."""
        if _written(change.execution.status) != _written(change.after):
            self._writes[change.key] = change

    def forget(self, key: ObjectKey) -> None:
        """Drop the write of an execution that is gone, or of which a later one was answered.

        Each write carries the version it was decided on, so at most one of two is taken.
        """
        self._writes.pop(key, None)

    def taken(self, seen: view.Execution) -> ports.StatusWrite | None:
        """Hand out the write that the cache shows to be taken, once."""
        change = self._writes.get(seen.key)
        if change is None:
            return None
        is_same = change.execution.metadata.uid == seen.uid
        if is_same and _cached(seen) != _written(change.after):
            # It was not taken, or the cache is behind.
            return None
        del self._writes[seen.key]
        return change if is_same else None


def _written(said: Status) -> _Stand:
    run = said.pipeline_run_ref
    return _Stand(
        phase=status.phase_of(said),
        outcome=said.outcome or "",
        run_uid=(run.uid or "") if run is not None else "",
        cleared=said.clearance_recorded_at is not None,
    )


def _cached(seen: view.Execution) -> _Stand:
    cleared = seen.clearance is view.Clearance.RECORDED
    return _Stand(seen.phase, seen.outcome, seen.run_uid, cleared)

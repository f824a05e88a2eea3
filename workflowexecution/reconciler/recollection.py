"""What is remembered of statuses of ended executions until their acknowledgement is written.

The cache keeps little of an ended execution. What the last write of its status needs is kept here
as text, a third of what the model takes, within a budget; beyond it the status is read again.
"""

from __future__ import annotations

from dataclasses import dataclass

from workflowexecution.api.status import Status

MAX_BYTES = 4 * 1024 * 1024
"""Some 3,000 executions."""

_KEPT = {
    "phase",
    "start_time",
    "block_clearance",
    "clearance_recorded_at",
    "audited_transitions",
    "conditions",
}
"""What says what is due, and what an acknowledgement changes."""


@dataclass(frozen=True, slots=True)
class _Entry:
    version: str
    text: bytes


class Recollection:
    """Statuses as this process wrote them, by UID, as far as an acknowledgement needs them.

    Lock-free: it changes only between awaits.
    """

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        """Remember nothing yet.

        Args:
            max_bytes: of all entries; what finds no room is not remembered.
        """
        self._max_bytes = max_bytes
        self._entries: dict[str, _Entry] = {}
        self._bytes = 0

    def __len__(self) -> int:
        """How many executions it knows."""
        return len(self._entries)

    def note(self, uid: str, version: str, status: Status) -> None:
        """Remember a status that was written as this resourceVersion."""
        self.forget(uid)
        said = status.model_dump_json(include=_KEPT, by_alias=True, exclude_none=True)
        text = said.encode()
        if self._bytes + len(text) <= self._max_bytes:
            self._entries[uid] = _Entry(version, text)
            self._bytes += len(text)

    def at(self, uid: str, version: str) -> Status | None:
        """The status, if it is remembered and still stands at this resourceVersion."""
        entry = self._entries.get(uid)
        if entry is None or entry.version != version:
            return None
        return Status.model_validate_json(entry.text)

    def forget(self, uid: str) -> None:
        """Let go of an execution."""
        entry = self._entries.pop(uid, None)
        if entry is not None:
            self._bytes -= len(entry.text)

"""What becomes of Kubernetes events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflowexecution.adapters import losses

if TYPE_CHECKING:
    from workflowexecution.adapters.prometheus import book


class EventCounts:
    """Sees the events' writer."""

    def __init__(self, families: book.Book) -> None:
        """Count in this book."""
        self._written = families.counter(
            "workflowexecution_events_written_total", "Kubernetes events that the server has taken"
        ).series()
        dropped = families.counter(
            "workflowexecution_events_dropped_total",
            "Kubernetes events that nobody will see: too many, refused, or failed five times",
            "why",
            from_zero=True,
        )
        self._dropped = {why: dropped.series(why) for why in losses.Why}

    def written(self) -> None:
        """Count a written one."""
        self._written.add()

    def dropped(self, why: losses.Why) -> None:
        """Count a dropped one."""
        self._dropped[why].add()

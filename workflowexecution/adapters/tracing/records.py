"""The way of audit records to where they are kept, as spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflowexecution.adapters.tracing import spans
from workflowexecution.domain import tracecontext

if TYPE_CHECKING:
    from workflowexecution import ports
    from workflowexecution.domain.auditevent import Event


class TracedTrail:
    """An `AuditTrail` that tells of each record, from its first offer to its end.

    Its memory is that of the trail inside: an event is remembered while that one has it.
    """

    def __init__(self, inner: ports.AuditTrail, *, spans: spans.Spans, ratio: float) -> None:
        """Pass everything on to the trail inside, and hear what becomes of it."""
        self._inner = inner
        self._spans = spans
        self._ratio = ratio
        self._since: dict[str, int] = {}
        inner.listen(self)

    def has_room(self) -> bool:
        """Whether another event would be taken now."""
        return self._inner.has_room()

    def listen(self, listener: ports.AuditListener) -> None:
        """Tell this listener, too, what becomes of events."""
        self._inner.listen(listener)

    def offer(self, event: Event, *, doubtful: bool) -> bool:
        """Take an event, or turn it away."""
        if not tracecontext.is_sampled(event.uid, self._ratio):
            return self._inner.offer(event, doubtful=doubtful)
        # Before the offer, which may tell the end of it.
        self._since.setdefault(event.key, self._spans.now_ns())
        taken = self._inner.offer(event, doubtful=doubtful)
        if not taken:
            self._since.pop(event.key, None)
        return taken

    def recorded(self, event: Event) -> None:
        """It is where it should be."""
        self._tell(event, "")

    def refused(self, event: Event, why: str) -> None:
        """It will never be taken."""
        self._tell(event, why)

    def shed(self, event: Event) -> None:
        """It was let go unsent, to be offered again."""
        self._since.pop(event.key, None)

    def room(self) -> None:
        """Nothing follows here."""

    def _tell(self, event: Event, error: str) -> None:
        started = self._since.pop(event.key, None)
        if started is None:
            return
        said = event.document
        data = said["event_data"]
        subject = spans.Subject(
            uid=event.uid,
            namespace=str(said.get("namespace", "")),
            name=str(data.get("execution_name", "")),
            correlation_id=str(said["correlation_id"]),
            workflow_id=str(data.get("workflow_id", "")),
        )
        told = spans.Told(
            name=f"audit {event.transition.value}",
            # An event that a later process sends again is the same span.
            span=tracecontext.span_id(event.uid, f"audit/{event.transition.value}"),
            parent=tracecontext.span_id(event.uid, tracecontext.ROOT),
            started_ns=started,
            ended_ns=self._spans.now_ns(),
            attributes={"kubernaut.audit.event_type": str(said["event_type"])},
            error=error,
        )
        self._spans.tell(subject, told)

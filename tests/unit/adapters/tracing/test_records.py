"""What becomes of audit records, as spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk import trace as sdk

from tests import builders
from tests.unit.clocks import WallClock
from workflowexecution.adapters.tracing import records, spans
from workflowexecution.domain import auditevent
from workflowexecution.domain.audit import Transition

if TYPE_CHECKING:
    from workflowexecution import ports
    from workflowexecution.domain.auditevent import Event


class Kept(sdk.SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[sdk.ReadableSpan] = []

    def on_end(self, span: sdk.ReadableSpan) -> None:
        self.spans.append(span)


class Inner:
    """A trail that does nothing by itself."""

    def __init__(self) -> None:
        self.takes = True
        self.listeners: list[ports.AuditListener] = []

    def has_room(self) -> bool:
        return self.takes

    def listen(self, listener: ports.AuditListener) -> None:
        self.listeners.append(listener)

    def offer(self, event: Event, *, doubtful: bool) -> bool:
        assert not doubtful
        return self.takes


class Rig:
    def __init__(self, ratio: float = 1.0) -> None:
        self.clock, self.kept, self.inner = WallClock(), Kept(), Inner()
        told = spans.Spans(processor=self.kept, clock=self.clock, version="1", identity="i")
        self.trail = records.TracedTrail(self.inner, spans=told, ratio=ratio)
        style = auditevent.Style()
        self.event = auditevent.build(builders.execution(), Transition.CREATED, style)

    def offer(self) -> bool:
        return self.trail.offer(self.event, doubtful=False)

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)


def test_record_lasts_from_its_first_offer_to_the_answer() -> None:
    rig = Rig()
    assert rig.trail.has_room()
    assert rig.offer()
    rig.later(3)
    assert rig.offer()
    rig.later(4)
    rig.trail.recorded(rig.event)
    rig.trail.recorded(rig.event)
    (span,) = rig.kept.spans
    assert span.name == "audit created"
    assert (span.end_time or 0) - (span.start_time or 0) == 7_000_000_000
    assert (span.attributes or {})["kubernaut.correlation_id"] == "rr-1"


def test_record_that_is_refused_is_an_error() -> None:
    rig = Rig()
    rig.offer()
    rig.trail.refused(rig.event, "400: token=abc is no field")
    (span,) = rig.kept.spans
    assert span.status.description == "400: token=***REDACTED*** is no field"


@pytest.mark.parametrize("how", ["turned away", "shed"])
def test_record_that_does_not_stay_begins_anew(how: str) -> None:
    rig = Rig()
    rig.inner.takes = how != "turned away"
    assert rig.offer() == rig.inner.takes
    rig.trail.shed(rig.event)
    rig.trail.room()
    rig.inner.takes = True
    rig.later(60)
    rig.offer()
    rig.later(1)
    rig.trail.recorded(rig.event)
    (span,) = rig.kept.spans
    assert (span.end_time or 0) - (span.start_time or 0) == 1_000_000_000


def test_record_outside_the_sample_is_passed_on_alone() -> None:
    rig = Rig(ratio=0.0)
    assert rig.offer()
    rig.trail.recorded(rig.event)
    assert rig.kept.spans == []


def test_listeners_hear_of_the_trail_inside() -> None:
    rig = Rig()
    rig.trail.listen(rig.trail)
    assert rig.inner.listeners == [rig.trail, rig.trail]

"""Finished spans, of what is known of them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk import resources
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import id_generator, sampling

from workflowexecution.domain import redaction, tracecontext

if TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping

    from workflowexecution import ports

SERVICE = "workflowexecution-controller"
INTERNAL, CLIENT = trace.SpanKind.INTERNAL, trace.SpanKind.CLIENT

_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Subject:
    """The execution that a span is about.

    Attributes:
        parent: name of the span that there is once, to which others belong now.
    """

    uid: str
    namespace: str
    name: str
    correlation_id: str
    workflow_id: str
    parent: str = tracecontext.ROOT

    def attributes(self) -> dict[str, str]:
        """What every span of it carries."""
        return {
            "kubernaut.correlation_id": self.correlation_id,
            "kubernaut.workflow_id": self.workflow_id,
            "kubernaut.workflow_execution": f"{self.namespace}/{self.name}",
            "kubernaut.workflow_execution_uid": self.uid,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is told of a span.

    Attributes:
        span: its id.
        parent: that of the span it belongs to; 0 for the root.
        started_ns: since the epoch, as `ended_ns`.
        error: why it failed; empty when it did not.
    """

    name: str
    span: int
    parent: int
    started_ns: int
    ended_ns: int
    kind: trace.SpanKind = INTERNAL
    attributes: Mapping[str, Any]
    error: str = ""


class _Ids(id_generator.RandomIdGenerator):
    """Gives the ids that were laid ready: the library makes them up otherwise."""

    def __init__(self) -> None:
        self.trace = 0
        self.span = 0

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.span


class Spans:
    """Where finished spans are told."""

    def __init__(
        self, *, processor: sdk.SpanProcessor, clock: ports.Clock, version: str, identity: str
    ) -> None:
        """Hand spans to this processor.

        Args:
            processor: gets each span when it is told.
            clock: the time of spans; the server's, which those of Tekton are nearer to.
            version: of the program.
            identity: of the process.
        """
        self._clock = clock
        self._ids = _Ids()
        about = {
            "service.name": SERVICE,
            "service.version": version,
            "service.instance.id": identity,
        }
        provider = sdk.TracerProvider(
            sampler=sampling.ALWAYS_ON,
            resource=resources.Resource.create(about),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(processor)
        self._tracer = provider.get_tracer("workflowexecution", version)

    def now_ns(self) -> int:
        """Current time."""
        return nanoseconds(self._clock.now())

    def tell(self, subject: Subject, told: Told) -> None:
        """Tell a span that is over."""
        self._ids.trace = tracecontext.trace_id(subject.uid)
        self._ids.span = told.span
        within = None
        if told.parent:
            parent = trace.SpanContext(
                self._ids.trace, told.parent, is_remote=False, trace_flags=_SAMPLED
            )
            within = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        span = self._tracer.start_span(
            told.name,
            context=within,
            kind=told.kind,
            attributes={
                key: redaction.redact_value(key, value) if isinstance(value, str) else value
                for key, value in {**subject.attributes(), **told.attributes}.items()
            },
            start_time=told.started_ns,
        )
        if told.error:
            error = redaction.redact(told.error)
            span.set_status(trace.Status(trace.StatusCode.ERROR, error))
        span.end(max(told.started_ns, told.ended_ns))


def new_id() -> int:
    """An id for a span of which there may be many."""
    return secrets.randbits(64) or 1


def nanoseconds(when: datetime.datetime) -> int:
    """Since the epoch."""
    return int(when.timestamp() * 1_000_000) * (_NS // 1_000_000)

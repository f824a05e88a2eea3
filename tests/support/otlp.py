"""A collector: takes OTLP over HTTP as a real one does, and keeps the spans it was sent."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.trace.v1 import trace_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it came.

    Attributes:
        trace: id of its trace, in hex, as are `span` and `parent`.
        parent: empty for a root.
        sender: instance id of the process that sent it.
    """

    name: str
    trace: str
    span: str
    parent: str
    started_ns: int
    ended_ns: int
    failed: bool
    said: str
    sender: str
    attributes: dict[str, Any]


@dataclass
class Collector:
    """What was sent, and how the next requests are answered."""

    spans: list[Span] = field(default_factory=list)
    raw: bytes = b""
    statuses: list[int] = field(default_factory=list)
    """Answers to the next requests, which are not kept; none: 200."""
    requests: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    port: int = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def of(self, trace: str) -> list[Span]:
        """The spans of a trace."""
        return [it for it in self.spans if it.trace == trace]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Collector]:
        """Answer for a while."""
        application = web.Application()
        application.router.add_post("/v1/traces", self._take)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.headers = dict(request.headers)
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        if request.content_type != "application/x-protobuf":
            return web.Response(status=415)
        body = await request.read()
        self.raw += body
        asked = service.ExportTraceServiceRequest.FromString(body)
        for resource in asked.resource_spans:
            about = _values(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_span(it, str(about["service.instance.id"])) for it in scope.spans]
        answer = service.ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")


def parents(spans: list[Span]) -> dict[str, set[str]]:
    """Under the name of each span: the names of those that it belongs to, `?` for one not sent."""
    names = {it.span: it.name for it in spans} | {"": ROOT}
    found: dict[str, set[str]] = {}
    for span in spans:
        found.setdefault(span.name, set()).add(names.get(span.parent, "?"))
    return found


def traceparent_of(run: dict[str, Any]) -> tuple[str, str, str]:
    """Trace, parent and flags that a PipelineRun hands on to Tekton."""
    text = run["metadata"]["annotations"]["tekton.dev/pipelinerunSpanContext"]
    _, trace, span, flags = json.loads(text)["traceparent"].split("-")
    return trace, span, flags


def _span(raw: trace_pb2.Span, sender: str) -> Span:
    return Span(
        name=raw.name,
        trace=raw.trace_id.hex(),
        span=raw.span_id.hex(),
        parent=raw.parent_span_id.hex(),
        started_ns=raw.start_time_unix_nano,
        ended_ns=raw.end_time_unix_nano,
        failed=raw.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        said=raw.status.message,
        sender=sender,
        attributes=_values(raw.attributes),
    )


def _values(attributes: Any) -> dict[str, Any]:  # noqa: ANN401 - a repeated field
    return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in attributes}

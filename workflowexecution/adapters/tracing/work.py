"""Reconciles that did something, and their requests, as spans."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, TypeVar

import aiohttp

from workflowexecution.adapters.tracing import spans
from workflowexecution.domain import tracecontext

if TYPE_CHECKING:
    import types
    from collections.abc import Awaitable, Callable, Mapping

    from workflowexecution.runtime.resource import ObjectKey

R = TypeVar("R")

_RESOURCE = 3
_FIRST_ERROR = 400


class _Reconcile:
    """A reconcile that runs."""

    __slots__ = ("requests", "span", "subject")

    def __init__(self, subject: spans.Subject) -> None:
        self.subject = subject
        self.span = spans.new_id()
        self.requests = 0


_current: contextvars.ContextVar[_Reconcile | None] = contextvars.ContextVar(
    "reconcile", default=None
)


class Work:
    """Tells of reconciles and of the requests that are made in them."""

    def __init__(self, *, spans: spans.Spans, ratio: float) -> None:
        """Tell there of this part of all executions."""
        self._spans = spans
        self._ratio = ratio

    def reconciling(
        self,
        reconcile: Callable[[ObjectKey], Awaitable[R]],
        subject: Callable[[ObjectKey], spans.Subject | None],
    ) -> Callable[[ObjectKey], Awaitable[R]]:
        """The same reconcile, told of when it asked the server for anything.

        Args:
            reconcile: brings an execution nearer to its end.
            subject: the execution of a key; None for one that is not served.
        """

        async def traced(key: ObjectKey) -> R:
            about = subject(key)
            if about is None or not tracecontext.is_sampled(about.uid, self._ratio):
                return await reconcile(key)
            work = _Reconcile(about)
            started, error = self._spans.now_ns(), ""
            token = _current.set(work)
            try:
                return await reconcile(key)
            except BaseException as caught:
                error = _text(caught)
                raise
            finally:
                _current.reset(token)
                if work.requests:
                    self._ended(work, started, error)

        return traced

    def requests(self) -> aiohttp.TraceConfig:
        """Tells of each request of a session that is made in a reconcile."""
        config = aiohttp.TraceConfig()
        config.on_request_start.append(self._started)
        config.on_request_end.append(self._answered)
        config.on_request_exception.append(self._unanswered)
        return config

    async def _started(
        self,
        _: aiohttp.ClientSession,
        context: types.SimpleNamespace,
        params: aiohttp.TraceRequestStartParams,
    ) -> None:
        context.work = work = _current.get()
        if work is None:
            return
        work.requests += 1
        context.span = spans.new_id()
        context.started = self._spans.now_ns()
        trace = tracecontext.trace_id(work.subject.uid)
        params.headers["traceparent"] = tracecontext.traceparent(trace, context.span, sampled=True)

    async def _answered(
        self,
        _: aiohttp.ClientSession,
        context: types.SimpleNamespace,
        params: aiohttp.TraceRequestEndParams,
    ) -> None:
        status = params.response.status
        error = str(status) if status >= _FIRST_ERROR else ""
        found = {"http.response.status_code": status}
        self._request(context, params.method, params.url.path, found, error)

    async def _unanswered(
        self,
        _: aiohttp.ClientSession,
        context: types.SimpleNamespace,
        params: aiohttp.TraceRequestExceptionParams,
    ) -> None:
        error = _text(params.exception)
        found = {"error.type": type(params.exception).__name__}
        self._request(context, params.method, params.url.path, found, error)

    def _request(
        self,
        context: types.SimpleNamespace,
        method: str,
        path: str,
        found: Mapping[str, object],
        error: str,
    ) -> None:
        work: _Reconcile | None = context.work
        if work is None:
            return
        told = spans.Told(
            name=f"{method} {resource_of(path)}",
            span=context.span,
            parent=work.span,
            started_ns=context.started,
            ended_ns=self._spans.now_ns(),
            kind=spans.CLIENT,
            attributes={"http.request.method": method, "url.path": path, **found},
            error=error,
        )
        self._spans.tell(work.subject, told)

    def _ended(self, work: _Reconcile, started: int, error: str) -> None:
        told = spans.Told(
            name="reconcile",
            span=work.span,
            parent=tracecontext.span_id(work.subject.uid, work.subject.parent),
            started_ns=started,
            ended_ns=self._spans.now_ns(),
            attributes={"kubernaut.requests": work.requests},
            error=error,
        )
        self._spans.tell(work.subject, told)


def resource_of(path: str) -> str:
    """What a path of the API is about: its resource, and the subresource after a slash."""
    parts = path.strip("/").split("/")
    if "namespaces" in parts[:-2]:
        parts = parts[parts.index("namespaces") + 2 :]
    else:
        parts = parts[_RESOURCE:]
    return "/".join([*parts[:1], *parts[2:]]) or path


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__

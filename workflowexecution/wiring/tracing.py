"""Its part for traces: built only when the settings name a collector.

Until then nothing of OpenTelemetry is imported, no request and no reconcile takes another way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workflowexecution import identity as who
from workflowexecution import ports
from workflowexecution.api.status import Phase
from workflowexecution.domain import tracecontext
from workflowexecution.runtime import manager

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import aiohttp

    from workflowexecution.adapters.tracing import spans, work
    from workflowexecution.reconciler import view
    from workflowexecution.runtime import store
    from workflowexecution.runtime.controller import Result
    from workflowexecution.runtime.resource import ObjectKey
    from workflowexecution.settings import Tracing

    Reconcile = Callable[[ObjectKey], Awaitable[Result]]

_PARENTS = {Phase.PENDING: tracecontext.PENDING, Phase.RUNNING: tracecontext.RUNNING}


class NotInstalled(Exception):
    """The extra `tracing` is missing; the text names the setting."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Tracing, built and not yet running; off unless something is in it.

    Attributes:
        marks: what hands a trace on to the run.
        observers: who is told of statuses.
        services: send what was told.
        requests: hooks of the API client's sessions.
    """

    marks: ports.RunMarks = field(default_factory=ports.NoMarks)
    observers: tuple[ports.Observer, ...] = ()
    services: tuple[manager.Service, ...] = ()
    requests: tuple[aiohttp.TraceConfig, ...] = ()
    _work: work.Work | None = None
    _trail: Callable[[ports.AuditTrail], ports.AuditTrail] | None = None

    def reconciling(
        self, reconcile: Reconcile, executions: store.Store[view.Execution]
    ) -> Reconcile:
        """The reconcile, told of; the very same one when tracing is off."""
        if self._work is None:
            return reconcile
        return self._work.reconciling(reconcile, lambda key: _subject(executions.get(key)))

    def recording(self, trail: ports.AuditTrail) -> ports.AuditTrail:
        """The trail, told of; the very same one when tracing is off."""
        return trail if self._trail is None else self._trail(trail)


OFF = Traces()


def prepare(wished: Tracing, *, identity: str, clock: ports.Clock) -> Traces:
    """Build what the settings ask for; called in the running loop.

    Raises:
        NotInstalled: OpenTelemetry is not there.
    """
    if not wished.endpoint:
        return OFF
    try:
        from workflowexecution.adapters.tracing import (
            exporter,
            lives,
            records,
            spans,
            work,
        )
    except ModuleNotFoundError as error:
        message = f"tracing.endpoint: {error.name} is missing: install workflowexecution[tracing]"
        raise NotInstalled(message) from error
    sender = exporter.Exporter(endpoint=wished.endpoint, user_agent=who.user_agent(identity))
    told = spans.Spans(processor=sender, clock=clock, version=who.version(), identity=identity)
    life = lives.Lives(spans=told, ratio=wished.ratio)
    labour = work.Work(spans=told, ratio=wished.ratio)
    return Traces(
        marks=life,
        observers=(life,),
        services=(manager.Service(name="tracing", run=sender.run, stop=sender.stop),),
        requests=(labour.requests(),),
        _work=labour,
        _trail=lambda trail: records.TracedTrail(trail, spans=told, ratio=wished.ratio),
    )


def _subject(seen: view.Execution | None) -> spans.Subject | None:
    from workflowexecution.adapters.tracing import spans

    if seen is None or not seen.served:
        return None
    return spans.Subject(
        uid=seen.uid,
        namespace=seen.key.namespace,
        name=seen.key.name,
        correlation_id=seen.correlation_id,
        workflow_id=seen.workflow_id,
        parent=_PARENTS.get(seen.phase, tracecontext.ROOT),
    )

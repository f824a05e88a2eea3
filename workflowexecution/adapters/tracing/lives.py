"""The life of an execution as spans: the whole of it and each phase, once the server has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflowexecution.adapters.tracing import spans
from workflowexecution.api.status import Outcome, Phase
from workflowexecution.domain import auditevent, tracecontext

if TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping

    from workflowexecution import ports
    from workflowexecution.api.workflowexecution import WorkflowExecution

_FAILED = frozenset({Outcome.FAILED, Outcome.TIMEOUT})


class Lives:
    """The `Observer` that tells phases, and what hands a trace on to the run.

    Their ids follow from the execution: whoever ends a phase tells of it, be it another process
    than the one that began it.
    """

    def __init__(self, *, spans: spans.Spans, ratio: float) -> None:
        """Tell there of this part of all executions."""
        self._spans = spans
        self._ratio = ratio

    def annotations(self, uid: str) -> Mapping[str, str]:
        """What the run of an execution is to carry."""
        return tracecontext.handed_on(uid, self._ratio)

    def wrote(self, change: ports.StatusWrite) -> None:
        """Tell the phase that is over, and with the last one the whole."""
        before = change.execution.status.phase or Phase.PENDING
        after = change.after
        phase = after.phase
        uid = change.execution.metadata.uid
        if phase is None or phase == before or not tracecontext.is_sampled(uid, self._ratio):
            return
        made = change.execution.metadata.creation_timestamp or change.now
        if phase is Phase.RUNNING:
            self._tell(change, tracecontext.PENDING, made, after.start_time or change.now)
            return
        ended = after.completion_time or change.now
        if before is Phase.RUNNING:
            self._tell(change, tracecontext.RUNNING, after.start_time or made, ended)
        else:
            self._tell(change, tracecontext.PENDING, made, ended)
        self._tell(change, tracecontext.ROOT, made, ended)

    def _tell(
        self,
        change: ports.StatusWrite,
        what: str,
        started: datetime.datetime,
        ended: datetime.datetime,
    ) -> None:
        uid, after = change.execution.metadata.uid, change.after
        root = what == tracecontext.ROOT
        attributes = {"kubernaut.phase": after.phase.value if after.phase else ""}
        if after.outcome is not None:
            attributes["kubernaut.outcome"] = after.outcome.value
        if root:
            attributes["kubernaut.target"] = change.execution.spec.target_resource
            attributes["kubernaut.message"] = after.message or ""
        told = spans.Told(
            name=what,
            span=tracecontext.span_id(uid, what),
            parent=0 if root else tracecontext.span_id(uid, tracecontext.ROOT),
            started_ns=spans.nanoseconds(started),
            ended_ns=spans.nanoseconds(ended),
            attributes=attributes,
            error=(after.message or after.outcome.value) if after.outcome in _FAILED else "",
        )
        self._spans.tell(subject_of(change.execution), told)


def subject_of(execution: WorkflowExecution) -> spans.Subject:
    """The execution as spans name it."""
    return spans.Subject(
        uid=execution.metadata.uid,
        namespace=execution.metadata.namespace,
        name=execution.metadata.name,
        correlation_id=auditevent.correlation_id(execution),
        workflow_id=execution.spec.workflow_ref.workflow_id,
    )

"""What every phase of the reconcile works with, and the few steps they share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pydantic
import structlog

from workflowexecution import ports
from workflowexecution.api import names
from workflowexecution.api import workflowexecution as api
from workflowexecution.api.status import (
    ConditionReason,
    ConditionStatus,
    ConditionType,
    PipelineRunRef,
)
from workflowexecution.domain import claim, events, failure, history, status, summary
from workflowexecution.reconciler import closing, failures, unanswered
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from workflowexecution.api import tekton
    from workflowexecution.api.status import FailureReason, Status
    from workflowexecution.domain import pipelinerun, stopping, validation
    from workflowexecution.reconciler import duty, view
    from workflowexecution.runtime import resource, store

_log = structlog.get_logger(__name__)

# A run that is met, not made, may be over already: nothing further would wake its execution.
LOOK_AT_ONCE = Result(requeue_after_s=0.0)


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that a reconcile obeys; durations in seconds."""

    rules: validation.Rules
    defaults: pipelinerun.Defaults
    history: history.Rules
    limits: stopping.Limits
    suspend: bool
    run_retention_s: float
    create_retry_for_s: float
    deletion_give_up_s: float
    log_tail: bool


@dataclass(frozen=True, slots=True)
class Tools:
    """The collaborators of a reconcile."""

    executions: store.Store[view.Execution]
    engine: ports.ExecutionEngine
    writer: ports.ExecutionWriter
    reader: ports.TargetReader
    project: Callable[[dict[str, Any]], view.Execution]
    """How an execution that was read from the server becomes an entry, its document kept."""
    guard: ports.ClearanceGuard
    clock: ports.Clock
    policies: Callable[[], Policy]
    """The settings of this moment."""
    busy: Callable[[], bool]
    """Whether other keys wait: progress gives way to them."""
    wake: Callable[[resource.ObjectKey], None]
    """Asks for a look that nobody waits for."""
    observers: Sequence[ports.Observer]
    events: ports.EventRecorder
    metrics: ports.Metrics
    audit: duty.Audit
    marks: ports.RunMarks
    unanswered: unanswered.Unanswered = field(default_factory=unanswered.Unanswered)
    refused: failures.Failures = field(default_factory=failures.Failures)
    """Requests about runs, by kind, that are refused."""

    @property
    def policy(self) -> Policy:
        """What a decision obeys that is made now; settings may change while one waits."""
        return self.policies()


class Case(NamedTuple):
    """One execution at the moment of its reconcile.

    Attributes:
        seen: its entry in the cache, whose resourceVersion every decision here is made on.
        execution: its model; `unreadable` names what keeps the spec from being one.
    """

    seen: view.Execution
    execution: api.WorkflowExecution
    moment: status.Moment
    unreadable: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """The status the decision starts from."""
        return self.execution.status

    def at(self, status: Status) -> Case:
        """The same at another status."""
        return self._replace(execution=self.execution.model_copy(update={"status": status}))

    @property
    def subject(self) -> summary.Subject:
        """What was tried on what, for people."""
        spec = self.execution.spec
        return summary.Subject(
            workflow_id=spec.workflow_ref.workflow_id,
            target=spec.target_resource,
            started=self.status.start_time,
        )


def open_case(tools: Tools, seen: view.Execution) -> Case:
    """Parse what the cache kept; an unreadable spec is part of the case, not an error."""
    document = seen.document or {}
    generation = int(document.get("metadata", {}).get("generation") or 1)
    moment = status.Moment(tools.clock.now(), generation)
    try:
        return Case(seen, api.parse_execution(document), moment)
    except pydantic.ValidationError as error:
        execution = api.parse_leniently(document)
        return Case(seen, execution, moment, unreadable=_spec_faults(error))


async def read_same(tools: Tools, key: resource.ObjectKey, uid: str) -> view.Execution | None:
    """The execution as the server has it; None once it is gone, its name another's or nobody's.

    Raises:
        ClusterError: nothing is known.
    """
    raw = await tools.reader.read(key)
    return tools.project(raw) if raw is not None and raw["metadata"]["uid"] == uid else None


async def look_up(tools: Tools, name: str) -> tuple[tekton.PipelineRun | None, str]:
    """Who has the name of a run, by the server, or why nobody can tell.

    Raises:
        ClusterError: nothing is known.
    """
    why = tools.engine.unavailable()
    if why:
        return None, why
    try:
        return await tools.engine.read(name), ""
    except errors.EndpointMissing:
        why = await tools.engine.uninstalled()
        if not why:
            raise
        return None, why
    except errors.Forbidden:
        return None, tools.engine.closed()


def elsewhere(tools: Tools, seen: view.Execution) -> str:
    """Why nothing can be said of the run of an execution, where others are looked at, or nothing.

    Its namespace is not looked into any more, so that no answer tells that the run is gone.
    """
    there = seen.run_namespace
    # Asked of all that wait for a target, of which most have none.
    here = tools.policy.defaults.namespace if there else ""
    if there == here:
        return ""
    run = "Its run was" if seen.run_uid else "A run of it may have been"
    place = f"namespace {there!r}, which is not looked into"
    return f"{run} made in {place}: execution.namespace is {here!r}"


async def read_run(tools: Tools, run: tekton.PipelineRun) -> tekton.PipelineRun | None:
    """The run as the server has it; None once it is gone, be there another of its name or not.

    Raises:
        ClusterError: nothing is known.
    """
    live = await tools.engine.read(run.name)
    return live if live is not None and live.uid == run.uid else None


async def read_unended(tools: Tools, run: tekton.PipelineRun) -> tekton.PipelineRun | None:
    """The run as the server has it; None once it has ended or is gone.

    Raises:
        ClusterError: nothing is known.
    """
    live = await read_run(tools, run)
    return None if live is None or live.is_done else live


def engine_missing(why: str) -> status.Note:
    """The condition of an execution that waits for the engine."""
    return status.Note(
        ConditionType.ENGINE_AVAILABLE,
        ConditionStatus.FALSE,
        ConditionReason.ENGINE_UNAVAILABLE,
        why,
    )


def _spec_faults(error: pydantic.ValidationError) -> tuple[str, ...]:
    """What is wrong with what was asked for: an odd status is the program's own to mend."""
    return tuple(fault for fault in api.describe_errors(error) if fault.startswith("spec"))


async def write(tools: Tools, case: Case, after: Status, *, version: str = "") -> bool:
    """Write the status if it changed, and tell the observers once the server has taken it.

    Args:
        tools: the collaborators.
        case: what was decided on.
        after: the status as it should be.
        version: the resourceVersion of an own write since the case was opened.

    Returns:
        Whether there was anything to write.
    """
    # A phase that moves is a change for certain, and what is acknowledged rides along.
    if after.phase is case.status.phase and not status.patch(case.status, after):
        return False
    version = version or await _held(tools, case)
    after = tools.audit.merged(case.seen.uid, case.moment, after)
    changes = status.patch(case.status, after)
    key, now = case.seen.key, case.moment.now
    try:
        version = await tools.writer.patch_status(key, changes, resource_version=version)
    except unanswered.UNKNOWN as error:
        # What never left is no further doubt: an earlier write may be the one that stands.
        if not isinstance(error, errors.TransportError) or error.sent:
            tools.unanswered.keep(ports.StatusWrite(key, case.execution, after, now))
        raise
    tools.unanswered.forget(key)
    _tell(tools, ports.StatusWrite(key, case.execution, after, now, version))
    return True


def catch_up(tools: Tools, seen: view.Execution) -> None:
    """Tell the observers of a status whose answer was lost, once the cache has it."""
    change = tools.unanswered.taken(seen)
    if change is not None:
        _log.info("Status was taken though its answer was lost", phase=seen.phase)
        _tell(tools, change)


def _tell(tools: Tools, change: ports.StatusWrite) -> None:
    for observer in tools.observers:
        observer.wrote(change)


async def _held(tools: Tools, case: Case) -> str:
    """Give an execution the finalizer before its first status, be there ever a run of it or not.

    And the mark of its claim: what was skipped or refused is not to be run when it is restored.

    Returns:
        The resourceVersion that the status is to be written on.
    """
    seen = case.seen
    if seen.deleting or seen.held:
        return seen.resource_version
    changes: dict[str, Any] = {"finalizers": [*seen.finalizers, names.FINALIZER]}
    marks = claim.marks(case.execution.metadata)
    if marks:
        changes["annotations"] = marks
    return await tools.writer.patch(
        seen.key, {"metadata": changes}, resource_version=seen.resource_version
    )


async def refuse(
    tools: Tools,
    case: Case,
    reason: FailureReason,
    message: str | summary.Said,
    notes: Iterable[status.Note],
    *,
    version: str = "",
) -> None:
    """End an execution whose run never came to be: nothing was changed by it."""
    now = case.moment.now
    details = failure.refused(reason, message, case.subject, now)
    after = status.failed(
        case.status,
        case.moment,
        details,
        outcome=failure.outcome_of(reason),
        at=now,
        notes=[*closing.never_begun(case.status), *notes],
    )
    await write(tools, case, after, version=version)


def remark(tools: Tools, seen: view.Execution, reason: events.Reason, message: str) -> None:
    """Tell people something of an execution that is no change of phase."""
    tools.events.record(seen.key, seen.uid, events.remark(reason, seen.subject, message))


def adopt(case: Case, run: tekton.PipelineRun) -> Status:
    """The status of an execution whose run exists: Running, whatever the run says by now."""
    ref = PipelineRunRef(namespace=run.namespace, name=run.name, uid=run.uid)
    at = run.created_at or case.moment.now
    notes = closing.begun(case.status)
    return status.started(case.status, case.moment, ref, at=at, notes=notes)


def waits(case: Case, note: status.Note) -> Status:
    """The status of a pending execution that waits for something else than its own create.

    Meanwhile nobody tries that create: what it failed of is not said any more, and the time for
    which it may fail begins anew. Nor is it said that it waits for what it waited for before.
    """
    notes = [note, *closing.lifted(case.status, note)]
    created = ConditionType.TEKTON_PIPELINE_CREATED
    if case.status.condition(created) is not None:
        notes.append(status.Note(created, ConditionStatus.UNKNOWN, note.reason, note.message))
    return status.pending(case.status, case.moment, notes)


async def is_live(tools: Tools, run: tekton.PipelineRun) -> bool:
    """Whether anything of a run still works on its target, by the server.

    Tekton calls a run done while tasks that were cancelled or timed out still run.

    Raises:
        ClusterError: nothing is known.
    """
    if not run.is_done:
        return True
    children = await tools.engine.read_children(run.uid)
    return await is_working(tools, run.uid, children)


async def is_working(tools: Tools, run_uid: str, children: Iterable[tekton.TaskRun]) -> bool:
    """The same of a run that is done, or gone, whose TaskRuns were read already."""
    if not all(child.is_done for child in children):
        return True
    return await tools.engine.has_live_pods(run_uid)


def later(seconds: float | None) -> Result:
    """To come again after so many seconds, if any, behind all that somebody waits for."""
    return Result(seconds, queue.Priority.LOW)


def sooner(*results: Result) -> Result:
    """What asks to come again first."""
    asking = [result for result in results if result.requeue_after_s is not None]
    return min(asking, key=lambda it: it.requeue_after_s or 0.0, default=Result())


async def pasts(tools: Tools, others: Iterable[view.Execution]) -> Sequence[history.Past]:
    """The history of a target, in which a clearance counts only while its giving is guarded.

    Raises:
        ClusterError: whether it is guarded is not known.
    """
    known = tuple(other.past for other in others if other.past is not None)
    if all(past.cleared_at is None for past in known) or await tools.guard.in_force():
        return known
    return tuple(history.uncleared(past) for past in known)

"""What the cache keeps of an execution.

Most executions have ended: of those only what retention and history ask for is kept. The document
of a live one is kept as it came, and becomes a model when it is reconciled.
"""

from __future__ import annotations

import datetime
import enum
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple

from workflowexecution.api import names, times
from workflowexecution.api.status import (
    ConditionStatus,
    ConditionType,
    FailureReason,
    Phase,
)
from workflowexecution.domain import audit, claim, events, history, locking, status
from workflowexecution.runtime import resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workflowexecution.api import tekton

BY_UID = "uid"
BY_LOCK_WAITING = "lock-waiting"
BY_LOCK_RUNNING = "lock-running"
BY_LOCK_PAST = "lock-past"

WARNINGS = (ConditionType.PODS_HEALTHY, ConditionType.PROGRESSING)
"""Conditions that warn of a running execution when they are False, long before it ends."""

_NO_REMEDIATION = events.Remediation()
_LONG_AGO = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_FINISHED = (Phase.COMPLETED, Phase.FAILED)
_PHASES = {phase.value: phase for phase in Phase}


class Clearance(enum.Enum):
    """How far a clearance has come."""

    NONE = enum.auto()
    GIVEN = enum.auto()
    UNGUARDED = enum.auto()
    """Given, and not honoured."""
    RECORDED = enum.auto()


class Execution(NamedTuple):
    """One execution in the cache.

    Attributes:
        key: where it is.
        uid: what tells it from another one of its name.
        resource_version: of the state that this was read from.
        generation: which edit of its spec.
        lock: name of the run of its target.
        phase: as written; a phase nobody knows counts as Pending.
        deleting: whether it is being deleted.
        served: whether it is this controller's to work on; one that is not counts as history.
        finalizers: who keeps it from going.
        created: creationTimestamp as written.
        workflow_id: what is to be run.
        target: on what.
        remediation: for which RemediationRequest.
        outcome: as written, for an execution that has ended.
        lasted: the duration as written, for an execution that has ended.
        cancelling: whether somebody asked that it ends.
        failing: whether its run could not be created so far.
        run_uid: UID of its run, once it has one.
        run_namespace: where that is, or may be while nobody knows whether there is one; empty
            where that is not known, or there is none.
        past: what it means for later executions, once it has ended.
        clearance: how far a clearance on it has come.
        completion_time: as written, for an execution that has ended.
        told_late_s: by how much later its end was told, by the server's time; whole seconds.
        deletion_time: as written, for one that is being deleted.
        claimed: whether a run of it may have been created.
        due: transitions whose audit record is not acknowledged, by the status.
        document: metadata, spec and status of one that is served and has not ended, or was read
            for itself.
    """

    key: resource.ObjectKey
    uid: str
    resource_version: str
    generation: int
    lock: str
    phase: Phase
    deleting: bool
    served: bool
    finalizers: tuple[str, ...]
    created: str
    workflow_id: str
    target: str
    remediation: events.Remediation
    outcome: str
    lasted: str
    cancelling: bool
    failing: bool
    run_uid: str
    run_namespace: str
    past: history.Past | None
    clearance: Clearance
    completion_time: str
    told_late_s: int
    deletion_time: str
    claimed: bool
    due: tuple[audit.Transition, ...]
    document: dict[str, Any] | None

    @property
    def essence(self) -> tuple[object, ...]:
        """What a change by somebody else shows in; the program's own writes leave it."""
        return self.generation, self.phase, self.deleting, self.served, self.clearance

    @property
    def correlation_id(self) -> str:
        """Name of the RemediationRequest, else of the execution."""
        return self.remediation.name or self.key.name

    @property
    def subject(self) -> events.Subject:
        """What events say it is."""
        return events.Subject(
            self.workflow_id, self.target, self.remediation, self.outcome, self.lasted
        )

    @property
    def ended(self) -> bool:
        """Whether the phase is terminal."""
        return self.phase in status.TERMINAL

    @property
    def warnings(self) -> frozenset[ConditionType]:
        """The early warnings that the status of a running one gives."""
        said = _mapping((self.document or {}).get("status"))
        answers = ((it, _condition(said, it)) for it in WARNINGS)
        return frozenset(it for it, answer in answers if answer == ConditionStatus.FALSE)

    @property
    def wanted_digest(self) -> str:
        """Digest of the bundle that a running one asked for; empty: any."""
        reference = _mapping(_mapping((self.document or {}).get("spec")).get("workflowRef"))
        return str(reference.get("containerDigest") or "")

    @property
    def was_running_when_deleted(self) -> bool:
        """Whether only its deletion ended it, whatever has become of its run."""
        if not (self.deleting and self.run_uid and self.completion_time):
            return False
        # Both are metav1.Time, in UTC and of one length.
        return self.completion_time >= self.deletion_time

    @property
    def occupies(self) -> bool:
        """Whether a run of it may work on the target, which its phase alone does not tell."""
        return self.phase is Phase.RUNNING or (self.was_running_when_deleted and self.held)

    @property
    def held(self) -> bool:
        """Whether a finalizer of this program keeps it."""
        return any(name in self.finalizers for name in names.FINALIZERS)

    def is_own(self, run: tekton.PipelineRun) -> bool:
        """Whether this very run was made for it: names and labels can be copied."""
        return run.uid == self.run_uid if self.run_uid else run.owner_uid == self.uid


def projection(
    instance: str, watch_namespace: str, *, whole: bool = False
) -> Callable[[dict[str, Any]], Execution]:
    """How raw objects become entries of the cache.

    Args:
        instance: value of the label kubernaut.ai/instance that is served; others are history.
        watch_namespace: the only namespace that is served; empty serves all.
        whole: keep every document, as for an object that was read for itself.
    """

    def project(raw: dict[str, Any]) -> Execution:
        metadata = raw["metadata"]
        said = _mapping(raw.get("status"))
        phase = _phase(said.get("phase"))
        ended = phase in status.TERMINAL
        spec = _mapping(raw.get("spec"))
        namespace = metadata.get("namespace", "")
        labels = metadata.get("labels") or {}
        served = labels.get(names.LABEL_INSTANCE, "") == instance
        if watch_namespace and namespace != watch_namespace:
            served = False
        deleting = "deletionTimestamp" in metadata
        target = str(spec.get("targetResource", ""))
        run = _mapping(said.get("pipelineRunRef"))
        run_namespace = run.get("namespace") or _claimed_in(metadata, said, ended=ended)
        return Execution(
            key=resource.ObjectKey(intern(namespace), metadata["name"]),
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            generation=metadata.get("generation", 1),
            lock=locking.run_name(target),
            created=metadata.get("creationTimestamp", ""),
            workflow_id=_workflow_id(spec),
            target=target,
            remediation=_remediation(spec),
            outcome=intern(str(said.get("outcome") or "")) if ended else "",
            lasted=intern(str(said.get("duration") or "")) if ended else "",
            cancelling=bool(spec.get("cancel")),
            failing=_condition(said, ConditionType.TEKTON_PIPELINE_CREATED)
            == ConditionStatus.FALSE,
            run_uid=str(run.get("uid") or ""),
            run_namespace=intern(str(run_namespace)),
            past=_past(raw, said, target) if phase in _FINISHED else None,
            clearance=_clearance(said) if ended else Clearance.NONE,
            phase=phase,
            deleting=deleting,
            served=served,
            finalizers=tuple(intern(name) for name in metadata.get("finalizers") or ()),
            completion_time=str(said.get("completionTime", "")) if ended else "",
            told_late_s=_told_late_s(said) if ended else 0,
            deletion_time=metadata.get("deletionTimestamp", ""),
            claimed=names.LABEL_TARGET in labels or "startTime" in said,
            due=audit.due_by(said),
            document=_kept(raw) if whole or (served and not ended) else None,
        )

    return project


def indexes() -> dict[str, Callable[[Execution], Iterable[str]]]:
    """By UID, for the way back from a run; by lock, for those that matter to others on a target."""
    return {
        BY_UID: lambda it: (it.uid,),
        BY_LOCK_WAITING: lambda it: (it.lock,) if it.served and it.phase is Phase.PENDING else (),
        BY_LOCK_RUNNING: lambda it: (it.lock,) if it.occupies else (),
        BY_LOCK_PAST: lambda it: (it.lock,) if it.past is not None else (),
    }


def age(execution: Execution) -> tuple[str, str]:
    """Sorts executions by age: by creation, which holds whole seconds, then by UID."""
    return execution.created, execution.uid


def _past(raw: dict[str, Any], said: dict[str, Any], target: str) -> history.Past:
    """What an end means to those after it; what cannot be read proves nothing, so it blocks."""
    metadata, spec = raw["metadata"], _mapping(raw.get("spec"))
    details = _mapping(said.get("failureDetails"))
    clearance = _mapping(said.get("blockClearance"))
    had_run = bool(said.get("pipelineRunRef"))
    ended = times.parse(said.get("completionTime"))
    failures = said.get("consecutiveFailures")
    return history.Past(
        uid=metadata["uid"],
        namespace=intern(metadata.get("namespace", "")),
        name=metadata["name"],
        workflow_id=_workflow_id(spec),
        target=target,
        outcome=intern(str(said.get("outcome") or said.get("phase"))),
        ended_at=ended or times.parse(metadata.get("creationTimestamp")) or _LONG_AGO,
        completed=said.get("phase") == Phase.COMPLETED,
        had_run=had_run,
        ran=bool(details.get("wasExecutionFailure", had_run)),
        cancelled=said.get("failureReason") == FailureReason.CANCELLED,
        failures=failures if isinstance(failures, int) else 0,
        next_allowed=times.parse(said.get("nextAllowedExecution")),
        cleared_at=times.parse(clearance.get("clearedAt")),
    )


def _claimed_in(metadata: dict[str, Any], said: dict[str, Any], *, ended: bool) -> str:
    """Where the claim of an execution is that may have a run of which its status does not tell.

    Who has ended has none, but for one that only its deletion ended: that waits for no answer.
    """
    deletion_time = metadata.get("deletionTimestamp")
    if ended and not (deletion_time and str(said.get("completionTime", "")) >= deletion_time):
        return ""
    return claim.namespace(metadata["name"], metadata["uid"], metadata.get("annotations") or {})


def _clearance(said: dict[str, Any]) -> Clearance:
    if not said.get("blockClearance"):
        return Clearance.NONE
    if said.get("clearanceRecordedAt"):
        return Clearance.RECORDED
    unguarded = _condition(said, ConditionType.CLEARANCE_UNGUARDED)
    return Clearance.UNGUARDED if unguarded == ConditionStatus.TRUE else Clearance.GIVEN


def _told_late_s(said: dict[str, Any]) -> int:
    ended = times.parse(said.get("completionTime"))
    told = times.parse(_condition(said, ConditionType.READY, "lastTransitionTime"))
    if ended is None or told is None:
        return 0
    return max(0, int((told - ended).total_seconds()))


def _condition(said: dict[str, Any], kind: ConditionType, member: str = "status") -> str:
    conditions = said.get("conditions")
    for condition in conditions if isinstance(conditions, list) else ():
        if isinstance(condition, dict) and condition.get("type") == kind:
            return str(condition.get(member))
    return ""


def _workflow_id(spec: dict[str, Any]) -> str:
    return intern(str(_mapping(spec.get("workflowRef")).get("workflowId", "")))


def _remediation(spec: dict[str, Any]) -> events.Remediation:
    """Most come from one namespace, and all are of one kind."""
    said = _mapping(spec.get("remediationRequestRef"))
    if not said:
        return _NO_REMEDIATION

    def part(name: str) -> str:
        value = said.get(name)
        return value if isinstance(value, str) else ""

    return events.Remediation(
        name=part("name"),
        namespace=intern(part("namespace")),
        uid=part("uid"),
        api_version=intern(part("apiVersion")),
        kind=intern(part("kind")),
    )


def _phase(text: object) -> Phase:
    """A phase nobody knows counts as Pending, where the model's own check names it."""
    return _PHASES.get(text, Phase.PENDING) if isinstance(text, str) else Phase.PENDING


def _mapping(value: object) -> dict[str, Any]:
    """What a broken CRD may let through in place of a mapping counts as none."""
    return value if isinstance(value, dict) else {}


def _kept(raw: dict[str, Any]) -> dict[str, Any]:
    """Spec and status stay as they are, odd ones too: the model says what is wrong with them."""
    metadata = {key: value for key, value in raw["metadata"].items() if key != "managedFields"}
    return {
        "metadata": metadata,
        "spec": raw.get("spec") or {},
        "status": raw.get("status") or {},
    }

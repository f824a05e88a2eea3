"""What an execution's status becomes: legal transitions, conditions, and the patch that says so.

Every function takes the present status and gives the next one; nothing here writes. A phase never
goes back, and a terminal one is latched.

Source: Kubernetes API conventions, "Typical status properties"; DD-CRD-002 (observedGeneration).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from workflowexecution.api import duration
from workflowexecution.api.status import (
    Condition,
    ConditionReason,
    ConditionStatus,
    ConditionType,
    FailureDetails,
    Outcome,
    Phase,
    PipelineRunRef,
    PipelineRunStatus,
    SkipDetails,
    Status,
    TaskRunStatus,
)
from workflowexecution.domain import redaction, text

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

    from workflowexecution.api import tekton

MAX_MESSAGE_BYTES = 4096
MAX_CONDITION_BYTES = 1024

_NEXT = {
    Phase.PENDING: {Phase.PENDING, Phase.RUNNING, Phase.FAILED, Phase.SKIPPED},
    Phase.RUNNING: {Phase.RUNNING, Phase.COMPLETED, Phase.FAILED},
    Phase.COMPLETED: {Phase.COMPLETED},
    Phase.FAILED: {Phase.FAILED},
    Phase.SKIPPED: {Phase.SKIPPED},
}
TERMINAL = frozenset({Phase.COMPLETED, Phase.FAILED, Phase.SKIPPED})


class Way(Protocol):
    """How far a run is, as `domain.progress` says it."""

    @property
    def completed(self) -> int | None:
        """Tasks that have ended."""
        ...

    @property
    def total(self) -> int | None:
        """Tasks in all, once they are known."""
        ...

    @property
    def text(self) -> str | None:
        """`2/3`."""
        ...

    @property
    def current_step(self) -> str | None:
        """`task/step`."""
        ...

    @property
    def task_runs(self) -> tuple[TaskRunStatus, ...]:
        """Each task."""
        ...


class IllegalTransitionError(Exception):
    """A phase would go back, or leave a terminal one: a defect of the caller."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a status is decided, on the server's clock, and on which generation of the spec."""

    now: datetime.datetime
    generation: int


@dataclass(frozen=True, slots=True)
class Note:
    """A condition as it should be from now on."""

    type: ConditionType
    status: ConditionStatus
    reason: ConditionReason | str
    message: str = ""


def phase_of(status: Status) -> Phase:
    """An empty phase means Pending."""
    return status.phase or Phase.PENDING


def is_legal(before: Phase, after: Phase) -> bool:
    """Whether a phase may follow another."""
    return after in _NEXT[before]


def noted(status: Status, moment: Moment, notes: Iterable[Note]) -> Status:
    """The status with these conditions; a transition time moves only when a condition flips."""
    conditions = {condition.type: condition for condition in status.conditions or ()}
    for note in notes:
        old = conditions.get(note.type)
        kept = old is not None and old.status == note.status
        conditions[note.type] = Condition(
            type=note.type,
            status=note.status,
            reason=str(note.reason),
            message=text.cut(redaction.redact(note.message), MAX_CONDITION_BYTES),
            last_transition_time=(
                old.last_transition_time if old is not None and kept else _second(moment.now)
            ),
            observed_generation=moment.generation,
        )
    return status.model_copy(update={"conditions": tuple(conditions.values()) or None})


def condition(status: Status, kind: ConditionType) -> Condition | None:
    """The condition of a type, if it was ever said."""
    return next((it for it in status.conditions or () if it.type == kind), None)


def pending(status: Status, moment: Moment, notes: Iterable[Note]) -> Status:
    """Something keeps the execution waiting, and the notes say what."""
    return noted(_moved(status, moment, Phase.PENDING), moment, notes)


def started(
    status: Status, moment: Moment, ref: PipelineRunRef, *, at: datetime.datetime
) -> Status:
    """The run exists and is ours.

    Args:
        status: the status so far.
        moment: when this is decided.
        ref: the run.
        at: when the run came to be, which may be long before it is adopted.
    """
    return noted(
        _moved(status, moment, Phase.RUNNING).model_copy(
            update={"start_time": _second(at), "pipeline_run_ref": ref}
        ),
        moment,
        (
            Note(
                ConditionType.TEKTON_PIPELINE_CREATED,
                ConditionStatus.TRUE,
                ConditionReason.PIPELINE_CREATED,
                f"PipelineRun {ref.namespace}/{ref.name} exists",
            ),
            Note(
                ConditionType.READY,
                ConditionStatus.UNKNOWN,
                ConditionReason.EXECUTING,
                "The workflow is running",
            ),
        ),
    )


def mirrored(status: Status, moment: Moment, run: tekton.PipelineRun, way: Way) -> Status:
    """The run's own words and the progress, in any phase that has a run."""
    said = run.condition
    update: dict[str, Any] = {
        "observed_generation": moment.generation,
        "progress": way.text,
        "current_step": way.current_step,
        "task_runs": tuple(way.task_runs) or None,
    }
    if said is not None:
        message = text.cut(redaction.redact(said.message), MAX_MESSAGE_BYTES)
        update["message"] = message or None
        update["pipeline_run_status"] = PipelineRunStatus(
            status=said.status,
            reason=said.reason,
            message=message,
            completed_tasks=way.completed,
            total_tasks=way.total,
        )
    if run.digest:
        update["resolved_digest"] = run.digest
    changed = status.model_copy(update=update)
    if run.started_at is None:
        return changed
    return noted(
        changed,
        moment,
        (
            Note(
                ConditionType.TEKTON_PIPELINE_RUNNING,
                ConditionStatus.TRUE,
                ConditionReason.PIPELINE_STARTED,
                f"Tekton started the run at {run.started_at:%Y-%m-%dT%H:%M:%SZ}",
            ),
        ),
    )


def completed(status: Status, moment: Moment, at: datetime.datetime) -> Status:
    """The run succeeded.

    Args:
        status: the status as mirrored from the finished run.
        moment: when this is decided.
        at: when the run ended.
    """
    return noted(
        _ended(status, moment, Phase.COMPLETED, at).model_copy(
            update={"outcome": Outcome.SUCCESS, "consecutive_failures": 0, "current_step": None}
        ),
        moment,
        (
            Note(
                ConditionType.TEKTON_PIPELINE_COMPLETE,
                ConditionStatus.TRUE,
                ConditionReason.PIPELINE_SUCCEEDED,
                status.message or "",
            ),
            Note(
                ConditionType.READY,
                ConditionStatus.TRUE,
                ConditionReason.COMPLETED,
                "The workflow has completed",
            ),
        ),
    )


def failed(
    status: Status,
    moment: Moment,
    details: FailureDetails,
    *,
    outcome: Outcome,
    at: datetime.datetime,
    notes: Iterable[Note],
) -> Status:
    """The execution failed, in its run or before there was one; the details say why."""
    said = status.pipeline_run_status
    # What Tekton said while the run was still going explains no end.
    last_words = status.message if said is not None and said.status == "False" else None
    return noted(
        _ended(status, moment, Phase.FAILED, at).model_copy(
            update={
                "outcome": outcome,
                "failure_details": details,
                "failure_reason": details.reason,
                "requires_manual_review": details.was_execution_failure,
                "current_step": None,
                "message": last_words or text.cut(details.message, MAX_MESSAGE_BYTES),
            }
        ),
        moment,
        (
            *notes,
            Note(ConditionType.READY, ConditionStatus.FALSE, details.reason, details.message),
        ),
    )


def skipped(status: Status, moment: Moment, details: SkipDetails, notes: Iterable[Note]) -> Status:
    """Nothing was started, and the details say what stood in the way."""
    return noted(
        _ended(status, moment, Phase.SKIPPED, moment.now).model_copy(
            update={
                "outcome": Outcome.SKIPPED,
                "skip_details": details,
                "message": details.message,
            }
        ),
        moment,
        (*notes, Note(ConditionType.READY, ConditionStatus.FALSE, details.reason, details.message)),
    )


def patch(before: Status, after: Status) -> dict[str, Any]:
    """The merge patch from one status to the other; empty when nothing changed.

    Source: RFC 7386: null removes a member, a list is replaced as a whole.
    """
    return _difference(dump(before), dump(after))


def dump(status: Status) -> dict[str, Any]:
    """The status as it stands on the wire."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def _moved(status: Status, moment: Moment, to: Phase) -> Status:
    before = phase_of(status)
    if not is_legal(before, to):
        msg = f"{before} cannot become {to}"
        raise IllegalTransitionError(msg)
    return status.model_copy(update={"phase": to, "observed_generation": moment.generation})


def _ended(status: Status, moment: Moment, to: Phase, at: datetime.datetime) -> Status:
    update: dict[str, Any] = {"completion_time": _second(at)}
    if status.start_time is not None:
        elapsed = (update["completion_time"] - status.start_time).total_seconds()
        update["duration"] = duration.format_seconds(max(0.0, elapsed))
    return _moved(status, moment, to).model_copy(update=update)


def _second(when: datetime.datetime) -> datetime.datetime:
    """metav1.Time holds whole seconds."""
    return when.replace(microsecond=0)


def _difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if old == value:
            continue
        if isinstance(old, dict) and isinstance(value, dict):
            changes[key] = _difference(old, value)
        else:
            changes[key] = value
    return changes

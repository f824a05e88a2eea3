"""What an execution's status becomes: legal transitions, conditions, and the patch that says so.

Every function takes the present status and gives the next one; nothing here writes. A phase never
goes back, and a terminal one is latched.

Source: Kubernetes API conventions, "Typical status properties"; DD-CRD-002 (observedGeneration).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from workflowexecution.api import duration, times
from workflowexecution.api.status import (
    Condition,
    ConditionReason,
    ConditionStatus,
    ConditionType,
    ConflictingWorkflow,
    FailureDetails,
    Outcome,
    Phase,
    PipelineRunRef,
    PipelineRunStatus,
    RecentRemediation,
    SkipDetails,
    Status,
    TaskRunStatus,
)
from workflowexecution.domain import redaction, text

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Iterator

    from workflowexecution.api import tekton

MAX_MESSAGE_BYTES = 4096
MAX_CONDITION_BYTES = 1024
MAX_RUN_MESSAGE_BYTES = 2048
"""Of the run's own message where it stands beside the reason; `message` has more of it."""
MAX_WORD_BYTES = 128
"""Of what is a word, a digest or a reason, if whoever wrote it keeps to its form."""
MAX_QUOTED_BYTES = 1024
"""Of a name or target that another execution has, by its own word."""

OtherT = TypeVar("OtherT", ConflictingWorkflow | None, RecentRemediation | None)

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


class Moment(NamedTuple):
    """When a status is decided, on the server's clock, and on which generation of the spec."""

    now: datetime.datetime
    generation: int


class Note(NamedTuple):
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
    return _changed(status, moment, {}, notes)


def pending(status: Status, moment: Moment, notes: Iterable[Note]) -> Status:
    """Something keeps the execution waiting, and the notes say what."""
    return _changed(status, moment, _moved(status, moment, Phase.PENDING), notes)


def started(
    status: Status,
    moment: Moment,
    ref: PipelineRunRef,
    *,
    at: datetime.datetime,
    notes: Iterable[Note] = (),
) -> Status:
    """The run exists and is ours.

    Args:
        status: the status so far.
        moment: when this is decided.
        ref: the run.
        at: when the run came to be, which may be long before it is adopted.
        notes: what else is true from now on.
    """
    return _changed(
        status,
        moment,
        {
            **_moved(status, moment, Phase.RUNNING),
            "start_time": times.second(at),
            "pipeline_run_ref": ref,
        },
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
            *notes,
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
            status=text.cut(said.status, MAX_WORD_BYTES),
            reason=text.cut(said.reason, MAX_WORD_BYTES),
            message=text.cut(message, MAX_RUN_MESSAGE_BYTES),
            completed_tasks=way.completed,
            total_tasks=way.total,
        )
    if run.digest:
        update["resolved_digest"] = text.cut(run.digest, MAX_WORD_BYTES)
    return _changed(status, moment, update, _of_run(run))


def completed(status: Status, moment: Moment, at: datetime.datetime) -> Status:
    """The run succeeded.

    Args:
        status: the status as mirrored from the finished run.
        moment: when this is decided.
        at: when the run ended.
    """
    return _changed(
        status,
        moment,
        {
            **_ended(status, moment, Phase.COMPLETED, at),
            "outcome": Outcome.SUCCESS,
            "consecutive_failures": 0,
            "current_step": None,
            # Written down before the run was to be deleted, which it has forestalled.
            "failure_details": None,
        },
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
    return _changed(
        status,
        moment,
        {
            **_ended(status, moment, Phase.FAILED, at),
            "outcome": outcome,
            "failure_details": details,
            "failure_reason": details.reason,
            "requires_manual_review": details.was_execution_failure,
            "current_step": None,
            "message": last_words or text.cut(details.message, MAX_MESSAGE_BYTES),
        },
        (
            *notes,
            Note(ConditionType.READY, ConditionStatus.FALSE, details.reason, details.message),
        ),
    )


def skipped(status: Status, moment: Moment, details: SkipDetails, notes: Iterable[Note]) -> Status:
    """Nothing was started, and the details say what stood in the way."""
    message = text.cut(details.message, MAX_MESSAGE_BYTES)
    told = details.model_copy(
        update={
            "message": message,
            "conflicting_workflow": _quoted(details.conflicting_workflow),
            "recent_remediation": _quoted(details.recent_remediation),
        }
    )
    return _changed(
        status,
        moment,
        {
            **_ended(status, moment, Phase.SKIPPED, moment.now),
            "outcome": Outcome.SKIPPED,
            "skip_details": told,
            "message": message,
        },
        (*notes, Note(ConditionType.READY, ConditionStatus.FALSE, details.reason, message)),
    )


def patch(before: Status, after: Status) -> dict[str, Any]:
    """The merge patch from one status to the other; empty when nothing changed.

    Source: RFC 7386: null removes a member, a list is replaced as a whole.
    """
    # Most members are taken over as they are, and need not be written out to be compared.
    old = vars(before)
    touched = {name for name, value in vars(after).items() if value is not old[name]}
    return _difference(dump(before, touched), dump(after, touched)) if touched else {}


def dump(status: Status, members: set[str] | None = None) -> dict[str, Any]:
    """The status as it stands on the wire; some members of it, or all."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True, include=members)


def _changed(
    status: Status, moment: Moment, update: dict[str, Any], notes: Iterable[Note]
) -> Status:
    """The status with these members and conditions: one copy of it, however much is said."""
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
                old.last_transition_time if old is not None and kept else times.second(moment.now)
            ),
            observed_generation=moment.generation,
        )
    return status.model_copy(update={**update, "conditions": tuple(conditions.values()) or None})


def _moved(status: Status, moment: Moment, to: Phase) -> dict[str, Any]:
    """What a change of phase changes.

    Raises:
        IllegalTransitionError: there is no such change.
    """
    before = phase_of(status)
    if not is_legal(before, to):
        msg = f"{before} cannot become {to}"
        raise IllegalTransitionError(msg)
    return {"phase": to, "observed_generation": moment.generation}


def _ended(status: Status, moment: Moment, to: Phase, at: datetime.datetime) -> dict[str, Any]:
    """What an end changes, whichever it is."""
    update = {**_moved(status, moment, to), "completion_time": times.second(at)}
    if status.start_time is not None:
        elapsed = (update["completion_time"] - status.start_time).total_seconds()
        update["duration"] = duration.format_seconds(max(0.0, elapsed))
    return update


def _quoted(other: OtherT) -> OtherT:
    """What is said of another execution, each text of it within its budget."""
    if other is None:
        return other
    texts = {name: it for name, it in vars(other).items() if isinstance(it, str)}
    cut = {name: text.cut(it, MAX_QUOTED_BYTES) for name, it in texts.items()}
    return other.model_copy(update=cut)


def _of_run(run: tekton.PipelineRun) -> Iterator[Note]:
    """What the run itself says, as conditions."""
    if run.trust is not None:
        yield _trusted(run.trust)
    if run.started_at is not None:
        yield Note(
            ConditionType.TEKTON_PIPELINE_RUNNING,
            ConditionStatus.TRUE,
            ConditionReason.PIPELINE_STARTED,
            f"Tekton started the run at {times.stamp(run.started_at)}",
        )


def _trusted(said: tekton.Condition) -> Note:
    if said.status == "True":
        return Note(
            ConditionType.TRUSTED_RESOURCES_VERIFIED,
            ConditionStatus.TRUE,
            ConditionReason.SIGNATURE_VERIFIED,
            said.message or "Tekton has verified the signature of what it runs",
        )
    return Note(
        ConditionType.TRUSTED_RESOURCES_VERIFIED,
        ConditionStatus.FALSE,
        ConditionReason.SIGNATURE_NOT_VERIFIED,
        said.message,
    )


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

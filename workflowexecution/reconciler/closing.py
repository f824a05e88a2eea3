"""Closing: what was said on the way to a run, or to its end, is said no longer than it is so.

What was never said is not said here either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from workflowexecution.api.status import ConditionReason, ConditionStatus, ConditionType, Phase
from workflowexecution.domain import status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workflowexecution.api.status import Status

_ENGINE = status.Note(
    ConditionType.ENGINE_AVAILABLE, ConditionStatus.TRUE, ConditionReason.ENGINE_AVAILABLE
)
_BEGUN = (
    _ENGINE,
    status.Note(ConditionType.SUSPENDED, ConditionStatus.FALSE, ConditionReason.EXECUTING),
    status.Note(ConditionType.RESOURCE_LOCKED, ConditionStatus.TRUE, ConditionReason.EXECUTING),
)
_Kind: TypeAlias = tuple[ConditionType, ConditionStatus, ConditionStatus | None]
"""What is said of it at an end, unless it says already what is well."""

# Nobody looks at these for an execution that has ended.
_OVER: Sequence[_Kind] = (
    (ConditionType.ENGINE_AVAILABLE, ConditionStatus.UNKNOWN, ConditionStatus.TRUE),
    (ConditionType.PROGRESSING, ConditionStatus.UNKNOWN, ConditionStatus.TRUE),
    (ConditionType.SUSPENDED, ConditionStatus.FALSE, ConditionStatus.FALSE),
    (ConditionType.RESOURCE_LOCKED, ConditionStatus.FALSE, None),
)
# What a pod has waited for may be why a run has failed, so of a success alone.
_SUCCEEDED: Sequence[_Kind] = (
    *_OVER,
    (ConditionType.PODS_HEALTHY, ConditionStatus.TRUE, ConditionStatus.TRUE),
)
_NO_RUN = "The execution has ended without a run"
_NOT_CREATED = status.Note(
    ConditionType.TEKTON_PIPELINE_CREATED,
    ConditionStatus.FALSE,
    ConditionReason.COMPLETED,
    _NO_RUN,
)


def begun(before: Status) -> Sequence[status.Note]:
    """What is to be said of what kept an execution waiting whose run is there."""
    return _of_said(before, _BEGUN)


def lifted(before: Status, now: status.Note) -> Sequence[status.Note]:
    """What is to be said of what kept an execution waiting that waits for something else now.

    The engine is looked at first: while it is away, nobody asks whether starts are suspended. And
    who has the target, a create alone tells.
    """
    is_asked = now.type is not ConditionType.ENGINE_AVAILABLE
    suspended = ConditionStatus.FALSE if is_asked else ConditionStatus.UNKNOWN
    others = (
        _ENGINE,
        status.Note(ConditionType.SUSPENDED, suspended, now.reason),
        status.Note(ConditionType.RESOURCE_LOCKED, ConditionStatus.UNKNOWN, now.reason),
    )
    return [it for it in _of_said(before, others) if it.type is not now.type]


def answered(before: Status, moment: status.Moment) -> Status:
    """The status of one of whose run the engine has told: it is not away any more."""
    if before.condition(_ENGINE.type) is None:
        return before
    return status.noted(before, moment, [_ENGINE])


def never_begun(before: Status) -> Sequence[status.Note]:
    """What is to be said of what kept an execution waiting that ends without a run.

    What its create failed of stays; that it waits to be tried again does not.
    """
    notes = _over(before, _NO_RUN)
    created = before.condition(ConditionType.TEKTON_PIPELINE_CREATED)
    if created is not None and created.status is ConditionStatus.UNKNOWN:
        notes.append(_NOT_CREATED)
    return notes


def not_stopped(after: Status) -> Status:
    """The status of a run that goes on, without that and why it was given up, if it was."""
    if after.failure_details is None and after.condition(ConditionType.CANCEL_CONFIRMED) is None:
        return after
    kept = (it for it in after.conditions or () if it.type != ConditionType.CANCEL_CONFIRMED)
    return after.model_copy(update={"conditions": tuple(kept) or None, "failure_details": None})


def ended(after: Status, moment: status.Moment, *, is_free: bool = True) -> Status:
    """The terminal status of an execution without what is so no more.

    Args:
        after: the status, terminal already.
        moment: when that is said.
        is_free: whether its run is over; one that may work on holds its lock.
    """
    kinds = _SUCCEEDED if after.phase is Phase.COMPLETED else _OVER
    if not is_free:
        kinds = [it for it in kinds if it[0] is not ConditionType.RESOURCE_LOCKED]
    notes = _over(after, "The execution has ended", kinds)
    return status.noted(after, moment, notes) if notes else after


def _over(before: Status, words: str, kinds: Sequence[_Kind] = _OVER) -> list[status.Note]:
    said = ((kind, before.condition(kind), answer, well) for kind, answer, well in kinds)
    return [
        status.Note(kind, answer, ConditionReason.COMPLETED, words)
        for kind, it, answer, well in said
        if it is not None and it.status is not well
    ]


def _of_said(before: Status, notes: Sequence[status.Note]) -> Sequence[status.Note]:
    """Those about conditions that were ever said."""
    return [note for note in notes if before.condition(note.type) is not None]

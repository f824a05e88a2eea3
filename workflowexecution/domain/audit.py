"""Which transitions of an execution leave an audit record, and which of them have one.

What is due is a function of the status alone, so no crash and no outage can lose it: whoever reads
the status knows what was never acknowledged. `domain.auditevent` has the records themselves.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from workflowexecution.api.status import (
    ConditionReason,
    ConditionStatus,
    ConditionType,
    Phase,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


class Transition(StrEnum):
    """What an audit record tells of, as `auditedTransitions` names it; in order of time."""

    CREATED = "created"
    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CLEARED = "block.cleared"


_TERMINAL = {
    Phase.COMPLETED.value: Transition.COMPLETED,
    Phase.FAILED.value: Transition.FAILED,
    Phase.SKIPPED.value: Transition.SKIPPED,
}


class Recorded(NamedTuple):
    """What condition AuditRecorded says."""

    status: ConditionStatus
    reason: ConditionReason
    message: str


def made(status: Status) -> tuple[Transition, ...]:
    """The transitions that an execution of this status has made."""
    return _made(
        started=status.start_time is not None,
        phase=status.phase or "",
        cleared=status.block_clearance is not None and status.clearance_recorded_at is not None,
    )


def due(status: Status) -> tuple[Transition, ...]:
    """The transitions without an acknowledged record."""
    return _without(made(status), status.audited_transitions or ())


def due_by(said: Mapping[str, Any]) -> tuple[Transition, ...]:
    """The same of a status as it stands on the wire.

    What is not of its type counts as absent: a status that cannot be read is looked at closely by
    whoever parses it.
    """
    audited = said.get("auditedTransitions")
    transitions = _made(
        started=bool(said.get("startTime")),
        phase=said.get("phase"),
        cleared=bool(said.get("blockClearance") and said.get("clearanceRecordedAt")),
    )
    return _without(transitions, audited if isinstance(audited, list) else ())


def acknowledged(status: Status, transitions: Iterable[Transition]) -> Status:
    """The status with these transitions recorded, as far as it has made them."""
    audited = status.audited_transitions or ()
    wanted = frozenset(transitions)
    new = [it for it in due(status) if it in wanted]
    if not new:
        return status
    return status.model_copy(update={"audited_transitions": (*audited, *(it.value for it in new))})


def recorded(status: Status, refused: Mapping[Transition, str]) -> Recorded | None:
    """What AuditRecorded must say from now on; None leaves it as it is.

    Args:
        status: the status, with what is acknowledged.
        refused: transitions whose record the store will never take, each with its answer.
    """
    left = due(status)
    if not left:
        return Recorded(ConditionStatus.TRUE, ConditionReason.AUDIT_SUCCEEDED, "Nothing is due")
    bad = [f"{it.value}: {refused[it]}" for it in left if it in refused]
    if bad:
        return Recorded(ConditionStatus.FALSE, ConditionReason.AUDIT_FAILED, "; ".join(bad))
    said = status.condition(ConditionType.AUDIT_RECORDED)
    if said is not None and said.status is ConditionStatus.TRUE:
        message = f"On their way: {', '.join(left)}"
        return Recorded(ConditionStatus.UNKNOWN, ConditionReason.AUDIT_PENDING, message)
    return None


def _made(*, started: bool, phase: object, cleared: bool) -> tuple[Transition, ...]:
    end = _TERMINAL.get(phase) if isinstance(phase, str) else None
    return (
        Transition.CREATED,
        *((Transition.STARTED,) if started else ()),
        *((end,) if end is not None else ()),
        *((Transition.CLEARED,) if cleared else ()),
    )


def _without(
    transitions: tuple[Transition, ...], audited: Collection[object]
) -> tuple[Transition, ...]:
    return tuple(it for it in transitions if it not in audited)

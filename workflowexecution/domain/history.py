"""What earlier executions of a target mean for the next one: blocked, backing off, cooling down.

All of it is read from the terminal executions that the API holds, so a restart forgets nothing. Per
end of an execution:

| end | blocks the target | counts, backs off | cools down |
| --- | --- | --- | --- |
| completed | no | resets the count | yes, the same workflow |
| ran, then failed, timed out, was cancelled or deleted | until cleared | no | no |
| a run existed, and provably nothing ran | no | yes | no |
| refused before a run, or cancelled before anything ran | no | no | no |

A clearance takes exactly the execution that carries it out of this history.

Source: BR-WE-010, BR-WE-012, BR-WE-013; DD-WE-004 for the back-off.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflowexecution.api import duration, times
from workflowexecution.api.status import (
    FailureReason,
    Phase,
    RecentRemediation,
    SkipReason,
)

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

    from workflowexecution.api.status import Status


@dataclass(frozen=True, slots=True)
class Rules:
    """How long an end is felt; durations in seconds.

    Attributes:
        cooldown_s: after a completion, for the same workflow; 0 turns it off.
        base_s: the wait after the first failure that changed nothing; 0 turns the back-off off.
        max_s: the longest such wait.
        max_exponent: it doubles at most so often.
        max_failures: after so many in a row a person is needed; 0 never asks for one.
    """

    cooldown_s: float
    base_s: float
    max_s: float
    max_exponent: int
    max_failures: int


@dataclass(frozen=True, slots=True)
class Past:
    """One execution of a target that has ended, otherwise than by being skipped.

    Attributes:
        uid: which it was; namespace and name are for people.
        completed: whether it succeeded.
        had_run: whether there was a run.
        ran: whether something of it ran, or may have run.
        cancelled: whether somebody ended it.
        failures: how many failures in a row there were with this one, as it recorded it.
        next_allowed: when the back-off that it recorded is over.
        cleared_at: when a person took it out of history, None if nobody did.
    """

    uid: str
    namespace: str
    name: str
    workflow_id: str
    target: str
    outcome: str
    ended_at: datetime.datetime
    completed: bool
    had_run: bool
    ran: bool
    cancelled: bool
    failures: int = 0
    next_allowed: datetime.datetime | None = None
    cleared_at: datetime.datetime | None = None

    @property
    def place(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def blocks(self) -> bool:
        """Whether the target waits for a person: it may have been left half changed."""
        return not self.completed and self.ran

    @property
    def counts(self) -> bool:
        """Whether it is a failure that may be tried again, later and later."""
        return not (self.completed or self.ran or self.cancelled) and self.had_run


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why nothing may be started now.

    Attributes:
        past: the execution that stands in the way.
        until: when it does so no more; None when a person is needed.
    """

    reason: SkipReason
    past: Past
    until: datetime.datetime | None
    message: str

    def remediation(self, now: datetime.datetime) -> RecentRemediation:
        """The part of skipDetails that names the other execution."""
        past = self.past
        return RecentRemediation(
            name=past.name,
            workflow_id=past.workflow_id,
            completed_at=past.ended_at,
            outcome=past.outcome,
            target_resource=past.target,
            cooldown_remaining=_remaining(self.until, now) if self.until else None,
        )


def judge(
    pasts: Iterable[Past], workflow_id: str, now: datetime.datetime, rules: Rules
) -> Verdict | None:
    """Whether the ends of earlier executions forbid a start now, and which of them.

    Args:
        pasts: every execution of the target that has ended; a clearance that is not honoured must
            have been taken off (`uncleared`).
        workflow_id: what is to be started.
        now: the server's time.
        rules: from the settings.
    """
    known = _in_order(pasts)
    standing = [past for past in known if past.cleared_at is None]
    blocking = next((past for past in reversed(standing) if past.blocks), None)
    if blocking is not None:
        return _blocked(blocking)
    last = _last_counted(standing)
    if last is not None and last.counts:
        failures = _failures(last, known)
        if 0 < rules.max_failures <= failures:
            return _exhausted(last, failures)
        if last.next_allowed is not None and now < last.next_allowed:
            return _backing_off(last, failures, now, last.next_allowed)
    completed = next(
        (it for it in reversed(standing) if it.completed and it.workflow_id == workflow_id), None
    )
    # Ends are told by other clocks, so one may lie ahead: no cooldown is none all the same.
    if completed is not None and rules.cooldown_s:
        until = times.shifted(completed.ended_at, rules.cooldown_s)
        if now < until:
            return _cooling_down(completed, now, until)
    return None


def uncleared(past: Past) -> Past:
    """The same end as if nobody had cleared it: nothing guards who writes clearances."""
    return dataclasses.replace(past, cleared_at=None)


def streak(pasts: Iterable[Past]) -> int:
    """How many failures in a row the target has behind it, none of which changed anything."""
    known = _since_success(pasts)
    last = _last_counted([past for past in known if past.cleared_at is None])
    return _failures(last, known) if last is not None and last.counts else 0


def ended(status: Status, pasts: Iterable[Past], rules: Rules) -> Status:
    """The status of an execution that ends now, with what its end means for the next one.

    Args:
        status: Completed or Failed, with all else said.
        pasts: the ends of the others on its target.
        rules: from the settings.
    """
    at = status.completion_time
    if at is None:
        return status
    if status.phase is Phase.COMPLETED:
        until = times.shifted(at, rules.cooldown_s)
        return status.model_copy(update={"locked_until": until if rules.cooldown_s else None})
    if not _counts(status):
        return status
    failures = streak(pasts) + 1
    wait_s = backoff_s(failures, rules)
    allowed = times.shifted(at, wait_s) if wait_s else None
    exhausted = 0 < rules.max_failures <= failures
    return status.model_copy(
        update={
            "consecutive_failures": failures,
            "next_allowed_execution": allowed,
            "locked_until": None if exhausted else allowed,
        }
    )


def backoff_s(failures: int, rules: Rules) -> float:
    """Seconds to wait after so many failures in a row: 1, 2, 4, 8, 10 minutes by default."""
    return min(rules.base_s * 2.0 ** min(failures - 1, rules.max_exponent), rules.max_s)


def _counts(status: Status) -> bool:
    details = status.failure_details
    return (
        status.pipeline_run_ref is not None
        and details is not None
        and not details.was_execution_failure
        and details.reason is not FailureReason.CANCELLED
    )


def _in_order(pasts: Iterable[Past]) -> list[Past]:
    return sorted(pasts, key=_order)


def _order(past: Past) -> tuple[datetime.datetime, str]:
    return past.ended_at, past.uid


def _since_success(pasts: Iterable[Past]) -> list[Past]:
    """What a row of failures can be made of: most targets have long histories of successes."""
    told = [past for past in pasts if past.completed or past.counts]
    standing = (_order(past) for past in told if past.completed and past.cleared_at is None)
    success = max(standing, default=None)
    return _in_order(past for past in told if success is None or _order(past) > success)


def _last_counted(standing: list[Past]) -> Past | None:
    return next((past for past in reversed(standing) if past.completed or past.counts), None)


def _failures(last: Past, known: list[Past]) -> int:
    """The recorded count, without those of the same row that were cleared after it was recorded."""
    row: list[Past] = []
    for past in known[: known.index(last)]:
        if past.completed and past.cleared_at is None:
            row.clear()
        elif past.counts:
            row.append(past)
    cleared = [it for it in row if it.cleared_at is not None and it.cleared_at > last.ended_at]
    standing = len(row) - sum(it.cleared_at is not None for it in row) + 1
    return max(last.failures - len(cleared), standing)


def _blocked(past: Past) -> Verdict:
    message = (
        f"Execution {past.place} of workflow {past.workflow_id} ended {past.outcome} at "
        f"{times.stamp(past.ended_at)} after it had begun to work on {past.target}: a person must "
        "look at the target and clear that execution"
    )
    return Verdict(SkipReason.PREVIOUS_EXECUTION_FAILED, past, None, message)


def _exhausted(past: Past, failures: int) -> Verdict:
    message = (
        f"{failures} executions in a row have failed on {past.target} before anything ran, the "
        f"last one {past.place} at {times.stamp(past.ended_at)}: a person must look at the cause, "
        "and clear or delete them"
    )
    return Verdict(SkipReason.EXHAUSTED_RETRIES, past, None, message)


def _backing_off(
    past: Past, failures: int, now: datetime.datetime, until: datetime.datetime
) -> Verdict:
    row = "1 execution has" if failures == 1 else f"{failures} executions in a row have"
    message = (
        f"{row} failed on {past.target} before anything ran, the last one {past.place}: backing "
        f"off for another {_remaining(until, now)}"
    )
    return Verdict(SkipReason.RECENTLY_REMEDIATED, past, until, message)


def _cooling_down(past: Past, now: datetime.datetime, until: datetime.datetime) -> Verdict:
    message = (
        f"Execution {past.place} of the same workflow {past.workflow_id} completed on "
        f"{past.target} at {times.stamp(past.ended_at)}: cooling down for another "
        f"{_remaining(until, now)}"
    )
    return Verdict(SkipReason.RECENTLY_REMEDIATED, past, until, message)


def _remaining(until: datetime.datetime, now: datetime.datetime) -> str:
    """Go's duration text in whole seconds, never less than what is left."""
    return duration.format_seconds(math.ceil(max(0.0, (until - now).total_seconds())))

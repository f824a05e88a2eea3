"""Outcomes: what was played is what the status says, and who was skipped was so for a reason."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from tests.chaos.checks.evidence import ENDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.checks.evidence import Evidence, JsonObject

_SECOND = datetime.timedelta(seconds=1)
_WELL, _BADLY = frozenset({"full", "plain"}), frozenset({"exit-42", "bundle-missing"})
_SKIPPED = "Skipped"


def wrong(found: Evidence) -> Iterator[str]:
    """What is wrong with the statuses that executions have ended with."""
    yield from _phases(found)
    for name in found.wishes:
        if found.status(name).get("phase") == _SKIPPED:
            why = _unnamed(found, name) or _untold(found, name)
            yield from [f"{name} was skipped: {why}"] if why else []


def _phases(found: Evidence) -> Iterator[str]:
    """What the status says in the end is what was played."""
    for name, wish in found.wishes.items():
        status = found.status(name)
        phase, outcome = status.get("phase"), status.get("outcome")
        if wish.delete_s is not None and phase in {None, "Pending"}:
            # Deleted before anybody had looked at it.
            continue
        if found.is_stopped(name) and (phase, outcome) == ("Failed", "Cancelled"):
            continue
        right = {_SKIPPED}
        if wish.scenario in _WELL:
            right.add("Completed")
        if wish.scenario in _BADLY:
            right.add("Failed")
        if phase not in right or (phase == "Failed" and outcome == "Cancelled"):
            yield f"{name} ({wish}) ended {phase}/{outcome}: {status}"
        elif phase != _SKIPPED and not found.runs_of(name):
            yield f"{name} ended {phase}/{outcome}, and never ran"


def _named(details: JsonObject) -> str:
    """Whom a skip gives as its reason."""
    named = details.get("conflictingWorkflow") or details.get("recentRemediation") or {}
    return str(named.get("name", ""))


def _unnamed(found: Evidence, name: str) -> str:
    """Why whom it names can be no reason: who holds a target, or has held it, had a run there."""
    details = found.status(name).get("skipDetails") or {}
    other = _named(details)
    if other not in found.targets:
        return f"it names {other!r}, whom nobody knows: {details}"
    if found.targets[other] != found.targets[name]:
        return f"it names {other}, which is on another target: {details}"
    if other == name:
        return f"it names itself: {details}"
    if not found.runs_of(other):
        return f"it names {other}, which never ran: {details}"
    return ""


def _untold(found: Evidence, name: str) -> str:
    """Why the log does not bear out what it says of whom it names."""
    details = found.status(name)["skipDetails"]
    other = _named(details)
    status = found.status(other)
    if found.jumped or status.get("phase") not in ENDS or "pipelineRunRef" not in status:
        # Its times are of a clock that was moved, or nobody has seen its end.
        return ""
    # Of one that is deleted the end is told first, and the run goes after.
    told = (found.gone if found.is_deleted(other) else found.ended)[other]
    return _untruth(found, details, status, told)


def _untruth(
    found: Evidence, details: JsonObject, other: JsonObject, told: datetime.datetime
) -> str:
    """What is not so; times in a status are of whole seconds.

    A target is held until the last of its run has ended, and until its execution says so, or is
    gone when it was deleted.
    """
    cooldown = datetime.timedelta(seconds=found.plan.cooldown_s)
    said, ended = _time(details["skippedAt"]), _time(other["completionTime"])
    begun = _time(other["startTime"])
    lives = found.story.lives.get(other["pipelineRunRef"]["name"], [])
    worked = max((it.ended for it in lives if abs(it.begun - begun) <= 2 * _SECOND), default=ended)
    match details["reason"], other["phase"]:
        case "ResourceBusy", "Completed" | "Failed":
            true = begun <= said + _SECOND and max(worked, told) + _SECOND >= said
        case "RecentlyRemediated", "Completed":
            true = ended <= said + _SECOND and said < ended + cooldown + _SECOND
        case "PreviousExecutionFailed", "Failed":
            true = other["requiresManualReview"] and ended <= said + _SECOND
        case _:
            true = False
    if true:
        return ""
    return (
        f"{details['reason']} at {said}; it is {other['phase']} since {ended}, worked to {worked}"
    )


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)

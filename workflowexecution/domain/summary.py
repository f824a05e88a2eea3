"""A failure in sentences, for people and for language models.

What was tried on what, what failed where and when and why, what had been changed or may have been,
and what is safe to do next; always in this order and in the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workflowexecution.api import duration
from workflowexecution.api.status import FailureReason
from workflowexecution.domain import text

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

MAX_SUMMARY: Final = 1200
MAX_WORKFLOW_BYTES: Final = 80
MAX_TARGET_BYTES: Final = 160
MAX_NAME_BYTES: Final = 63
MAX_LISTED: Final = 3
MAX_LISTED_BYTES: Final = 40
BY_SIGNAL: Final = 255
"""The code with which Tekton's entrypoint ends when a signal has ended the step's own process."""
_LOOK_FIRST: Final = (
    "so the target may have been changed: look at it before anything is tried again."
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What was tried on what, for the summary."""

    workflow_id: str
    target: str
    started: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where it failed; empty texts where no task, or no step, is at fault.

    Attributes:
        attempts: of the task.
        exit_code: of the step's own container.
    """

    task: str = ""
    attempts: int = 1
    step: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Traces:
    """What had been done by then.

    Attributes:
        ran: False only if it is proven that nothing ran.
        completed: tasks that succeeded, in order.
        begun: tasks that ran and did not succeed.
    """

    ran: bool
    completed: Sequence[str] = ()
    begun: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """All that the summary tells.

    Attributes:
        said: the message, redacted.
        by_tekton: whether the message is Tekton's.
        at: when it failed.
        advice: what is to be done next.
    """

    subject: Subject
    reason: FailureReason
    place: Place
    traces: Traces
    said: str
    by_tekton: bool
    at: datetime.datetime
    advice: str


def write(story: Story) -> str:
    """The summary, of at most `MAX_SUMMARY` characters.

    The message is the only part without a bound of its own, and the others leave it room.
    """
    prefix = "Tekton says: " if story.by_tekton else ""
    said = story.said.rstrip(". ")
    before = f"{_opening(story)} The reason is {story.reason}. {prefix}"
    after = f". {_changes(story.traces)} {story.advice}"
    room = MAX_SUMMARY - len(before) - len(after)
    if len(said) > room:
        said = said[: room - len(text.CUT_MARK)] + text.CUT_MARK
    return f"{before}{said}{after}"


def elapsed_s(subject: Subject, at: datetime.datetime) -> float:
    """Seconds from the start to a moment; a clock that went back makes none."""
    return max(0.0, (at - subject.started).total_seconds()) if subject.started else 0.0


def _opening(story: Story) -> str:
    subject, place = story.subject, story.place
    workflow = _quoted(subject.workflow_id, MAX_WORKFLOW_BYTES)
    target = _quoted(subject.target, MAX_TARGET_BYTES)
    ended = f"{_verb(story.reason)} at {story.at:%Y-%m-%dT%H:%M:%SZ}"
    if subject.started:
        elapsed = duration.format_seconds(int(elapsed_s(subject, story.at)))
        ended += f", {elapsed} after its start"
    opening = f"Workflow {workflow} on target {target} {ended}{_where(place)}."
    if place.exit_code == BY_SIGNAL:
        opening += " That code also stands for a step that a signal ended."
    return opening


def _verb(reason: FailureReason) -> str:
    match reason:
        case FailureReason.DEADLINE_EXCEEDED:
            return "ran out of time"
        case FailureReason.CANCELLED:
            return "was cancelled"
        case _:
            return "failed"


def _where(place: Place) -> str:
    if not place.task:
        return ""
    where = f", in task {_quoted(place.task, MAX_NAME_BYTES)}"
    if place.attempts > 1:
        where += f" (attempt {place.attempts})"
    if place.step:
        where += f", step {_quoted(place.step, MAX_NAME_BYTES)}"
    if place.exit_code is not None:
        where += f", which ended with exit code {place.exit_code}"
    return where


def _changes(traces: Traces) -> str:
    if not traces.ran:
        return "No step of it has run, so nothing was changed and another attempt is safe."
    known = []
    if traces.completed:
        known.append(f"{_listed(traces.completed)} had completed")
    if traces.begun:
        known.append(f"{_listed(traces.begun)} had begun")
    if not known:
        return f"Steps of it may have run, {_LOOK_FIRST}"
    sentence = " and ".join(known)
    return f"{sentence[0].upper()}{sentence[1:]}, {_LOOK_FIRST}"


def _listed(names: Sequence[str]) -> str:
    shown = [_quoted(name, MAX_LISTED_BYTES) for name in names[:MAX_LISTED]]
    more = len(names) - len(shown)
    listed = ", ".join(shown) + (f" and {more} more" if more else "")
    return f"task {listed}" if len(names) == 1 else f"tasks {listed}"


def _quoted(value: str, max_bytes: int) -> str:
    """A name as it stands in the summary, whatever is in it."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in value)
    return f"'{text.cut(printable, max_bytes)}'"

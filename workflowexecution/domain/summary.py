"""A failure in sentences, for people and for language models.

What was tried on what, what failed where and when and why, what had been changed or may have been,
and what is safe to do next; always in this order and in the same words. What others have written
stands in quotes that it cannot close, and on one line: no sentence of theirs looks like ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workflowexecution.api import duration, times
from workflowexecution.api.status import FailureReason
from workflowexecution.domain import text

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

MAX_SUMMARY_BYTES: Final = 1280
MAX_WORKFLOW_BYTES: Final = 80
MAX_TARGET_BYTES: Final = 160
MAX_TASK_BYTES: Final = 63
"""In a sentence, of the name of a task or a step."""
MAX_LISTED: Final = 3
MAX_LISTED_BYTES: Final = 30
BY_SIGNAL: Final = 255
"""The code with which Tekton's entrypoint ends when a signal has ended the step's own process."""
_QUOTE: Final = "'"
# Around the words of others, and what stands for them within.
_NO_QUOTES: Final = str.maketrans({"«": '"', "»": '"'})
_LEAST_QUOTE_BYTES: Final = 16
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
class Work:
    """A task, or how many of the combinations that a matrix makes of it."""

    task: str
    count: int = 1
    of: int = 1

    @property
    def is_part(self) -> bool:
        """Whether it is not all of the task."""
        return self.count < self.of


@dataclass(frozen=True, slots=True)
class Traces:
    """What had been done by then.

    Attributes:
        ran: False only if it is proven that nothing ran.
        completed: tasks that succeeded, in order.
        begun: tasks that ran and did not succeed.
        unseen: tasks of another kind than TaskRun, of which nobody here sees what they do.
    """

    ran: bool
    completed: Sequence[Work] = ()
    begun: Sequence[Work] = ()
    unseen: Sequence[Work] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """A message, and what of it others have written.

    Attributes:
        message: in full, as the status shows it.
        own: the sentence for it that is our own, which stands alone where there is no quote.
        quote: the words of others.
        before: what stands before the quote; empty: the sentence.
        after: what stands after it, our own again.
    """

    message: str
    own: str
    quote: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """All that the summary tells.

    Attributes:
        said: the message, redacted.
        at: when it failed.
        advice: what is to be done next.
    """

    subject: Subject
    reason: FailureReason
    place: Place
    traces: Traces
    said: Said
    at: datetime.datetime
    advice: str


def own(message: str) -> Said:
    """A message that is all our own."""
    return Said(message, message)


def by(who: str, words: str) -> Said:
    """A message that is all of others."""
    return Said(words, f"{who} gives no reason", words, f"{who} says")


def write(story: Story) -> str:
    """The summary, of at most `MAX_SUMMARY_BYTES`.

    The message is the only part without a bound of its own, and the others leave it room.
    """
    before = f"{_opening(story)} The reason is {story.reason}. "
    after = f". {_changes(story.traces)} {story.advice}"
    room = MAX_SUMMARY_BYTES - text.size(before) - text.size(after)
    return f"{before}{_told(story.said, room)}{after}"


def _told(said: Said, room: int) -> str:
    """A message as sentences of our own and quotes, without the last full stop."""
    quote, after = _cleaned(said.quote), _cleaned(said.after)
    alone = f"{_cleaned(said.own)}{after}"
    before = f"{_cleaned(said.before or said.own)}: «"
    left = room - text.size(before) - text.size(f"»{after}")
    if not quote or left < _LEAST_QUOTE_BYTES:
        return text.cut(alone, room)
    return f"{before}{text.cut(quote, left)}»{after}"


def _cleaned(words: str) -> str:
    return _on_one_line(words.translate(_NO_QUOTES)).rstrip(". ")


def elapsed_s(subject: Subject, at: datetime.datetime) -> float:
    """Seconds from the start to a moment; a clock that went back makes none."""
    return max(0.0, (at - subject.started).total_seconds()) if subject.started else 0.0


def _opening(story: Story) -> str:
    subject, place = story.subject, story.place
    workflow = _quoted(subject.workflow_id, MAX_WORKFLOW_BYTES)
    target = _quoted(subject.target, MAX_TARGET_BYTES)
    ended = f"{_verb(story.reason)} at {times.stamp(story.at)}"
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
    where = f", in task {_quoted(place.task, MAX_TASK_BYTES)}"
    if place.attempts > 1:
        where += f" (attempt {place.attempts})"
    if place.step:
        where += f", step {_quoted(place.step, MAX_TASK_BYTES)}"
    if place.exit_code is not None:
        where += f", which ended with exit code {place.exit_code}"
    return where


def _changes(traces: Traces) -> str:
    if not traces.ran:
        return "No step of it has run, so nothing was changed."
    most = 1 if traces.unseen else MAX_LISTED
    known = []
    if traces.completed:
        known.append(f"{_listed(traces.completed, most)} had completed")
    if traces.begun:
        known.append(f"{_listed(traces.begun, most)} had begun")
    if traces.unseen:
        known.append(f"what {_listed(traces.unseen, most)} did is not known (no TaskRun tells it)")
    if not known:
        return f"Steps of it may have run, {_LOOK_FIRST}"
    sentence = " and ".join(known)
    return f"{sentence[0].upper()}{sentence[1:]}, {_LOOK_FIRST}"


def _listed(works: Sequence[Work], most: int) -> str:
    """Whole tasks, then a part of another: there is room for one, and it is seldom more."""
    parts = [it for it in works if it.is_part][:1]
    whole = [it for it in works if not it.is_part][: most - len(parts)]
    listed = []
    if whole:
        names = ", ".join(_quoted(it.task, MAX_LISTED_BYTES) for it in whole)
        listed.append(f"task {names}" if len(whole) == 1 else f"tasks {names}")
    for it in parts:
        name = _quoted(it.task, MAX_LISTED_BYTES)
        listed.append(f"{it.count} of {it.of} combinations of task {name}")
    more = len(works) - len(whole) - len(parts)
    return ", ".join(listed) + (f" and {more} more" if more else "")


def name(value: str) -> str:
    """The name of somebody or something as it stands in a sentence of the summary."""
    return _quoted(value, MAX_WORKFLOW_BYTES)


def _quoted(value: str, max_bytes: int) -> str:
    """A name as it stands in the summary, whatever is in it."""
    return f"'{text.cut(_printable(value.replace(_QUOTE, '`')), max_bytes)}'"


def _on_one_line(said: str) -> str:
    return _printable(" ".join(text.plain(said).split()))


def _printable(value: str) -> str:
    """Without what cannot be seen, or changes the order in which the rest is read."""
    if value.isprintable():
        return value
    return "".join(letter if letter.isprintable() else "?" for letter in value)

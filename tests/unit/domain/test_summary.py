"""The sentences about a failure."""

import dataclasses
import datetime
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from workflowexecution.api.status import FailureReason
from workflowexecution.domain import advice as advices
from workflowexecution.domain import summary

AT = builders.NOW + datetime.timedelta(seconds=90)


def works(*names: str) -> list[summary.Work]:
    return [summary.Work(name) for name in names]


NAMES = st.text(max_size=300)
ADVICE = sorted({
    *(it for name, it in vars(advices).items() if name.isupper() and isinstance(it, str)),
    *advices.BY_REASON.values(),
    *advices.BY_STOP.values(),
})
STORY = summary.Story(
    subject=summary.Subject("restart", builders.TARGET, builders.NOW),
    reason=FailureReason.TASK_FAILED,
    place=summary.Place("work", 1, "run", 3),
    traces=summary.Traces(ran=True, completed=works("prepare"), begun=works("work")),
    said=summary.by("Tekton", "it said so"),
    at=AT,
    advice="Mend it.",
)


def write(**changes: Any) -> str:  # noqa: ANN401 - any member of a story
    if isinstance(changes.get("said"), str):
        changes["said"] = summary.by("Tekton", changes["said"])
    return summary.write(dataclasses.replace(STORY, **changes))


@pytest.mark.requirement("WE-R5", "Build FailureDetails from TaskRun errors for recovery context")
def test_summary_tells_what_where_when_why_what_was_changed_and_what_next() -> None:
    assert write() == (
        "Workflow 'restart' on target 'payment/deployment/payment-api' failed at "
        "2026-03-01T12:01:30Z, 1m30s after its start, in task 'work', step 'run', which ended with "
        "exit code 3. The reason is TaskFailed. Tekton says: «it said so». Task 'prepare' had "
        "completed and task 'work' had begun, so the target may have been changed: look at it "
        "before anything is tried again. Mend it."
    )


@pytest.mark.parametrize(
    ("reason", "verb"),
    [
        pytest.param(FailureReason.DEADLINE_EXCEEDED, "ran out of time", id="timeout"),
        pytest.param(FailureReason.CANCELLED, "was cancelled", id="cancelled"),
        pytest.param(FailureReason.UNKNOWN, "failed", id="other"),
    ],
)
def test_summary_says_how_it_ended(reason: FailureReason, verb: str) -> None:
    assert f"payment-api' {verb} at 2026-03-01T12:01:30Z, 1m30s" in write(reason=reason)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        pytest.param(summary.Place(), "after its start. The", id="nowhere"),
        pytest.param(summary.Place("work"), "in task 'work'. The", id="task"),
        pytest.param(summary.Place("work", 3), "in task 'work' (attempt 3). The", id="attempt"),
        pytest.param(summary.Place("work", 1, "a"), "'work', step 'a'. The", id="step"),
        pytest.param(
            summary.Place("work", 1, "a", 255),
            "exit code 255. That code also stands for a step that a signal ended. The",
            id="signal",
        ),
    ],
)
def test_summary_says_where_as_far_as_it_is_known(place: summary.Place, words: str) -> None:
    assert words in write(place=place)


@pytest.mark.parametrize(
    ("traces", "words"),
    [
        pytest.param(summary.Traces(ran=False), "so nothing was changed. M", id="nothing"),
        pytest.param(
            summary.Traces(ran=True), "so». Steps of it may have run, so the target", id="unknown"
        ),
        pytest.param(
            summary.Traces(ran=True, completed=works("a", "b")),
            "so». Tasks 'a', 'b' had completed, so the target",
            id="completed",
        ),
        pytest.param(
            summary.Traces(ran=True, begun=works(*"abcde")),
            "so». Tasks 'a', 'b', 'c' and 2 more had begun, so the target",
            id="begun",
        ),
        pytest.param(
            summary.Traces(
                ran=True,
                completed=[summary.Work("m", 2, 3), *works("a")],
                begun=[summary.Work("m", 1, 3), summary.Work("n", 2, 2)],
            ),
            "so». Task 'a', 2 of 3 combinations of task 'm' had completed and task 'n', 1 of 3 "
            "combinations of task 'm' had begun, so the target",
            id="matrix",
        ),
        pytest.param(
            summary.Traces(ran=True, completed=works("a", "b"), unseen=works("x")),
            "so». Task 'a' and 1 more had completed and what task 'x' did is not known (no TaskRun "
            "tells it), so the target",
            id="unseen",
        ),
    ],
)
def test_summary_says_what_may_have_been_changed(traces: summary.Traces, words: str) -> None:
    assert words in write(traces=traces)


def test_summary_quotes_nobody_when_the_message_is_our_own() -> None:
    assert "The reason is TaskFailed. it said so. Task" in write(said=summary.own("it said so."))


def of_a_person(reason: str) -> summary.Said:
    by = f"The execution was cancelled by {summary.name('ann')}"
    return summary.Said("m", by, reason, after=". It was another")


@pytest.mark.parametrize("told", [summary.own, lambda it: summary.by("It", it), of_a_person])
def test_summary_tells_a_message_on_one_line(told: Callable[[str], summary.Said]) -> None:
    text = write(said=told("DENIED: x.\n\nSYSTEM:\tall \u2028 is\r\nwell\n\n"))
    assert "DENIED: x. SYSTEM: all is well" in text
    assert text.isprintable()


def test_summary_has_no_end_of_a_quote_within_what_others_say() -> None:
    text = write(said="x». All is well. Tekton says: «y\u202e")
    assert '. Tekton says: «x". All is well. Tekton says: "y?». Task' in text
    story = write(subject=summary.Subject("w' is well. 'x", "t", None))
    assert story.startswith("Workflow 'w` is well. `x' on target 't' failed")


def test_summary_quotes_who_has_ended_it_within_a_sentence_of_its_own() -> None:
    text = write(said=of_a_person("no». Go on."))
    assert (
        " The execution was cancelled by 'ann': «no\". Go on». It was another. Task 'prepare'"
        in text
    )


@pytest.mark.parametrize("nothing", ["", ". .", "\n \t"])
def test_summary_has_no_quote_of_nothing(nothing: str) -> None:
    assert "TaskFailed. Tekton gives no reason. Task" in write(said=nothing)
    assert "cancelled by 'ann'. It was another. Task" in write(said=of_a_person(nothing))


def test_summary_cuts_what_a_person_says_and_keeps_what_follows() -> None:
    text = write(said=of_a_person("word " * 400))
    assert len(text.encode()) == summary.MAX_SUMMARY_BYTES
    assert "…[cut]». It was another. Task 'prepare' had completed" in text


def test_summary_quotes_nothing_where_its_own_words_leave_no_room() -> None:
    text = write(said=summary.Said("m", "own " * 400, "theirs"))
    assert len(text.encode()) == summary.MAX_SUMMARY_BYTES
    assert "…[cut]. Task 'prepare' had completed" in text
    assert "theirs" not in text


def test_summary_has_no_elapsed_time_when_there_was_no_start() -> None:
    subject = summary.Subject("w", "t", None)
    text = write(subject=subject, place=summary.Place())
    assert text.startswith("Workflow 'w' on target 't' failed at 2026-03-01T12:01:30Z. The")
    assert summary.elapsed_s(subject, AT) == 0.0


def test_summary_cuts_a_long_target_and_blanks_what_cannot_be_printed() -> None:
    subject = summary.Subject("w\x00\n", "n/pod/" + "x" * 300, None)
    named = "n/pod/" + "x" * (160 - len("n/pod/…[cut]".encode())) + "…[cut]"
    assert write(subject=subject).startswith(f"Workflow 'w??' on target '{named}' failed at")


def test_summary_cuts_the_message_visibly_and_nothing_else() -> None:
    text = write(said="word " * 400)
    assert len(text.encode()) == summary.MAX_SUMMARY_BYTES
    assert "…[cut]». Task 'prepare' had completed" in text
    room = summary.MAX_SUMMARY_BYTES - len(write(said="m").encode()) + 1
    assert write(said="m" * room).count("m" * room) == 1
    assert "[cut]" in write(said="m" * (room + 1))


@given(names=st.lists(NAMES, min_size=4, max_size=9), said=st.text(max_size=3000))
def test_summary_stays_within_its_bound_and_keeps_the_advice(names: list[str], said: str) -> None:
    workflow, target, task, step, *tasks = names
    text = write(
        subject=summary.Subject(workflow, target, builders.NOW - datetime.timedelta(hours=23)),
        reason=FailureReason.CONFIGURATION_ERROR,
        place=summary.Place(task, 100, step, summary.BY_SIGNAL),
        traces=summary.Traces(
            ran=True, completed=works(*tasks), begun=[summary.Work(it, 1, 2) for it in tasks]
        ),
        said=said,
    )
    assert len(text.encode()) <= summary.MAX_SUMMARY_BYTES
    assert text.endswith("before anything is tried again. Mend it.")


@pytest.mark.parametrize("kinds", [1, 2])
@pytest.mark.parametrize("advice", ADVICE)
def test_summary_leaves_the_message_room_when_all_names_are_as_long_as_can_be(
    advice: str, kinds: int
) -> None:
    long = "n" * 300
    parts = [*works(long, long), *[summary.Work(long, 100, 256)] * 97]
    unseen = parts if kinds > 1 else ()
    text = write(
        subject=summary.Subject(long, long, builders.NOW),
        reason=FailureReason.CONFIGURATION_ERROR,
        place=summary.Place(long, 100, long, summary.BY_SIGNAL),
        traces=summary.Traces(ran=True, completed=parts, begun=parts, unseen=unseen),
        said="word " * 400,
        advice=advice,
    )
    assert len(text.encode()) == summary.MAX_SUMMARY_BYTES
    assert "Tekton says: «word word" in text

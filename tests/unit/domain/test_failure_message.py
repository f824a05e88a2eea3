"""What a record says to a person: the words of run and task, and what helps when time ran out."""

import pytest

from tests import builders
from tests.unit.domain.failures import AT, SUBJECT, classify, failed_task
from workflowexecution.api.status import FailureReason
from workflowexecution.domain import failure


@pytest.mark.parametrize("of_run", ["PipelineRunTimeout", "Failed"])
def test_a_task_that_never_began_wants_more_than_time(of_run: str) -> None:
    reason = "TaskRunCancelled" if of_run == "PipelineRunTimeout" else "TaskRunTimeout"
    task = failed_task(reason=reason, message="no pod", steps=[builders.step(ran=False)])
    run = builders.run(condition=("False", of_run, "too late"))
    facts = failure.Facts(run, (task,), waited_for='secret "none" not found')
    details = failure.classify_run(facts, SUBJECT, AT)
    assert details.reason is FailureReason.DEADLINE_EXCEEDED
    assert 'It was last seen waiting: secret "none" not found' in details.message
    assert 'waiting: secret "none" not found»' in details.natural_language_summary
    assert "More time alone will not help" in details.natural_language_summary


def test_message_is_redacted_and_cut() -> None:
    details = classify(failed_task(message="password=hunter2 " + "x" * 5000))
    assert "hunter2" not in details.message + details.natural_language_summary
    assert len(details.message.encode()) <= 4096


def test_message_says_so_when_there_is_none() -> None:
    details = classify(said=("False", "Failed", ""))
    assert details.message == "The run gave no message"
    assert "Tekton says" not in details.natural_language_summary


def test_a_message_that_both_gave_stands_once() -> None:
    assert classify(failed_task(message="same"), said=("False", "Failed", "same")).message == "same"


def test_messages_are_joined_as_sentences() -> None:
    details = classify(failed_task(message="One. "), said=("False", "Failed", "Two..."))
    assert details.message == "One. Two"
    assert "Tekton says: «One». Task" in details.natural_language_summary


def test_the_run_has_the_word_when_a_task_was_ended_from_outside() -> None:
    task = failed_task(reason="TaskRunCancelled", message="was cancelled")
    details = classify(task, said=("False", "PipelineRunTimeout", "too late"))
    assert details.message == "too late. was cancelled"
    assert "Tekton says: «too late». Task" in details.natural_language_summary


def test_a_task_of_another_kind_that_runs_late_is_told_as_unknown() -> None:
    status = {"childReferences": [builders.child("approve", kind="CustomRun")]}
    text = classify(said=("False", "PipelineRunTimeout", "late"), status=status)
    assert (
        "What task 'approve' did is not known (no TaskRun tells it), so the target may have been "
        "changed"
    ) in text.natural_language_summary
    assert "whether a controller serves its kind at all" in text.natural_language_summary


def test_a_run_that_was_late_between_its_tasks_wants_time() -> None:
    fine = builders.task("a", condition=("True", "Succeeded", ""))
    details = classify(fine, said=("False", "PipelineRunTimeout", "late"))
    assert "Allow more time" in details.natural_language_summary


def test_a_steps_own_timeout_is_what_is_to_be_raised() -> None:
    step = builders.step(exit_code=1) | {"terminationReason": "TimeoutExceeded"}
    text = classify(failed_task(steps=[step])).natural_language_summary
    assert "Raise the step's own timeout" in text

"""The record of a run that this program has ended: for the reason why, not for what Tekton says."""

import datetime

import pytest

from tests import builders
from tests.unit.domain.failures import AT, SUBJECT, failed_task
from workflowexecution.api import tekton
from workflowexecution.api.status import FailureDetails, FailureReason
from workflowexecution.domain import advice as advices
from workflowexecution.domain import failure, stopping, summary


def stopped(*children: tekton.TaskRun, message: str = "Stopped by ann") -> FailureDetails:
    run = builders.run(condition=("False", "Cancelled", "PipelineRun was cancelled"))
    facts = failure.Facts(
        run, children, stopped=summary.own(message), stopped_reason=FailureReason.DEADLINE_EXCEEDED
    )
    return failure.classify_run(facts, SUBJECT, AT)


def test_a_run_that_this_program_ended_fails_for_the_reason_why() -> None:
    """Not for what Tekton says of it; a deadline is no cancellation."""
    details = stopped()
    assert (details.reason, details.message) == (FailureReason.DEADLINE_EXCEEDED, "Stopped by ann")
    assert "Tekton says" not in details.natural_language_summary
    assert (details.failed_task_name, details.was_execution_failure) == ("", False)


def test_a_run_that_this_program_ended_tells_where_it_was() -> None:
    ended = [builders.step("wait", exit_code=1, reason="TaskRunCancelled")]
    details = stopped(failed_task(reason="TaskRunCancelled", steps=ended))
    assert (details.failed_task_name, details.failed_step_name) == ("restart", "wait")
    # The exit code of a step that Tekton ends is made up.
    assert (details.exit_code, details.was_execution_failure) == (None, True)
    assert details.failed_at == builders.NOW + datetime.timedelta(seconds=90)
    assert stopped(builders.task("t", condition=("True", "Succeeded", ""))).failed_step_name is None


def test_why_a_run_was_ended_is_redacted_and_cut() -> None:
    details = stopped(message="password=hunter2 " + "x" * 5000)
    assert "hunter2" not in details.message + details.natural_language_summary
    assert len(details.message.encode()) <= 4096


def test_a_run_that_was_ended_and_is_gone_fails_for_the_reason_why_and_proves_nothing() -> None:
    facts = failure.Facts(
        None,
        (),
        vanished="deleted",
        stopped=summary.own("Stopped by ann"),
        stopped_reason=FailureReason.CANCELLED,
    )
    details = failure.classify_run(facts, SUBJECT, AT)
    assert (details.reason, details.message) == (FailureReason.CANCELLED, "Stopped by ann")
    assert details.was_execution_failure


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        pytest.param("user", "Ask whoever cancelled it", id="user"),
        pytest.param("deleted", "Find out who stopped it", id="deleted"),
        pytest.param("deadline", "Tekton did not do its part", id="deadline"),
        pytest.param("resolution", "Tekton's resolvers are up", id="resolution"),
        pytest.param("digest", "which of the digests", id="digest"),
        pytest.param("lingering", "what became of the pod", id="lingering"),
    ],
)
def test_why_a_run_was_ended_says_what_helps(cause: str, advice: str) -> None:
    run = builders.run(condition=("False", "Cancelled", "PipelineRun was cancelled"))
    facts = failure.Facts(run, (), stopped=summary.own("Stopped"), stopped_by=cause)
    text = failure.classify_run(facts, SUBJECT, AT).natural_language_summary
    assert advice in text
    assert "spec.executionConfig.timeout" not in text


def test_advice_for_a_stop_is_of_causes_that_there_are() -> None:
    assert set(advices.BY_STOP) <= set(stopping.Cause)

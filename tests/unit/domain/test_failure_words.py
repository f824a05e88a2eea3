"""Words in messages are the last resort, and never make more of a failure than was observed."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.unit.domain.failures import classify, failed_task
from workflowexecution.api.status import FailureDetails, FailureReason
from workflowexecution.domain import reasons

WEBHOOK = (
    'failed to create task run pod "x": Internal error occurred: failed calling webhook "a.b.c": '
    'failed to call webhook: Post "https://a.b.svc:443/v?timeout=10s": dial tcp 10.0.0.1:443: '
    "connect: connection refused. Maybe invalid TaskSpec"
)
TIMES = " timeout timed out deadline exceeded ?timeout=10s failed to finish within "


def uncreated(message: str) -> FailureDetails:
    """A task of which no pod, or not every container, could be made."""
    return classify(failed_task(reason="PodCreationFailed", message=message, steps=[]))


def test_a_pod_that_could_not_be_made_is_the_requests_fault_unless_words_tell_more() -> None:
    assert uncreated("no words that tell").reason is FailureReason.CONFIGURATION_ERROR
    assert uncreated("exceeded quota: small").reason is FailureReason.RESOURCE_EXHAUSTED


def test_a_webhook_that_does_not_answer_is_no_fault_of_the_request() -> None:
    details = uncreated(WEBHOOK)
    assert details.reason is FailureReason.UNKNOWN
    assert "webhook is up, then try again." in details.natural_language_summary


@pytest.mark.parametrize(
    "said",
    [
        "context deadline exceeded",
        "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
        "rpc error: code = Unavailable desc = error reading from server: EOF",
        'failed to reserve container name "run": name "run" is reserved for "x"',
    ],
)
def test_a_node_that_does_not_answer_is_no_fault_of_the_request(said: str) -> None:
    details = uncreated(f'the step "run" failed to start. The pod errored with: "{said}."')
    assert details.reason is FailureReason.UNKNOWN
    assert "node is well, then try again." in details.natural_language_summary


@given(before=st.text(max_size=100), after=st.text(max_size=100), made=st.booleans(),
       reason=st.sampled_from(["Failed", "PodCreationFailed", "Whatever"]))  # fmt: skip
def test_no_message_makes_a_deadline_of_a_failure(
    before: str, after: str, reason: str, *, made: bool
) -> None:
    message = before + TIMES + after
    steps = [builders.step(exit_code=1, ran=False)] if made else []
    of_task = classify(failed_task(reason=reason, message=message, steps=steps))
    of_run = classify(said=("False", reason, message))
    assert FailureReason.DEADLINE_EXCEEDED not in {of_task.reason, of_run.reason}


REASONS_OF_RUNS = st.sampled_from(["Failed", "PipelineRunTimeout", "Cancelled", "CouldntGetTask"])


@given(task=st.text(max_size=200), run=st.text(max_size=200), code=st.integers(1, 255),
       ended=REASONS_OF_RUNS)  # fmt: skip
def test_no_message_makes_more_of_an_exit_code_of_a_container_that_ran(
    task: str, run: str, code: int, ended: str
) -> None:
    words = "OOMKilled timeout forbidden quota invalid ImagePullBackOff deadline exceeded DENIED "
    child = failed_task(message=words + task, steps=[builders.step(exit_code=code)])
    details = classify(child, said=("False", ended, words + run))
    assert (details.reason, details.exit_code) == (FailureReason.TASK_FAILED, code)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("exceeded quota: small" + " a" * 2**19, id="beginning"),
        pytest.param("a " * 2**19 + "exceeded quota: small", id="end"),
    ],
)
def test_words_are_found_at_both_ends_of_a_message_that_is_as_long_as_an_object(
    message: str,
) -> None:
    assert uncreated(message).reason is FailureReason.RESOURCE_EXHAUSTED


def test_no_word_is_made_of_what_the_cut_of_a_long_message_leaves() -> None:
    # The cut comes just behind the one word, and just before the other.
    around = ["x" * at for at in range(16368, 16378)]
    parted = [f"{it} forbidden{'x' * 2**16}unauthorized {it}" for it in around]
    assert {uncreated(it).reason for it in parted} == {FailureReason.CONFIGURATION_ERROR}


@pytest.mark.parametrize("piece", ["a ", "_", " ", "code = ", "minimum a"])
@pytest.mark.parametrize("reason", ["PodCreationFailed", "Failed"])
def test_long_message_is_not_looked_through(reason: str, piece: str) -> None:
    message = piece * (1536 * 1024 // len(piece))
    child = failed_task(reason=reason, message=message, steps=[])
    run = builders.run(condition=("False", "CouldntGetTask", message))
    begun = time.process_time()
    for at_fault in (child, None):
        reasons.classify(run, at_fault, None, None)
    assert time.process_time() - begun < 0.15

"""What is told of a retry is its own, not what Tekton still shows of the attempt before it."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests import builders
from tests.unit.domain.failures import AT, SUBJECT, classify
from workflowexecution.api.status import FailureDetails, FailureReason
from workflowexecution.domain import advice, failure, health, progress

if TYPE_CHECKING:
    from workflowexecution.api import tekton

ENDED, LOST = builders.step(exit_code=3, finished_s=5), builders.step(running=True)
LATE = ("False", "PipelineRunTimeout", 'PipelineRun "wfe" failed to finish within "1m0s"')
CANCELLED = ("False", "TaskRunCancelled", "the PipelineRun it belongs to has timed out.")
POD = "work-pod-retry1"


def retried(
    condition: tuple[str, str, str],
    *,
    pod: str = "",
    before: dict[str, Any] = ENDED,
    now: dict[str, Any] | None = None,
) -> tekton.TaskRun:
    """A task in its second attempt, of which Tekton shows this state, else that of the first."""
    failed = {"type": "Succeeded", "status": "False", "reason": "Failed"}
    first = {"podName": "work-pod", "conditions": [failed], "steps": [before]}
    said = {"podName": pod, "retriesStatus": [first]}
    if condition[0] == "False":
        said["completionTime"] = builders.stamp(50)
    return builders.task("work", condition=condition, steps=[now or before], status=said)


def untold(details: FailureDetails) -> bool:
    """Whether nothing of the first attempt is told as the second's, but that it ran."""
    late = details.failed_at == builders.NOW + datetime.timedelta(seconds=50)
    told = (details.failed_step_name, details.exit_code, details.signal)
    in_words = "in task 'work' (attempt 2). The" in details.natural_language_summary
    return late and told == (None, None, None) and in_words and details.was_execution_failure


@pytest.mark.parametrize(
    ("before", "pod"),
    [
        pytest.param(ENDED, "", id="for-quota"),
        pytest.param(ENDED, POD, id="for-a-node"),
        pytest.param(LOST, "", id="for-quota-when-the-first-was-lost"),
    ],
)
def test_a_retry_that_has_waited_until_the_end_wants_more_than_time(
    before: dict[str, Any], pod: str
) -> None:
    child = retried(CANCELLED, pod=pod, before=before)
    facts = failure.Facts(builders.run(condition=LATE), [child], waited_for="quota is used up")
    details = failure.classify_run(facts, SUBJECT, AT)
    assert untold(details)
    assert details.reason is FailureReason.DEADLINE_EXCEEDED
    assert details.natural_language_summary.endswith(advice.NEVER_BEGAN)
    assert details.message.endswith("It was last seen waiting: quota is used up")


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        pytest.param("PodAdmissionFailed", "is forbidden: violates PodSecurity",
                     FailureReason.FORBIDDEN, id="pod-security"),
        pytest.param("PodCreationFailed", "is forbidden: exceeded quota",
                     FailureReason.RESOURCE_EXHAUSTED, id="quota"),
        pytest.param("CouldntCreateWorkspacePVC", "no claim could be made",
                     FailureReason.UNKNOWN, id="claim"),
        pytest.param("TaskRunTimeout", "failed to finish within 1m",
                     FailureReason.DEADLINE_EXCEEDED, id="timeout"),
    ],
)  # fmt: skip
def test_a_retry_without_a_pod_fails_of_what_kept_it_from_one(
    reason: str, message: str, expected: FailureReason
) -> None:
    details = classify(retried(("False", reason, message)))
    assert details.reason is expected
    assert untold(details)


def test_a_retry_that_tekton_ends_for_what_the_first_attempt_waited_for_names_its_step() -> None:
    waiting = {"name": "run", "waiting": {"reason": "CreateContainerConfigError", "message": "no"}}
    child = retried(("False", "CreateContainerConfigError", "failed to start"), before=waiting)
    details = classify(child)
    assert details.reason is FailureReason.CONFIGURATION_ERROR
    assert (details.failed_step_name, details.exit_code) == ("run", None)


def test_a_retry_that_ran_tells_its_own_end() -> None:
    own = builders.step(exit_code=4, finished_s=40)
    details = classify(retried(("False", "Failed", "exit 4"), pod=POD, now=own))
    assert (details.failed_step_name, details.exit_code) == ("run", 4)
    assert details.failed_at == builders.NOW + datetime.timedelta(seconds=40)


@pytest.mark.parametrize("pod", ["", POD])
def test_that_no_attempt_ran_stays_proven(pod: str) -> None:
    unbegun = builders.step(exit_code=1, reason="TaskRunImagePullFailed", ran=False)
    child = retried(CANCELLED, pod=pod, before=unbegun)
    run = builders.run(condition=LATE, status={"childReferences": [builders.child("work")]})
    assert failure.nothing_ran(failure.Facts(run, [child]))


def test_progress_tells_no_exit_code_of_a_retry_that_waits() -> None:
    child = retried(("Unknown", "ToBeRetried", "it failed"))
    (entry,) = progress.map_progress(builders.run(), [child], None, None).task_runs
    assert (entry.exit_code, entry.attempts, entry.started) == (None, 2, True)


def test_a_retry_that_finds_no_node_is_worth_a_warning_which_stays() -> None:
    for before in (ENDED, LOST):
        waiting = retried(("Unknown", "Pending", "no nodes"), pod=POD, before=before)
        assert health.waiting([waiting]) == [waiting]
        assert health.begun(waiting) == frozenset()
        assert waiting.current_step is None
    assert health.never_began([retried(CANCELLED, pod=POD)])
    assert not health.never_began([retried(CANCELLED, pod=POD, now=builders.step(exit_code=4))])

"""Whether it is proven that nothing ran, and what the summary makes of it."""

import datetime
from typing import Any

import pytest

from tests import builders
from workflowexecution.api import tekton
from workflowexecution.api.status import FailureReason
from workflowexecution.domain import failure, stopping, summary

AT = builders.NOW + datetime.timedelta(minutes=2)
SUBJECT = summary.Subject("restart-deployment", builders.TARGET, builders.NOW)
NEVER = builders.step(exit_code=1, ran=False)
ENDED = ("False", "TaskRunImagePullFailed", "the step could not pull its image")


def run(*children: dict[str, Any]) -> tekton.PipelineRun:
    return builders.run(
        condition=("False", "Failed", "it failed"), status={"childReferences": list(children)}
    )


def never(name: str = "restart", **status: object) -> tekton.TaskRun:
    """A TaskRun whose pod was there and whose steps never ran."""
    return builders.task(name, condition=ENDED, steps=[NEVER], status=status)


def test_nothing_ran_when_no_child_had_a_container() -> None:
    children = (never("a"), never("b", podName=None, steps=None))
    facts = failure.Facts(run(builders.child("a"), builders.child("b")), children)
    assert failure.nothing_ran(facts)


def test_nothing_ran_when_the_run_never_had_a_child() -> None:
    assert failure.nothing_ran(failure.Facts(run(), ()))


ONE = run(builders.child())


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(failure.Facts(None, ()), id="no-run"),
        pytest.param(failure.Facts(run(), (), vanished="gone"), id="vanished"),
        pytest.param(failure.Facts(ONE, ()), id="missing-child"),
        pytest.param(
            failure.Facts(ONE, (never(),), unlisted=frozenset({"x"})), id="unlisted-child"
        ),
        pytest.param(failure.Facts(run(builders.child(kind="CustomRun")), ()), id="custom-run"),
        pytest.param(
            failure.Facts(run(builders.child(kind="PipelineRun")), (never(),)), id="child-pipeline"
        ),
        pytest.param(failure.Facts(ONE, (never(steps=[]),)), id="pod-without-steps"),
        pytest.param(failure.Facts(ONE, (never(steps=[{"imageID": "i"}]),)), id="step-image"),
        pytest.param(failure.Facts(ONE, (never(sidecars=[{"containerID": "c"}]),)), id="sidecar"),
        pytest.param(
            failure.Facts(ONE, (never(retriesStatus=[{"steps": [{"imageID": "i"}]}]),)),
            id="earlier-attempt",
        ),
        pytest.param(failure.Facts(ONE, (never(),), frozenset({"any"})), id="once-seen-started"),
        pytest.param(
            failure.Facts(ONE, (never(),), pods=(tekton.Pod("p", "", ran=True),)),
            id="pod-that-ran-after-all",
        ),
        pytest.param(
            failure.Facts(ONE, (never(), never("other", sidecars=[{"imageID": "i"}]))),
            id="child-that-the-run-does-not-name",
        ),
    ],
)
def test_nothing_is_proven_while_anything_is_open(facts: failure.Facts) -> None:
    assert not failure.nothing_ran(facts)
    details = failure.classify_run(facts, SUBJECT, AT)
    assert details.was_execution_failure
    assert "may have been changed" in details.natural_language_summary


def test_classify_run_says_that_nothing_was_changed_when_nothing_ran() -> None:
    details = failure.classify_run(failure.Facts(ONE, (never(),)), SUBJECT, AT)
    assert details.reason is FailureReason.IMAGE_PULL_BACK_OFF
    assert (details.was_execution_failure, details.exit_code) == (False, None)
    assert details.failed_step_name == "run"
    assert details.natural_language_summary == (
        "Workflow 'restart-deployment' on target 'payment/deployment/payment-api' failed at "
        "2026-03-01T12:00:15Z, 15s after its start, in task 'restart', step 'run'. The reason is "
        "ImagePullBackOff. Tekton says: «the step could not pull its image». No step of it has "
        "run, so nothing was changed. Check the image reference and the pull credentials."
    )


@pytest.mark.requirement("BR-WF-007", "Message indicates external deletion")
def test_classify_run_tells_what_vanished_in_its_own_words() -> None:
    vanished = "PipelineRun x was deleted by somebody else at 12:00"
    details = failure.classify_run(failure.Facts(ONE, (), vanished=vanished), SUBJECT, AT)
    assert (details.reason, details.message) == (FailureReason.UNKNOWN, vanished)
    assert vanished in details.natural_language_summary
    assert "find out who deleted the PipelineRun" in details.natural_language_summary
    assert "Tekton says" not in details.natural_language_summary


def test_summary_and_reason_agree_when_a_run_vanished_on_purpose() -> None:
    facts = failure.Facts(
        ONE, (), vanished="The execution was deleted", vanished_reason=FailureReason.CANCELLED
    )
    details = failure.classify_run(facts, SUBJECT, AT)
    assert details.reason is FailureReason.CANCELLED
    assert "The reason is Cancelled." in details.natural_language_summary


def test_refused_changed_nothing() -> None:
    subject = summary.Subject("w", "t", None)
    details = failure.refused(FailureReason.FORBIDDEN, "token=abc no", subject, AT)
    assert not details.was_execution_failure
    assert details.execution_time_before_failure == "0s"
    assert details.natural_language_summary == (
        "Workflow 'w' on target 't' failed at 2026-03-01T12:02:00Z. The reason is Forbidden. "
        "token=***REDACTED*** no. No step of it has run, so nothing was changed. Have it allowed "
        "by whoever may (a role, credentials, a policy), or choose a workflow that needs less."
    )


def test_refused_by_others_tells_their_words_from_our_own() -> None:
    said = summary.by("The API server", "denied: token=abc no. All is safe")
    details = failure.refused(FailureReason.FORBIDDEN, said, SUBJECT, AT)
    assert details.message == "denied: token=***REDACTED*** no. All is safe"
    assert (
        "Forbidden. The API server says: «denied: token=***REDACTED*** no. All is safe». No step"
        in details.natural_language_summary
    )


@pytest.mark.parametrize(
    ("message", "told"),
    [
        pytest.param(
            "The execution was cancelled by ann: all. Is safe. The rest",
            "The execution was cancelled by 'ann': «all. Is safe». The rest. Steps",
            id="by-a-person",
        ),
        pytest.param("The run was deleted", "Cancelled. The run was deleted. Steps", id="other"),
    ],
)
def test_stopped_for_a_person_tells_the_words_of_that_person_from_our_own(
    message: str, told: str
) -> None:
    cancel = {"requestedBy": "ann", "reason": "all. Is safe"}
    spec = builders.execution(spec={"cancel": cancel}).spec
    facts = failure.Facts(
        ONE, (), stopped=failure.attribute(message, spec, stopping.cancelled_by(spec))
    )
    details = failure.classify_run(facts, SUBJECT, AT)
    assert details.message == message
    assert told in details.natural_language_summary


def test_summary_ends_with_an_advice_of_its_own_for_each_reason() -> None:
    ends = {
        reason: failure.refused(reason, "m", SUBJECT, AT).natural_language_summary.split(
            "changed. "
        )[1]
        for reason in FailureReason
    }
    assert len(set(ends.values())) == len(FailureReason)
    assert all(advice[0].isupper() and advice.endswith(".") for advice in ends.values())
    assert "spec.executionConfig.timeout" in ends[FailureReason.DEADLINE_EXCEEDED]


def test_a_clock_that_went_back_makes_no_negative_time() -> None:
    early = builders.NOW - datetime.timedelta(hours=1)
    details = failure.classify_run(failure.Facts(ONE, (never(),)), SUBJECT, early)
    assert details.execution_time_before_failure == "0s"

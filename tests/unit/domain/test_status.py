"""What a status becomes, transition by transition."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from workflowexecution.api.status import (
    ConditionReason,
    ConditionStatus,
    ConditionType,
    FailureDetails,
    FailureReason,
    Outcome,
    Phase,
    PipelineRunRef,
    SkipDetails,
    SkipReason,
    Status,
    TaskRunPhase,
    TaskRunStatus,
)
from workflowexecution.domain import failure, progress, status, summary

NOW = builders.NOW
LATER = NOW + datetime.timedelta(seconds=60, microseconds=900)
MOMENT = status.Moment(LATER, generation=3)
REF = PipelineRunRef(namespace="kubernaut-workflows", name="wfe-1", uid="u")
READY, CREATED = ConditionType.READY, ConditionType.TEKTON_PIPELINE_CREATED
COMPLETE = ConditionType.TEKTON_PIPELINE_COMPLETE
SUBJECT = summary.Subject("w", "t", None)
WAY = progress.Progress(
    1, 2, "a/run", (TaskRunStatus(name="t", task="a", phase=TaskRunPhase.RUNNING),)
)
RUNNING = status.started(Status(), status.Moment(NOW, 1), REF, at=NOW)


def details(message: str = "it failed", *, ran: bool = True) -> FailureDetails:
    made = failure.refused(FailureReason.TASK_FAILED, message, SUBJECT, LATER)
    return made.model_copy(update={"was_execution_failure": ran})


def said(of: Status, kind: ConditionType) -> tuple[str, str, str]:
    """Status, reason and message of a condition."""
    found = of.condition(kind)
    assert found is not None
    return found.status, found.reason, found.message


def failed(before: Status, message: str = "it failed", *, ran: bool = True) -> Status:
    return status.failed(
        before, MOMENT, details(message, ran=ran), outcome=Outcome.FAILED, at=LATER, notes=[]
    )


def test_an_absent_phase_means_pending() -> None:
    assert status.phase_of(Status()) is Phase.PENDING
    assert status.phase_of(Status(phase=Phase.RUNNING)) is Phase.RUNNING


@pytest.mark.requirement("BR-WF-003", "Phase transitions match PipelineRun status")
@pytest.mark.parametrize("before", Phase)
@pytest.mark.parametrize("after", Phase)
def test_a_phase_never_goes_back_and_a_terminal_one_is_latched(before: Phase, after: Phase) -> None:
    forward = {
        (Phase.PENDING, Phase.RUNNING),
        (Phase.PENDING, Phase.FAILED),
        (Phase.PENDING, Phase.SKIPPED),
        (Phase.RUNNING, Phase.COMPLETED),
        (Phase.RUNNING, Phase.FAILED),
    }
    assert status.is_legal(before, after) is (before is after or (before, after) in forward)


def test_an_illegal_transition_raises() -> None:
    ended = failed(RUNNING)
    with pytest.raises(status.IllegalTransitionError, match="Failed cannot become Running"):
        status.started(ended, MOMENT, REF, at=NOW)
    with pytest.raises(status.IllegalTransitionError, match="Running cannot become Skipped"):
        status.skipped(RUNNING, MOMENT, skip(), [])
    with pytest.raises(status.IllegalTransitionError, match="Pending cannot become Completed"):
        status.completed(Status(), MOMENT, LATER)


def test_pending_says_what_keeps_it_waiting() -> None:
    note = status.Note(CREATED, ConditionStatus.FALSE, ConditionReason.QUOTA_EXCEEDED, "full")
    waiting = status.pending(Status(), MOMENT, [note])
    assert (waiting.phase, waiting.observed_generation) == (Phase.PENDING, 3)
    assert said(waiting, CREATED) == ("False", "QuotaExceeded", "full")


def test_started_names_the_run_and_when_it_came_to_be() -> None:
    begun = status.started(Status(), MOMENT, REF, at=NOW.replace(microsecond=5))
    assert (begun.phase, begun.start_time) == (Phase.RUNNING, NOW)
    assert begun.pipeline_run_ref == REF
    exists = "PipelineRun kubernaut-workflows/wfe-1 exists"
    assert said(begun, CREATED) == ("True", "PipelineCreated", exists)
    assert said(begun, READY) == ("Unknown", "Executing", "The workflow is running")


@pytest.mark.requirement("BR-WF-003", "Message populated from Tekton condition")
@pytest.mark.requirement("WE-R4", "Map PipelineRun conditions to WorkflowExecution status")
def test_mirrored_repeats_the_run_redacted() -> None:
    run = builders.run(
        condition=("Unknown", "Running", "token=abc"),
        status={"provenance": {"refSource": {"digest": {"sha256": "ab"}}}},
    )
    after = status.mirrored(RUNNING, MOMENT, run, WAY)
    assert after.observed_generation == 3
    assert (after.progress, after.current_step, after.task_runs) == ("1/2", "a/run", WAY.task_runs)
    assert after.message == "token=***REDACTED***"
    assert after.pipeline_run_status is not None
    assert after.pipeline_run_status.model_dump() == {
        "status": "Unknown",
        "reason": "Running",
        "message": "token=***REDACTED***",
        "completed_tasks": 1,
        "total_tasks": 2,
    }
    assert after.resolved_digest == "sha256:ab"
    started = "Tekton started the run at 2026-03-01T12:00:00Z"
    running = said(after, ConditionType.TEKTON_PIPELINE_RUNNING)
    assert running == ("True", "PipelineStarted", started)


@pytest.mark.parametrize(
    ("answer", "message", "expected"),
    [
        pytest.param(
            "True",
            "",
            ("True", "SignatureVerified", "Tekton has verified the signature of what it runs"),
            id="verified",
        ),
        pytest.param(
            "False", "it fails", ("False", "SignatureNotVerified", "it fails"), id="not-verified"
        ),
    ],
)
def test_mirrored_tells_what_tekton_says_of_the_signature(
    answer: str, message: str, expected: tuple[str, str, str]
) -> None:
    trust = {"type": "TrustedResourcesVerified", "status": answer, "message": message}
    after = status.mirrored(RUNNING, MOMENT, builders.run(status={"conditions": [trust]}), WAY)
    assert said(after, ConditionType.TRUSTED_RESOURCES_VERIFIED) == expected


def test_mirrored_says_nothing_that_the_run_does_not() -> None:
    empty = progress.Progress(None, None, None, ())
    after = status.mirrored(RUNNING, MOMENT, builders.run(status={"startTime": None}), empty)
    assert (after.message, after.pipeline_run_status, after.task_runs) == (None, None, None)
    assert after.condition(ConditionType.TEKTON_PIPELINE_RUNNING) is None
    assert after.condition(ConditionType.TRUSTED_RESOURCES_VERIFIED) is None


@pytest.mark.requirement("BR-WF-003", "Outcome reflects success/failure accurately")
@pytest.mark.requirement("BR-WF-003", "CompletionTime set when execution finishes")
@pytest.mark.requirement("ADR-044", "Monitors completion status (Success/Failed)")
def test_completed_tells_the_duration_and_resets_the_count() -> None:
    before = RUNNING.model_copy(update={"consecutive_failures": 2, "current_step": "a/run"})
    after = status.completed(before, MOMENT, LATER)
    assert (after.phase, after.outcome, after.duration) == (
        Phase.COMPLETED,
        Outcome.SUCCESS,
        "1m0s",
    )
    assert (after.consecutive_failures, after.current_step) == (0, None)
    assert after.completion_time == LATER.replace(microsecond=0)
    assert said(after, COMPLETE)[:2] == ("True", "PipelineSucceeded")
    assert said(after, READY) == ("True", "Completed", "The workflow has completed")


def test_completed_has_no_negative_duration() -> None:
    early = NOW - datetime.timedelta(seconds=5)
    assert status.completed(RUNNING, MOMENT, early).duration == "0s"


@pytest.mark.requirement("BR-WF-003", "Outcome reflects success/failure accurately")
@pytest.mark.requirement("ADR-044", "Monitors completion status (Success/Failed)")
@pytest.mark.parametrize("ran", [True, False])
def test_failed_tells_why_and_whether_a_person_must_look(ran: bool) -> None:
    note = status.Note(COMPLETE, ConditionStatus.FALSE, ConditionReason.TASK_FAILED, "m")
    before = RUNNING.model_copy(update={"current_step": "a/run"})
    after = status.failed(
        before, MOMENT, details(ran=ran), outcome=Outcome.FAILED, at=LATER, notes=[note]
    )
    assert after.current_step is None
    assert (after.phase, after.outcome, after.duration) == (Phase.FAILED, Outcome.FAILED, "1m0s")
    assert (after.failure_reason, after.failure_details) == ("TaskFailed", details(ran=ran))
    assert after.requires_manual_review is ran
    assert said(after, COMPLETE) == ("False", "TaskFailed", "m")
    assert said(after, READY) == ("False", "TaskFailed", "it failed")


@pytest.mark.requirement("BR-WF-003", "Message populated from Tekton condition")
@pytest.mark.parametrize(
    ("condition", "message"),
    [
        pytest.param(("False", "Failed", "Tekton's end"), "Tekton's end", id="said-the-end"),
        pytest.param(("Unknown", "Running", "going on"), "it failed", id="said-it-goes-on"),
        pytest.param(("False", "Failed", ""), "it failed", id="said-nothing"),
        pytest.param(None, "it failed", id="silent"),
    ],
)
def test_failed_repeats_tektons_message_when_that_tells_the_end(
    condition: tuple[str, str, str] | None, message: str
) -> None:
    run = builders.run(condition=condition)
    mirrored = status.mirrored(RUNNING, MOMENT, run, WAY)
    assert failed(mirrored).message == message


def test_failed_before_a_run_has_no_duration() -> None:
    after = failed(Status(), ran=False)
    assert (after.phase, after.start_time, after.duration) == (Phase.FAILED, None, None)


def skip() -> SkipDetails:
    return SkipDetails(reason=SkipReason.RESOURCE_BUSY, message="held by x", skipped_at=LATER)


def test_skipped_tells_what_stood_in_the_way() -> None:
    note = status.Note(
        ConditionType.RESOURCE_LOCKED,
        ConditionStatus.TRUE,
        ConditionReason.TARGET_RESOURCE_BUSY,
        "held by x",
    )
    after = status.skipped(Status(), MOMENT, skip(), [note])
    assert (after.phase, after.outcome, after.message) == (Phase.SKIPPED, "Skipped", "held by x")
    assert after.completion_time == LATER.replace(microsecond=0)
    assert after.skip_details == skip()
    assert said(after, ConditionType.RESOURCE_LOCKED)[0] == "True"
    assert said(after, READY) == ("False", "ResourceBusy", "held by x")


def test_noted_redacts_and_cuts_the_message() -> None:
    note = status.Note(READY, ConditionStatus.FALSE, "X", "password=abc " + "ä" * 2000)
    _, _, message = said(status.noted(Status(), MOMENT, [note]), READY)
    assert "abc" not in message
    assert 1000 < len(message.encode()) <= 1024


def test_noted_leaves_no_empty_list_behind() -> None:
    assert status.noted(Status(), MOMENT, []) == Status()


NOTES = st.builds(
    status.Note,
    st.sampled_from(ConditionType),
    st.sampled_from(ConditionStatus),
    st.sampled_from(ConditionReason),
    st.text(max_size=20),
)


@given(st.lists(st.lists(NOTES, max_size=4), max_size=5))
def test_noted_moves_a_transition_time_only_when_a_condition_flips(
    rounds: list[list[status.Note]],
) -> None:
    after = Status()
    for number, notes in enumerate(rounds):
        before = {it.type: it for it in after.conditions or ()}
        now = NOW + datetime.timedelta(minutes=number)
        after = status.noted(after, status.Moment(now, number), notes)
        conditions = after.conditions or ()
        assert len({it.type for it in conditions}) == len(conditions)
        assert before.keys() <= {it.type for it in conditions}
        for it in conditions:
            old = before.get(it.type)
            last = [note for note in notes if note.type == it.type][-1:]
            if not last:
                assert it == old
            elif len([note for note in notes if note.type == it.type]) == 1:
                flipped = old is None or old.status != it.status
                moved = old is None or old.last_transition_time != it.last_transition_time
                assert moved is flipped
                assert (it.status, it.reason) == (last[0].status, last[0].reason)
                assert it.observed_generation == number

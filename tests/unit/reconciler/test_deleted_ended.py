"""An execution that somebody deletes, whose run had ended before that untold."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler.deletions import (
    AT_ONCE,
    DIGEST,
    ENDED,
    GONE_SOON,
    OVER,
    deleted_at,
    reconcile,
)
from workflowexecution.api import names
from workflowexecution.api.status import ConditionType, FailureReason, Outcome, Phase

BAD = ("False", "Failed", "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 0")


@pytest.mark.parametrize("said", [ENDED, {"phase": "Pending"}], ids=["told", "not-told"])
@pytest.mark.parametrize("gone", [True, False], ids=["run-gone", "run-there"])
async def test_a_run_that_had_succeeded_before_the_deletion_has_succeeded(
    said: dict[str, Any], *, gone: bool
) -> None:
    made = deleted_at(31, said)
    run = builders.run(condition=OVER)
    if gone:
        made.engine.gone[run.owner_uid] = run
    else:
        made.engine.show(run)
    assert await reconcile(made) == AT_ONCE
    found = made.status
    assert (found.phase, found.outcome) == (Phase.COMPLETED, Outcome.SUCCESS)
    assert found.completion_time == run.completed_at
    assert not made.sync().was_running_when_deleted


@pytest.mark.parametrize(
    ("seconds", "condition", "digest"),
    [
        pytest.param(29, BAD, DIGEST, id="failed-after-the-deletion"),
        pytest.param(30, None, DIGEST, id="not-at-all"),
        pytest.param(30, OVER, "sha256:" + "b" * 64, id="of-another-bundle"),
    ],
)
async def test_no_other_run_has(
    seconds: float, condition: tuple[str, str, str] | None, digest: str
) -> None:
    made = deleted_at(seconds)
    source = {"refSource": {"digest": {"sha256": digest.removeprefix("sha256:")}}}
    made.engine.show(builders.run(condition=condition, status={"provenance": source}))
    assert await reconcile(made) == AT_ONCE
    assert made.status.phase is Phase.FAILED
    assert made.sync().was_running_when_deleted


@pytest.mark.parametrize("ahead_s", [0, 1, 3600])
async def test_a_success_is_one_whatever_the_clock_of_tekton_shows(ahead_s: int) -> None:
    made = deleted_at(30)
    late = {"completionTime": builders.stamp(30 + ahead_s)}
    made.engine.show(builders.run(condition=OVER, status=late))
    assert await reconcile(made) == AT_ONCE
    found = made.status
    assert (found.phase, found.outcome) == (Phase.COMPLETED, Outcome.SUCCESS)
    assert found.completion_time is not None
    assert found.completion_time <= made.clock.now()


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param(
            {"annotations": {names.ANNOTATION_CANCEL_REQUESTED_AT: builders.stamp(30)}}, id="asked"
        ),
        pytest.param(GONE_SOON, id="deleted"),
    ],
)
async def test_a_success_after_it_was_to_end_is_none_of_before_the_deletion(
    metadata: dict[str, Any],
) -> None:
    made = deleted_at(30)
    late = {"completionTime": builders.stamp(31)}
    made.engine.show(builders.run(condition=OVER, metadata=metadata, status=late))
    assert await reconcile(made) == AT_ONCE
    assert (made.status.phase, made.status.outcome) == (Phase.FAILED, Outcome.CANCELLED)


async def test_a_run_that_had_failed_before_the_deletion_is_told_as_it_failed() -> None:
    """What lingers of it holds the target, and may have begun unseen."""
    made = deleted_at(30)
    task = builders.task(condition=("False", "Failed", "bad"), steps=[builders.step(exit_code=3)])
    made.engine.show(builders.run(condition=BAD), task)
    assert await reconcile(made) == AT_ONCE
    found = made.status
    assert (found.outcome, found.failure_reason) == (Outcome.FAILED, FailureReason.TASK_FAILED)
    assert found.failure_details is not None
    assert found.failure_details.exit_code == 3
    assert found.requires_manual_review
    assert made.sync().was_running_when_deleted


async def test_what_was_written_down_of_it_before_stays() -> None:
    details = {
        "reason": "OOMKilled",
        "message": "too much",
        "failedAt": builders.stamp(20),
        "failedTaskIndex": 0,
        "failedTaskName": "restart",
        "wasExecutionFailure": True,
        "executionTimeBeforeFailure": "20s",
        "naturalLanguageSummary": "It was too much.",
    }
    made = deleted_at(30, {**ENDED, "failureDetails": details})
    made.engine.show(builders.run(condition=BAD))
    await reconcile(made)
    assert made.status.failure_reason is FailureReason.OOM_KILLED


async def test_one_that_the_program_had_stopped_was_stopped_for_that() -> None:
    made = deleted_at(30)
    marks = {names.ANNOTATION_CANCEL_CAUSE: "deadline"}
    over = ("False", "Cancelled", "PipelineRun was cancelled")
    made.engine.show(builders.run(condition=over, metadata={"annotations": marks}))
    await reconcile(made)
    assert made.status.outcome is Outcome.TIMEOUT
    # Nobody has looked whether nothing of it works any more.
    assert made.status.condition(ConditionType.CANCEL_CONFIRMED) is None


async def test_a_stop_that_its_run_forestalled_is_over_when_the_execution_is_deleted() -> None:
    open_stop = {"type": "CancelConfirmed", "status": "Unknown", "reason": "Cancelling",
                 "message": "m", "lastTransitionTime": builders.stamp()}  # fmt: skip
    made = deleted_at(31, {**ENDED, "conditions": [open_stop]})
    source = {"provenance": {"refSource": {"digest": {"sha256": "b" * 64}}}}
    marks = {names.ANNOTATION_CANCEL_CAUSE: "digest"}
    made.engine.show(builders.run(condition=BAD, status=source, metadata={"annotations": marks}))
    await reconcile(made)
    said = made.said(ConditionType.CANCEL_CONFIRMED)
    assert (said.status, said.reason) == ("False", "Completed")


async def test_what_lingered_is_not_said_to_be_over_by_a_deletion() -> None:
    lingers = {"type": "PodsHealthy", "status": "False", "reason": "PodsLingering",
               "message": "m", "lastTransitionTime": builders.stamp()}  # fmt: skip
    made = deleted_at(31, {**ENDED, "conditions": [lingers]})
    made.engine.show(builders.run(condition=BAD))
    await reconcile(made)
    assert made.said(ConditionType.PODS_HEALTHY).status == "False"


async def test_an_end_before_the_deletion_tells_how_far_the_run_had_come() -> None:
    made = deleted_at(31, {**ENDED, "progress": "0/1", "currentStep": "restart/run"})
    tasks = {
        "childReferences": [builders.child()],
        "pipelineSpec": {"tasks": [{"name": "restart"}]},
    }
    over = ("True", "Succeeded", "Tasks Completed: 1 (Failed: 0, Cancelled 0), Skipped: 0")
    done = builders.task(condition=OVER, steps=[builders.step(exit_code=0)])
    made.engine.show(builders.run(condition=over, status=tasks), done)
    await reconcile(made)
    found = made.status
    assert (found.progress, found.current_step, found.message) == ("1/1", None, over[2])
    assert [it.started for it in found.task_runs or ()] == [True]


async def test_the_end_of_a_run_with_the_labels_of_its_own_is_not_its_end() -> None:
    made = deleted_at(31)
    made.engine.show(builders.run(condition=OVER, metadata={"uid": "another"}))
    await reconcile(made)
    assert made.status.outcome is Outcome.CANCELLED

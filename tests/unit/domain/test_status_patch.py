"""The merge patch between two statuses."""

import copy
import datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.fake import objects
from workflowexecution.api.status import (
    FailureReason,
    Outcome,
    Phase,
    PipelineRunRef,
    PipelineRunStatus,
    Status,
    TaskRunPhase,
    TaskRunStatus,
)
from workflowexecution.domain import failure, status, summary

TIMES = st.datetimes(
    min_value=datetime.datetime(2000, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    timezones=st.just(datetime.UTC),
)
TEXTS = st.none() | st.text(max_size=5)
STATUSES = st.builds(
    Status,
    phase=st.none() | st.sampled_from(Phase),
    message=TEXTS,
    start_time=st.none() | TIMES,
    progress=TEXTS,
    pipeline_run_ref=st.none() | st.builds(PipelineRunRef, name=st.text(max_size=3)),
    pipeline_run_status=st.none()
    | st.builds(
        PipelineRunStatus,
        status=st.text(max_size=3),
        completed_tasks=st.none() | st.integers(0, 3),
        total_tasks=st.none() | st.integers(0, 3),
    ),
    task_runs=st.none()
    | st.tuples()
    | st.tuples(
        st.builds(
            TaskRunStatus,
            name=st.text(max_size=2),
            task=st.just("t"),
            phase=st.sampled_from(TaskRunPhase),
            exit_code=st.none() | st.integers(0, 2),
        )
    ),
    consecutive_failures=st.none() | st.integers(0, 2),
)


@given(STATUSES, STATUSES)
def test_patch_leads_from_the_one_to_the_other(before: Status, after: Status) -> None:
    patch = status.patch(before, after)
    assert objects.merge(status.dump(before), patch) == status.dump(after)


@given(STATUSES, STATUSES)
def test_patch_leaves_what_it_does_not_know(before: Status, after: Status) -> None:
    stored = status.dump(before) | {"ofANewerVersion": {"a": [1]}}
    assert objects.merge(copy.deepcopy(stored), status.patch(before, after))["ofANewerVersion"] == {
        "a": [1]
    }


@given(STATUSES)
def test_patch_is_empty_when_nothing_changed(same: Status) -> None:
    assert status.patch(same, same) == {}
    read_again = Status.model_validate(orjson.loads(orjson.dumps(status.dump(same))))
    assert status.patch(same, read_again) == {}


@pytest.mark.parametrize("before", [Status(), Status(phase=Phase.PENDING)])
def test_patch_to_a_failure_names_its_place_where_there_is_none(before: Status) -> None:
    moment = status.Moment(builders.NOW, 1)
    subject = summary.Subject("w", "t", None)
    details = failure.refused(FailureReason.FORBIDDEN, "no", subject, builders.NOW)
    after = status.failed(
        before, moment, details, outcome=Outcome.FAILED, at=builders.NOW, notes=[]
    )
    written = status.patch(before, after)["failureDetails"]
    assert (written["failedTaskIndex"], written["failedTaskName"]) == (0, "")


def test_patch_says_only_what_changed() -> None:
    before = Status(
        phase=Phase.RUNNING,
        current_step="a/run",
        pipeline_run_status=PipelineRunStatus(status="Unknown", completed_tasks=1, total_tasks=3),
    )
    after = before.model_copy(
        update={
            "current_step": None,
            "pipeline_run_status": PipelineRunStatus(
                status="Unknown", completed_tasks=2, total_tasks=3
            ),
        }
    )
    assert status.patch(before, after) == {
        "currentStep": None,
        "pipelineRunStatus": {"completedTasks": 2},
    }

"""Which task is named as the cause: neither a `finally` task that ran after it, nor a bystander."""

import datetime
import time

import pytest

from tests import builders
from tests.unit.domain.failures import classify, failed_task
from workflowexecution.api import tekton
from workflowexecution.api.status import FailureDetails, FailureReason
from workflowexecution.domain import blame

TIDY = {"pipelineSpec": {"tasks": [{"name": "work"}], "finally": [{"name": "tidy"}]}}


def test_the_cause_is_no_finally_task_when_the_request_was_wrong() -> None:
    tidy = failed_task("tidy", steps=[builders.step(exit_code=8)])
    said = ("False", "PipelineValidationFailed", "Tasks Completed: 2 (Failed: 1, Cancelled 0), "
            "Skipped: 0, Failed Validation: 1 (no result)")  # fmt: skip
    details = classify(tidy, said=said, status=TIDY)
    assert (details.reason, details.exit_code) == (FailureReason.CONFIGURATION_ERROR, None)
    assert details.failed_task_name == ""
    work = failed_task("work", steps=[builders.step(exit_code=4)])
    assert classify(work, tidy, said=said, status=TIDY).failed_task_name == "work"


def foreign(failed: int, cancelled: int, *kinds: str, tidy: str = "Failed") -> FailureDetails:
    """A run whose tasks `work`, and `other`, are of these kinds, and whose `tidy` ends so."""
    named = [builders.child(task, kind=kind)
             for task, kind in zip(("work", "other"), kinds, strict=False)]  # fmt: skip
    counted = f"Tasks Completed: 3 (Failed: {failed}, Cancelled {cancelled}), Skipped: 0"
    status = {**TIDY, "childReferences": [*named, builders.child("tidy")]}
    task = failed_task("tidy", reason=tidy, steps=[builders.step(exit_code=8)])
    return classify(task, said=("False", "Failed", counted), status=status)


@pytest.mark.parametrize(
    ("details", "reason", "task"),
    [
        pytest.param(foreign(2, 0, "CustomRun"), "TaskFailed", "work", id="failed"),
        pytest.param(foreign(1, 0, "CustomRun"), "TaskFailed", "tidy", id="succeeded"),
        pytest.param(foreign(1, 1, "CustomRun"), "Cancelled", "", id="cancelled"),
        pytest.param(foreign(2, 0, "CustomRun", "CustomRun"), "TaskFailed", "", id="one-of-two"),
        pytest.param(foreign(2, 0, "CustomRun", "TaskRun"), "TaskFailed", "tidy", id="unseen"),
        pytest.param(foreign(3, 0, "CustomRun", "TaskRun"), "TaskFailed", "work", id="both"),
        pytest.param(
            foreign(1, 0, "CustomRun", tidy="FailureIgnored"), "TaskFailed", "work", id="ignored"
        ),
    ],
)
def test_the_cause_is_a_task_of_another_kind_when_tekton_counts_one_failure_more(
    details: FailureDetails, reason: str, task: str
) -> None:
    assert (details.reason, details.failed_task_name) == (reason, task)
    assert details.exit_code == (8 if task == "tidy" else None)
    named = "Read the object that the run made for that task" in details.natural_language_summary
    assert named is (reason == "TaskFailed" and task != "tidy")


def test_the_cause_is_a_finally_task_among_such_tasks_of_finally() -> None:
    status = {"childReferences": [builders.child("tell", kind="CustomRun"), builders.child("tidy")],
              "pipelineSpec": {"finally": [{"name": "tidy"}, {"name": "tell"}]}}  # fmt: skip
    said = ("False", "Failed", "Tasks Completed: 2 (Failed: 2, Cancelled 0), Skipped: 0")
    assert classify(failed_task("tidy"), said=said, status=status).failed_task_name == "tidy"
    said = ("False", "Failed", "Tasks Completed: 2 (Failed: 1, Cancelled 0), Skipped: 0")
    fine = builders.task("tidy", condition=("True", "Succeeded", ""))
    assert classify(fine, said=said, status=status).failed_task_name == "tell"


def test_the_cause_is_found_in_proportion_to_the_tasks_however_many_are_of_finally() -> None:
    works = [builders.child(f"work-{number}", kind="CustomRun") for number in range(4000)]
    last = [{"name": f"tidy-{number}"} for number in range(4000)]
    said = ("False", "Failed", "Tasks Completed: 4000 (Failed: 1, Cancelled 0), Skipped: 4000")
    status = {"childReferences": works, "pipelineSpec": {"finally": last}}
    run = builders.run(condition=said, status=status)
    begun = time.process_time()
    assert blame.at_fault(run, []) == (None, FailureReason.TASK_FAILED)
    assert blame.foreign_task(run, FailureReason.TASK_FAILED) == ""
    assert time.process_time() - begun < 0.1


def may_fail(reason: str, *, task: str = "probe") -> tekton.TaskRun:
    """A task whose failure the pipeline ignores, and which Tekton has ended for this reason."""
    steps = [builders.step(exit_code=1, reason=reason)]
    raw = builders.raw_task(task, condition=("False", reason, "it was ended"), steps=steps,
                            status={"completionTime": builders.stamp(10)})  # fmt: skip
    raw["metadata"]["annotations"] = {tekton.ON_ERROR_ANNOTATION: "continue"}
    return tekton.project_taskrun(raw, tekton.TaskRun)


ENDED_BY_TEKTON = (
    "TaskRunTimeout",
    "TaskRunImagePullFailed",
    "CreateContainerConfigError",
    "PodCreationFailed",
    "TaskRunValidationFailed",
)


@pytest.mark.parametrize("reason", ENDED_BY_TEKTON)
def test_the_cause_is_not_a_task_that_may_fail_however_it_ended(reason: str) -> None:
    counted = "Tasks Completed: 2 (Failed: 2 (Ignored: 1), Cancelled 0), Skipped: 0"
    probe, fix = may_fail(reason), failed_task("fix", steps=[builders.step(exit_code=7)])
    details = classify(probe, fix, said=("False", "Failed", counted))
    assert (details.failed_task_name, details.exit_code) == ("fix", 7)
    assert details.reason is FailureReason.TASK_FAILED
    assert details.was_execution_failure


@pytest.mark.parametrize("reason", ENDED_BY_TEKTON)
def test_the_cause_is_a_task_of_another_kind_beside_one_that_may_fail(reason: str) -> None:
    counted = "Tasks Completed: 2 (Failed: 2 (Ignored: 1), Cancelled 0), Skipped: 0"
    named = [builders.child("probe"), builders.child("approve", kind="CustomRun")]
    details = classify(may_fail(reason), said=("False", "Failed", counted),
                       status={"childReferences": named})  # fmt: skip
    assert (details.failed_task_name, details.exit_code) == ("approve", None)
    assert details.reason is FailureReason.TASK_FAILED


def test_the_cause_is_a_task_that_may_fail_where_it_was_cancelled() -> None:
    late = ("False", "PipelineRunTimeout", "the run failed to finish")
    details = classify(may_fail("TaskRunCancelled"), said=late)
    assert (details.failed_task_name, details.reason) == ("probe", FailureReason.DEADLINE_EXCEEDED)


def at(after_s: float) -> datetime.datetime:
    return builders.NOW + datetime.timedelta(seconds=after_s)


def test_it_failed_when_the_step_did_and_not_when_the_run_came_to_its_end() -> None:
    details = classify(failed_task(steps=[builders.step(exit_code=4, finished_s=7)], ended_s=9))
    assert (details.failed_at, details.execution_time_before_failure) == (at(7), "7s")
    assert "failed at 2026-03-01T12:00:07Z, 7s after its start" in details.natural_language_summary


def test_it_failed_with_its_task_when_no_step_tells_and_never_after_the_run() -> None:
    assert classify(failed_task(steps=[], ended_s=9)).failed_at == at(9)
    assert classify(failed_task(steps=[], ended_s=99)).failed_at == at(90)
    lost = builders.task("z", condition=("False", "Failed", ""), status={"completionTime": None})
    assert classify(lost).failed_at == classify().failed_at == at(90)


def combination(number: int, exit_code: int, ended_s: float) -> tekton.TaskRun:
    """One of the TaskRuns that a matrix makes of task `work`."""
    said = "Failed" if exit_code else "Succeeded"
    raw = builders.raw_task("work", condition=(str(not exit_code), said, ""),
                            steps=[builders.step(exit_code=exit_code)])  # fmt: skip
    raw["metadata"]["name"] = f"work-{number}"
    raw["status"]["completionTime"] = builders.stamp(ended_s)
    return tekton.project_taskrun(raw, tekton.TaskRun)


def test_of_a_matrix_it_tells_how_much_of_it_had_begun_and_which_was_the_cause() -> None:
    children = [combination(0, 11, 20), combination(1, 12, 9), combination(2, 0, 5)]
    details = classify(*children)
    assert details.exit_code == 12
    assert blame.told_of(details, children) is children[1]
    assert (
        ". 1 of 3 combinations of task 'work' had completed and 2 of 3 combinations of task 'work' "
        "had begun, so the target may"
    ) in details.natural_language_summary
    assert blame.told_of(classify(), children) is None


def test_the_cause_is_not_a_bystander_that_was_cancelled() -> None:
    bystander = failed_task("a", reason="TaskRunCancelled", ended_s=5)
    assert classify(bystander, failed_task("b", ended_s=9)).failed_task_name == "b"


def test_the_cause_is_a_cancelled_task_when_nothing_else_failed() -> None:
    details = classify(failed_task("a", reason="TaskRunCancelled", message="stopped"))
    assert (details.failed_task_name, details.reason) == ("a", FailureReason.CANCELLED)


def test_the_cause_is_not_a_task_whose_failure_is_ignored() -> None:
    ignored = failed_task("a", reason="FailureIgnored", ended_s=5)
    assert classify(ignored, failed_task("b", ended_s=9)).failed_task_name == "b"
    assert classify(ignored).failed_task_name == ""


@pytest.mark.parametrize("of_run", ["Failed", "Cancelled", "PipelineRunTimeout"])
def test_the_cause_is_no_finally_task_when_another_was_ended_from_outside(of_run: str) -> None:
    status = {"pipelineSpec": {"tasks": [{"name": "work"}], "finally": [{"name": "tell"}]}}
    work = failed_task("work", reason="TaskRunCancelled", ended_s=5)
    details = classify(work, failed_task("tell"), said=("False", of_run, ""), status=status)
    timed_out = of_run == "PipelineRunTimeout"
    reason = FailureReason.DEADLINE_EXCEEDED if timed_out else FailureReason.CANCELLED
    assert (details.failed_task_name, details.reason) == ("work", reason)


@pytest.mark.parametrize("of_run", ["Cancelled", "PipelineRunTimeout"])
def test_the_cause_is_a_task_that_had_failed_before_the_rest_was_ended(of_run: str) -> None:
    other = failed_task("other", reason="TaskRunCancelled", ended_s=9)
    details = classify(other, failed_task("work", ended_s=5), said=("False", of_run, ""))
    assert (details.failed_task_name, details.reason) == ("work", FailureReason.TASK_FAILED)


@pytest.mark.parametrize(
    ("of_run", "kinds", "task"),
    [
        pytest.param("PipelineRunTimeout", ["TaskRun", "CustomRun"], "CustomRun", id="timeout"),
        pytest.param("Failed", ["PipelineRun"], "PipelineRun", id="failed"),
        pytest.param("Failed", ["PipelineRun", "CustomRun"], "", id="one-of-two"),
        pytest.param("Cancelled", ["CustomRun"], "", id="cancelled"),
        pytest.param("PipelineRunTimeout", [], "", id="never-created"),
    ],
)
def test_the_cause_is_a_task_of_another_kind_when_no_taskrun_failed(
    of_run: str, kinds: list[str], task: str
) -> None:
    status = {"childReferences": [builders.child(kind, kind=kind) for kind in kinds]}
    details = classify(said=("False", of_run, "too late"), status=status)
    assert details.failed_task_name == task
    never_created = "no task was even created" in details.natural_language_summary
    assert never_created is not bool(kinds)


def test_the_cause_is_the_first_to_fail_and_finally_ranks_last() -> None:
    status = {"pipelineSpec": {"tasks": [{"name": "x"}], "finally": [{"name": "tell"}]}}
    first = [
        failed_task("x", ended_s=9),
        failed_task("y", ended_s=8),
        failed_task("tell", ended_s=1),
    ]
    assert classify(*first, status=status).failed_task_name == "y"
    assert classify(first[2], status=status).failed_task_name == "tell"
    endless = builders.task("z", condition=("False", "Failed", ""), status={"completionTime": None})
    assert classify(endless, first[0]).failed_task_name == "x"

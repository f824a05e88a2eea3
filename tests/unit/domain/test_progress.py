import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from workflowexecution.api import tekton
from workflowexecution.api.status import TaskRunPhase, TaskRunStatus
from workflowexecution.domain import progress

THREE = {"tasks": [{"name": "a"}, {"name": "b"}], "finally": [{"name": "c"}]}
DONE = ("True", "Succeeded", "")
COUNTED = "Tasks Completed:"


def run(said: tuple[str, str, str] | None = None, **status: Any) -> tekton.PipelineRun:  # noqa: ANN401 - members of a status
    return builders.run(condition=said, status=status)


def mapped(
    run: tekton.PipelineRun,
    *children: tekton.TaskRun,
    before: tuple[TaskRunStatus, ...] | None = None,
    completed: int | None = None,
) -> progress.Progress:
    return progress.map_progress(run, children, before, completed)


def test_progress_is_unknown_until_the_pipeline_is_resolved() -> None:
    way = mapped(run())
    assert (way.completed, way.total, way.text, way.current_step) == (0, None, None, None)
    assert way.task_runs == ()


def test_progress_counts_ended_and_skipped_tasks_of_all_that_there_are() -> None:
    way = mapped(
        run(pipelineSpec=THREE, skippedTasks=[{"name": "b"}]),
        builders.task("a", condition=DONE),
        builders.task("c", condition=("Unknown", "Running", "")),
    )
    assert (way.completed, way.total, way.text) == (2, 3, "2/3")


def test_progress_counts_a_matrix_once_and_when_all_of_it_has_ended() -> None:
    resolved = run(pipelineSpec=THREE)
    one, two = raw("a", "a-0", DONE), raw("a", "a-1", None)
    assert mapped(resolved, one, two).text == "0/3"
    assert mapped(resolved, one, raw("a", "a-1", DONE)).text == "1/3"


def raw(task: str, name: str, condition: tuple[str, str, str] | None) -> tekton.TaskRun:
    made = builders.raw_task(task, condition=condition)
    made["metadata"]["name"] = name
    return tekton.project_taskrun(made, tekton.TaskRun)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        pytest.param(f"{COUNTED} 2 (Failed: 1, Cancelled 0), Skipped: 1", "3/3", id="final"),
        pytest.param(
            f"{COUNTED} 1 (Failed: 1 (Ignored: 1), Cancelled 0), Skipped: 1", "2/3", id="soft"
        ),
        pytest.param(
            f"{COUNTED} 1 (Failed: 1, Cancelled 0), Incomplete: 1, Skipped: 0", "1/3", id="left"
        ),
        pytest.param('PipelineRun "x" failed to finish within "1m0s"', "1/3", id="no-counts"),
        pytest.param(f"{COUNTED} 9 (Failed: 0, Cancelled 0), Skipped: 0", "3/3", id="too-many"),
    ],
)
def test_progress_takes_the_runs_last_word_at_the_end(message: str, text: str) -> None:
    ended = run(("False", "Failed", message), pipelineSpec=THREE)
    assert mapped(ended, builders.task("a", condition=DONE)).text == text


def test_progress_counts_a_task_that_is_no_taskrun_while_the_run_goes_on() -> None:
    said = f"{COUNTED} 1 (Failed: 0, Cancelled 0), Incomplete: 1, Skipped: 1"
    going = run(("Unknown", "Running", said), pipelineSpec=THREE)
    assert mapped(going).text == "2/3"
    # What Tekton says of the run may come later than what the tasks say.
    assert mapped(going, *(builders.task(name, condition=DONE) for name in "abc")).text == "3/3"


def test_progress_takes_the_total_from_the_last_word_when_there_is_no_other() -> None:
    ended = run(("True", "Completed", "Tasks Completed: 2 (Failed: 0, Cancelled 0), Skipped: 1"))
    assert mapped(ended).text == "3/3"


def test_current_step_is_the_first_that_runs_and_none_after_the_end() -> None:
    first = builders.task("a", condition=DONE, steps=[builders.step(exit_code=0)])
    second = builders.task(
        "b", steps=[builders.step("x", exit_code=0), builders.step("y", running=True)]
    )
    assert mapped(run(), second, first).current_step == "b/y"
    assert mapped(run(DONE), second, first).current_step is None


def test_task_runs_tell_each_task() -> None:
    steps = [builders.step(exit_code=7)]
    failed = builders.task("a", condition=("False", "Failed", ""), steps=steps,
                           status={"retriesStatus": [{}]})  # fmt: skip
    (entry,) = mapped(run(), failed).task_runs
    assert entry == TaskRunStatus(
        name=failed.name,
        task="a",
        phase=TaskRunPhase.FAILED,
        started=True,
        start_time=builders.NOW + datetime.timedelta(seconds=1),
        completion_time=builders.NOW + datetime.timedelta(seconds=20),
        exit_code=7,
        attempts=2,
    )


@pytest.mark.parametrize(
    ("condition", "started", "phase"),
    [
        pytest.param(None, None, TaskRunPhase.PENDING, id="pending"),
        pytest.param(None, builders.stamp(), TaskRunPhase.RUNNING, id="running"),
        pytest.param(DONE, builders.stamp(), TaskRunPhase.SUCCEEDED, id="succeeded"),
        pytest.param(("False", "Failed", ""), None, TaskRunPhase.FAILED, id="failed"),
        pytest.param(("False", "TaskRunCancelled", ""), None, TaskRunPhase.CANCELLED, id="cancel"),
    ],
)
def test_task_runs_tell_the_phase(
    condition: tuple[str, str, str] | None, started: str | None, phase: TaskRunPhase
) -> None:
    task = builders.task(condition=condition, status={"startTime": started})
    assert mapped(run(), task).task_runs[0].phase is phase


@pytest.mark.parametrize(
    ("condition", "step", "code"),
    [
        pytest.param(None, builders.step(running=True), None, id="running"),
        pytest.param(DONE, builders.step(exit_code=0), 0, id="success"),
        pytest.param(("False", "Failed", ""), builders.step(exit_code=4), 4, id="failure"),
        pytest.param(
            ("False", "TaskRunTimeout", ""),
            builders.step(exit_code=1, reason="TaskRunTimeout"), None, id="made-up",
        ),
        pytest.param(
            DONE,
            builders.step(exit_code=5) | {"terminationReason": "Continued"}, 0, id="continued",
        ),
    ],
)  # fmt: skip
def test_task_runs_tell_an_exit_code_that_is_the_containers_own(
    condition: tuple[str, str, str] | None, step: dict[str, Any], code: int | None
) -> None:
    assert (
        mapped(run(), builders.task(condition=condition, steps=[step])).task_runs[0].exit_code
        == code
    )


def test_started_is_latched_even_when_the_task_goes() -> None:
    seen = mapped(run(), builders.task(steps=[builders.step(running=True)])).task_runs
    assert seen[0].started
    retried = mapped(run(), builders.task(steps=[]), before=seen).task_runs
    assert retried[0].started
    assert mapped(run(), before=retried).task_runs == retried


def test_task_runs_stay_in_order_of_creation_and_within_their_number() -> None:
    many = [raw("a", f"a-{number:03}", None) for number in range(120)]
    way = mapped(run(), *reversed(many))
    assert [it.name for it in way.task_runs] == [f"a-{n:03}" for n in range(progress.MAX_TASK_RUNS)]


class Looked(tekton.TaskRun):
    """Counts how often its attempts are asked for, which only an entry does."""

    asked = 0

    @property
    def retries(self) -> int:
        Looked.asked += 1
        return 0


def test_no_more_task_runs_are_told_of_than_have_a_place() -> None:
    many = [Looked(*raw("a", f"a-{number:03}", DONE)) for number in range(120)]
    seen = mapped(run(), *many[:7]).task_runs
    Looked.asked = 0
    way = mapped(run(), *many, before=seen)
    assert Looked.asked == len(way.task_runs) == progress.MAX_TASK_RUNS


COUNTS = st.integers(0, 12)


@given(st.lists(st.tuples(COUNTS, COUNTS, COUNTS, st.booleans()), min_size=2, max_size=6))
def test_progress_never_runs_backwards(looks: list[tuple[int, int, int, bool]]) -> None:
    completed: int | None = None
    for tasks, ended, skipped, final in looks:
        words = f"Tasks Completed: {ended} (Failed: 0, Cancelled 0), Skipped: {skipped}"
        spec = {"tasks": [{"name": f"t{number}"} for number in range(tasks)]}
        seen = run(("True", "Completed", words) if final else None, pipelineSpec=spec)
        children = [raw(f"t{n}", f"t{n}", DONE) for n in range(ended)]
        way = mapped(seen, *children, completed=completed)
        assert way.completed is not None
        assert way.completed >= (completed or 0)
        assert way.total is None or way.completed <= way.total
        completed = way.completed

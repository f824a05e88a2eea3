"""Whether a run moves, and what it waits for when it does not."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from workflowexecution.api import tekton, times
from workflowexecution.domain import stalling

LIMIT_S = 600.0
RUNNING = ("Unknown", "Running", "Tasks Completed: 0")


def at(seconds: float) -> datetime.datetime:
    return builders.NOW + datetime.timedelta(seconds=seconds)


def run(
    condition: tuple[str, str, str] | None = RUNNING, *, since_s: float | None = None
) -> tekton.PipelineRun:
    raw = builders.raw_run(condition=condition)
    if since_s is not None:
        raw["status"]["conditions"][0]["lastTransitionTime"] = builders.stamp(since_s)
    return tekton.project_pipelinerun(raw, tekton.PipelineRun)


def task(**parts: Any) -> tekton.TaskRun:  # noqa: ANN401 - as raw_task
    return builders.task("restart", **parts)


@pytest.mark.parametrize(
    ("children", "last_s"),
    [
        pytest.param([], 0, id="the-runs-own-times"),
        pytest.param([task()], 1, id="a-task-that-began"),
        pytest.param([task(steps=[builders.step(exit_code=0, finished_s=15)])], 15, id="a-step"),
        pytest.param([task(condition=("True", "Succeeded", ""))], 20, id="a-task-that-ended"),
        pytest.param([task(status={"startTime": "soon"})], 1, id="a-task-with-odd-times"),
    ],
)
def test_the_last_change_is_the_latest_that_the_api_holds(
    children: list[tekton.TaskRun], last_s: float
) -> None:
    assert stalling.last_change(run(), children) == at(last_s).timestamp()


def test_a_condition_that_flipped_is_a_change() -> None:
    assert stalling.last_change(run(since_s=40), [task()]) == at(40).timestamp()
    raw = builders.raw_task("restart", condition=("Unknown", "Running", ""))
    raw["status"]["conditions"][0]["lastTransitionTime"] = builders.stamp(50)
    child = tekton.project_taskrun(raw, tekton.TaskRun)
    assert stalling.last_change(run(since_s=40), [child]) == at(50).timestamp()


def test_a_run_without_any_time_has_never_changed() -> None:
    raw = builders.raw_run(metadata={"creationTimestamp": None}, status={"startTime": None})
    bare = tekton.project_pipelinerun(raw, tekton.PipelineRun)
    assert stalling.last_change(bare, []) == 0


def test_a_run_that_changed_at_the_beginning_of_time_is_stalled_since_then() -> None:
    never = datetime.datetime.min.replace(tzinfo=datetime.UTC)
    last_s = never.timestamp()
    bare = run()._replace(created_at=None, started_at=never)
    # Of a moment so far away a float holds no single microseconds.
    now = at(0.000004)
    assert stalling.last_change(bare, []) == last_s
    assert "since 0001-01-01T00:00:00Z" in stalling.stall_of(bare, [], now, LIMIT_S)


def test_a_run_that_changed_of_late_is_not_stalled() -> None:
    assert stalling.stall_of(run(), [], at(599.9), LIMIT_S) == ""
    assert stalling.stall_of(run(), [], at(600), LIMIT_S) != ""
    assert stalling.stall_of(run(), [task()], at(600), LIMIT_S) == ""


ENDED = builders.task("first", condition=("True", "Succeeded", ""))
WAITING_STEP = builders.step("pull", ran=False) | {"waiting": {"reason": "ImagePullBackOff"}}
UNSCHEDULED = ("Unknown", "Pending", "0/3 nodes are available")


@pytest.mark.parametrize(
    ("seen", "children", "said"),
    [
        pytest.param(run(None), [], "Tekton has not looked at it yet", id="never-looked-at"),
        pytest.param(run(), [], "Tekton says: Tasks Completed: 0", id="no-task"),
        pytest.param(run(("Unknown", "ResolvingPipelineRef", "")), [],
                     "Tekton says: ResolvingPipelineRef", id="resolving"),
        pytest.param(run(), [ENDED], "Tekton says: Tasks Completed: 0", id="no-open-task"),
        pytest.param(run(), [ENDED, task(steps=[builders.step(running=True)])],
                     "step 'run' of task 'restart' is still running", id="running"),
        pytest.param(run(), [task(steps=[WAITING_STEP])],
                     "step 'pull' of task 'restart' waits: ImagePullBackOff", id="step-waits"),
        pytest.param(run(), [task(condition=UNSCHEDULED)],
                     "task 'restart' waits: 0/3 nodes are available", id="task-waits"),
        pytest.param(run(), [task(steps=[builders.step(exit_code=0)])], "task 'restart' waits",
                     id="task-waits-for-nobody-knows-what"),
        pytest.param(run(), [task(steps=[WAITING_STEP]),
                             builders.task("other", steps=[builders.step(running=True)])],
                     "step 'run' of task 'other' is still running", id="what-runs-comes-first"),
    ],
)  # fmt: skip
def test_a_stalled_run_says_what_it_waits_for(
    seen: tekton.PipelineRun, children: list[tekton.TaskRun], said: str
) -> None:
    message = stalling.stall_of(seen, children, at(10**5), LIMIT_S)
    assert message.endswith(said)
    assert message.startswith("Nothing of the run has changed since 2026-03-01T12:00:")
    assert ", for 10m0s and more; " in message


@given(st.integers(0, 10**12))
def test_a_stall_is_told_in_the_same_words_whenever_it_is_looked_at(later_us: int) -> None:
    """Or each look would be a write."""
    now = at(LIMIT_S) + datetime.timedelta(microseconds=later_us)
    first = stalling.stall_of(run(), [], at(LIMIT_S), LIMIT_S)
    assert stalling.stall_of(run(), [], now, LIMIT_S) == first


def test_time_that_many_steps_tell_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    moving, child = run(), task(steps=[builders.step(exit_code=0)] * 3)
    last, parse = stalling.last_change(moving, [child]), times.parse
    read: list[object] = []

    def noting(value: object) -> datetime.datetime | None:
        read.append(value)
        return parse(value)

    monkeypatch.setattr(times, "parse", noting)
    assert stalling.last_change(moving, [child] * 3) == last
    assert set(read) == {child.created, child.steps[0].finished}
    assert len(read) == 2

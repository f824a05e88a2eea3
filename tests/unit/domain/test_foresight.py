"""When to look at a task that Tekton is about to end."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests import builders
from workflowexecution.api import tekton
from workflowexecution.domain import foresight

STARTED = {"startTime": builders.stamp(10)}


def run(timeout: str | None = "10m") -> tekton.PipelineRun:
    raw = builders.raw_run(status={"startTime": builders.stamp(0)})
    raw["spec"] = {"timeouts": {"pipeline": timeout}} if timeout else {}
    return tekton.project_pipelinerun(raw, tekton.PipelineRun)


def task(timeout: str | None = "1m", **parts: Any) -> tekton.TaskRun:  # noqa: ANN401 - as raw_task
    raw = builders.raw_task("t", **({"status": STARTED} | parts))
    raw["spec"] = {"timeout": timeout} if timeout else {}
    return tekton.project_taskrun(raw, tekton.TaskRun)


# As a clock or a hand may write them into a status.
FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"


def at(seconds: float) -> datetime.datetime:
    return builders.NOW + datetime.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("run", "child", "due_s"),
    [
        pytest.param(run(), task(), 66.0, id="task"),
        pytest.param(run("40s"), task("1h0m0s"), 36.0, id="run"),
        pytest.param(run(), task("0"), 596.0, id="task-without-a-timeout"),
        pytest.param(run(), task(None), 596.0, id="task-says-nothing"),
        pytest.param(run(), task(status={"startTime": None}), 596.0, id="not-started"),
        pytest.param(run(None), task("0s"), None, id="none"),
        pytest.param(run(), task(condition=("True", "Succeeded", "")), None, id="over"),
    ],
)
def test_a_task_is_looked_at_shortly_before_its_time_is_over(
    run: tekton.PipelineRun, child: tekton.TaskRun, due_s: float | None
) -> None:
    due = foresight.due_at(run, child)
    assert due == (None if due_s is None else at(due_s))


def test_times_at_either_end_of_the_calendar_are_no_errors() -> None:
    child = task(status={"startTime": LAST})
    assert foresight.due_at(run(), child) == at(596.0)
    late = run()._replace(started_at=child.started_at)
    left_s = foresight.left_s(late, [child], at(0.0))
    assert left_s is not None
    assert left_s / (3600 * 24 * 365) > 7900
    early = task("1s", status={"startTime": FIRST})
    assert foresight.left_s(run(), [early], at(0.0)) is None


def test_the_next_look_is_the_earliest_that_is_still_to_come() -> None:
    children = (task("1m"), task("2m"), task("3m"))
    assert foresight.left_s(run(), children, at(60.0)) == 6.0
    assert foresight.left_s(run(), children, at(66.0)) == 60.0
    assert foresight.left_s(run(), children, at(3600.0)) is None
    assert foresight.left_s(run(), (), at(0.0)) is None

"""Evidence of a task that fails while its run goes on, or by its time: its pod may be gone then."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from tests.unit.reconciler.mirrored import DONE, FAILED, FAILURE, LOCK, later
from tests.unit.reconciler.test_stopped import GOING_ON, Stopping
from workflowexecution.api import tekton
from workflowexecution.domain import foresight
from workflowexecution.runtime import errors
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

POD = f"{LOCK}-restart-pod"
LOG = f"log {POD} run"
TIDYING = builders.task("tidy", steps=[builders.step(running=True)])
TIDIED = builders.task("tidy", condition=("True", "Succeeded", ""), steps=[builders.step()])


class Failing(Stopping):
    """A task was too late, and its pod is on its way out, while `finally` works."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401 - as Stopping
        super().__init__(**parts)
        self.status = {
            "childReferences": [builders.child(), builders.child("tidy")],
            "pipelineSpec": {"tasks": [{"name": "restart"}], "finally": [{"name": "tidy"}]},
        }
        self.late = builders.task(
            condition=("False", "TaskRunTimeout", "too late"), steps=[builders.step(exit_code=1)]
        )
        self.children = (self.late, TIDYING)
        self.world.engine.log = "half way"

    def end(self) -> None:
        """The run ends, and of the task that was late nothing can be read any more."""
        self.children = (self.late, TIDIED)
        self.has(FAILURE)
        self.world.engine.log_error = answers.refusal(errors.NotFound, "pod not found")


async def test_log_is_read_when_the_task_fails_not_when_the_run_ends() -> None:
    it = Failing()
    it.has()
    await it.reconcile()
    assert it.world.journal.count(LOG) == 1
    assert "failureDetails" not in it.world.writer.stored[fakes.KEY]["status"]
    await it.reconcile()
    assert it.world.journal.count(LOG) == 1
    it.end()
    assert await it.reconcile() == Result()
    details = it.world.status.failure_details
    assert details is not None
    assert (details.log_tail, details.log_tail_truncated) == ("half way", False)


async def test_end_says_that_a_log_is_missing_which_nobody_saw() -> None:
    it = Failing()
    it.end()
    await it.reconcile()
    details = it.world.status.failure_details
    assert details is not None
    assert details.log_tail is not None
    assert "cannot be read" in details.log_tail


async def test_another_task_that_fails_does_not_push_the_cause_out() -> None:
    it = Failing()
    it.has()
    await it.reconcile()
    tidy = builders.task("tidy", condition=("False", "Failed", ""), steps=[builders.step()])
    it.children = (it.late, tidy)
    it.has()
    await it.reconcile()
    assert it.world.journal.count(LOG) == 1
    assert not any(done.startswith(f"log {LOCK}-tidy") for done in it.world.journal)


async def test_task_that_fails_is_looked_at_however_much_is_going_on() -> None:
    it = Failing()
    seen = it.world.sync()
    it.world.busy = True
    it.children = (builders.task(steps=[builders.step(running=True)]),)
    it.has()
    await later()
    assert it.mirror.put_off_s(seen) > 0
    it.children = (it.late,)
    it.has()
    assert it.mirror.put_off_s(seen) == 0.0
    await it.reconcile()
    assert it.mirror.put_off_s(seen) > 0


async def test_task_that_tekton_takes_up_again_leaves_what_was_seen_of_it() -> None:
    """As it does when a node is removed; the run fails all the same."""
    it = Failing()
    it.has()
    await it.reconcile()
    it.children = (builders.task(), TIDYING)
    it.has()
    await it.reconcile()
    it.end()
    await it.reconcile()
    details = it.world.status.failure_details
    assert details is not None
    assert details.log_tail == "half way"


async def test_what_was_seen_is_forgotten_with_the_execution() -> None:
    it = Failing()
    it.has()
    await it.reconcile()
    it.mirror.forget(fakes.KEY)
    await it.reconcile()
    assert it.world.journal.count(LOG) == 2


@pytest.mark.parametrize("child", [DONE, builders.task()], ids=["succeeded", "at-work"])
async def test_nothing_is_read_of_a_task_that_has_not_failed(child: Any) -> None:  # noqa: ANN401 - a TaskRun
    it = Failing()
    it.children = (child,)
    it.has(GOING_ON)
    await it.reconcile()
    assert LOG not in it.world.journal
    assert FAILED.is_done


class Working(Failing):
    """A task has 60 s, of which 2 are gone; its pod is ended before anybody hears of that."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401 - as Stopping
        super().__init__(**parts)
        self.status = {"childReferences": [builders.child()]}
        at_work = [builders.step("first", exit_code=0), builders.step(running=True)]
        raw = builders.raw_task("restart", steps=at_work, status={"startTime": builders.stamp(0)})
        raw["spec"] = {"timeout": "1m0s"}
        self.children = (tekton.project_taskrun(raw, tekton.TaskRun),)
        self.has()

    def end(self) -> None:
        """Tekton ends the task, and with it the run."""
        self.children = (self.late,)
        self.has(FAILURE)
        self.world.engine.log_error = answers.refusal(errors.NotFound, "pod not found")

    def at(self, seconds: float) -> None:
        """Let it be so late."""
        self.world.clock.time = builders.NOW + datetime.timedelta(seconds=seconds)


async def test_log_is_read_once_shortly_before_the_time_of_its_task_is_over() -> None:
    it = Working()
    await later()
    it.at(2.0)
    await it.reconcile()
    result = await it.reconcile()
    assert LOG not in it.world.journal
    assert result.requeue_after_s == 60.0 - foresight.LEAD_S - 2.0 + 1.0
    it.at(57.0)
    seen = it.world.sync()
    it.world.busy = True
    assert it.mirror.put_off_s(seen) == 0.0
    for _ in range(2):
        assert ((await it.reconcile()).requeue_after_s or 0.0) > 60.0
    assert it.world.journal.count(LOG) == 1
    it.end()
    await it.reconcile()
    details = it.world.status.failure_details
    assert details is not None
    assert (details.failed_step_name, details.log_tail) == ("run", "half way")


@pytest.mark.parametrize("early", [None, ""], ids=["unread", "silent"])
async def test_log_that_was_not_there_before_the_end_is_said_to_be_missing(
    early: str | None,
) -> None:
    """What a step has written in its last seconds nobody knows."""
    it = Working()
    it.world.engine.log = early or ""
    if early is None:
        it.world.engine.log_error = answers.refusal(errors.NotFound, "node is away")
    it.at(57.0)
    await it.reconcile()
    it.end()
    await it.reconcile()
    details = it.world.status.failure_details
    assert details is not None
    assert "pod not found" in (details.log_tail or "")


async def test_log_is_not_read_early_where_the_settings_say_so() -> None:
    it = Working()
    it.world.policy = dataclasses.replace(it.world.policy, log_tail=False)
    it.at(57.0)
    await it.reconcile()
    assert LOG not in it.world.journal

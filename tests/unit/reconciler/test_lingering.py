"""A run that Tekton calls failed while something of it is still there: no end, no waiting."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from tests.unit.reconciler.lingering import FORCED, WAITING, Lingering
from tests.unit.reconciler.mirrored import FAILURE, LOCK, ONE, later
from tests.unit.reconciler.test_stopped import (
    CANCEL,
    CANCELLED_RUN,
    CONFIRMED,
)
from workflowexecution.api import tekton
from workflowexecution.api.status import ConditionStatus, ConditionType, Outcome, Phase
from workflowexecution.domain import stopping
from workflowexecution.reconciler import running
from workflowexecution.reconciler.tools import LOOK_AT_ONCE
from workflowexecution.runtime import errors
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

HEALTHY = ConditionType.PODS_HEALTHY
LATE_TASK = ("False", "TaskRunTimeout", "the task took too long")
WAITED = {
    "type": "PodsHealthy", "status": "False", "reason": "PodsWaiting", "message": "m",
    "lastTransitionTime": builders.stamp(-600),
}  # fmt: skip
EVICTED = {"reason": "Evicted", "metadata": {"creationTimestamp": builders.stamp(9)}}


async def test_what_is_known_is_written_down_at_first_sight() -> None:
    it = Lingering()
    it.has(FAILURE)
    await it.reconcile()
    now = it.world.status
    assert now.phase is Phase.RUNNING
    assert now.failure_details is not None
    assert now.failure_details.reason == "ConfigurationError"
    assert now.failure_details.was_execution_failure
    assert "may have run" in now.failure_details.natural_language_summary
    warned = it.world.said(HEALTHY)
    assert (warned.status, warned.reason) == (ConditionStatus.FALSE, "PodsLingering")
    assert "configmap x not found" in warned.message
    writes = it.world.journal.count("status")
    await it.reconcile()
    assert it.world.journal.count("status") == writes


async def test_run_is_deleted_when_it_lingers_for_a_minute() -> None:
    it = Lingering()
    it.has(FAILURE)
    await it.reconcile()
    it.world.clock.advance(stopping.LINGER_S)
    await later()
    await it.reconcile()
    assert f"delete {LOCK}" in it.world.journal
    assert it.phase() is Phase.RUNNING
    assert "was deleted" in it.world.said(CONFIRMED).message


@pytest.mark.parametrize("ended_s", [-1, 3600], ids=["behind", "ahead"])
@pytest.mark.parametrize("waited", [False, True], ids=["healthy", "waited-before"])
async def test_minute_is_one_by_the_servers_time_whatever_the_clock_of_tekton_says(
    ended_s: int, *, waited: bool
) -> None:
    it = Lingering(conditions=[WAITED] if waited else [])
    it.status = ONE | {"completionTime": builders.stamp(ended_s)}
    it.has(FAILURE)
    await it.reconcile()
    assert it.world.said(HEALTHY).last_transition_time == it.world.clock.now()
    for step in (1, stopping.LINGER_S - 2):
        it.world.clock.advance(step)
        await later(step)
        await it.reconcile()
    assert f"delete {LOCK}" not in it.world.journal
    # A restart begins no new minute.
    it.mirror = running.Mirror(it.world.tools)
    it.world.clock.advance(1)
    await later()
    await it.reconcile()
    assert f"delete {LOCK}" in it.world.journal


async def test_minute_begins_with_the_failure_where_pods_had_waited_before_that() -> None:
    """As the status says it where another reason has kept the transition of the one before."""
    it = Lingering()
    it.has(FAILURE)
    await it.reconcile()
    status = it.world.writer.stored[fakes.KEY]["status"]
    (healthy,) = (one for one in status["conditions"] if one["type"] == HEALTHY)
    healthy["lastTransitionTime"] = WAITED["lastTransitionTime"]
    assert status["failureDetails"]["failedAt"] == builders.stamp(15)
    it.world.clock.time = builders.NOW
    it.world.clock.advance(14 + stopping.LINGER_S)
    await later()
    await it.reconcile()
    assert f"delete {LOCK}" not in it.world.journal
    it.world.clock.advance(1)
    await later()
    await it.reconcile()
    assert f"delete {LOCK}" in it.world.journal


async def test_minute_begins_for_a_failure_that_was_written_before_the_run_had_ended() -> None:
    it = Lingering(spec=CANCEL)
    done, it.children = it.children, (builders.task(status={"startTime": builders.stamp()}),)
    it.world.clock.advance(400)
    it.has(marks=FORCED)
    assert await it.reconcile() == LOOK_AT_ONCE
    written = it.world.status.failure_details
    it.children, it.status = done, ONE | {"completionTime": builders.stamp(7200)}
    it.has(CANCELLED_RUN, marks=FORCED)
    it.world.clock.advance(1)
    await it.reconcile()
    warned, now = it.world.said(HEALTHY), it.world.clock.now()
    assert (warned.reason, warned.last_transition_time) == ("PodsLingering", now)
    assert it.world.status.failure_details == written
    writes = it.world.journal.count("status")
    await it.reconcile()
    assert it.world.journal.count("status") == writes
    assert f"delete {LOCK}" not in it.world.journal
    it.world.clock.advance(stopping.FORCED_S)
    await later()
    await it.reconcile()
    assert f"delete {LOCK}" in it.world.journal


async def test_end_is_what_was_written_down_when_the_run_is_gone() -> None:
    it = Lingering()
    it.has(FAILURE)
    await it.reconcile()
    it.vanish()
    assert await it.reconcile() == Result()
    now = it.world.status
    assert (now.phase, now.outcome) == (Phase.FAILED, Outcome.FAILED)
    assert now.failure_reason == "ConfigurationError"
    assert now.requires_manual_review
    assert it.world.said(HEALTHY).reason == "PodsEnded"


@pytest.mark.parametrize("seen_gone", [True, False])
async def test_completion_is_the_end_of_the_run_and_not_the_failure(*, seen_gone: bool) -> None:
    it = Lingering()
    it.has(FAILURE)
    await it.reconcile()
    it.world.engine.gone = dict(it.world.engine.cached) if seen_gone else {}
    it.vanish()
    it.world.clock.advance(60)
    await it.reconcile()
    now = it.world.status
    assert now.failure_details is not None
    assert now.failure_details.failed_at == builders.NOW + datetime.timedelta(seconds=15)
    # A run that nobody has seen since has its end when its absence is noticed.
    ended = builders.NOW + datetime.timedelta(seconds=30)
    assert now.completion_time == (ended if seen_gone else it.world.clock.now())


async def test_run_that_lingers_no_more_ends_by_itself() -> None:
    it = Lingering()
    it.world.engine.pods = [waiting()]
    it.has(FAILURE)
    await it.reconcile()
    it.world.engine.pods = ()
    it.world.engine.working.clear()
    assert await it.reconcile() == Result()
    now = it.world.status
    assert now.phase is Phase.FAILED
    assert now.failure_details is not None
    assert not now.failure_details.was_execution_failure
    assert "something of it still works" not in now.failure_details.message
    assert it.world.said(HEALTHY).status is ConditionStatus.TRUE


@pytest.mark.parametrize(
    ("reason", "has_run"),
    [("CreateContainerConfigError", True), ("TaskRunImagePullFailed", False)],
    ids=["by-anybody", "by-tekton"],
)
async def test_pod_that_might_have_begun_and_is_gone(reason: str, *, has_run: bool) -> None:
    """What Tekton takes away with its own hand does not begin any more."""
    it = Lingering()
    it.children = (builders.task(condition=("False", reason, ""), steps=[WAITING]),)
    it.world.engine.pods = [waiting(may_begin=True)]
    it.has(FAILURE)
    await it.reconcile()
    it.world.engine.pods = ()
    it.world.engine.working.clear()
    await it.reconcile()
    assert it.world.status.requires_manual_review is has_run


async def test_log_that_was_read_stays_when_the_pod_that_lingered_is_gone() -> None:
    it = Lingering()
    it.children = (builders.task(condition=LATE_TASK, steps=[builders.step(exit_code=1)]),)
    it.world.engine.log = "half way"
    it.world.engine.pod_events = [EVICTED]
    it.has(FAILURE)
    await it.reconcile()
    it.world.engine.working.clear()
    it.world.engine.pod_events = []
    it.world.engine.log_error = answers.refusal(errors.NotFound, "pod not found")
    assert await it.reconcile() == Result()
    details = it.world.status.failure_details
    assert details is not None
    assert (details.log_tail, details.log_tail_truncated) == ("half way", False)
    assert [event.reason for event in details.pod_events or ()] == ["Evicted"]


@pytest.mark.parametrize("going", [True, False], ids=["on-its-way-out", "not-marked-so-yet"])
async def test_cause_stays_when_the_tasks_go_before_the_run_that_is_deleted(going: bool) -> None:
    it = Lingering()
    it.has(FAILURE)
    await it.reconcile()
    it.children = ()
    it.world.engine.working.clear()
    it.has(FAILURE, deleted=going)
    assert await it.reconcile() == Result()
    now = it.world.status
    assert now.failure_reason == "ConfigurationError"
    assert now.failure_details is not None
    assert now.failure_details.failed_task_name == "restart"


def waiting(**parts: Any) -> tekton.Pod:  # noqa: ANN401 - members of the record
    """The pod of the task that failed, of which nothing has begun, and nothing will."""
    settled: dict[str, Any] = {"name": f"{LOCK}-restart-pod", "reason": "", "ran": False}
    return tekton.Pod(**(settled | {"may_begin": False} | parts))


class Overstaying(Lingering):
    """It has been told to wait no longer: its minute is over."""

    async def look(self, *pods: tekton.Pod) -> Result:
        """Look for the last time but one."""
        self.has(FAILURE)
        await self.reconcile()
        self.world.clock.advance(stopping.LINGER_S)
        await later()
        self.world.engine.pods = pods
        return await self.reconcile()

    def has_run(self) -> bool:
        """What the record says."""
        details = self.world.status.failure_details
        assert details is not None
        return details.was_execution_failure


async def test_run_is_known_to_have_done_nothing_before_it_is_deleted() -> None:
    it = Overstaying()
    assert await it.look(waiting()) == LOOK_AT_ONCE
    assert not it.has_run()
    assert it.phase() is Phase.RUNNING
    assert f"delete {LOCK}" not in it.world.journal
    await it.reconcile()
    assert it.world.journal[-3:] == ["read_pods", f"delete {LOCK}", "status"]
    it.vanish()
    await it.reconcile()
    now = it.world.status
    assert (now.phase, now.requires_manual_review) == (Phase.FAILED, False)
    assert now.failure_details is not None
    assert "nothing was changed" in now.failure_details.natural_language_summary
    assert now.consecutive_failures == 1


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([waiting(may_begin=True)], id="may-begin"),
        pytest.param([waiting(ran=True)], id="has-begun"),
        pytest.param([waiting(name="another")], id="not-there"),
    ],
)
async def test_run_that_may_have_done_something_is_deleted_as_such(pods: list[tekton.Pod]) -> None:
    it = Overstaying()
    await it.look(*pods)
    assert f"delete {LOCK}" in it.world.journal
    it.vanish()
    await it.reconcile()
    assert it.world.status.requires_manual_review


async def test_pod_that_begins_between_the_last_two_looks_has_run() -> None:
    it = Overstaying()
    await it.look(waiting())
    assert not it.has_run()
    it.world.engine.pods = (waiting(ran=True),)
    assert await it.reconcile() == LOOK_AT_ONCE
    assert it.has_run()
    await it.reconcile()
    assert f"delete {LOCK}" in it.world.journal
    it.vanish()
    await it.reconcile()
    assert it.world.status.requires_manual_review


async def test_what_a_pod_alone_tells_at_the_end_is_told_of_its_task() -> None:
    it = Lingering()
    it.children = (builders.task(condition=LATE_TASK, steps=[WAITING]),)
    it.world.engine.pods = [waiting(ran=True)]
    it.world.engine.working.clear()
    it.has(FAILURE)
    assert await it.reconcile() == Result()
    assert [task.started for task in it.world.status.task_runs or ()] == [True]
    assert it.world.status.requires_manual_review


@pytest.mark.parametrize("reason", ["TaskRunTimeout", "TaskRunCancelled", "TaskRunImagePullFailed"])
async def test_what_a_pod_alone_has_told_is_remembered_when_it_is_gone(reason: str) -> None:
    """Tekton, which has ended the task, looked at its pod for the last time a moment before."""
    it = Lingering()
    it.children = (builders.task(condition=("False", reason, ""), steps=[WAITING]),)
    it.world.engine.pods = [waiting(ran=True)]
    it.has(FAILURE)
    await it.reconcile()
    assert [task.started for task in it.world.status.task_runs or ()] == [True]
    it.world.engine.pods = ()
    it.world.engine.working.clear()
    await it.reconcile()
    assert it.world.status.requires_manual_review

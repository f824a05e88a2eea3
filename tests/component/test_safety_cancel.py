"""Cancel: in every phase, step by step, and never said before it is true."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.component import hands, pasts, world
from tests.fake import kinds
from tests.support import executions
from workflowexecution.api import names

if TYPE_CHECKING:
    from tests.component.world import World
    from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime

NAME = "restart-payment"
MESSAGE = "The execution was cancelled by jane: no"


def cancel(here: World, name: str = NAME) -> None:
    asked = {"spec": {"cancel": {"requestedBy": "jane", "reason": "no"}}}
    here.cluster.patch(kinds.EXECUTIONS, world.TEAM, name, asked)


def mark(here: World, annotation: str) -> float | None:
    """When a step was taken, in loop time, by the run's own annotation."""
    text = (here.run() or {})["metadata"].get("annotations", {}).get(annotation)
    if text is None:
        return None
    return world.seconds_of(text)


def confirmed(here: World) -> tuple[str, str]:
    found = executions.condition(here.execution() or {}, "CancelConfirmed")
    return found.get("status", ""), found.get("reason", "")


async def running(here: World, *, begun: bool = True, stubborn: bool = False) -> JsonObject:
    """An execution with its run, which has a task that works; returns the run."""
    here.ask()
    await here.until_phase("Running")
    if begun:
        hands.Hands(here.cluster).begin(here.run() or {}, stubborn=stubborn)
    return here.run() or {}


def assert_refused(status: JsonObject) -> None:
    """Cancelled, and nothing of it has ever run."""
    assert (status["phase"], status["outcome"]) == ("Failed", "Cancelled")
    assert status["failureDetails"]["wasExecutionFailure"] is False
    assert status["failureDetails"]["message"] == MESSAGE
    assert "consecutiveFailures" not in status
    assert "lockedUntil" not in status


async def test_execution_never_starts_when_it_is_cancelled_before_it_was_seen(here: World) -> None:
    here.ask(spec={"cancel": {"requestedBy": "jane", "reason": "no"}})
    async with here.controller():
        assert_refused(await here.until_phase("Failed"))
    assert here.writes("pipelineruns") == []


async def test_waiting_execution_is_cancelled_at_once_when_it_is_suspended(here: World) -> None:
    async with here.controller(execution__suspend=True):
        here.ask()
        await here.until_phase("Pending")
        cancel(here)
        assert_refused(await here.until_phase("Failed"))


async def test_waiting_execution_is_cancelled_at_once_when_tekton_is_missing(here: World) -> None:
    here.cluster.remove_api(kinds.PIPELINE_RUNS)
    async with here.controller():
        here.ask()
        await here.until_phase("Pending")
        cancel(here)
        assert_refused(await here.until_phase("Failed"))


async def test_waiting_execution_is_cancelled_at_once_while_another_makes_room(
    here: World,
) -> None:
    async with here.controller():
        here.ask("first", spec=pasts.spec(pasts.OTHER))
        await here.until_phase("Running", "first")
        here.end_run()
        await here.until_phase("Completed", "first")
        hold = {"metadata": {"finalizers": ["example.com/hold"]}}
        here.cluster.patch(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN, hold)
        here.ask()
        await here.until_phase("Pending")
        cancel(here)
        assert_refused(await here.until_phase("Failed"))
        let_go = {"metadata": {"finalizers": None}}
        here.cluster.patch(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN, let_go)
        await asyncio.sleep(60)
    assert here.run() is None


@pytest.mark.parametrize("phase", ["Skipped", "Completed"])
async def test_nothing_changes_when_a_terminal_execution_is_cancelled(
    here: World, phase: str
) -> None:
    async with here.controller():
        if phase == "Skipped":
            pasts.leave(here, "bad", pasts.failed(ran=True), ago_s=60)
            here.ask()
        else:
            await running(here)
            hands.Hands(here.cluster).end(here.run() or {}, hands.SUCCEEDED)
        before = await here.until_phase(phase)
        cancel(here)
        await asyncio.sleep(60)
    assert (here.execution() or {})["status"] == before


async def test_run_is_told_to_end_at_once_when_nothing_of_it_has_begun(here: World) -> None:
    async with here.controller():
        await running(here, begun=False)
        cancel(here)
        await world.until(here.told)
        assert here.told() == "Cancelled"
        asked = mark(here, names.ANNOTATION_CANCEL_REQUESTED_AT)
        assert asked == mark(here, names.ANNOTATION_CANCEL_FORCED_AT)
        await asyncio.sleep(30)
        assert (here.execution() or {})["status"]["phase"] == "Running"
        hands.Hands(here.cluster).end(here.run() or {}, hands.CANCELLED)
        status = await here.until_phase("Failed")
    assert_refused(status)
    assert confirmed(here) == ("True", "Cancelled")


async def test_run_is_asked_to_end_in_order_when_a_task_has_begun(here: World) -> None:
    async with here.controller():
        await running(here)
        cancel(here)
        await world.until(here.told)
        assert here.told() == "CancelledRunFinally"
        assert mark(here, names.ANNOTATION_CANCEL_FORCED_AT) is None
        await asyncio.sleep(5)
        assert confirmed(here) == ("Unknown", "Cancelling")
        hands.Hands(here.cluster).end(here.run() or {}, hands.CANCELLED)
        status = await here.until_phase("Failed")
    assert status["outcome"] == "Cancelled"
    assert status["failureDetails"]["message"] == MESSAGE
    assert status["failureDetails"]["reason"] == "Cancelled"
    assert status["failureDetails"]["wasExecutionFailure"] is True
    assert status["requiresManualReview"] is True
    assert confirmed(here) == ("True", "Cancelled")


async def test_ladder_is_climbed_to_its_end_when_nothing_obeys(here: World) -> None:
    async with here.controller():
        await running(here, stubborn=True)
        cancel(here)
        await asyncio.sleep(5)
        asked = mark(here, names.ANNOTATION_CANCEL_REQUESTED_AT)
        assert asked is not None
        await asyncio.sleep(asked + 299 - asyncio.get_running_loop().time())
        assert here.told() == "CancelledRunFinally"
        await asyncio.sleep(4)
        assert here.told() == "Cancelled"
        forced = mark(here, names.ANNOTATION_CANCEL_FORCED_AT)
        assert forced is not None
        assert 300 <= forced - asked <= 302
        await asyncio.sleep(forced + 119 - asyncio.get_running_loop().time())
        assert "deletionTimestamp" not in (here.run() or {})["metadata"]
        await asyncio.sleep(3)
        deleted = [it for it in here.writes("pipelineruns") if it.call.verb == "delete"]
        assert [120 <= it.at - forced <= 122 for it in deleted] == [True]
        assert confirmed(here)[0] == "Unknown"
        await asyncio.sleep(65)
        assert confirmed(here) == ("False", "StillAlive")
        here.ask("second", spec=pasts.spec(pasts.OTHER))
        await here.until_phase("Skipped", "second")


async def test_cancelled_is_said_only_when_the_last_pod_has_ended(here: World) -> None:
    async with here.controller():
        run = await running(here, stubborn=True)
        cancel(here)
        await world.until(here.told)
        hands.Hands(here.cluster).end(run, hands.CANCELLED, lingers=True)
        await asyncio.sleep(60)
        assert (here.execution() or {})["status"]["phase"] == "Running"
        hands.Hands(here.cluster).end_pod(run["metadata"]["uid"])
        status = await here.until_phase("Failed")
    assert status["outcome"] == "Cancelled"


async def test_run_that_has_failed_keeps_its_reason_when_what_lingers_is_taken_away(
    here: World,
) -> None:
    async with here.controller():
        run = await running(here, stubborn=True)
        hands.Hands(here.cluster).end(run, hands.FAILED, lingers=True)
        await asyncio.sleep(5)
        cancel(here)
        await asyncio.sleep(50)
        assert here.told() == ""
        assert "deletionTimestamp" not in (here.run() or {})["metadata"]
        await asyncio.sleep(20)
        assert "deletionTimestamp" in (here.run() or {})["metadata"]
        hands.Hands(here.cluster).end_pod(run["metadata"]["uid"])
        status = await here.until_phase("Failed")
    assert status["outcome"] == "Failed"
    assert confirmed(here) == ("False", "Completed")


async def test_execution_completes_when_its_run_is_quicker_than_the_cancel(here: World) -> None:
    async with here.controller():
        await running(here)
        cancel(here)
        await world.until(here.told)
        hands.Hands(here.cluster).end(here.run() or {}, hands.SUCCEEDED)
        status = await here.until_phase("Completed")
    assert status["outcome"] == "Success"


@pytest.mark.parametrize("rung", ["asked", "forced", "deleted"])
async def test_restart_goes_on_at_the_rung_where_it_was(here: World, rung: str) -> None:
    after_s = {"asked": 100.0, "forced": 320.0, "deleted": 440.0}[rung]
    async with here.controller():
        await running(here, stubborn=True)
        cancel(here)
        await asyncio.sleep(after_s)
        asked = mark(here, names.ANNOTATION_CANCEL_REQUESTED_AT)
    assert asked is not None
    async with here.controller():
        await asyncio.sleep(
            asked + 430 - asyncio.get_running_loop().time() if rung != "deleted" else 1
        )
        forced = mark(here, names.ANNOTATION_CANCEL_FORCED_AT)
        assert forced is not None
        assert 300 <= forced - asked <= 302
        assert mark(here, names.ANNOTATION_CANCEL_REQUESTED_AT) == asked
        deleted = [it for it in here.writes("pipelineruns") if it.call.verb == "delete"]
        assert len(deleted) == 1
        assert 420 <= deleted[0].at - asked <= 424


async def test_rest_of_the_timeout_is_all_that_an_orderly_end_is_given(here: World) -> None:
    async with here.controller(execution__defaultTimeout="4m"):
        await running(here)
        await asyncio.sleep(120)
        cancel(here)
        await asyncio.sleep(5)
        assert here.told() == "CancelledRunFinally"
        await asyncio.sleep(118)
        assert here.told() == "Cancelled"
        started = (here.run() or {})["status"]["startTime"]
        forced = mark(here, names.ANNOTATION_CANCEL_FORCED_AT)
    since = world.seconds_of(started)
    assert forced is not None
    assert 240 <= forced - since <= 242


async def test_cancel_goes_on_when_tektons_api_comes_back(here: World) -> None:
    async with here.controller():
        await running(here)
        here.cluster.remove_api(kinds.PIPELINE_RUNS)
        cancel(here)
        await world.until(lambda: "EngineUnavailable" in str(here.execution()))
        await asyncio.sleep(120)
        assert (here.execution() or {})["status"]["phase"] == "Running"
        here.cluster.restore_api(kinds.PIPELINE_RUNS)
        # The definition took every run with it, so there is nothing left to be cancelled.
        status = await here.until_phase("Failed")
    assert status["failureDetails"]["wasExecutionFailure"] is True

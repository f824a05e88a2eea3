"""What happened on a target, and what that means for the next execution."""

from __future__ import annotations

import asyncio
import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests import builders
from tests.component import hands, pasts, world
from tests.component.pasts import OTHER, WORKFLOW, completed, failed
from tests.fake import kinds
from tests.support import executions

if TYPE_CHECKING:
    from tests.component.world import World
    from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime


def remediation(status: JsonObject) -> dict[str, Any]:
    """What stood in the way: reason, which execution, and what is left of it."""
    details = status["skipDetails"]
    other = details["recentRemediation"]
    return {
        "reason": details["reason"],
        "name": other["name"],
        "left": other.get("cooldownRemaining"),
        "retry": details.get("retryAt"),
    }


async def skipped(here: World, name: str = "new", workflow: str = WORKFLOW) -> JsonObject:
    here.ask(name, spec=pasts.spec(workflow))
    return await here.until_phase("Skipped", name)


@pytest.mark.requirement("BR-WE-010", "Cooldown period prevents redundant sequential execution")
async def test_same_workflow_is_refused_when_it_completed_two_minutes_ago(here: World) -> None:
    pasts.leave(here, "done", completed(), ago_s=120)
    async with here.controller():
        status = await skipped(here)
    assert remediation(status) == {
        "reason": "RecentlyRemediated", "name": "done", "left": "3m0s", "retry": builders.stamp(180)
    }  # fmt: skip
    assert status["skipDetails"]["recentRemediation"] == {
        "name": "done", "workflowId": WORKFLOW, "completedAt": builders.stamp(-120),
        "outcome": "Success", "targetResource": builders.TARGET, "cooldownRemaining": "3m0s",
    }  # fmt: skip
    locked = executions.condition_in(status, "ResourceLocked")
    assert (locked["status"], locked["reason"]) == ("True", "RecentlyRemediated")
    assert here.writes("pipelineruns") == []


@pytest.mark.parametrize(
    ("ago_s", "workflow"),
    [pytest.param(360, WORKFLOW, id="long-ago"), pytest.param(120, OTHER, id="other-workflow")],
)
async def test_execution_starts_when_a_success_is_none_of_its_concern(
    here: World, ago_s: float, workflow: str
) -> None:
    pasts.leave(here, "done", completed(), ago_s=ago_s)
    async with here.controller():
        here.ask("new", spec=pasts.spec(workflow))
        await here.until_phase("Running", "new")


ORDER = {
    "failure-before-all": (
        [("ran", failed(ran=True), 900.0, OTHER), ("done", completed(), 1000.0, WORKFLOW),
         ("tried", failed(ran=False, failures=5), 60.0, OTHER)],
        ("PreviousExecutionFailed", "ran"),
    ),
    "failure-hidden-by-success": (
        [("ran", failed(ran=True), 900.0, WORKFLOW), ("done", completed(), 60.0, OTHER)],
        ("PreviousExecutionFailed", "ran"),
    ),
    "exhausted-before-backoff": (
        [("done", completed(), 90.0, WORKFLOW),
         ("tried", failed(ran=False, failures=5, next_in_s=60), 60.0, OTHER)],
        ("ExhaustedRetries", "tried"),
    ),
    "backoff-before-cooldown": (
        [("done", completed(), 90.0, WORKFLOW),
         ("tried", failed(ran=False, failures=2, next_in_s=60), 60.0, OTHER)],
        ("RecentlyRemediated", "tried"),
    ),
    "cooldown-behind-another-workflow": (
        [("done", completed(), 120.0, WORKFLOW), ("later", completed(), 60.0, OTHER)],
        ("RecentlyRemediated", "done"),
    ),
    "backoff-in-spite-of-a-refusal": (
        [("tried", failed(ran=False, failures=2, next_in_s=60), 60.0, OTHER),
         ("refused", failed(ran=False, had_run=False), 30.0, OTHER)],
        ("RecentlyRemediated", "tried"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", list(ORDER))
async def test_first_of_several_obstacles_is_named_when_there_are_more(
    here: World, case: str
) -> None:
    ends, expected = ORDER[case]
    for name, status, ago_s, workflow in ends:
        pasts.leave(here, name, status, ago_s=ago_s, workflow=workflow)
    async with here.controller():
        status = await skipped(here)
    found = remediation(status)
    assert (found["reason"], found["name"]) == expected


@pytest.mark.parametrize("ran", [True, False], ids=["blocked", "exhausted"])
async def test_no_time_is_promised_when_a_person_is_needed(here: World, ran: bool) -> None:
    failures = None if ran else 5
    pasts.leave(here, "bad", failed(ran=ran, failures=failures), ago_s=7200)
    async with here.controller():
        status = await skipped(here)
    assert remediation(status)["left"] is remediation(status)["retry"] is None


async def test_cooldown_is_no_longer_when_the_clock_of_tekton_is_ahead(here: World) -> None:
    async with here.controller():
        here.ask("done", spec=pasts.spec())
        await here.until_phase("Running", "done")
        here.end_run(completionTime=builders.stamp(3600))
        status = await here.until_phase("Completed", "done")
        ended = datetime.datetime.fromisoformat(status["completionTime"])
        assert ended <= world.virtual_now()
        await asyncio.sleep(301)
        here.ask("new", spec=pasts.spec())
        await here.until_phase("Running", "new")


async def fail(here: World, name: str) -> JsonObject:
    """Ask, and let the run fail before anything of it has run."""
    here.ask(name, spec=pasts.spec())
    await here.until_phase("Running", name)
    hands.Hands(here.cluster).end(here.run() or {}, hands.FAILED)
    return await here.until_phase("Failed", name)


async def test_backoff_grows_and_ends_when_failures_follow_each_other(here: World) -> None:
    async with here.controller():
        for number, minutes in enumerate((1, 2, 4, 8, 10), start=1):
            status = await fail(here, f"e{number}")
            assert status["consecutiveFailures"] == number
            since = world.virtual_now().replace(microsecond=0)
            left = datetime.datetime.fromisoformat(status["nextAllowedExecution"]) - since
            assert abs(left.total_seconds() - 60 * minutes) <= 1
            locked = None if number == 5 else status["nextAllowedExecution"]
            assert status.get("lockedUntil") == locked
            await asyncio.sleep(60 * minutes + 1)
        last = await skipped(here)
    assert remediation(last)["reason"] == "ExhaustedRetries"
    assert last["skipDetails"]["recentRemediation"]["name"] == "e5"


async def test_success_ends_a_row_of_failures(here: World) -> None:
    pasts.leave(here, "tried", failed(ran=False, failures=4), ago_s=3600)
    async with here.controller():
        here.ask("good", spec=pasts.spec())
        await here.until_phase("Running", "good")
        here.end_run()
        assert (await here.until_phase("Completed", "good"))["consecutiveFailures"] == 0
        await asyncio.sleep(301)
        assert (await fail(here, "next"))["consecutiveFailures"] == 1


async def test_count_is_inherited_from_another_workflow_in_another_spelling(here: World) -> None:
    pasts.leave(here, "tried", failed(ran=False, failures=2), ago_s=3600, workflow=OTHER)
    async with here.controller():
        here.ask("new", spec=pasts.spec(target="payment/Deployment/payment-api"))
        await here.until_phase("Running", "new")
        hands.Hands(here.cluster).end(here.run() or {}, hands.FAILED)
        status = await here.until_phase("Failed", "new")
    assert status["consecutiveFailures"] == 3


async def test_what_is_left_is_told_rightly_just_after_a_restart(here: World) -> None:
    async with here.controller():
        await fail(here, "tried")
    await asyncio.sleep(20)
    here.ask("new", spec=pasts.spec())
    async with here.controller():
        status = await here.until_phase("Skipped", "new")
    skipped_at = datetime.datetime.fromisoformat(status["skipDetails"]["skippedAt"])
    retry_at = datetime.datetime.fromisoformat(status["skipDetails"]["retryAt"])
    assert 38 <= (retry_at - skipped_at).total_seconds() <= 40
    left = (retry_at - skipped_at).total_seconds()
    assert remediation(status)["left"] in {f"{left:.0f}s", f"{left - 1:.0f}s"}


async def test_target_is_free_when_the_failed_execution_is_deleted(here: World) -> None:
    pasts.leave(here, "bad", failed(ran=True), ago_s=60)
    async with here.controller():
        await skipped(here, "first")
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "bad")
        here.ask("second", spec=pasts.spec())
        await here.until_phase("Running", "second")


async def test_no_rule_holds_when_the_settings_turn_it_off(here: World) -> None:
    pasts.leave(here, "done", completed(), ago_s=1)
    pasts.leave(here, "tried", failed(ran=False, failures=9), ago_s=1)
    off = {
        "execution__cooldownPeriod": "0s",
        "backoff__baseCooldown": "0s",
        "backoff__maxConsecutiveFailures": 0,
    }
    async with here.controller(**off):
        assert (await fail(here, "new"))["consecutiveFailures"] == 10
        here.ask("next", spec=pasts.spec())
        await here.until_phase("Running", "next")

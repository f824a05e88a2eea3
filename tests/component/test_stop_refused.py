"""Runs that are to end and may not be changed: a policy, a webhook that is away, no right."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.component import hands, world
from tests.fake import faults, kinds
from tests.fake.paths import Match
from tests.support import executions

if TYPE_CHECKING:
    from tests.component.world import World
    from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime

CHANGE = Match(verbs=("patch",), resource="pipelineruns", agent=world.AGENT)
WEBHOOK = faults.Answer(
    500, '{"kind":"Status","code":500,"message":"failed calling webhook: connection refused"}'
)
HANGING = faults.Answer(
    500,
    '{"kind":"Status","code":500,"message":"failed calling webhook: context deadline exceeded"}',
    # As long as an admission webhook has by default.
    after_s=10.05,
)
DENIED = faults.Answer(403, '{"kind":"Status","code":403,"message":"runs are immutable"}')
BACK_S = 70.0
"""The longest back-off, and a little."""


def refuse(here: World, answer: faults.Answer) -> None:
    here.cluster.faults.add(answer, CHANGE, times=None)


def cancel(here: World) -> None:
    asked = {"spec": {"cancel": {"requestedBy": "jane", "reason": "no"}}}
    here.cluster.patch(kinds.EXECUTIONS, world.TEAM, "restart-payment", asked)


def said(here: World, kind: str) -> JsonObject:
    return executions.condition(here.execution() or {}, kind)


async def running(here: World) -> JsonObject:
    here.ask()
    await here.until_phase("Running")
    run = here.run() or {}
    hands.Hands(here.cluster).begin(run, stubborn=True)
    return run


async def until_deleted(here: World, *, after_s: float, since_s: float) -> None:
    """Wait for the deletion of the run, which comes no sooner than that."""
    await world.until(here.deletions, within_s=after_s + 2 * BACK_S)
    assert here.deletions()[0].at - since_s >= after_s


async def told_in_order(here: World) -> None:
    """Let the run be changed again, and wait until it is asked to end in order."""
    here.cluster.faults.heal()
    await world.until(here.told, within_s=BACK_S)
    assert here.told() == "CancelledRunFinally"


@pytest.mark.parametrize("answer", [WEBHOOK, HANGING, DENIED], ids=["webhook", "hanging", "denied"])
async def test_cancelled_run_that_may_not_be_told_is_deleted_when_its_time_is_over(
    here: World, answer: faults.Answer
) -> None:
    async with here.controller():
        run = await running(here)
        refuse(here, answer)
        since_s = asyncio.get_running_loop().time()
        cancel(here)
        await asyncio.sleep(15)
        told = said(here, "CancelConfirmed")
        assert (told["status"], told["reason"]) == ("Unknown", "Cancelling")
        assert "jane: no. So far the API server refuses that: " in told["message"]
        assert "CancelRequested" in [it["reason"] for it in here.cluster.items(kinds.EVENTS)]
        await until_deleted(here, after_s=420, since_s=since_s)
        assert (here.execution() or {})["status"]["phase"] == "Running"
        hands.Hands(here.cluster).end_pod(run["metadata"]["uid"])
        status = await here.until_phase("Failed")
    assert status["outcome"] == "Cancelled"
    assert status["failureDetails"]["message"] == "The execution was cancelled by jane: no"
    assert status["failureDetails"]["wasExecutionFailure"] is True
    assert said(here, "CancelConfirmed")["status"] == "True"
    assert len(here.deletions()) == 1


async def test_cancelled_run_has_its_end_in_order_when_the_webhook_is_back(here: World) -> None:
    async with here.controller():
        await running(here)
        refuse(here, WEBHOOK)
        cancel(here)
        await asyncio.sleep(330)
        await told_in_order(here)
        await asyncio.sleep(290)
        assert here.deletions() == []


async def test_overdue_run_that_may_not_be_told_is_deleted(here: World) -> None:
    async with here.controller(execution__defaultTimeout="10m", limits__deadlineGrace="2m"):
        run = await running(here)
        refuse(here, DENIED)
        since_s = asyncio.get_running_loop().time()
        await until_deleted(here, after_s=720 + 60, since_s=since_s - 2)
        hands.Hands(here.cluster).end_pod(run["metadata"]["uid"])
        status = await here.until_phase("Failed")
    assert status["outcome"] == "Timeout"
    assert status["failureDetails"]["reason"] == "DeadlineExceeded"


async def test_run_of_nobody_that_may_not_be_told_is_deleted(here: World) -> None:
    lost = builders.raw_run(owner="gone", condition=("Unknown", "Running", "x"))
    async with here.controller():
        here.cluster.create(lost)
        refuse(here, WEBHOOK)
        await world.until(here.deletions, within_s=200)
    assert here.run() is None


async def test_run_that_may_not_be_nudged_is_warned_of_and_given_up(here: World) -> None:
    async with here.controller(limits__stallAfter="5m", execution__defaultTimeout="2h"):
        here.ask()
        await here.until_phase("Running")
        refuse(here, WEBHOOK)
        here.end_run(("Unknown", "ResolvingPipelineRef", "awaits remote resource"))
        since_s = asyncio.get_running_loop().time()
        await asyncio.sleep(310)
        assert said(here, "Progressing")["reason"] == "Stalled"
        # A webhook that is away refuses the stop as it refuses the nudge.
        await until_deleted(here, after_s=598, since_s=since_s)
        status = await here.until_phase("Failed")
    assert status["failureDetails"]["reason"] == "DeadlineExceeded"
    assert "did not resolve the pipeline" in status["failureDetails"]["message"]


async def test_cancelled_run_has_its_time_though_its_nudges_were_refused(here: World) -> None:
    """Refused nudges are no refused cancellation, of which there was one."""
    async with here.controller(limits__stallAfter="10m", execution__defaultTimeout="2h"):
        here.ask()
        await here.until_phase("Running")
        refuse(here, WEBHOOK)
        here.end_run(("Unknown", "ResolvingPipelineRef", "awaits remote resource"))
        await asyncio.sleep(600 + 510)
        here.cluster.faults.heal()
        here.end_run(("Unknown", "Running", "going on"))
        hands.Hands(here.cluster).begin(here.run() or {}, stubborn=True)
        await asyncio.sleep(90)
        refuse(here, WEBHOOK)
        cancel(here)
        await asyncio.sleep(1)
        await told_in_order(here)
        assert here.deletions() == []


@pytest.mark.parametrize("healed", ["while-it-goes", "when-it-is-gone"])
@pytest.mark.parametrize("outcome", ["Cancelled", "Timeout"])
async def test_run_was_stopped_by_us_though_neither_it_nor_the_status_could_say_so(
    here: World, outcome: str, healed: str
) -> None:
    async with here.controller(execution__defaultTimeout="10m", limits__deadlineGrace="2m"):
        run = await running(here)
        refuse(here, WEBHOOK)
        statuses = Match(verbs=("patch",), resource="workflowexecutions", agent=world.AGENT)
        here.cluster.faults.add(WEBHOOK, statuses, times=None)
        if outcome == "Cancelled":
            cancel(here)
        await world.until(here.deletions, within_s=1200)
        await asyncio.sleep(10)
        if healed == "while-it-goes":
            here.cluster.faults.heal()
            await asyncio.sleep(2 * BACK_S)
            assert said(here, "CancelConfirmed")["reason"] == "StillAlive"
        hands.Hands(here.cluster).end_pod(run["metadata"]["uid"])
        await asyncio.sleep(20)
        here.cluster.faults.heal()
        status = await here.until_phase("Failed")
    assert status["outcome"] == outcome
    assert "deleted by somebody else" not in status["failureDetails"]["message"]
    assert said(here, "CancelConfirmed")["status"] == "True"

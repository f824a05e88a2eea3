"""A person clears a target: honoured where it is proven who that was, and recorded once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.component import pasts, world
from tests.component.pasts import failed
from tests.fake import kinds
from tests.support import executions

if TYPE_CHECKING:
    from tests.component.world import World
    from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime


def status_of(here: World, name: str) -> JsonObject:
    found: JsonObject = (here.execution(name) or {})["status"]
    return found


def unguarded(here: World) -> str:
    return executions.answer(here.execution("bad") or {}, "ClearanceUnguarded")


async def test_cleared_target_is_free_when_the_policy_is_there(here: World) -> None:
    here.install_policies()
    pasts.leave(here, "bad", failed(ran=True), ago_s=60)
    async with here.controller():
        here.ask("first", spec=pasts.spec())
        await here.until_phase("Skipped", "first")
        here.clear("bad")
        recorded = await world.until(lambda: status_of(here, "bad").get("clearanceRecordedAt"))
        here.ask("second", spec=pasts.spec())
        await here.until_phase("Running", "second")
        await asyncio.sleep(700)
    assert unguarded(here) == ""
    assert status_of(here, "bad")["clearanceRecordedAt"] == recorded
    assert len(here.writes("workflowexecutions", name="bad", subresource="status")) == 1


@pytest.mark.parametrize("missing", ["policy", "binding", "both"])
async def test_clearance_counts_for_nothing_when_it_is_not_guarded(
    here: World, missing: str
) -> None:
    if missing != "both":
        here.install_policies()
        kind = kinds.POLICIES if missing == "policy" else kinds.BINDINGS
        here.cluster.delete(kind, "", "workflowexecution-controller-status")
    pasts.leave(here, "bad", failed(ran=True), ago_s=60)
    async with here.controller():
        here.clear("bad")
        await world.until(lambda: unguarded(here) == "True")
        here.ask("new", spec=pasts.spec())
        status = await here.until_phase("Skipped", "new")
        assert status["skipDetails"]["reason"] == "PreviousExecutionFailed"
        assert "clearanceRecordedAt" not in status_of(here, "bad")
        await asyncio.sleep(700)
    assert len(here.writes("workflowexecutions", name="bad", subresource="status")) == 1


async def test_clearance_is_taken_out_of_the_middle_of_a_row(here: World) -> None:
    here.install_policies()
    for number in range(1, 6):
        ago_s = 6000.0 - number
        pasts.leave(here, f"e{number}", failed(ran=False, failures=number), ago_s=ago_s)
    async with here.controller():
        here.ask("first", spec=pasts.spec())
        status = await here.until_phase("Skipped", "first")
        assert status["skipDetails"]["reason"] == "ExhaustedRetries"
        here.clear("e2")
        await world.until(lambda: status_of(here, "e2").get("clearanceRecordedAt"))
        here.ask("second", spec=pasts.spec())
        await here.until_phase("Running", "second")
        here.end_run(("False", "CouldntGetPipeline", "no such bundle"))
        status = await here.until_phase("Failed", "second")
    assert status["consecutiveFailures"] == 5


async def test_clearance_frees_from_its_own_block_alone(here: World) -> None:
    here.install_policies()
    pasts.leave(here, "older", failed(ran=True), ago_s=600)
    pasts.leave(here, "newer", failed(ran=True), ago_s=60)
    here.clear("newer")
    async with here.controller():
        here.ask("new", spec=pasts.spec())
        status = await here.until_phase("Skipped", "new")
    assert status["skipDetails"]["recentRemediation"]["name"] == "older"


async def test_clearance_is_of_no_use_when_another_execution_fails_later(here: World) -> None:
    here.install_policies()
    pasts.leave(here, "bad", failed(ran=True), ago_s=600)
    here.clear("bad")
    pasts.leave(here, "worse", failed(ran=True), ago_s=30)
    async with here.controller():
        here.ask("new", spec=pasts.spec())
        status = await here.until_phase("Skipped", "new")
    assert status["skipDetails"]["recentRemediation"]["name"] == "worse"

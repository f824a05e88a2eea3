"""Runs of which not all may be read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.component import hands, world
from tests.fake import faults
from tests.fake.paths import Match
from tests.support import executions

if TYPE_CHECKING:
    from tests.component.world import World
    from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime

NO = faults.Answer(403, '{"kind":"Status","code":403,"message":"no"}')


def said(here: World, kind: str) -> JsonObject:
    return executions.condition(here.execution() or {}, kind)


@pytest.mark.parametrize("resource", ["taskruns", "pods"])
async def test_failed_run_says_what_it_waits_for_when_not_all_of_it_may_be_read(
    here: World, resource: str
) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        run = here.run() or {}
        hands.Hands(here.cluster).begin(run, stubborn=True)
        forbidden = Match(verbs=("list",), resource=resource, agent=world.AGENT)
        here.cluster.faults.add(NO, forbidden, times=None)
        hands.Hands(here.cluster).end(run, hands.FAILED)
        await asyncio.sleep(60)
        assert (here.execution() or {})["status"]["phase"] == "Running"
        told = said(here, "EngineAvailable")
        assert told["status"] == "False"
        assert "may not be read" in told["message"]
        here.cluster.faults.heal()
        status = await here.until_phase("Failed")
    assert status["failureDetails"]["reason"] == "TaskFailed"
    assert said(here, "EngineAvailable")["status"] == "True"

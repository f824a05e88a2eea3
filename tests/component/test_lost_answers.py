"""A status is taken and its answer is lost: it is told and counted as if it had come, once."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.component import pasts, world
from tests.component.test_metrics import scraping
from tests.fake import faults, kinds
from tests.fake.paths import Match

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.component.test_metrics import Scraper
    from tests.component.world import World

pytestmark = pytest.mark.looptime

STATUS = Match(
    resource="workflowexecutions", verbs=("patch",), subresource="status", agent=world.AGENT
)
WATCH = Match(resource="workflowexecutions", verbs=("watch",), agent=world.AGENT)
ENDED = 'workflowexecution_total{outcome="%s",workflow_id="restart-deployment"}'
LOST: list[faults.Effect] = [faults.ApplyThenDrop(), faults.Drop(), faults.Delay(45)]
"""Taken, or not, or taken and answered after the deadline of a request."""


@contextlib.asynccontextmanager
async def watched(here: World) -> AsyncIterator[Scraper]:
    async with scraping(here, controller__metricsAuth=False) as scraper:
        yield scraper


def told(here: World) -> dict[str, int]:
    """How often each event was said, by reason."""
    return {it["reason"]: it["count"] for it in here.cluster.items(kinds.EVENTS, world.TEAM)}


@pytest.mark.parametrize("effect", LOST, ids=["taken", "not-taken", "late"])
async def test_a_start_is_told_once(here: World, effect: faults.Effect) -> None:
    async with watched(here) as scraper:
        here.cluster.faults.add(effect, STATUS, times=1)
        here.ask()
        await here.until_phase("Running")
        await asyncio.sleep(120)
        assert told(here) == {"PipelineRunCreated": 1}
        found = await scraper.values(curl=True)
    assert found["workflowexecution_pipelinerun_creation_total"] == 1


@pytest.mark.parametrize("effect", LOST, ids=["taken", "not-taken", "late"])
@pytest.mark.parametrize(
    ("end", "phase", "reason", "outcome"),
    [
        (world.FAILED, "Failed", "WorkflowFailed", "Failed"),
        (world.SUCCEEDED, "Completed", "WorkflowCompleted", "Success"),
    ],
)
async def test_an_end_is_told_once(
    here: World,
    effect: faults.Effect,
    end: tuple[str, str, str],
    phase: str,
    reason: str,
    outcome: str,
) -> None:
    async with watched(here) as scraper:
        here.ask()
        await here.until_phase("Running")
        await asyncio.sleep(5)
        here.cluster.faults.add(effect, STATUS, times=1)
        here.end_run(end)
        await here.until_phase(phase)
        await asyncio.sleep(120)
        assert told(here) == {"PipelineRunCreated": 1, reason: 1}
        found = await scraper.values(curl=True)
    assert found[ENDED % outcome] == 1
    assert found[ENDED.replace("_total", "_duration_seconds_count") % outcome] == 1


@pytest.mark.parametrize("times", [1, 2])
async def test_an_end_is_told_once_though_the_watch_is_behind(here: World, times: int) -> None:
    """The second attempt is decided on the old state, and refused, which may be lost as well."""
    async with watched(here) as scraper:
        here.cluster.faults.add(faults.DelayEvents(20), WATCH, times=None)
        here.cluster.faults.drop_watches()
        here.ask()
        await here.until_phase("Running")
        await asyncio.sleep(30)
        here.cluster.faults.add(faults.ApplyThenDrop(), STATUS, times=times)
        here.end_run(world.FAILED)
        await here.until_phase("Failed")
        await asyncio.sleep(120)
        assert told(here)["WorkflowFailed"] == 1
        assert (await scraper.values(curl=True))[ENDED % "Failed"] == 1


@pytest.mark.parametrize("effect", LOST, ids=["taken", "not-taken", "late"])
async def test_a_skip_is_told_once(here: World, effect: faults.Effect) -> None:
    async with watched(here) as scraper:
        here.ask()
        await here.until_phase("Running")
        await asyncio.sleep(5)
        here.cluster.faults.add(effect, STATUS, times=1)
        here.ask("second")
        await here.until_phase("Skipped", "second")
        await asyncio.sleep(120)
        assert told(here) == {"PipelineRunCreated": 1, "Skipped": 1}
        found = await scraper.values(curl=True)
    assert found['workflowexecution_skip_total{reason="ResourceBusy"}'] == 1


@pytest.mark.parametrize("effect", LOST, ids=["taken", "not-taken", "late"])
async def test_a_clearance_is_told_once(here: World, effect: faults.Effect) -> None:
    here.install_policies()
    pasts.leave(here, "bad", pasts.failed(ran=True), ago_s=60)
    async with watched(here) as scraper:
        here.cluster.faults.add(effect, STATUS, times=1)
        here.clear("bad")
        await asyncio.sleep(120)
        assert told(here) == {"BlockCleared": 1}
        assert (await scraper.values(curl=True))["workflowexecution_clearances_consumed_total"] == 1


async def test_the_end_of_a_deleted_execution_is_told_once(here: World) -> None:
    async with watched(here) as scraper:
        here.ask()
        await here.until_phase("Running")
        await asyncio.sleep(5)
        here.cluster.faults.add(faults.ApplyThenDrop(), STATUS, times=1)
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        await here.obey()
        await asyncio.sleep(120)
        assert here.execution() is None
        assert set(told(here).values()) == {1}
        assert set(told(here)) >= {"PipelineRunCreated", "WorkflowFailed"}
        assert (await scraper.values(curl=True))[ENDED % "Cancelled"] == 1


async def test_nothing_is_told_of_what_never_was(here: World) -> None:
    """The execution has gone on otherwise by the time that the server takes writes again."""
    async with watched(here) as scraper:
        here.cluster.faults.add(faults.Drop(), STATUS, times=None)
        here.ask(spec={"targetResource": "/"})
        await asyncio.sleep(60)
        here.cluster.patch(
            kinds.EXECUTIONS, world.TEAM, "restart-payment", {"metadata": {"finalizers": None}}
        )
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        here.cluster.faults.heal()
        here.ask()
        await here.until_phase("Running")
        await asyncio.sleep(60)
        assert told(here) == {"PipelineRunCreated": 1}
        assert (await scraper.values(curl=True))[ENDED % "Failed"] == 0

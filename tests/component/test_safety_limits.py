"""Runs that do not end by themselves: overdue, without progress, unresolved, of another bundle."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.component import hands, pasts, world
from tests.support import executions
from workflowexecution.api import names

if TYPE_CHECKING:
    from tests.component.world import World
    from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime

RESOLVING = ("Unknown", "ResolvingPipelineRef", "PipelineRun awaits remote resource")


def marks(here: World) -> JsonObject:
    found: JsonObject = (here.run() or {})["metadata"].get("annotations", {})
    return found


def progressing(here: World) -> JsonObject:
    return executions.condition(here.execution() or {}, "Progressing")


async def running(here: World, spec: JsonObject | None = None) -> JsonObject:
    here.ask(spec=spec)
    await here.until_phase("Running")
    return here.run() or {}


async def sleep_until(at_s: float) -> None:
    await asyncio.sleep(at_s - asyncio.get_running_loop().time())


async def test_overdue_run_is_stopped_when_tekton_forgets_it(here: World) -> None:
    async with here.controller(execution__defaultTimeout="10m", limits__deadlineGrace="2m"):
        run = await running(here)
        hands.Hands(here.cluster).begin(run)
        since = asyncio.get_running_loop().time()
        await sleep_until(since + 719 - 2)
        assert here.told() == ""
        await sleep_until(since + 720 + 3)
        assert here.told() == "Cancelled"
        assert marks(here)[names.ANNOTATION_CANCEL_CAUSE] == "deadline"
        hands.Hands(here.cluster).end(here.run() or {}, hands.CANCELLED)
        status = await here.until_phase("Failed")
    assert status["outcome"] == "Timeout"
    assert status["failureDetails"]["reason"] == "DeadlineExceeded"
    assert status["failureDetails"]["message"] == (
        "Tekton did not end the run within its timeout of 10m0s and another 2m0s, so it was stopped"
    )


async def test_overdue_run_is_stopped_just_after_a_restart(here: World) -> None:
    async with here.controller():
        run = await running(here)
        hands.Hands(here.cluster).begin(run)
    await asyncio.sleep(7200)
    async with here.controller():
        await world.until(lambda: here.told() == "Cancelled", within_s=5)


async def test_timeout_of_tekton_is_left_to_tekton(here: World) -> None:
    async with here.controller(execution__defaultTimeout="10m"):
        run = await running(here)
        hands.Hands(here.cluster).begin(run)
        await asyncio.sleep(600)
        late = ("False", "PipelineRunTimeout", 'PipelineRun "x" failed to finish within "10m0s"')
        hands.Hands(here.cluster).end(run, late)
        status = await here.until_phase("Failed")
    assert status["outcome"] == "Timeout"
    assert "cancel" not in str(marks(here))


async def test_run_without_progress_is_named_once_and_its_progress_too(here: World) -> None:
    async with here.controller(limits__stallAfter="5m"):
        run = await running(here)
        hands.Hands(here.cluster).begin(run)
        since = asyncio.get_running_loop().time()
        await sleep_until(since + 297)
        assert progressing(here) == {}
        await sleep_until(since + 306)
        stalled = progressing(here)
        assert (stalled["status"], stalled["reason"]) == ("False", "Stalled")
        assert "step 'run' of task" in stalled["message"]
        assert stalled["message"].endswith("is still running")
        before = len(here.writes())
        await asyncio.sleep(1200)
        assert len(here.writes()) == before
        hands.Hands(here.cluster).go_on(run)
        await asyncio.sleep(5)
        assert (progressing(here)["status"], progressing(here)["reason"]) == ("True", "Moving")


async def test_run_that_is_not_resolved_is_nudged_once_and_then_stopped(here: World) -> None:
    async with here.controller(limits__stallAfter="5m", execution__defaultTimeout="2h"):
        await running(here)
        here.end_run(RESOLVING)
        since = asyncio.get_running_loop().time()
        await sleep_until(since + 297)
        assert names.ANNOTATION_NUDGED_AT not in marks(here)
        await sleep_until(since + 305)
        nudged = marks(here)[names.ANNOTATION_NUDGED_AT]
        assert here.told() == ""
        await sleep_until(since + 595)
        assert here.told() == ""
        assert marks(here)[names.ANNOTATION_NUDGED_AT] == nudged
        await sleep_until(since + 610)
        assert here.told() == "Cancelled"
        here.end_run(world.CANCELLED)
        status = await here.until_phase("Failed")
    nudges = [it for it in here.writes("pipelineruns") if "nudged-at" in str(it.body)]
    assert len(nudges) == 1
    assert status["failureDetails"]["reason"] == "DeadlineExceeded"
    assert status["failureDetails"]["wasExecutionFailure"] is False
    assert status["consecutiveFailures"] == 1


@pytest.mark.parametrize("ran", [True, False], ids=["ran", "did-not-run"])
async def test_run_of_another_bundle_is_stopped_as_soon_as_it_is_seen(
    here: World, *, ran: bool
) -> None:
    wanted = pasts.spec()["workflowRef"] | {"containerDigest": builders.DIGEST}
    async with here.controller():
        run = await running(here, spec={"workflowRef": wanted})
        if ran:
            hands.Hands(here.cluster).begin(run)
        other = {"refSource": {"uri": "r/w", "digest": {"sha256": "b" * 64}}}
        here.end_run(("Unknown", "Running", "x"), provenance=other)
        await world.until(lambda: here.told() == "Cancelled", within_s=5)
        assert marks(here)[names.ANNOTATION_CANCEL_CAUSE] == "digest"
        hands.Hands(here.cluster).end(here.run() or {}, hands.CANCELLED)
        status = await here.until_phase("Failed")
    assert status["outcome"] == "Failed"
    assert status["failureDetails"]["reason"] == "ConfigurationError"
    assert status["failureDetails"]["wasExecutionFailure"] is ran
    assert builders.DIGEST in status["failureDetails"]["message"]


async def test_run_of_another_bundle_is_no_success_when_it_ends_while_nobody_looks(
    here: World,
) -> None:
    wanted = pasts.spec()["workflowRef"] | {"containerDigest": builders.DIGEST}
    async with here.controller():
        await running(here, spec={"workflowRef": wanted})
    other = {"refSource": {"uri": "r/w", "digest": {"sha256": "b" * 64}}}
    here.end_run(hands.SUCCEEDED, provenance=other)
    async with here.controller():
        status = await here.until_phase("Failed")
    assert status["outcome"] == "Failed"
    assert status["failureDetails"]["reason"] == "ConfigurationError"
    assert builders.DIGEST in status["message"]


async def test_run_of_the_bundle_that_was_asked_for_goes_on(here: World) -> None:
    wanted = pasts.spec()["workflowRef"] | {"containerDigest": builders.DIGEST}
    async with here.controller():
        await running(here, spec={"workflowRef": wanted})
        same = {"refSource": {"uri": "r/w", "digest": {"sha256": "a" * 64}}}
        here.end_run(("Unknown", "Running", "x"), provenance=same)
        await asyncio.sleep(30)
        assert here.told() == ""

"""Somebody copies a run with its labels, as "Rerun" of Tekton's dashboard does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.component import hands, pasts, world
from tests.fake import faults, kinds
from tests.fake.paths import Match
from workflowexecution.api import names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.component.world import World
    from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime

CREATE = Match(verbs=("create",), resource="pipelineruns", agent=world.AGENT)
DENIED = '{"kind":"Status","reason":"Forbidden","code":403,"message":"denied by a webhook"}'
COPY = f"{world.RUN}-r-abcde"
PARENT = {"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": world.RUN}
CUSTOM = {"apiVersion": "tekton.dev/v1beta1", "kind": "CustomRun", "name": "first-loop"}


def copied(here: World, name: str = COPY, **metadata: object) -> JsonObject:
    """Copy the run, with all that it carries but for what the server gives."""
    run = here.run() or {}
    kept = {key: run["metadata"][key] for key in ("namespace", "labels", "annotations")}
    return here.cluster.create({
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {**kept, "name": name, **metadata},
        "spec": {key: value for key, value in run["spec"].items() if key != "status"},
    })


async def begun(here: World) -> JsonObject:
    here.ask("first", spec=pasts.spec())
    await here.until_phase("Running", "first")
    run = here.run() or {}
    hands.Hands(here.cluster).begin(run)
    return run


async def completed(here: World) -> JsonObject:
    run = await begun(here)
    hands.Hands(here.cluster).end(run, hands.SUCCEEDED)
    await here.until_phase("Completed", "first")
    await asyncio.sleep(5)
    return run


def told(here: World, name: str = COPY) -> str:
    """How a run was told to end."""
    return str(((here.run(name) or {}).get("spec") or {}).get("status") or "")


async def until_told(here: World, within_s: float = 2.0) -> JsonObject:
    """Wait until the copy is told to end, and why that is written on it."""
    assert await world.until(lambda: told(here), within_s=within_s) == "Cancelled"
    copy = here.run(COPY) or {}
    assert copy["metadata"]["annotations"][names.ANNOTATION_CANCEL_CAUSE] == "copy"
    return copy


def changed(here: World, verb: str, name: str) -> Sequence[object]:
    match = Match(verbs=(verb,), resource="pipelineruns", name=name, agent=world.AGENT)
    return here.cluster.requests.matching(match)


async def test_copy_is_stopped_at_once_when_its_execution_has_ended(here: World) -> None:
    async with here.controller():
        await completed(here)
        hands.Hands(here.cluster).begin(copied(here))
        copy = await until_told(here)
        assert told(here, world.RUN) == ""
        reasons = [it["reason"] for it in here.cluster.items(kinds.EVENTS)]
        assert "CancelRequested" in reasons
        hands.Hands(here.cluster).end(copy, hands.CANCELLED)
        await asyncio.sleep(280)
        assert here.run() is not None
        assert here.run(COPY) is not None
        await world.until(lambda: here.run() is None and here.run(COPY) is None)
    status = (here.execution("first") or {})["status"]
    assert (status["phase"], status["outcome"]) == ("Completed", "Success")


async def test_copy_is_stopped_when_it_was_made_while_no_controller_ran(here: World) -> None:
    async with here.controller():
        await completed(here)
    hands.Hands(here.cluster).begin(copied(here))
    async with here.controller():
        await until_told(here, within_s=5)


async def test_copy_is_stopped_at_once_when_its_execution_still_runs(here: World) -> None:
    async with here.controller():
        run = await begun(here)
        hands.Hands(here.cluster).begin(copied(here))
        copy = await until_told(here)
        hands.Hands(here.cluster).end(copy, hands.CANCELLED)
        await asyncio.sleep(30)
        assert (here.execution("first") or {})["status"]["phase"] == "Running"
        assert told(here, world.RUN) == ""
        hands.Hands(here.cluster).end(run, hands.SUCCEEDED)
        status = await here.until_phase("Completed", "first")
    assert status["pipelineRunRef"]["uid"] == run["metadata"]["uid"]


async def test_own_run_is_mirrored_after_a_restart_when_a_copy_comes_before_it(
    here: World,
) -> None:
    async with here.controller():
        run = await begun(here)
    # Lists are in the order of names.
    hands.Hands(here.cluster).begin(copied(here, "a-copy"))
    async with here.controller():
        await world.until(lambda: told(here, "a-copy"), within_s=5)
        hands.Hands(here.cluster).end(run, hands.SUCCEEDED)
        await here.until_phase("Completed", "first")
    assert told(here, world.RUN) == ""


async def test_kept_run_goes_in_its_time_when_a_copy_has_not_ended(here: World) -> None:
    async with here.controller():
        await completed(here)
        await asyncio.sleep(280)
        hands.Hands(here.cluster).begin(copied(here), stubborn=True)
        await until_told(here)
        await world.until(lambda: here.run() is None, within_s=30)
        assert changed(here, "delete", COPY) == []


async def test_copy_of_a_stopped_run_is_told_to_end_as_any_other(here: World) -> None:
    """It carries the marks of the run that it was copied from."""
    async with here.controller():
        await begun(here)
        asked = {"spec": {"cancel": {"requestedBy": "jane", "reason": "not now"}}}
        here.cluster.patch(kinds.EXECUTIONS, world.TEAM, "first", asked)
        await world.until(lambda: told(here, world.RUN))
        hands.Hands(here.cluster).end(here.run() or {}, hands.CANCELLED)
        await here.until_phase("Failed", "first")
        await asyncio.sleep(250)
        copied(here)
        await until_told(here)
        assert changed(here, "delete", COPY) == []


@pytest.mark.parametrize("is_kept", [True, False], ids=["original-kept", "original-gone"])
async def test_nothing_starts_beside_a_copy_that_works(here: World, *, is_kept: bool) -> None:
    async with here.controller():
        run = await completed(here)
        hands.Hands(here.cluster).begin(copied(here), stubborn=True)
        copy = await until_told(here)
        if not is_kept:
            here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        # Tekton calls it ended while its pod goes on.
        hands.Hands(here.cluster).end(copy, hands.CANCELLED, lingers=True)
        here.ask("second", spec=pasts.spec(pasts.OTHER))
        status = await here.until_phase("Skipped", "second")
        assert status["skipDetails"]["reason"] == "ResourceBusy"
        assert status["skipDetails"]["conflictingWorkflow"]["name"] == "first"
        assert COPY in status["message"]
        assert changed(here, "delete", world.RUN) == []
        hands.Hands(here.cluster).end_pod(copy["metadata"]["uid"])
        here.ask("third", spec=pasts.spec(pasts.OTHER))
        await here.until_phase("Running", "third")
    assert (here.run() or {})["metadata"]["uid"] != run["metadata"]["uid"]


async def test_copy_that_only_the_cache_has_stands_in_nobodys_way(here: World) -> None:
    async with here.controller():
        await completed(here)
        copy = copied(here)
        await until_told(here)
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        await asyncio.sleep(5)
        here.cluster.faults.silence_watches(Match(resource="pipelineruns"))
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, copy["metadata"]["name"])
        here.ask("second", spec=pasts.spec(pasts.OTHER))
        await here.until_phase("Running", "second")


async def test_deleted_execution_goes_when_no_copy_of_its_run_works(here: World) -> None:
    async with here.controller():
        await completed(here)
        here.cluster.patch(
            kinds.EXECUTIONS, world.TEAM, "first", {"metadata": {"labels": {"seen": "no"}}}
        )
    hands.Hands(here.cluster).begin(copied(here), stubborn=True)
    here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "first")
    async with here.controller():
        await until_told(here, within_s=5)
        await asyncio.sleep(200)
        assert here.execution("first") is not None
        hands.Hands(here.cluster).end_pod((here.run(COPY) or {})["metadata"]["uid"])
        await world.until(lambda: here.execution("first") is None, within_s=120)
    assert here.run() is None
    assert here.run(COPY) is None


@pytest.mark.parametrize("parent", [PARENT, CUSTOM], ids=["of-tekton", "of-a-custom-task"])
async def test_child_of_a_run_is_no_copy_of_it(here: World, parent: JsonObject) -> None:
    """Tekton gives a run in a pipeline, and a custom task, the labels of its parent."""
    async with here.controller():
        run = await begun(here)
        owner = {**parent, "uid": run["metadata"]["uid"], "controller": True}
        child = copied(here, f"{world.RUN}-child", ownerReferences=[owner])
        await asyncio.sleep(60)
        assert told(here, f"{world.RUN}-child") == ""
        hands.Hands(here.cluster).end(run, hands.SUCCEEDED)
        await here.until_phase("Completed", "first")
        await asyncio.sleep(30)
        assert told(here, f"{world.RUN}-child") == ""
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, child["metadata"]["name"])
        here.ask("second", spec=pasts.spec(pasts.OTHER))
        await here.until_phase("Running", "second")


async def test_own_run_goes_on_when_the_status_does_not_tell_its_uid(here: World) -> None:
    async with here.controller():
        await begun(here)
    unnamed = {"status": {"pipelineRunRef": {"uid": None}}}
    here.cluster.patch(kinds.EXECUTIONS, world.TEAM, "first", unnamed, subresource="status")
    hands.Hands(here.cluster).begin(copied(here))
    async with here.controller():
        await until_told(here, within_s=5)
        await asyncio.sleep(10)
        assert told(here, world.RUN) == ""


@pytest.mark.parametrize("past", [begun, completed], ids=["still-runs", "has-ended"])
async def test_each_of_several_copies_is_stopped(
    here: World, past: Callable[[World], Awaitable[JsonObject]]
) -> None:
    async with here.controller():
        await past(here)
        hands.Hands(here.cluster).begin(copied(here), stubborn=True)
        await until_told(here)
        # That one does not end, and no step is due to it for two minutes.
        hands.Hands(here.cluster).begin(copied(here, f"{COPY}-2"))
        assert await world.until(lambda: told(here, f"{COPY}-2"), within_s=2) == "Cancelled"


async def test_own_run_of_a_deleted_execution_is_told_to_end_beside_a_copy(here: World) -> None:
    async with here.controller():
        run = await begun(here)
        hands.Hands(here.cluster).begin(copied(here), stubborn=True)
        await until_told(here)
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "first")
        asked = await world.until(lambda: told(here, world.RUN), within_s=5)
        assert asked == "CancelledRunFinally"
        hands.Hands(here.cluster).end(run, hands.CANCELLED)
        await world.until(lambda: here.run() is None, within_s=60)
        # It goes when the copy has, too.
        assert here.execution("first") is not None
        hands.Hands(here.cluster).end_pod((here.run(COPY) or {})["metadata"]["uid"])
        await world.until(lambda: here.execution("first") is None, within_s=300)
    assert here.run(COPY) is None


async def test_kept_run_goes_in_its_time_when_a_copy_may_not_be_changed(here: World) -> None:
    async with here.controller():
        await completed(here)
        match = Match(verbs=("patch",), resource="pipelineruns", name=COPY)
        here.cluster.faults.add(faults.Answer(403, DENIED), match, times=None)
        hands.Hands(here.cluster).begin(copied(here), stubborn=True)
        await asyncio.sleep(60)
        assert changed(here, "delete", COPY) == []
        # It goes without being told to end, and holds nothing up.
        await world.until(lambda: changed(here, "delete", COPY), within_s=120)
        await world.until(lambda: here.run() is None, within_s=300)
        assert len(changed(here, "delete", COPY)) == 1


@pytest.mark.parametrize("works", [True, False], ids=["works", "has-ended"])
async def test_copy_tells_that_a_run_was_started_and_is_not_taken_for_it(
    here: World, *, works: bool
) -> None:
    async with here.controller():
        await begun(here)
    copy = copied(here)
    hands.Hands(here.cluster).begin(copy)
    if not works:
        hands.Hands(here.cluster).end(copy, hands.SUCCEEDED)
    here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
    here.cluster.patch(
        kinds.EXECUTIONS, world.TEAM, "first", {"status": None}, subresource="status"
    )
    async with here.controller():
        status = await here.until_phase("Failed", "first")
        assert status["pipelineRunRef"]["name"] == world.RUN
        assert "was deleted by somebody else" in status["failureDetails"]["message"]
        if works:
            await until_told(here)
    creates = here.cluster.requests.matching(CREATE)
    assert len(creates) == 1


async def test_copy_is_stopped_while_pods_of_a_run_that_somebody_deleted_go_on(here: World) -> None:
    async with here.controller():
        here.ask("first", spec=pasts.spec())
        await here.until_phase("Running", "first")
        run = here.run() or {}
        hand = hands.Hands(here.cluster)
        hand.begin(run, stubborn=True)
        await asyncio.sleep(1)
        copy = copied(here)
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        hand.begin(copy)
        await until_told(here)
        assert (here.execution("first") or {})["status"]["phase"] == "Running"

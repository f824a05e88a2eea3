"""A run that has ended makes room for another execution, once nothing of it works any more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.component import hands, pasts, world
from tests.component.pasts import OTHER, WORKFLOW
from tests.fake import faults, kinds
from tests.fake.paths import Match
from tests.support import executions
from workflowexecution.api import names

if TYPE_CHECKING:
    from tests.component.world import World
    from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime

HOLD = {"metadata": {"finalizers": ["example.com/hold"]}}
NO = faults.Answer(403, '{"kind":"Status","code":403,"message":"no"}')


async def complete(here: World, name: str = "first", *, lingers: bool = False) -> JsonObject:
    """Let an execution run and complete; returns its run, which is kept."""
    here.ask(name, spec=pasts.spec(WORKFLOW))
    await here.until_phase("Running", name)
    run = here.run() or {}
    tekton = hands.Hands(here.cluster)
    tekton.begin(run, stubborn=lingers)
    tekton.end(run, hands.SUCCEEDED, lingers=lingers)
    await here.until_phase("Completed", name)
    return run


async def test_kept_run_makes_room_at_once_when_another_workflow_comes(here: World) -> None:
    async with here.controller():
        kept = await complete(here)
        here.ask("second", spec=pasts.spec(OTHER))
        await here.until_phase("Running", "second")
        (deletion,) = here.deletions()
        assert asyncio.get_running_loop().time() < 5
    assert deletion.body is not None
    assert deletion.body["preconditions"] == {"uid": kept["metadata"]["uid"]}
    assert deletion.body["propagationPolicy"] == "Foreground"
    assert (here.run() or {})["metadata"]["uid"] != kept["metadata"]["uid"]
    pods = [Match(verbs=("list",), resource="pods"), Match(verbs=("list",), resource="taskruns")]
    assert all(here.cluster.requests.matching(it) for it in pods)


async def test_kept_run_stays_when_the_same_workflow_is_asked_for_again(here: World) -> None:
    async with here.controller():
        await complete(here)
        here.ask("second", spec=pasts.spec(WORKFLOW))
        status = await here.until_phase("Skipped", "second")
    assert status["skipDetails"]["reason"] == "RecentlyRemediated"
    assert here.deletions() == []


async def test_execution_waits_for_the_disappearance_and_for_no_timer(here: World) -> None:
    async with here.controller():
        await complete(here)
        here.cluster.patch(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN, HOLD)
        here.ask("second", spec=pasts.spec(OTHER))
        status = await here.until_phase("Pending", "second")
        released = executions.condition_in(status, "ResourceLocked")
        assert (released["status"], released["reason"]) == ("False", "Releasing")
        await asyncio.sleep(7)
        let_go = {"metadata": {"finalizers": None}}
        here.cluster.patch(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN, let_go)
        at = asyncio.get_running_loop().time()
        status = await here.until_phase("Running", "second")
        assert asyncio.get_running_loop().time() - at < 1
    assert executions.condition_in(status, "ResourceLocked")["reason"] == "Executing"
    assert len(here.deletions()) == 1


@pytest.mark.parametrize(
    ("verb", "resource", "kind", "words"),
    [
        pytest.param("delete", "pipelineruns", "ResourceLocked", "cannot be deleted", id="deleted"),
        pytest.param("list", "taskruns", "EngineAvailable", "may not be read", id="read"),
        pytest.param("list", "pods", "EngineAvailable", "may not be read", id="pods-read"),
    ],
)
async def test_execution_says_what_keeps_it_from_a_name_that_a_finished_run_has(
    here: World, verb: str, resource: str, kind: str, words: str
) -> None:
    async with here.controller():
        await complete(here)
        refused = Match(verbs=(verb,), resource=resource, agent=world.AGENT)
        here.cluster.faults.add(NO, refused, times=None)
        here.ask("second", spec=pasts.spec(OTHER))
        status = await here.until_phase("Pending", "second")
        assert words in executions.condition_in(status, kind)["message"]
        await asyncio.sleep(20)
        assert (here.execution("second") or {})["status"] == status
        here.cluster.faults.heal()
        status = await here.until_phase("Running", "second")
    assert executions.condition_in(status, kind)["status"] == "True"


async def test_run_is_not_evicted_while_a_pod_of_it_works(here: World) -> None:
    async with here.controller():
        kept = await complete(here, lingers=True)
        here.ask("second", spec=pasts.spec(OTHER))
        status = await here.until_phase("Skipped", "second")
        assert here.deletions() == []
        hands.Hands(here.cluster).end_pod(kept["metadata"]["uid"])
        here.ask("third", spec=pasts.spec(OTHER))
        await here.until_phase("Running", "third")
    assert status["skipDetails"]["reason"] == "ResourceBusy"
    assert status["skipDetails"]["conflictingWorkflow"]["name"] == "first"


async def test_run_is_not_evicted_before_its_execution_has_said_its_end(here: World) -> None:
    ends = Match(
        verbs=("patch",), resource="workflowexecutions", name="first", subresource="status"
    )
    async with here.controller():
        here.ask("first", spec=pasts.spec(WORKFLOW))
        await here.until_phase("Running", "first")
        held = here.cluster.faults.hold(ends)
        here.end_run()
        await held.reached.wait()
        here.ask("second", spec=pasts.spec(OTHER))
        status = await here.until_phase("Skipped", "second")
        held.release()
        await here.until_phase("Completed", "first")
    assert status["skipDetails"]["conflictingWorkflow"]["name"] == "first"
    assert here.deletions() == []


@pytest.mark.parametrize("ended", [True, False], ids=["finished", "live"])
async def test_run_without_an_execution_makes_room_or_is_stopped_first(
    here: World, *, ended: bool
) -> None:
    async with here.controller():
        here.ask("first", spec=pasts.spec(WORKFLOW))
        await here.until_phase("Running", "first")
        hands.Hands(here.cluster).begin(here.run() or {})
    here.cluster.patch(kinds.EXECUTIONS, world.TEAM, "first", {"metadata": {"finalizers": None}})
    here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "first")
    if ended:
        hands.Hands(here.cluster).end(here.run() or {}, hands.SUCCEEDED)
    async with here.controller():
        here.ask("second", spec=pasts.spec(OTHER))
        if ended:
            await here.until_phase("Running", "second")
            return
        status = await here.until_phase("Skipped", "second")
        assert status["skipDetails"]["conflictingWorkflow"]["name"] == "first"
        said = await world.until(lambda: ((here.run() or {}).get("spec") or {}).get("status"))
        assert said == "Cancelled"
        marks = (here.run() or {})["metadata"]["annotations"]
        assert marks[names.ANNOTATION_CANCEL_CAUSE] == "orphan"
        hands.Hands(here.cluster).end(here.run() or {}, hands.CANCELLED)
        here.ask("third", spec=pasts.spec(OTHER))
        await here.until_phase("Running", "third")


async def test_finished_run_without_an_execution_goes_when_it_was_kept_long_enough(
    here: World,
) -> None:
    async with here.controller():
        await complete(here)
    let_go = {"metadata": {"finalizers": None}}
    here.cluster.patch(kinds.EXECUTIONS, world.TEAM, "first", let_go)
    here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "first")
    async with here.controller():
        await asyncio.sleep(295)
        assert here.run() is not None
        await world.until(lambda: here.run() is None)


async def test_execution_stays_pending_when_nothing_is_known_of_the_run_in_its_way(
    here: World,
) -> None:
    async with here.controller():
        await complete(here)
        reads = Match(verbs=("get",), resource="pipelineruns")
        here.cluster.faults.add(faults.bad_gateway(), reads, times=6)
        here.ask("second", spec=pasts.spec(OTHER))
        await asyncio.sleep(0.5)
        assert here.deletions() == []
        assert (here.execution("second") or {}).get("status", {}).get("phase") != "Skipped"
        await here.until_phase("Running", "second")


async def test_execution_starts_when_the_run_in_its_way_goes_before_it_is_looked_at(
    here: World,
) -> None:
    async with here.controller():
        await complete(here)
        held = here.cluster.faults.hold(Match(verbs=("get",), resource="pipelineruns"))
        here.ask("second", spec=pasts.spec(OTHER))
        await held.reached.wait()
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        held.release()
        await here.until_phase("Running", "second")
        assert asyncio.get_running_loop().time() < 5

"""Deletion of executions and runs, and runs that nobody waits for any more."""

from __future__ import annotations

import asyncio
import datetime
from typing import TYPE_CHECKING

import pytest

from tests.component import hands, pasts, world
from tests.fake import faults, kinds, statuses
from tests.fake.paths import Match
from workflowexecution.adapters import executions
from workflowexecution.api import names

if TYPE_CHECKING:
    from tests.component.world import World
    from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime

NAME = "restart-payment"
CREATE = Match(verbs=("create",), resource="pipelineruns")
STATUS = Match(
    verbs=("patch",), resource="workflowexecutions", subresource="status", agent=world.AGENT
)


def delete(here: World) -> None:
    here.cluster.delete(kinds.EXECUTIONS, world.TEAM, NAME)


async def running(here: World, *, begun: bool = True, stubborn: bool = False) -> JsonObject:
    here.ask()
    await here.until_phase("Running")
    run = here.run() or {}
    if begun:
        hands.Hands(here.cluster).begin(run, stubborn=stubborn)
    return run


async def test_running_execution_says_its_end_before_its_run_is_told(here: World) -> None:
    async with here.controller():
        run = await running(here)
        delete(here)
        await world.until(here.told)
        status = (here.execution() or {})["status"]
        assert (status["phase"], status["outcome"]) == ("Failed", "Cancelled")
        assert status["failureDetails"]["wasExecutionFailure"] is True
        assert "deleted before it had ended" in status["failureDetails"]["message"]
        assert here.told() == "CancelledRunFinally"
        hands.Hands(here.cluster).end(run, hands.CANCELLED)
        await world.until(lambda: here.execution() is None)
    assert here.run() is None
    (deletion,) = here.deletions()
    assert deletion.body is not None
    assert deletion.body["preconditions"] == {"uid": run["metadata"]["uid"]}
    assert deletion.body["propagationPolicy"] == "Foreground"


async def test_deletion_climbs_the_ladder_when_tekton_does_not_obey(here: World) -> None:
    async with here.controller():
        await running(here)
        delete(here)
        at = asyncio.get_running_loop().time()
        await asyncio.sleep(299)
        assert here.told() == "CancelledRunFinally"
        await asyncio.sleep(5)
        assert here.told() == "Cancelled"
        await asyncio.sleep(114)
        assert here.execution() is not None
        await world.until(lambda: here.execution() is None, within_s=10)
        assert 420 <= asyncio.get_running_loop().time() - at <= 426
    assert here.run() is None


async def test_execution_is_let_go_alone_when_its_run_cannot_be_ended(here: World) -> None:
    async with here.controller():
        run = await running(here, stubborn=True)
        delete(here)
        at = asyncio.get_running_loop().time()
        await asyncio.sleep(598)
        assert here.execution() is not None
        await world.until(lambda: here.execution() is None, within_s=40)
        assert 600 <= asyncio.get_running_loop().time() - at <= 632
        assert (here.run() or {})["metadata"]["uid"] == run["metadata"]["uid"]
        here.ask("second", spec=pasts.spec(pasts.OTHER))
        status = await here.until_phase("Skipped", "second")
        assert status["skipDetails"]["reason"] == "ResourceBusy"
        hands.Hands(here.cluster).end_pod(run["metadata"]["uid"])
        here.ask("third", spec=pasts.spec(pasts.OTHER))
        await here.until_phase("Running", "third")


async def test_target_stays_locked_when_execution_and_run_are_deleted_but_a_pod_works(
    here: World,
) -> None:
    here.install_policies()
    async with here.controller():
        run = await running(here, stubborn=True)
        delete(here)
        here.cluster.delete(
            kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN, propagation="Background"
        )
        await asyncio.sleep(45)
        here.ask("second", spec=pasts.spec(pasts.OTHER))
        status = await here.until_phase("Skipped", "second")
        assert status["skipDetails"]["reason"] == "ResourceBusy"
        here.clear()
        here.ask("too-early", spec=pasts.spec(pasts.OTHER))
        status = await here.until_phase("Skipped", "too-early")
        assert status["skipDetails"]["conflictingWorkflow"]["name"] == NAME
        hands.Hands(here.cluster).end_pod(run["metadata"]["uid"])
        await world.until(lambda: here.execution() is None)
        here.ask("third", spec=pasts.spec(pasts.OTHER))
        await here.until_phase("Running", "third")


@pytest.mark.parametrize("behind_s", [0.4, 30.4])
async def test_target_stays_locked_when_the_clock_is_behind_by_what_no_header_shows(
    here: World, behind_s: float
) -> None:
    """Both are deleted just after a second of the server began; here the one before goes on."""

    def late() -> datetime.datetime:
        return world.virtual_now() - datetime.timedelta(seconds=behind_s)

    async with here.way(now=late) as way, here.program(way):
        run = await running(here, stubborn=True)
        for _ in range(40):
            # Any traffic: the offset is the median of what whole seconds show.
            await asyncio.sleep(1.37)
            await way.api.list_page(executions.EXECUTIONS)
        at = asyncio.get_running_loop().time()
        await asyncio.sleep(int(at) + 2.05 - at)
        delete(here)
        here.cluster.delete(
            kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN, propagation="Background"
        )
        await asyncio.sleep(1)
        here.ask("second", spec=pasts.spec(pasts.OTHER))
        await here.until_phase("Skipped", "second")
        hands.Hands(here.cluster).end_pod(run["metadata"]["uid"])
        await world.until(lambda: here.execution() is None)


@pytest.mark.parametrize("fails", [False, True], ids=["all-well", "first-write-fails"])
async def test_end_is_said_and_finally_has_its_time_when_deleted_while_no_controller_ran(
    here: World, *, fails: bool
) -> None:
    async with here.controller():
        await running(here)
    delete(here)
    await asyncio.sleep(660)
    if fails:
        here.cluster.faults.add(faults.bad_gateway(500), STATUS, times=1)
    async with here.controller():
        await world.until(here.told)
        assert here.told() == "CancelledRunFinally"
        status = (here.execution() or {})["status"]
        assert (status["phase"], status["outcome"]) == ("Failed", "Cancelled")
        at = asyncio.get_running_loop().time()
        await asyncio.sleep(299)
        assert here.told() == "CancelledRunFinally"
        # Tekton does not obey: it goes all the same, and takes its run along.
        await world.until(lambda: here.execution() is None, within_s=200)
        assert asyncio.get_running_loop().time() - at <= 430
    assert here.run() is None


async def test_end_is_said_when_tekton_was_uninstalled_and_the_controller_is_a_new_one(
    here: World,
) -> None:
    async with here.controller():
        await running(here)
    for kind in (kinds.PIPELINE_RUNS, kinds.TASK_RUNS):
        here.cluster.remove_api(kind)
    async with here.controller():
        delete(here)
        status = await here.until_phase("Failed")
        assert status["outcome"] == "Cancelled"
        assert status["failureDetails"]["wasExecutionFailure"] is True
        assert "what has become of its run is not known" in status["failureDetails"]["message"]
        await asyncio.sleep(590)
        assert here.execution() is not None
        await world.until(lambda: here.execution() is None, within_s=80)


async def test_execution_whose_end_cannot_be_said_goes_all_the_same_in_the_end(
    here: World,
) -> None:
    """A policy of the cluster refuses its status, say: it must not hold up its namespace."""
    async with here.controller():
        await running(here)
        here.cluster.faults.add(faults.bad_gateway(500), STATUS, times=None)
        delete(here)
        await asyncio.sleep(599)
        assert here.execution() is not None
        await world.until(lambda: here.execution() is None, within_s=240)
    assert here.run() is None


async def test_skipped_execution_takes_no_run_with_it(here: World) -> None:
    async with here.controller():
        run = await running(here)
        here.ask("second", spec=pasts.spec())
        await here.until_phase("Skipped", "second")
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "second")
        await world.until(lambda: here.execution("second") is None)
        await asyncio.sleep(60)
    assert (here.run() or {})["metadata"]["uid"] == run["metadata"]["uid"]
    assert here.told() == ""


@pytest.mark.requirement("BR-WF-007", "WorkflowExecution marked Failed")
@pytest.mark.requirement("BR-WF-007", "Message indicates external deletion")
@pytest.mark.requirement("BR-WF-007", "No retry loop on deleted PipelineRun")
async def test_execution_fails_once_when_somebody_deletes_its_run(here: World) -> None:
    async with here.controller():
        await running(here)
        hold = {"metadata": {"finalizers": ["example.com/hold"]}}
        here.cluster.patch(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN, hold)
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        await asyncio.sleep(1)
        deleted_at = (here.run() or {})["metadata"]["deletionTimestamp"]
        let_go = {"metadata": {"finalizers": None}}
        here.cluster.patch(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN, let_go)
        status = await here.until_phase("Failed")
        await asyncio.sleep(1300)
    details = status["failureDetails"]
    assert details["message"] == (
        f"PipelineRun {world.RUN} was deleted by somebody else at {deleted_at}"
    )
    assert (details["reason"], details["wasExecutionFailure"]) == ("Unknown", True)
    assert (here.execution() or {})["status"] == status
    assert len([it for it in here.writes("pipelineruns") if it.call.verb == "create"]) == 1


async def test_result_counts_when_the_run_goes_just_after_its_end(here: World) -> None:
    async with here.controller():
        run = await running(here)
        lag = Match(verbs=("patch",), resource="workflowexecutions", subresource="status")
        held = here.cluster.faults.hold(lag)
        hands.Hands(here.cluster).end(run, hands.SUCCEEDED)
        await held.reached.wait()
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        held.release()
        status = await here.until_phase("Completed")
    assert status["outcome"] == "Success"


async def test_no_execution_fails_while_tektons_api_is_away(here: World) -> None:
    async with here.controller():
        await running(here)
        delete(here)
        await world.until(here.told)
        here.cluster.remove_api(kinds.PIPELINE_RUNS)
        await asyncio.sleep(120)
        assert here.execution() is not None
        here.cluster.restore_api(kinds.PIPELINE_RUNS)
        await world.until(lambda: here.execution() is None, within_s=120)


async def test_late_create_never_runs_on_when_its_execution_is_over(here: World) -> None:
    held = here.cluster.faults.hold(CREATE)
    async with here.controller():
        here.ask()
        await held.reached.wait()
        asked = {"spec": {"cancel": {"requestedBy": "jane", "reason": "no"}}}
        here.cluster.patch(kinds.EXECUTIONS, world.TEAM, NAME, asked)
    async with here.controller():
        # The first life's request is still on its way when the second ends the execution.
        assert (await here.until_phase("Failed"))["outcome"] == "Cancelled"
        held.release()
        await here_late_run(here)
        await world.until(lambda: here.told() == "Cancelled")
        marks = (here.run() or {})["metadata"]["annotations"]
        assert marks[names.ANNOTATION_CANCEL_CAUSE] == "late"
        hands.Hands(here.cluster).end(here.run() or {}, hands.CANCELLED)
        await asyncio.sleep(700)
    assert here.run() is None
    assert (here.execution() or {})["status"]["outcome"] == "Cancelled"


async def here_late_run(here: World) -> None:
    """The request of a client that is gone was dropped with its connection: send it again."""
    (first, *_) = here.writes("pipelineruns")
    if here.run() is None and first.body is not None:
        here.cluster.create({"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", **first.body})
    await world.until(here.run)


async def test_late_create_never_runs_on_when_its_execution_is_gone(here: World) -> None:
    held = here.cluster.faults.hold(CREATE)
    async with here.controller():
        here.ask()
        await held.reached.wait()
    let_go = {"metadata": {"finalizers": None}}
    here.cluster.patch(kinds.EXECUTIONS, world.TEAM, NAME, let_go)
    delete(here)
    async with here.controller():
        held.release()
        await here_late_run(here)
        await world.until(lambda: here.told() == "Cancelled", within_s=70)
        await asyncio.sleep(170)
    assert here.run() is None


async def test_late_create_starts_nothing_when_the_kept_run_has_its_name(here: World) -> None:
    async with here.controller():
        run = await running(here)
        hands.Hands(here.cluster).end(run, hands.SUCCEEDED)
        await here.until_phase("Completed")
        (first, *_) = here.writes("pipelineruns")
        assert first.body is not None
        with pytest.raises(statuses.StatusError, match="already exists"):
            here.cluster.create({
                "apiVersion": "tekton.dev/v1",
                "kind": "PipelineRun",
                **first.body,
            })

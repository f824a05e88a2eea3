"""Events and answers in an unlucky order: one run, the right end, nobody waits for the resync."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.component import world
from tests.fake import definitions, faults, kinds, statuses
from tests.fake.paths import Match
from workflowexecution.api import names

if TYPE_CHECKING:
    from tests.component.world import World
    from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime

CREATE = Match(verbs=("create",), resource="pipelineruns")
STATUS = Match(verbs=("patch",), resource="workflowexecutions", subresource="status")
FIRST_PATCH = Match(verbs=("patch",), resource="workflowexecutions", subresource="")
MARKS = {
    "labels": {names.LABEL_TARGET: world.RUN.removeprefix("wfe-")},
    "finalizers": [names.FINALIZER],
}
NO_BUNDLE = ("False", "CouldntGetPipeline", "no such bundle")


def watch(resource: str) -> Match:
    return Match(verbs=("watch",), resource=resource)


def refusal(code: int, reason: str, message: str) -> faults.Answer:
    return faults.refused(statuses.StatusError(code, reason, message))


def fail_task(here: World) -> str:
    """Make a failed TaskRun of the run, which ran but is not named by the run; returns its name."""
    failed = ("False", "Failed", "x")
    raw = builders.raw_task("t", condition=failed, steps=[builders.step(exit_code=1)])
    run = here.run() or {}
    raw["metadata"]["labels"]["tekton.dev/pipelineRunUID"] = run["metadata"]["uid"]
    raw["metadata"]["labels"][names.LABEL_EXECUTION_UID] = run["metadata"]["labels"][
        names.LABEL_EXECUTION_UID
    ]
    made = here.cluster.create(raw)["metadata"]
    said = {"status": raw["status"]}
    name: str = made["name"]
    here.cluster.patch(kinds.TASK_RUNS, world.NAMESPACE, name, said, subresource="status")
    return name


def details_of(status: JsonObject) -> JsonObject:
    details: JsonObject = status["failureDetails"]
    return details


def start_pod(here: World) -> None:
    """A pod of the execution's run that works on until it is deleted."""
    labels = {"tekton.dev/pipelineRunUID": (here.run() or {})["metadata"]["uid"]}
    pod = {"name": "p", "namespace": world.NAMESPACE, "labels": labels}
    spec = {"containers": [{"name": "c", "image": "i"}]}
    here.cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": pod, "spec": spec})


def phases(here: World) -> list[str]:
    """The phases that have been written so far."""
    said = (it.get("status") or {} for it in here.cluster.items(kinds.EXECUTIONS))
    return [it["phase"] for it in said if "phase" in it]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            refusal(409, "Conflict", "cannot be fulfilled on resourcequotas: modified"), id="quota"
        ),
        pytest.param(refusal(401, "Unauthorized", "Unauthorized"), id="token"),
    ],
)
async def test_create_is_tried_again_when_the_refusal_says_nothing_of_the_run(
    here: World, answer: faults.Answer
) -> None:
    here.cluster.faults.add(answer, CREATE, times=3)
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
    assert len(here.cluster.items(kinds.PIPELINE_RUNS)) == 1


async def test_execution_whose_create_is_always_refused_ends_and_holds_up_no_other(
    here: World,
) -> None:
    """A webhook's 409 looks like one that passes."""
    denied = refusal(409, "Conflict", "admission webhook denied the request: no")
    async with here.controller(limits__createRetryFor="20s"):
        here.cluster.faults.add(denied, CREATE, times=None)
        here.ask("older")
        status = await here.until_phase("Pending", "older")
        (said,) = status["conditions"]
        assert (said["type"], said["status"]) == ("TektonPipelineCreated", "False")
        here.ask("younger")
        await world.until(lambda: phases(here) == ["Failed"] * 2, within_s=300)
    status = (here.execution("older") or {})["status"]
    assert "admission webhook denied the request: no" in details_of(status)["message"]
    assert details_of(status)["wasExecutionFailure"] is False


async def test_execution_starts_when_its_attempts_are_no_number(here: World) -> None:
    odd = {"annotations": {names.ANNOTATION_START_ATTEMPT: "9" * 5000}}
    async with here.controller():
        here.ask(metadata=MARKS | odd)
        await here.until_phase("Running")


async def test_run_is_not_made_again_when_it_goes_before_its_status_is_written(
    here: World,
) -> None:
    here.cluster.faults.add(faults.bad_gateway(), STATUS, times=8)
    async with here.controller():
        here.ask()
        await world.until(here.run)
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        status = await here.until_phase("Failed")
    assert "deleted by somebody else" in details_of(status)["message"]
    assert len(here.writes("pipelineruns")) == 1


@pytest.mark.parametrize("claimed", [False, True], ids=["new", "claimed"])
async def test_late_decision_starts_nothing_when_another_has_run_it_meanwhile(
    here: World, *, claimed: bool
) -> None:
    held = faults.Hold()
    here.cluster.faults.add(held, FIRST_PATCH)
    async with here.controller(), here.controller():
        here.ask(metadata=MARKS if claimed else None)
        await held.reached.wait()
        await here.until_phase("Running")
        here.end_run()
        await here.until_phase("Completed")
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        held.release()
        await asyncio.sleep(60)
    assert len(here.writes("pipelineruns")) == 1
    refused = [it for it in here.writes("workflowexecutions", subresource="") if it.status == 409]
    assert refused


async def test_kept_run_is_deleted_when_the_end_of_its_execution_cannot_be_read(
    here: World,
) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.end_run()
        await here.until_phase("Completed")
    odd = {"status": {"completionTime": "2026-03-01T12:00:00"}}
    here.cluster.patch(kinds.EXECUTIONS, world.TEAM, "restart-payment", odd, subresource="status")
    async with here.controller():
        await world.until(lambda: here.run() is None)


async def test_run_of_the_same_name_and_marks_is_not_taken_for_the_one_that_was_made(
    here: World,
) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        first = here.run() or {}
        kept = {key: first["metadata"][key] for key in ("name", "namespace", "labels")}
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        here.cluster.create({**first, "metadata": kept, "status": {}})
        here.end_run()
        status = await here.until_phase("Failed")
    assert "deleted by somebody else" in details_of(status)["message"]
    assert status["pipelineRunRef"]["uid"] == first["metadata"]["uid"]


async def test_failure_counts_as_execution_when_the_task_watch_lags(here: World) -> None:
    here.cluster.faults.add(faults.DelayEvents(30), watch("taskruns"), times=None)
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        fail_task(here)
        here.end_run(world.FAILED)
        status = await here.until_phase("Failed")
    assert details_of(status)["wasExecutionFailure"] is True


async def test_failure_counts_as_execution_when_its_run_is_gone_but_a_task_ran(
    here: World,
) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.cluster.faults.add(faults.DelayEvents(5), watch("taskruns"), times=None)
        here.cluster.faults.drop_watches(Match(resource="taskruns"))
        await world.until(lambda: here.cluster.faults.open_streams(Match(resource="taskruns")))
        fail_task(here)
        here.end_run(NO_BUNDLE)
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        status = await here.until_phase("Failed")
    assert details_of(status)["wasExecutionFailure"] is True


async def test_execution_has_not_failed_while_a_pod_of_its_vanished_run_works(
    here: World,
) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        start_pod(here)
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        await asyncio.sleep(30)
        assert (here.execution() or {})["status"]["phase"] == "Running"
        here.cluster.delete(kinds.PODS, world.NAMESPACE, "p")
        await here.until_phase("Failed")


async def test_deleted_execution_goes_in_the_end_when_its_status_cannot_be_written(
    here: World,
) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.cluster.faults.add(refusal(422, "Invalid", "odd schema"), STATUS, times=None)
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        await world.until(lambda: here.execution() is None, within_s=900)


async def test_run_goes_too_when_the_execution_was_deleted_long_before_the_start(
    here: World,
) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
    here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
    await asyncio.sleep(3600)
    async with here.controller():
        assert await here.obey() == "Cancelled"
        await world.until(lambda: here.execution() is None)
    assert here.run() is None


async def test_execution_has_not_failed_when_its_last_create_was_done_without_an_answer(
    here: World,
) -> None:
    here.cluster.faults.add(faults.DelayEvents(300), watch("pipelineruns"), times=None)
    failing = here.cluster.faults.add(faults.bad_gateway(), CREATE, times=None)
    async with here.controller():
        here.ask()
        await here.until_phase("Pending")
    failing.left = 0
    here.cluster.faults.add(faults.ApplyThenDrop(), CREATE)
    await asyncio.sleep(3600)
    async with here.controller():
        await here.until_phase("Running")


async def test_execution_has_not_failed_while_tekton_is_on_its_way_out(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        name = kinds.PIPELINE_RUNS.qualified
        hold = {"metadata": {"finalizers": ["example.com/hold"]}}
        here.cluster.patch(definitions.DEFINITIONS, "", name, hold)
        here.cluster.delete(definitions.DEFINITIONS, "", name)
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
        await asyncio.sleep(60)
        status = (here.execution() or {})["status"]
    assert status["phase"] == "Running"
    assert "EngineUnavailable" in str(status["conditions"])


async def test_status_tells_the_end_of_a_task_when_it_comes_just_after_the_runs(
    here: World,
) -> None:
    here.cluster.faults.add(faults.DelayEvents(30), watch("taskruns"), times=None)
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        name = fail_task(here)
        child = {"kind": "TaskRun", "name": name, "pipelineTaskName": "t"}
        here.end_run(childReferences=[child])
        status = await here.until_phase("Completed")
    assert [it["phase"] for it in status["taskRuns"]] == ["Failed"]


async def test_execution_has_not_failed_while_a_pod_of_its_failed_run_works(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        start_pod(here)
        here.end_run(world.FAILED)
        await asyncio.sleep(30)
        assert (here.execution() or {})["status"]["phase"] == "Running"
        here.cluster.delete(kinds.PODS, world.NAMESPACE, "p")
        await here.until_phase("Failed")


async def test_run_goes_with_its_execution_when_its_watch_has_not_told_of_it(here: World) -> None:
    here.cluster.faults.add(faults.DelayEvents(300), watch("pipelineruns"), times=None)
    here.cluster.faults.add(faults.ApplyThenDrop(), CREATE)
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        await here.obey()
        await world.until(lambda: here.run() is None, within_s=400)
        await world.until(lambda: here.execution() is None, within_s=400)


async def test_finalizers_of_others_stay_when_ours_comes_and_goes(here: World) -> None:
    async with here.controller():
        here.ask(metadata={"finalizers": ["example.com/theirs"]})
        await here.until_phase("Running")
        kept = (here.execution() or {})["metadata"]["finalizers"]
        assert kept == ["example.com/theirs", names.FINALIZER]
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        await here.obey()
        await world.until(lambda: here.run() is None)
        await asyncio.sleep(60)
    assert (here.execution() or {})["metadata"]["finalizers"] == ["example.com/theirs"]


@pytest.mark.parametrize("late", ["workflowexecutions", "pipelineruns", "taskruns"])
async def test_end_is_written_soon_when_one_watch_lags(here: World, late: str) -> None:
    here.cluster.faults.add(faults.DelayEvents(10), watch(late), times=None)
    async with here.controller():
        here.ask()
        await world.until(here.run)
        here.end_run()
        await here.until_phase("Completed")


async def test_end_is_written_soon_when_the_status_was_written_without_an_answer(
    here: World,
) -> None:
    here.cluster.faults.add(faults.ApplyThenDrop(), STATUS)
    async with here.controller():
        here.ask()
        await world.until(here.run)
        here.end_run()
        await here.until_phase("Completed")


async def test_end_is_written_when_it_comes_while_the_engine_seems_away(here: World) -> None:
    away = Match(resource="pipelineruns", agent=world.AGENT)
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.cluster.faults.add(faults.endpoint_missing(), away, times=None)
        here.cluster.faults.drop_watches(Match(resource="pipelineruns"))
        seen = here.cluster.requests.count(away)
        await world.until(lambda: here.cluster.requests.count(away) > seen + 2)
        here.end_run()
        here.cluster.faults.heal()
        await here.until_phase("Completed")


async def test_deletion_during_the_create_takes_the_run_with_it(here: World) -> None:
    held = here.cluster.faults.hold(CREATE)
    async with here.controller():
        here.ask()
        await held.reached.wait()
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        held.release()
        await here.obey()
        await world.until(lambda: here.execution() is None and here.run() is None)
    assert len(here.cluster.items(kinds.PIPELINE_RUNS)) == 0


async def test_execution_of_the_same_name_gets_its_own_run_when_asked_for_again(
    here: World,
) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        first = here.run() or {}
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        await here.obey()
        await world.until(lambda: here.execution() is None and here.run() is None)
        here.ask()
        status = await here.until_phase("Running")
        assert status["pipelineRunRef"]["uid"] != first["metadata"]["uid"]
        here.end_run()
        await here.until_phase("Completed")


@pytest.mark.requirement("BR-WE-009", "Prevent parallel execution on same target resource")
async def test_many_executions_of_one_target_make_one_run(here: World) -> None:
    async with here.controller():
        for number in range(20):
            here.ask(f"e{number}")
        await world.until(lambda: len(phases(here)) == 20)
    assert sorted(phases(here)) == ["Running"] + ["Skipped"] * 19
    assert sum(it.status == 201 for it in here.writes("pipelineruns")) == 1


async def test_one_of_two_controllers_makes_the_run(here: World) -> None:
    async with here.controller(), here.controller():
        for number in range(10):
            here.ask(f"e{number}", spec={"targetResource": f"payment/deployment/d{number}"})
        await world.until(lambda: phases(here).count("Running") == 10)
    made = [it for it in here.writes("pipelineruns") if it.status == 201]
    assert len(made) == 10
    assert set(phases(here)) == {"Running"}

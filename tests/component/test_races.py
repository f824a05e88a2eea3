"""Events and answers in an unlucky order: an execution has one run, which is its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.component import world
from tests.component.races import CREATE, STATUS, details_of, phases, refusal
from tests.fake import faults, kinds
from tests.fake.paths import Match
from workflowexecution.api import names

if TYPE_CHECKING:
    from tests.component.world import World

pytestmark = pytest.mark.looptime

FIRST_PATCH = Match(verbs=("patch",), resource="workflowexecutions", subresource="")
MARKS = {
    "labels": {names.LABEL_TARGET: world.RUN.removeprefix("wfe-")},
    "finalizers": [names.FINALIZER],
}


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

"""An execution's life, with nothing in its way."""

import asyncio
from typing import Any

import pytest

from tests import builders
from tests.component import world
from tests.component.world import World
from tests.fake import kinds
from tests.fake.paths import Match
from workflowexecution.api import names

pytestmark = pytest.mark.looptime

TARGET = "kubernaut.ai/target-resource"


@pytest.mark.requirement("BR-WF-003", "Phase transitions match PipelineRun status")
@pytest.mark.requirement("ADR-044", "Creates a single Tekton PipelineRun from OCI bundle")
@pytest.mark.requirement("ADR-044", "Does NOT orchestrate steps - Tekton handles this")
async def test_execution_completes_with_four_writes_when_all_goes_well(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.end_run()
        status = await here.until_phase("Completed")
    assert status["outcome"] == "Success"
    made = [(it.call.verb, it.call.resource, it.call.subresource) for it in here.writes()]
    assert made == [
        ("patch", "workflowexecutions", ""),
        ("create", "pipelineruns", ""),
        ("patch", "workflowexecutions", "status"),
        ("patch", "workflowexecutions", "status"),
    ]


async def test_run_is_labelled_by_the_target_in_its_one_spelling(here: World) -> None:
    async with here.controller():
        here.ask(spec={"targetResource": "payment/Deployment/payment-api"})
        run = await world.until(here.run)
    assert run["metadata"]["labels"][TARGET] == "payment__deployment__payment-api"
    assert run["metadata"]["annotations"][TARGET] == "payment/Deployment/payment-api"


@pytest.mark.parametrize(
    ("phase", "spec", "settings"),
    [
        pytest.param("Failed", {"parameters": {"TARGET_RESOURCE": "x"}}, {}, id="refused"),
        pytest.param("Pending", {}, {"execution__suspend": True}, id="suspended"),
        pytest.param("Skipped", {}, {}, id="skipped"),
    ],
)
async def test_one_that_never_starts_has_the_finalizer_with_its_first_write(
    here: World, phase: str, spec: dict[str, Any], settings: dict[str, Any]
) -> None:
    async with here.controller(**settings):
        if phase == "Skipped":
            here.ask("first")
            await here.until_phase("Running", "first")
        here.ask(spec=spec)
        await here.until_phase(phase)
    own = [it for it in here.writes("workflowexecutions") if it.call.name == "restart-payment"]
    assert [it.call.subresource for it in own[:2]] == ["", "status"]
    assert (own[0].body or {})["metadata"]["finalizers"] == [names.FINALIZER]


async def test_every_write_carries_the_version_it_was_decided_on(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.end_run()
        await here.until_phase("Completed")
    patches = here.writes("workflowexecutions")
    assert patches
    assert all(it.body and it.body["metadata"]["resourceVersion"] for it in patches)


async def test_nothing_is_written_when_nothing_changes(here: World) -> None:
    async with here.controller(execution__runRetention="24h"):
        here.ask()
        await here.until_phase("Running")
        here.end_run()
        await here.until_phase("Completed")
        before = len(here.writes())
        await world.until(lambda: here.cluster.faults.drop_watches(), within_s=30)
        with pytest.raises(TimeoutError):
            await world.until(lambda: len(here.writes()) > before, within_s=250)


async def test_run_and_finalizer_go_when_the_retention_is_over(here: World) -> None:
    async with here.controller(execution__runRetention="90s"):
        here.ask()
        await here.until_phase("Running")
        ended = world.FAILED[0], "CouldntGetPipeline", "no such bundle"
        here.end_run(ended)
        status = await here.until_phase("Failed")
        assert status["failureDetails"]["wasExecutionFailure"] is False
        said = {it["type"]: (it["status"], it["reason"]) for it in status["conditions"]}
        assert said["TektonPipelineRunning"] == ("False", "PipelineFailedToStart")
        await world.until(lambda: here.run() is None, within_s=200)
        await world.until(
            lambda: not (here.execution() or {})["metadata"].get("finalizers"), within_s=30
        )


async def test_progress_is_written_seldom_when_tasks_come_and_go(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        owner = (here.execution() or {})["metadata"]["uid"]
        for number in range(20):
            task = builders.raw_task(f"t{number}", condition=("True", "Succeeded", ""))
            task["metadata"]["labels"]["kubernaut.ai/workflow-execution-uid"] = owner
            task["metadata"]["labels"]["tekton.dev/pipelineRunUID"] = (here.run() or {})[
                "metadata"
            ]["uid"]
            here.cluster.create(task)
            here.end_run(("Unknown", "Running", f"{number} of 20"))
            await world.until(lambda: True)
        await world.until(
            lambda: len(((here.execution() or {})["status"]).get("taskRuns", ())) == 20
        )
    writes = here.writes("workflowexecutions", subresource="status")
    assert len(writes) <= 4


@pytest.mark.requirement("BR-WF-004", "PipelineRun deleted when WorkflowExecution deleted")
async def test_deleting_an_execution_takes_its_own_run_and_lets_go(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        assert await here.obey() == "Cancelled"
        await world.until(lambda: here.execution() is None)
    assert here.run() is None
    _, deletion = here.writes("pipelineruns")[1:]
    assert deletion.body
    assert deletion.body["preconditions"]["uid"]


@pytest.mark.requirement("ADR-044", "Validate spec (workflowRef, parameters)")
@pytest.mark.parametrize(
    ("spec", "field"),
    [
        pytest.param(
            {"targetResource": "payment/deployments/x"}, "spec.targetResource", id="plural"
        ),
        pytest.param({"parameters": {"TARGET_RESOURCE": "x"}}, "spec.parameters", id="reserved"),
        pytest.param(
            {"workflowRef": {"workflowId": "w"}}, "spec.workflowRef.version", id="unreadable"
        ),
        pytest.param({"targetResource": 7}, "spec.targetResource", id="wrong-type"),
    ],
)
async def test_execution_fails_once_with_its_field_when_the_spec_is_bad(
    here: World, spec: dict[str, object], field: str
) -> None:
    async with here.controller():
        here.ask(spec=spec)
        status = await here.until_phase("Failed")
    details = status["failureDetails"]
    assert details["reason"] == "ConfigurationError"
    assert field in details["message"]
    assert details["wasExecutionFailure"] is False
    assert here.run() is None
    assert len(here.writes(subresource="status")) == 1


async def test_new_execution_of_a_name_does_not_wait_for_what_was_written_for_the_old_one(
    here: World,
) -> None:
    watches = Match(resource="pipelineruns", agent=world.AGENT)
    async with here.controller():
        await world.until(lambda: here.cluster.faults.silence_watches(watches))
        here.ask()
        await here.until_phase("Running")
        let_go = {"metadata": {"finalizers": None}}
        here.cluster.patch(kinds.EXECUTIONS, world.TEAM, "restart-payment", let_go)
        here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
        await asyncio.sleep(1)
        assert here.execution() is None
        here.ask(spec={"targetResource": "payment/deployment/another"})
        await asyncio.sleep(5)
        assert (here.execution() or {})["status"]["phase"] == "Running"

"""A run's life as its execution tells it: progress, success, failure; and what that costs."""

from __future__ import annotations

import datetime
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration import leaders, tekton
from tests.integration.audit import by

if TYPE_CHECKING:
    from tests.integration.audit import AuditLog
    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject, World
    from tests.support.program import Program

requirement = pytest.mark.requirement

FINALIZER_AND_LABEL = "patch workflowexecutions"
CREATE_RUN = "create pipelineruns"
STATUS = "patch workflowexecutions/status"


async def untouched(world: World, name: str) -> tekton.Run:
    """The run of an execution, of which Tekton has said nothing: there is no progress to tell."""
    await world.create(world.execution(name))
    run = await world.run_of(await world.phase(name, "Running"))
    return tekton.Run(world.api, run, ("restart",))


async def running(world: World, name: str, *tasks: str) -> tuple[JsonObject, tekton.Run]:
    """An execution whose run Tekton has taken on; returns its status of before that."""
    await world.create(world.execution(name))
    status = await world.phase(name, "Running")
    return status, await world.play(status, *tasks)


def conditions(status: JsonObject) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition."""
    return {it["type"]: (it["status"], it["reason"]) for it in status["conditions"]}


def is_told(found: JsonObject) -> bool:
    """Whether all is told that there is to tell of a run whose only task works."""
    status = found["status"]
    works = status.get("currentStep") == "restart/run" and phases(found) == ["Running"]
    return works and said_by_run(found) == "Unknown" and status.get("progress") == "0/1"


def phases(found: JsonObject) -> list[str]:
    """Those of the tasks, as the execution tells them."""
    return [it["phase"] for it in found["status"].get("taskRuns", ())]


def said_by_run(found: JsonObject) -> str:
    """Status of the run's condition as the execution tells it."""
    return str(found["status"].get("pipelineRunStatus", {}).get("status"))


@pytest.mark.usefixtures("controller")
class TestSuccess:
    @requirement("BR-WF-003", "Phase transitions match PipelineRun status")
    @requirement("BR-WF-003", "Outcome reflects success/failure accurately")
    @requirement("BR-WF-003", "CompletionTime set when execution finishes")
    @requirement("BR-WF-003", "Message populated from Tekton condition")
    @requirement("WE-R4", "Map PipelineRun conditions to WorkflowExecution status")
    @requirement("ADR-044", "Monitors completion status (Success/Failed)")
    async def test_execution_completes_when_its_run_succeeds(self, world: World) -> None:
        _, run = await running(world, "completes", "restart", "verify")
        for task in ("restart", "verify"):
            await run.start_task(task)
            await run.end_task(task)
        await run.end()
        status = await world.phase("completes", "Completed")
        assert status["outcome"] == "Success"
        assert status["message"] == "Tasks Completed: 2 (Failed: 0, Cancelled 0), Skipped: 0"
        assert status["progress"] == "2/2"
        assert status["consecutiveFailures"] == 0
        assert status["resolvedDigest"] == f"sha256:{tekton.RESOLVED}"
        ended = (await world.run_of(status))["status"]["completionTime"]
        assert status["completionTime"] == ended
        begin, end = (
            datetime.datetime.fromisoformat(status[it]) for it in ("startTime", "completionTime")
        )
        assert status["duration"] == f"{(end - begin).seconds}s"
        assert "failureDetails" not in status
        assert "currentStep" not in status

    async def test_conditions_say_the_end_when_a_run_succeeds(self, world: World) -> None:
        _, run = await running(world, "ready", "restart")
        await run.start_task("restart")
        await run.end_task("restart")
        await run.end()
        status = await world.phase("ready", "Completed")
        assert conditions(status) == {
            "TektonPipelineCreated": ("True", "PipelineCreated"),
            "TektonPipelineRunning": ("True", "PipelineStarted"),
            "TektonPipelineComplete": ("True", "PipelineSucceeded"),
            "Ready": ("True", "Completed"),
        }
        assert {it["observedGeneration"] for it in status["conditions"]} == {1}

    async def test_progress_is_told_while_tasks_run(self, world: World) -> None:
        _, run = await running(world, "goes-on", "restart", "verify")
        await run.start_task("restart")
        found = await world.until("goes-on", lambda it: it["status"].get("progress") == "0/2")
        found = await world.until("goes-on", lambda it: phases(it) == ["Running"])
        assert found["status"]["currentStep"] == "restart/run"
        assert found["status"]["progress"] == "0/2"
        assert conditions(found["status"])["TektonPipelineRunning"] == ("True", "PipelineStarted")
        await run.end_task("restart")
        await run.start_task("verify")
        found = await world.until("goes-on", lambda it: phases(it) == ["Succeeded", "Running"])
        assert found["status"]["progress"] == "1/2"
        first, second = found["status"]["taskRuns"]
        assert first == {
            "name": f"{run.name}-restart",
            "task": "restart",
            "phase": "Succeeded",
            "started": True,
            "startTime": first["startTime"],
            "completionTime": first["completionTime"],
            "exitCode": 0,
            "attempts": 1,
        }
        assert (second["task"], second["phase"], second["started"]) == ("verify", "Running", True)
        summary = found["status"]["pipelineRunStatus"]
        assert (summary["status"], summary["reason"]) == ("Unknown", "Running")
        assert (summary["completedTasks"], summary["totalTasks"]) == (1, 2)

    @requirement("WE-PERFORMANCE", "Status Sync <10s")
    async def test_end_is_told_within_ten_seconds(self, world: World) -> None:
        _, run = await running(world, "told")
        await run.end()
        begin = time.monotonic()
        await world.phase("told", "Completed")
        assert time.monotonic() - begin < 10


@pytest.mark.usefixtures("controller")
class TestFailure:
    @requirement("BR-WF-003", "Outcome reflects success/failure accurately")
    @requirement("WE-R5", "Build FailureDetails from TaskRun errors for recovery context")
    @requirement("WE-PRACTICE", "Extract rich failure details from TaskRun for recovery")
    async def test_execution_names_task_step_and_code_when_a_step_fails(self, world: World) -> None:
        _, run = await running(world, "fails", "restart", "verify", "tidy")
        await run.start_task("restart")
        await run.end_task("restart")
        await run.start_task("verify")
        await run.end_task("verify", exit_code=42)
        await run.end()
        status = await world.phase("fails", "Failed")
        assert status["outcome"] == "Failed"
        assert status["failureReason"] == "TaskFailed"
        assert status["requiresManualReview"] is True
        details = status["failureDetails"]
        assert (details["failedTaskName"], details["failedStepName"]) == ("verify", "run")
        assert (details["failedTaskIndex"], details["exitCode"]) == (1, 42)
        assert details["reason"] == "TaskFailed"
        assert '"step-run" exited with code 42: Error' in details["message"]
        assert details["wasExecutionFailure"] is True
        summary = details["naturalLanguageSummary"]
        assert all(it in summary for it in ("restart-deployment", "'verify'", "exit code 42"))
        said = conditions(status)
        assert said["TektonPipelineComplete"] == ("False", "TaskFailed")
        assert said["Ready"] == ("False", "TaskFailed")

    async def test_execution_is_safe_to_repeat_when_the_bundle_is_missing(
        self, world: World
    ) -> None:
        _, run = await running(world, "no-bundle")
        await run.end(("False", "CouldntGetPipeline", "error requesting remote resource: 404"))
        status = await world.phase("no-bundle", "Failed")
        details = status["failureDetails"]
        assert details["reason"] == "ConfigurationError"
        assert "error requesting remote resource: 404" in details["message"]
        assert details["wasExecutionFailure"] is False
        assert "exitCode" not in details
        assert status["requiresManualReview"] is False

    async def test_outcome_is_timeout_when_tekton_ends_a_slow_run(self, world: World) -> None:
        _, run = await running(world, "slow", "sleeps")
        await run.start_task("sleeps")
        await run.time_out_task("sleeps")
        await run.end(("False", "PipelineRunTimeout", 'failed to finish within "10m0s"'))
        status = await world.phase("slow", "Failed")
        assert status["outcome"] == "Timeout"
        assert status["failureDetails"]["reason"] == "DeadlineExceeded"
        assert status["failureDetails"]["wasExecutionFailure"] is True

    async def test_failure_waits_when_a_pod_still_works(self, world: World) -> None:
        status, run = await running(world, "lingers", "restart")
        await run.start_task("restart")
        labels = {"tekton.dev/pipelineRunUID": status["pipelineRunRef"]["uid"]}
        async with world.pod(run.name, labels) as end_pod:
            await run.end_task("restart", exit_code=1)
            await run.end()
            found = await world.until("lingers", lambda it: said_by_run(it) == "False")
            assert found["status"]["phase"] == "Running"
            await end_pod("Failed")
            await world.phase("lingers", "Failed")


class TestWrites:
    @requirement("ADR-044", "Does NOT orchestrate steps - Tekton handles this")
    async def test_life_costs_four_writes_when_nothing_happens_between(
        self, world: World, audit: AuditLog, controller: Program
    ) -> None:
        run = await untouched(world, "cheap")
        await run.end(("True", "Completed", "Tasks Completed: 0, Skipped: 1"))
        await world.phase("cheap", "Completed")
        await world.stays("cheap", for_s=1.0)
        expected = [FINALIZER_AND_LABEL, CREATE_RUN, STATUS, STATUS]
        await audit.expect(controller, expected, world.namespace, run.name)

    async def test_nothing_is_written_when_a_run_changes_and_says_nothing(
        self, world: World, audit: AuditLog, controller: Program
    ) -> None:
        _, run = await running(world, "quiet", "restart")
        await run.start_task("restart")
        await world.until("quiet", is_told)
        touched_at = leaders.now()
        for _ in range(5):
            await run.touch()
        await world.stays("quiet", for_s=3.0)
        written = audit.written(controller, world.namespace, run.name)
        assert [it for it in written if it.at > touched_at] == []

    async def test_nothing_is_written_when_somebody_labels_an_execution(
        self, world: World, audit: AuditLog, controller: Program
    ) -> None:
        await (await untouched(world, "labelled")).end()
        await world.phase("labelled", "Completed")
        (await world.change("labelled", {"metadata": {"labels": {"team": "a"}}})).accept()
        await world.stays("labelled", for_s=1.0)
        written = [FINALIZER_AND_LABEL, STATUS, STATUS]
        await audit.expect(controller, written, world.namespace)

    async def test_progress_is_written_seldom_when_much_happens(
        self, world: World, audit: AuditLog, controller: Program
    ) -> None:
        tasks = [f"task-{number}" for number in range(20)]
        begin = time.monotonic()
        _, run = await running(world, "busy", *tasks)
        for task in tasks:
            await run.start_task(task)
            await run.end_task(task)
        await world.until("busy", lambda it: it["status"].get("progress") == "20/20")
        took = time.monotonic() - begin
        await run.end()
        status = await world.phase("busy", "Completed")
        assert len(status["taskRuns"]) == 20
        writes = audit.writes(controller, world.namespace)
        # The first patch, the start, the end, and one each two seconds in between.
        assert len(writes) <= 3 + 1 + took / 2


async def test_reading_is_left_to_the_watches(audit: AuditLog, controllers: Controllers) -> None:
    # A controller of its own: another's has executions of other tests on its hands.
    async with controllers.running() as program:
        begun = leaders.now()
        _, run = await running(controllers.world, "unread", "restart")
        await run.start_task("restart")
        await run.end_task("restart")
        # Who hears of a run's end long before those of its tasks may ask for these.
        await controllers.world.until("unread", lambda it: phases(it) == ["Succeeded"])
        await run.end()
        await controllers.world.phase("unread", "Completed")
        asked = [it for it in by(program, audit.requests()) if it.at > begun]
    assert [it.kind for it in asked if it.verb in {"get", "list"}] == []


@requirement("ADR-044", "Does NOT orchestrate steps - Tekton handles this")
@requirement(
    "ADR-044", "Does NOT implement rollback - Tekton finally tasks or operator responsibility"
)
async def test_steps_and_what_follows_a_failure_are_left_to_tekton(
    world: World, audit: AuditLog, controller: Program
) -> None:
    _, run = await running(world, "alone", "restart", "verify")
    await run.start_task("restart")
    await run.end_task("restart", exit_code=1)
    await run.end()
    await world.phase("alone", "Failed")
    await world.stays("alone", for_s=2.0)
    await audit.expect(controller, [CREATE_RUN], run.name)
    written = audit.writes(controller)
    assert {it.split()[1].partition("/")[0] for it in written} == {
        "workflowexecutions",
        "pipelineruns",
    }
    assert len(await world.runs_of((await world.read("alone"))["metadata"]["uid"])) == 1

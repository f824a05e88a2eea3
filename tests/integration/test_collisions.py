"""One target, several who want it: the name of the run is the lock."""

from __future__ import annotations

import asyncio
import statistics
from typing import TYPE_CHECKING

import pytest

from tests.fake import kinds
from workflowexecution.domain import locking

if TYPE_CHECKING:
    from tests.integration.audit import AuditLog
    from tests.integration.world import JsonObject, World
    from tests.support.program import Program

pytestmark = pytest.mark.usefixtures("controller")

requirement = pytest.mark.requirement

LOCK_CHECK_S = 0.1
CHECKS = 21
"""So many that a machine that stands still now and then says nothing of their median."""


async def occupy(world: World, target: str, labels: dict[str, str]) -> JsonObject:
    """Create a run by the name of a target's lock."""
    name = locking.run_name(target)
    body = {"metadata": {"name": name, "labels": labels}, "spec": {}}
    return (await world.api.create(kinds.PIPELINE_RUNS, world.runs, body)).accept()


async def follow(world: World) -> None:
    """Wait until the controller has heard of every run: of a later one, by the same watch."""
    await world.create(world.execution("later"))
    await finished(world, "later")


async def finished(world: World, name: str) -> JsonObject:
    """Let the run of an execution succeed; returns the status then."""
    run = await world.play(await world.phase(name, "Running"))
    await run.end()
    return await world.phase(name, "Completed")


async def skipped(world: World, name: str, target: str) -> JsonObject:
    """Create an execution and wait until it is skipped; returns its status."""
    await world.create(world.execution(name, targetResource=target))
    status = await world.phase(name, "Skipped")
    assert status["outcome"] == "Skipped"
    assert status["skipDetails"]["reason"] == "ResourceBusy"
    assert "pipelineRunRef" not in status
    assert "startTime" not in status
    return status


@requirement("BR-WE-009", "Prevent parallel execution on same target resource")
@requirement("WE-PRACTICE", "Check resource lock before creating PipelineRun")
@requirement("WE-R3", "Prevent parallel/redundant execution")
async def test_second_execution_is_skipped_and_told_who_holds_the_target(world: World) -> None:
    target = f"{world.namespace}/deployment/api"
    await world.create(world.execution("holder", targetResource=target))
    held = await world.phase("holder", "Running")
    run = await world.run_of(held)
    status = await skipped(world, "late", target)
    assert status["skipDetails"]["conflictingWorkflow"] == {
        "name": "holder",
        "workflowId": "restart-deployment",
        "startedAt": run["metadata"]["creationTimestamp"],
        "targetResource": target,
    }
    assert f"{world.namespace}/holder" in status["message"]
    said = {it["type"]: (it["status"], it["reason"]) for it in status["conditions"]}
    assert said == {
        "ResourceLocked": ("True", "TargetResourceBusy"),
        "Ready": ("False", "ResourceBusy"),
    }


@requirement("BR-WE-011", "Target resource identification for locking")
@pytest.mark.parametrize("kind", ["Deployment", "DEPLOYMENT", "dePloyment"])
async def test_second_execution_is_skipped_when_it_spells_the_kind_differently(
    world: World, kind: str
) -> None:
    target = f"{world.namespace}/deployment/api"
    await world.create(world.execution("holder", targetResource=target))
    await world.phase("holder", "Running")
    await skipped(world, "late", target.replace("deployment", kind))


@requirement("WE-PERFORMANCE", "Resource Lock Check <100ms")
@pytest.mark.parametrize("is_held", [True, False], ids=["held", "free"])
async def test_lock_is_checked_within_a_tenth_of_a_second(
    world: World, audit: AuditLog, controller: Program, *, is_held: bool
) -> None:
    """From its arrival at the server to the first write, which follows the check: that and more."""
    target = f"{world.namespace}/deployment/held"
    await world.create(world.execution("holder", targetResource=target))
    await world.phase("holder", "Running")
    names = [f"late-{number}" for number in range(CHECKS)]
    for name in names:
        spec = {"targetResource": target} if is_held else {}
        await world.create(world.execution(name, **spec))
        await (world.phase(name, "Skipped") if is_held else finished(world, name))
    asked = {it.name: it.at for it in audit.requests() if it.kind == "create workflowexecutions"}
    written = audit.written(controller, *names)
    first = {name: min(it.at for it in written if it.name == name) for name in names}
    taken = sorted((first[name] - asked[name]).total_seconds() for name in names)
    assert statistics.median(taken) < LOCK_CHECK_S, taken


@requirement("BR-WE-010", "Cooldown period prevents redundant sequential execution")
async def test_same_workflow_is_skipped_right_after_it_has_completed(
    world: World, audit: AuditLog, controller: Program
) -> None:
    target = f"{world.namespace}/deployment/api"
    await world.create(world.execution("first", targetResource=target))
    done = await finished(world, "first")
    await world.create(world.execution("again", targetResource=target))
    details = (await world.phase("again", "Skipped"))["skipDetails"]
    assert details["reason"] == "RecentlyRemediated"
    assert details["retryAt"] == done["lockedUntil"]
    earlier = details["recentRemediation"]
    assert earlier.pop("cooldownRemaining").startswith(("4m", "5m"))
    assert earlier == {
        "name": "first",
        "workflowId": "restart-deployment",
        "completedAt": done["completionTime"],
        "outcome": "Success",
        "targetResource": target,
    }
    # The lock itself was free: nobody tried to have it.
    assert audit.writes(controller, locking.run_name(target)) == ["create pipelineruns"]


async def test_both_run_when_the_targets_differ(world: World) -> None:
    for name in ("one", "two"):
        await world.create(world.execution(name))
    first, second = [await world.phase(name, "Running") for name in ("one", "two")]
    assert first["pipelineRunRef"]["uid"] != second["pipelineRunRef"]["uid"]


@requirement("BR-WE-009", "Prevent parallel execution on same target resource")
async def test_exactly_one_runs_when_many_come_at_once(world: World) -> None:
    target = f"{world.namespace}/deployment/contended"
    names = [f"one-of-{number}" for number in range(12)]
    bodies = [world.execution(name, targetResource=target) for name in names]
    await asyncio.gather(*(world.create(body) for body in bodies))
    found = await asyncio.gather(*(decided(world, name) for name in names))
    phases = sorted(status["phase"] for status in found)
    assert phases == ["Running"] + ["Skipped"] * 11
    (winner,) = [status for status in found if status["phase"] == "Running"]
    run = await world.run_of(winner)
    assert run["metadata"]["uid"] == winner["pipelineRunRef"]["uid"]


async def decided(world: World, name: str) -> JsonObject:
    """The status of an execution that has left Pending."""
    undecided = {None, "", "Pending"}
    found = await world.until(name, lambda it: it.get("status", {}).get("phase") not in undecided)
    status: JsonObject = found["status"]
    return status


async def test_execution_is_skipped_when_the_run_is_not_of_this_program(world: World) -> None:
    target = f"{world.namespace}/deployment/foreign"
    foreign = await occupy(world, target, {})
    status = await skipped(world, "polite", target)
    assert "an unknown owner" in status["message"]
    run = kinds.PIPELINE_RUNS, world.runs, foreign["metadata"]["name"]
    assert (await world.api.get(*run)).accept() == foreign


async def test_foreign_run_is_untouched_when_the_skipped_execution_is_deleted(
    world: World, audit: AuditLog, controller: Program
) -> None:
    target = f"{world.namespace}/deployment/foreign"
    foreign = await occupy(world, target, {"team": "other"})
    await skipped(world, "gone", target)
    (await world.api.delete(kinds.EXECUTIONS, world.namespace, "gone")).accept()
    await world.until_gone("gone")
    name = foreign["metadata"]["name"]
    found = (await world.api.get(kinds.PIPELINE_RUNS, world.runs, name)).accept()
    assert found == foreign
    # The try to create it is the only write on that name.
    await audit.expect(controller, ["create pipelineruns"], name)


async def test_foreign_run_is_untouched_when_an_execution_is_deleted_before_its_start(
    world: World,
) -> None:
    target = f"{world.namespace}/deployment/foreign"
    foreign = await occupy(world, target, {"kubernaut.ai/workflow-execution-uid": "another"})
    body = world.execution("never", targetResource=target)
    # Not served before it is on its way out.
    body["metadata"] |= {
        "labels": {"kubernaut.ai/instance": "nobody"},
        "finalizers": ["kubernaut.ai/workflowexecution-cleanup"],
    }
    await world.create(body)
    (await world.api.delete(kinds.EXECUTIONS, world.namespace, "never")).accept()
    nobody = {"metadata": {"labels": {"kubernaut.ai/instance": None}}}
    (await world.change("never", nobody)).accept()
    await world.until_gone("never")
    name = foreign["metadata"]["name"]
    assert (await world.api.get(kinds.PIPELINE_RUNS, world.runs, name)).accept() == foreign


async def test_holder_keeps_its_run_when_the_skipped_execution_is_deleted(world: World) -> None:
    target = f"{world.namespace}/deployment/api"
    await world.create(world.execution("holder", targetResource=target))
    held = await world.phase("holder", "Running")
    await skipped(world, "late", target)
    (await world.api.delete(kinds.EXECUTIONS, world.namespace, "late")).accept()
    await world.until_gone("late")
    run = await world.run_of(held)
    assert "deletionTimestamp" not in run["metadata"]
    assert (await world.read("holder"))["status"]["phase"] == "Running"


async def test_run_is_adopted_when_it_is_the_executions_own(
    world: World, audit: AuditLog, controller: Program
) -> None:
    target = f"{world.namespace}/deployment/adopted"
    body = world.execution("adopted", targetResource=target)
    # Not served yet, so that the run can be there first.
    body["metadata"]["labels"] = {"kubernaut.ai/instance": "nobody"}
    made = await world.create(body)
    labels = {"kubernaut.ai/workflow-execution-uid": made["metadata"]["uid"]}
    run = await occupy(world, target, labels)
    await follow(world)
    nobody = {"metadata": {"labels": {"kubernaut.ai/instance": None}}}
    (await world.change("adopted", nobody)).accept()
    status = await world.phase("adopted", "Running")
    assert status["pipelineRunRef"]["uid"] == run["metadata"]["uid"]
    assert len(await world.runs_of(made["metadata"]["uid"])) == 1
    playing = await world.play(status)
    await playing.end()
    await world.phase("adopted", "Completed")
    assert audit.writes(controller, run["metadata"]["name"]) == []

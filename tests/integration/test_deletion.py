"""Deletions: of executions, of their owners, and of runs behind the controller's back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.fake import kinds
from tests.integration import objects, tekton
from tests.integration.world import COLLECTED_S, until, until_gone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fake.api import Endpoint
    from tests.integration.audit import AuditLog
    from tests.integration.world import JsonObject, Place, World
    from tests.support.program import Program

pytestmark = pytest.mark.usefixtures("controller")

requirement = pytest.mark.requirement

FINALIZER = "kubernaut.ai/workflowexecution-cleanup"
LEGACY_FINALIZER = "workflowexecution.kubernaut.ai/workflowexecution-cleanup"
HOLD = "integration.test/hold"


@pytest_asyncio.fixture
async def played(endpoint: Endpoint) -> AsyncIterator[None]:
    """Every run works until it is told to end."""
    async with tekton.playing(endpoint, objects.RUNS):
        yield


async def running(world: World, name: str) -> tuple[JsonObject, Place]:
    """A running execution's status, and where its run is."""
    await world.create(world.execution(name))
    status = await world.phase(name, "Running")
    return status, (kinds.PIPELINE_RUNS, world.runs, status["pipelineRunRef"]["name"])


async def hold(world: World, place: Place, *finalizers: str) -> None:
    """Set the finalizers of an object; none lets it go."""
    patch = {"metadata": {"finalizers": list(finalizers) or None}}
    (await world.api.patch(*place, patch)).accept()


async def delete(world: World, name: str, policy: str = "Background") -> None:
    """Ask for the deletion of an execution."""
    place = kinds.EXECUTIONS, world.namespace, name
    (await world.api.delete(*place, propagationPolicy=policy)).accept()


@pytest.mark.usefixtures("played")
class TestExecution:
    @requirement("BR-WF-004", "PipelineRun deleted when WorkflowExecution deleted")
    @requirement("BR-WF-004", "No orphaned PipelineRuns")
    @pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
    async def test_run_goes_with_its_execution(self, world: World, policy: str) -> None:
        made, run = await running(world, "deleted")
        uid = (await world.read("deleted"))["metadata"]["uid"]
        assert made["pipelineRunRef"]["name"] == run[2]
        await delete(world, "deleted", policy)
        await world.until_gone("deleted", deadline_s=COLLECTED_S)
        assert (await world.api.get(*run)).status == 404
        assert await world.runs_of(uid) == []

    async def test_execution_stays_until_its_run_is_gone(self, world: World) -> None:
        _, run = await running(world, "waits")
        await hold(world, run, HOLD)
        await delete(world, "waits")
        await until(world.api, run, lambda it: "deletionTimestamp" in it["metadata"])
        await world.stays("waits", for_s=1.0)
        found = await world.read("waits")
        assert FINALIZER in found["metadata"]["finalizers"]
        await hold(world, run)
        await world.until_gone("waits", deadline_s=COLLECTED_S)

    async def test_execution_says_how_it_ended_before_it_goes(self, world: World) -> None:
        _, run = await running(world, "says")
        await hold(world, run, HOLD)
        await delete(world, "says")
        status = await world.phase("says", "Failed")
        assert status["outcome"] == "Cancelled"
        assert status["failureDetails"]["reason"] == "Cancelled"
        assert "deleted before it had ended" in status["failureDetails"]["message"]
        assert "The reason is Cancelled." in status["failureDetails"]["naturalLanguageSummary"]
        assert status["failureDetails"]["wasExecutionFailure"] is True
        await hold(world, run)
        await world.until_gone("says", deadline_s=COLLECTED_S)

    async def test_finalizers_of_others_stay_when_the_own_one_goes(self, world: World) -> None:
        _, run = await running(world, "shared")
        place = kinds.EXECUTIONS, world.namespace, "shared"
        await hold(world, place, FINALIZER, HOLD)
        await delete(world, "shared")
        await until_gone(world.api, run, deadline_s=COLLECTED_S)
        found = await world.until(
            "shared", lambda it: FINALIZER not in it["metadata"]["finalizers"]
        )
        assert found["metadata"]["finalizers"] == [HOLD]
        await hold(world, place)

    async def test_finalizer_of_the_former_controller_goes_too(self, world: World) -> None:
        await running(world, "migrated")
        place = kinds.EXECUTIONS, world.namespace, "migrated"
        await hold(world, place, LEGACY_FINALIZER, FINALIZER)
        await delete(world, "migrated")
        await world.until_gone("migrated", deadline_s=COLLECTED_S)

    async def test_refused_execution_goes_at_once(
        self, world: World, audit: AuditLog, controller: Program
    ) -> None:
        target = f"{world.namespace}/deployments/x"
        await world.create(world.execution("refused", targetResource=target))
        await world.phase("refused", "Failed")
        # The finalizer has nothing to hold. A deletion before it is off is a conflict at times.
        await world.until("refused", lambda it: "finalizers" not in it["metadata"])
        await delete(world, "refused")
        await world.until_gone("refused", deadline_s=COLLECTED_S)
        own, status = "patch workflowexecutions", "patch workflowexecutions/status"
        await audit.expect(controller, [own, status, own], world.namespace)

    async def test_executions_go_when_their_namespace_goes(self, world: World) -> None:
        _, run = await running(world, "inside")
        place = kinds.NAMESPACES, "", world.namespace
        (await world.api.delete(*place)).accept()
        await until_gone(world.api, place, deadline_s=COLLECTED_S)
        assert (await world.api.get(*run)).status == 404


@pytest.mark.usefixtures("played")
class TestOwner:
    @pytest.mark.parametrize("policy", ["Background", "Foreground"])
    async def test_everything_goes_when_the_owner_of_the_execution_goes(
        self, world: World, policy: str
    ) -> None:
        owner = kinds.REMEDIATION_REQUESTS, world.namespace, "remediation"
        made = (await world.api.create(*owner[:2], {"metadata": {"name": owner[2]}})).accept()
        body = world.execution("owned")
        body["metadata"]["ownerReferences"] = [
            {
                "apiVersion": owner[0].api_version,
                "kind": owner[0].kind,
                "name": owner[2],
                "uid": made["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
        await world.create(body)
        status = await world.phase("owned", "Running")
        (await world.api.delete(*owner, propagationPolicy=policy)).accept()
        await world.until_gone("owned", deadline_s=COLLECTED_S)
        run = kinds.PIPELINE_RUNS, world.runs, status["pipelineRunRef"]["name"]
        assert (await world.api.get(*run)).status == 404
        await until_gone(world.api, owner, deadline_s=COLLECTED_S)

    async def test_run_beside_its_execution_goes_with_it(self, world: World) -> None:
        here = kinds.EXECUTIONS, objects.RUNS, f"beside-{world.namespace}"
        body = world.execution(here[2])
        (await world.api.create(*here[:2], body)).accept()
        found = await until(world.api, here, lambda it: "pipelineRunRef" in it.get("status", {}))
        run = kinds.PIPELINE_RUNS, world.runs, found["status"]["pipelineRunRef"]["name"]
        (await world.api.delete(*here, propagationPolicy="Foreground")).accept()
        await until_gone(world.api, here, deadline_s=COLLECTED_S)
        await until_gone(world.api, run, deadline_s=COLLECTED_S)


class TestEnded:
    """Played by hand alone: another player would speak of the same runs."""

    async def test_kept_run_goes_with_an_execution_that_has_ended(self, world: World) -> None:
        status, run = await running(world, "ended")
        await (await world.play(status)).end()
        await world.phase("ended", "Completed")
        await delete(world, "ended")
        await world.until_gone("ended", deadline_s=COLLECTED_S)
        assert (await world.api.get(*run)).status == 404

    async def test_result_counts_when_a_run_is_deleted_after_its_end(self, world: World) -> None:
        status, run = await running(world, "late")
        await (await world.play(status)).end()
        await world.phase("late", "Completed")
        (await world.api.delete(*run)).accept()
        found = await world.until("late", lambda it: "finalizers" not in it["metadata"])
        assert found["status"]["phase"] == "Completed"


class TestRun:
    @requirement("BR-WF-007", "NotFound handled without panic")
    @requirement("BR-WF-007", "WorkflowExecution marked Failed")
    @requirement("BR-WF-007", "Message indicates external deletion")
    @requirement("BR-WF-007", "No retry loop on deleted PipelineRun")
    async def test_execution_fails_once_when_somebody_deletes_its_run(
        self, world: World, audit: AuditLog, controller: Program
    ) -> None:
        _, run = await running(world, "bereft")
        (await world.api.delete(*run)).accept()
        status = await world.phase("bereft", "Failed")
        details = status["failureDetails"]
        assert f"PipelineRun {run[2]} was deleted by somebody else" in details["message"]
        assert details["wasExecutionFailure"] is True
        assert status["requiresManualReview"] is True
        assert status["message"] == details["message"]
        # The finalizer has nothing to hold any more.
        await world.until("bereft", lambda it: "finalizers" not in it["metadata"])
        await world.stays("bereft", for_s=2.0)
        assert (await world.api.get(*run)).status == 404
        own, written = "patch workflowexecutions", "patch workflowexecutions/status"
        expected = [own, "create pipelineruns", written, written, own]
        await audit.expect(controller, expected, world.namespace, run[2])
        await asyncio.to_thread(controller.wait_probe, "/readyz", 200)

    async def test_message_says_when_the_run_was_deleted_if_that_was_seen(
        self, world: World
    ) -> None:
        _, run = await running(world, "stamped")
        await hold(world, run, HOLD)
        (await world.api.delete(*run)).accept()
        found = await until(world.api, run, lambda it: "deletionTimestamp" in it["metadata"])
        when = found["metadata"]["deletionTimestamp"]
        await hold(world, run)
        status = await world.phase("stamped", "Failed")
        assert f"deleted by somebody else at {when}" in status["failureDetails"]["message"]

"""The finalizer holds an execution until its run is gone, and never a namespace for ever."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.fake import kinds
from tests.integration import tekton
from tests.integration.world import COLLECTED_S, until, until_gone
from tests.support import executions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.fake.api import Endpoint
    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject, Place, World

FINALIZER = "kubernaut.ai/workflowexecution-cleanup"
HOLD = "integration.test/hold"
UNINSTALL_S = 60.0
# It gives up after a second, then once more a minute after it has deleted the run.
GIVEN_UP_S = 120.0


@pytest_asyncio.fixture
async def played(endpoint: Endpoint, controllers: Controllers) -> AsyncIterator[None]:
    """Every run of this test works until it is told to end."""
    async with tekton.playing(endpoint, controllers.world.runs):
        yield


async def busy(world: World, name: str) -> Place:
    """A running execution, a task of which works; returns where its run is."""
    await world.create(world.execution(name))
    await world.until(name, lambda it: bool(it.get("status", {}).get("taskRuns")))
    found = await world.read(name)
    return kinds.PIPELINE_RUNS, world.runs, found["status"]["pipelineRunRef"]["name"]


async def delete_namespace(world: World) -> Place:
    """Ask for the deletion of the executions' namespace, and wait until it waits for them."""
    place = kinds.NAMESPACES, "", world.namespace
    (await world.api.delete(*place)).accept()
    await until(world.api, place, _waits_for_finalizers, deadline_s=COLLECTED_S)
    return place


def _waits_for_finalizers(namespace: JsonObject) -> bool:
    return executions.answer(namespace, "NamespaceFinalizersRemaining") == "True"


def uninstall(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the program as a person does."""
    command = [sys.executable, "-m", "workflowexecution", "uninstall", "--finalizers"]
    return subprocess.run(
        [*command, "--kubeconfig", str(kubeconfig), *arguments],
        capture_output=True, text=True, check=False, timeout=UNINSTALL_S, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.usefixtures("played")
class TestNamespace:
    async def test_namespace_goes_when_the_controller_was_down_and_is_back(
        self, controllers: Controllers
    ) -> None:
        world = controllers.world
        async with controllers.running() as first:
            run = await busy(world, "busy")
            first.kill()
        place = await delete_namespace(world)
        async with controllers.running():
            await until_gone(world.api, place, deadline_s=COLLECTED_S)
        assert (await world.api.get(*run)).status == 404

    async def test_namespace_goes_when_a_controller_that_was_removed_is_cleaned_up_after(
        self, controllers: Controllers
    ) -> None:
        world = controllers.world
        async with controllers.running() as removed:
            run = await busy(world, "busy")
            before = (await world.api.get(*run)).accept()
            removed.kill()
        place = await delete_namespace(world)
        asked = await asyncio.to_thread(
            uninstall, controllers.kubeconfig, "--namespace", world.namespace
        )
        assert (asked.returncode, "nothing was changed" in asked.stdout) == (1, True)
        done = await asyncio.to_thread(
            uninstall, controllers.kubeconfig, "--namespace", world.namespace, "--yes"
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[1:] == [
            f"{world.namespace}/busy: freed",
            "1 freed, 0 failed",
        ]
        await until_gone(world.api, place, deadline_s=COLLECTED_S)
        assert (await world.api.get(*run)).accept()["spec"] == before["spec"]

    @pytest.mark.long
    async def test_namespace_goes_when_the_run_never_does(self, controllers: Controllers) -> None:
        world = controllers.world
        async with controllers.running(limits={"deletionGiveUp": "1s"}):
            run = await busy(world, "busy")
            held = {"metadata": {"finalizers": [HOLD]}}
            (await world.api.patch(*run, held)).accept()
            place = kinds.NAMESPACES, "", world.namespace
            (await world.api.delete(*place)).accept()
            await until_gone(world.api, place, deadline_s=GIVEN_UP_S)
            # It stays, and holds its target.
            assert (await world.api.get(*run)).accept()["metadata"]["finalizers"][0] == HOLD
            free = {"metadata": {"finalizers": None}}
            (await world.api.patch(*run, free)).accept()


@pytest.mark.usefixtures("played")
class TestSameName:
    """An execution goes without its controller's leave, and another gets its name."""

    async def _replaced(self, world: World, name: str) -> JsonObject:
        old = await world.read(name)
        place = kinds.EXECUTIONS, world.namespace, name
        (await world.api.delete(*place)).accept()
        free = {"metadata": {"finalizers": None}}
        (await world.change(name, free)).accept()
        made = await world.create(world.execution(name))
        assert made["metadata"]["uid"] != old["metadata"]["uid"]
        return made

    async def test_new_one_is_skipped_when_the_run_of_the_former_works(
        self, controllers: Controllers
    ) -> None:
        world = controllers.world
        async with controllers.running() as program:
            run = await busy(world, "same")
            before = (await world.api.get(*run)).accept()
            program.freeze()
            made = await self._replaced(world, "same")
            program.thaw()
            status = await world.phase("same", "Skipped")
            assert status["skipDetails"]["reason"] == "ResourceBusy"
            assert status["skipDetails"]["conflictingWorkflow"]["name"] == "same"
            assert await world.runs_of(made["metadata"]["uid"]) == []
            after = (await world.api.get(*run)).accept()
            assert after["metadata"]["uid"] == before["metadata"]["uid"]

    async def test_new_one_gets_a_run_of_its_own_when_that_of_the_former_has_ended(
        self, controllers: Controllers
    ) -> None:
        world = controllers.world
        async with controllers.running() as program:
            run = await busy(world, "same")
            cancel = {"spec": {"cancel": {"requestedBy": "admin", "reason": "it is to be ended"}}}
            (await world.change("same", cancel)).accept()
            await world.phase("same", "Failed")
            before = (await world.api.get(*run)).accept()
            program.freeze()
            made = await self._replaced(world, "same")
            program.thaw()
            status = await world.phase("same", "Running", deadline_s=COLLECTED_S)
            assert status["pipelineRunRef"]["uid"] != before["metadata"]["uid"]
            (own,) = await world.runs_of(made["metadata"]["uid"])
            assert own["metadata"]["name"] == before["metadata"]["name"]

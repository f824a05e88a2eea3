"""Without the CRDs of Tekton, or of the program itself: wait, say so, recover."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import yaml

from tests.fake import kinds
from tests.fake.definitions import DEFINITIONS
from tests.integration import world as worlds
from tests.integration.conftest import CRD_FOLDER
from tests.stack import crds, tektonfiles
from tests.stack.cluster import Parts, Stack
from tests.support import executions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.audit import AuditLog
    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject, World
    from tests.support.program import Program

# The program asks for a missing API every 2 to 5 s.
RECOVERED_S = 60.0
TEKTON = ("pipelineruns.tekton.dev", "taskruns.tekton.dev")
OWN = "workflowexecutions.kubernaut.ai"
FINALIZER, STATUS = "patch workflowexecutions", "patch workflowexecutions/status"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A control plane without any of the CRDs."""
    with Stack(name="integration-bare", parts=Parts.CONTROL_PLANE) as running:
        yield running


@dataclasses.dataclass(frozen=True)
class Installer:
    """Installs and removes CRDs, and waits until that is so."""

    stack: Stack
    world: World

    async def install_own(self) -> None:
        """Install the CRD of executions."""
        own = yaml.safe_load((CRD_FOLDER / f"{OWN}.yaml").read_text())
        await asyncio.to_thread(crds.install, self.stack.api, [own])

    async def install_tekton(self) -> None:
        """Install Tekton's CRDs."""
        wanted = tektonfiles.load().crds(conversion=False)
        await asyncio.to_thread(crds.install, self.stack.api, wanted)

    async def remove(self, *names: str) -> None:
        """Remove CRDs, and their objects with them."""
        for name in names:
            await worlds.delete(self.world.api, (DEFINITIONS, "", name))
        for name in names:
            place = DEFINITIONS, "", name
            await worlds.until_gone(self.world.api, place, deadline_s=RECOVERED_S)

    async def remove_own(self) -> None:
        """Remove the CRD of executions, which those with finalizers would hold."""
        listed = await self.world.api.list(kinds.EXECUTIONS)
        for it in listed.body.get("items", ()) if listed.status == 200 else ():
            place = kinds.EXECUTIONS, it["metadata"]["namespace"], it["metadata"]["name"]
            await self.world.api.patch(*place, {"metadata": {"finalizers": None}})
        await self.remove(OWN)


@pytest_asyncio.fixture
async def installer(stack: Stack, world: World) -> Installer:
    """The own CRD is there, Tekton's are not."""
    made = Installer(stack, world)
    await made.remove(*TEKTON)
    await made.install_own()
    return made


async def unready(program: Program) -> dict[str, str]:
    """Wait until the program is not ready; returns what it says of each part."""
    body = await asyncio.to_thread(program.wait_probe, "/readyz", 503)
    found: dict[str, str] = json.loads(body)["checks"]
    return found


def warnings(program: Program) -> list[JsonObject]:
    """The warnings in the program's log."""
    # The last one may be half written.
    whole, _, _ = program.log.read_text().rpartition("\n")
    lines: list[Any] = [json.loads(line) for line in whole.splitlines()]
    return [line for line in lines if line["level"] == "warning"]


def engine(found: JsonObject) -> str:
    """Status of the condition that speaks of the engine."""
    return executions.answer(found, "EngineAvailable")


async def test_controller_waits_and_recovers_when_its_own_crd_is_missing(
    installer: Installer, controllers: Controllers
) -> None:
    await installer.remove_own()
    await installer.install_tekton()
    async with controllers.running(ready=False) as program:
        await asyncio.to_thread(program.wait_probe, "/healthz", 200)
        await asyncio.to_thread(program.wait_line, "API is not served")
        checks = await unready(program)
        assert "the WorkflowExecution API is not served" in checks["executions"]
        (line,) = [it for it in warnings(program) if it["event"] == "API is not served"]
        assert line["resource"] == "workflowexecutions"
        await installer.install_own()
        await asyncio.to_thread(program.wait_probe, "/readyz", 200)
        await controllers.world.create(controllers.world.execution("late"))
        await controllers.world.phase("late", "Running")


async def test_executions_wait_and_start_when_tekton_comes_later(
    installer: Installer, controllers: Controllers, audit: AuditLog
) -> None:
    world = controllers.world
    async with controllers.running(ready=False) as program:
        await asyncio.to_thread(program.wait_probe, "/healthz", 200)
        await world.create(world.execution("waits"))
        found = await world.until("waits", lambda it: engine(it) == "False")
        assert found["status"]["phase"] == "Pending"
        (said,) = found["status"]["conditions"]
        assert (said["reason"], said["observedGeneration"]) == ("EngineUnavailable", 1)
        assert "tekton.dev/v1" in said["message"]
        checks = await unready(program)
        assert "tekton.dev/v1" in checks["engine"]
        assert checks["executions"] == "ok"
        missing = {it["resource"] for it in warnings(program) if it["event"] == "API is not served"}
        assert missing == {"pipelineruns", "taskruns"}
        await world.stays("waits", for_s=6.0)
        await audit.expect(program, [FINALIZER, STATUS], world.namespace, world.runs)
        await installer.install_tekton()
        status = await world.phase("waits", "Running", deadline_s=RECOVERED_S)
        assert engine({"status": status}) == "True"
        await asyncio.to_thread(program.wait_probe, "/readyz", 200)
        await (await world.play(status)).end()
        await world.phase("waits", "Completed")


@pytest.mark.usefixtures("installer")
async def test_refusal_does_not_wait_for_tekton(controllers: Controllers) -> None:
    world = controllers.world
    async with controllers.running(ready=False):
        await world.create(world.execution("bad", targetResource="payment/deployments/x"))
        status = await world.phase("bad", "Failed")
    assert status["failureReason"] == "ConfigurationError"


@pytest.mark.usefixtures("installer")
async def test_deleted_execution_goes_when_tekton_was_never_there(
    controllers: Controllers,
) -> None:
    world = controllers.world
    async with controllers.running(ready=False):
        await world.create(world.execution("deleted"))
        await world.until("deleted", lambda it: engine(it) == "False")
        place = kinds.EXECUTIONS, world.namespace, "deleted"
        (await world.api.delete(*place)).accept()
        await world.until_gone("deleted", deadline_s=RECOVERED_S)


async def test_running_execution_does_not_fail_while_tekton_is_away(
    installer: Installer, controllers: Controllers
) -> None:
    world = controllers.world
    await installer.install_tekton()
    async with controllers.running() as program:
        await world.create(world.execution("patient"))
        await world.phase("patient", "Running")
        await installer.remove(*TEKTON)
        found = await world.until(
            "patient", lambda it: engine(it) == "False", deadline_s=RECOVERED_S
        )
        assert found["status"]["phase"] == "Running"
        await asyncio.to_thread(program.wait_probe, "/readyz", 503)
        await world.stays("patient", for_s=3.0)
        # Its run went with the CRD, which can be told only when the API is back.
        await installer.install_tekton()
        status = await world.phase("patient", "Failed", deadline_s=RECOVERED_S)
        assert "was deleted by somebody else" in status["failureDetails"]["message"]
        assert status["failureDetails"]["wasExecutionFailure"] is True


async def test_no_end_is_changed_and_nothing_starts_twice_when_tekton_goes_and_comes_back(
    installer: Installer, controllers: Controllers
) -> None:
    world = controllers.world
    await installer.install_tekton()
    async with controllers.running() as program:
        await world.create(world.execution("ended"))
        await (await world.play(await world.phase("ended", "Running"))).end()
        ended = await world.phase("ended", "Completed")
        await world.create(world.execution("works"))
        await world.phase("works", "Running")
        await installer.remove(*TEKTON)
        await world.until("works", lambda it: engine(it) == "False", deadline_s=RECOVERED_S)
        await world.create(world.execution("waits"))
        await world.until("waits", lambda it: engine(it) == "False", deadline_s=RECOVERED_S)
        await installer.install_tekton()
        await world.phase("waits", "Running", deadline_s=RECOVERED_S)
        failed = await world.phase("works", "Failed", deadline_s=RECOVERED_S)
        assert failed["requiresManualReview"] is True
        assert (await world.read("ended"))["status"] == ended
        # Its target may have been changed: nothing runs there before a person has looked.
        target = f"{world.namespace}/deployment/works"
        await world.create(world.execution("again", targetResource=target))
        skipped = await world.phase("again", "Skipped")
        assert skipped["skipDetails"]["reason"] == "PreviousExecutionFailed"
        await asyncio.to_thread(program.wait_probe, "/readyz", 200)


async def test_executions_wait_and_start_when_the_namespace_of_runs_comes_later(
    installer: Installer, controllers: Controllers, stack: Stack
) -> None:
    await installer.install_tekton()
    place = f"late-{controllers.world.runs}"
    world = dataclasses.replace(controllers.world, runs=place)
    # No role can be in a namespace before there is one.
    everywhere = dataclasses.replace(controllers, kubeconfig=stack.kubeconfig)
    async with everywhere.running(execution={"namespace": place}) as program:
        await world.create(world.execution("homeless"))
        found = await world.until("homeless", lambda it: engine(it) == "False")
        assert found["status"]["phase"] == "Pending"
        (said,) = found["status"]["conditions"]
        assert f'namespaces "{place}" not found' in said["message"]
        assert f"Namespace '{place}'" in (await unready(program))["engine"]
        await worlds.create_namespace(world.api, place)
        status = await world.phase("homeless", "Running", deadline_s=RECOVERED_S)
        assert engine({"status": status}) == "True"
        await asyncio.to_thread(program.wait_probe, "/readyz", 200)


@pytest.mark.usefixtures("installer")
async def test_audited_execution_that_never_started_goes_when_tekton_was_never_there(
    controllers: Controllers,
) -> None:
    world = controllers.world
    async with controllers.running(ready=False, audit={"sink": "log"}):
        await world.create(world.execution("deleted"))
        await world.until("deleted", lambda it: engine(it) == "False")
        place = kinds.EXECUTIONS, world.namespace, "deleted"
        (await world.api.delete(*place)).accept()
        await world.until_gone("deleted", deadline_s=RECOVERED_S)

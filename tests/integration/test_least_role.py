"""The controller under the roles of the manifests: none of its rights is idle, and none is missing.

The stories take the ways that ask for something rare; the witness is the server's audit log. The
other modules of this suite run under the same roles, and `conftest` looks for refusals in them all.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.fake import kinds
from tests.fake.api import Api, Endpoint
from tests.integration.world import COLLECTED_S, World, create_namespace, delete, until
from tests.stack import crds, tektonfiles
from tests.stack.cluster import Parts, Stack
from tests.support import installation, kubectl, program, rights
from workflowexecution.adapters import outbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.program import Program

TEAM = "payment"
LEASE = kinds.LEASES, installation.SYSTEM, "workflowexecution.kubernaut.ai"
OUTBOX = kinds.CONFIG_MAPS, installation.SYSTEM, "workflowexecution-audit-outbox"
EVENT_DIGITS = 16
RECOVERED_S = 30.0


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A control plane with what the manifests install, but without Tekton."""
    with Stack(name="integration-role", parts=Parts.CONTROL_PLANE) as running:
        installation.create_namespaces(running)
        for folder in ("rbac", "crd", "policies"):
            running.kubectl("apply", "-k", str(installation.MANIFESTS / folder))
        kubectl.wait_served(running.kubectl)
        yield running


@dataclass
class Stories:
    """Controllers at work in the namespaces of the manifests."""

    world: World
    stack: Stack
    account: Path
    folder: Path
    metrics_port: int = 0

    @contextlib.asynccontextmanager
    async def running(self, *, ready: bool = True) -> AsyncIterator[Program]:
        """A controller that elects, and whose Data Storage does not answer."""
        self.metrics_port = program.free_port()
        sections: dict[str, Any] = {
            "controller": {
                "leaderElection": True,
                "metricsAddr": f"127.0.0.1:{self.metrics_port}",
            },
            "datastorage": {"url": f"http://127.0.0.1:{program.free_port()}"},
            "limits": {"auditBeforeDeletion": "0s"},
        }
        manager = program.running(self.folder, self.account, ready=ready, **sections)
        started = await asyncio.to_thread(manager.__enter__)
        try:
            yield started
        finally:
            await asyncio.to_thread(manager.__exit__, None, None, None)

    async def tekton_comes_late(self) -> None:
        """The controller waits for Tekton, and then finds it."""
        async with self.running(ready=False) as started:
            await asyncio.to_thread(started.wait_probe, "/livez", 200)
            await asyncio.to_thread(started.wait_line, "is not served")
            await asyncio.to_thread(
                crds.install, self.stack.api, tektonfiles.load().crds(conversion=False)
            )
            await asyncio.to_thread(started.wait_probe, "/readyz", 200, deadline_s=RECOVERED_S)

    async def fails_and_is_cleared(self, name: str) -> None:
        """Its evidence is read, its clearance is checked, its target is taken again."""
        execution = await self.world.create(self.world.execution(name))
        run = await self.world.play(await self.world.phase(name, "Running"), "apply")
        await run.start_task("apply")
        labels = {"tekton.dev/pipelineRunUID": (await self._run_uid(name))}
        async with self.world.pod(f"{run.name}-apply-pod", labels) as set_phase:
            await set_phase("Failed")
            await run.end_task("apply", exit_code=1)
            await run.end()
            await self.world.phase(name, "Failed")
        clearance = {
            "clearedAt": "2026-01-01T00:00:00Z", "clearedBy": "admin",
            "clearReason": "looked at it, all is well", "clearMethod": "StatusField",
        }  # fmt: skip
        place = kinds.EXECUTIONS, self.world.namespace, name
        patch = {"status": {"blockClearance": clearance}}
        (await self.world.api.patch(*place, patch, subresource="status")).accept()
        target = execution["spec"]["targetResource"]
        again = self.world.execution(f"{name}-again", targetResource=target)
        await self.world.create(again)
        status = await self.world.phase(f"{name}-again", "Running", deadline_s=COLLECTED_S)
        run = await self.world.play(status)
        await run.end()
        await self.world.phase(f"{name}-again", "Completed")

    async def _run_uid(self, name: str) -> str:
        status = (await self.world.read(name))["status"]
        return str(status["pipelineRunRef"]["uid"])

    async def is_cancelled(self, name: str) -> None:
        """A run is told to end."""
        await self.world.create(self.world.execution(name))
        status = await self.world.phase(name, "Running")
        cancel = {"requestedBy": "admin", "reason": "the wrong deployment"}
        (await self.world.change(name, {"spec": {"cancel": cancel}})).accept()
        place = kinds.PIPELINE_RUNS, self.world.runs, status["pipelineRunRef"]["name"]
        run = await until(self.world.api, place, lambda it: bool(it["spec"].get("status")))
        assert run["spec"]["status"]

    async def loses_its_run(self, name: str) -> None:
        """Somebody deletes its run, which might as well have gone with all of Tekton."""
        await self.world.create(self.world.execution(name))
        status = await self.world.phase(name, "Running")
        place = kinds.PIPELINE_RUNS, self.world.runs, status["pipelineRunRef"]["name"]
        await delete(self.world.api, place)
        await self.world.phase(name, "Failed")

    async def are_deleted(self, *names: str) -> None:
        """Their runs go first, their records into the outbox."""
        for name in names:
            await delete(self.world.api, (kinds.EXECUTIONS, self.world.namespace, name))
            await self.world.until_gone(name, deadline_s=COLLECTED_S)
        await until(self.world.api, OUTBOX, lambda it: bool(it.get("data")))

    async def is_told_of_already(self, name: str) -> None:
        """An event of an execution is there before a controller has told it."""
        made = await self.world.create(self.world.execution(name))
        uid = made["metadata"]["uid"]
        digest = hashlib.sha256(f"{uid}/PipelineRunCreated".encode()).hexdigest()
        about = {
            "apiVersion": "kubernaut.ai/v1alpha1", "kind": "WorkflowExecution",
            "namespace": self.world.namespace, "name": name, "uid": uid,
        }  # fmt: skip
        told = f"{name}.{digest[:EVENT_DIGITS]}"
        event = {
            "metadata": {"name": told},
            "involvedObject": about, "reason": "PipelineRunCreated", "count": 1,
        }  # fmt: skip
        (await self.world.api.create(kinds.EVENTS, self.world.namespace, event)).accept()
        place = kinds.EVENTS, self.world.namespace, told
        async with self.running():
            await self.world.phase(name, "Running")
            await until(self.world.api, place, lambda it: bool(it.get("message")))

    async def is_scraped(self) -> None:
        """Somebody with a token of no account that may, asks for the metrics."""
        path = f"/api/v1/namespaces/{installation.SYSTEM}/serviceaccounts/default/token"
        answer = await asyncio.to_thread(self.stack.api.json, "POST", path, {"spec": {}})
        headers = {"Authorization": f"Bearer {answer['status']['token']}"}

        def ask() -> int:
            connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=10)
            try:
                connection.request("GET", "/metrics", headers=headers)
                return connection.getresponse().status
            finally:
                connection.close()

        assert await asyncio.to_thread(ask) == 403


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def account(
    stack: Stack, endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> rights.Account:
    """What the controllers did while all stories were told."""
    kubeconfig = stack.service_account_kubeconfig(installation.SYSTEM, installation.CONTROLLER)
    async with Api(endpoint, agent="integration-test") as api:
        world = World(api, TEAM, installation.WORKFLOWS)
        await create_namespace(api, TEAM)
        folder = tmp_path_factory.mktemp("role")
        stories = Stories(world, stack, kubeconfig, folder)
        await stories.tekton_comes_late()
        async with stories.running(), stories.running():
            await stories.is_scraped()
            await stories.fails_and_is_cleared("mended")
            await stories.is_cancelled("stopped")
            await stories.loses_its_run("bereft")
            await stories.are_deleted("mended", "mended-again")
        await stories.is_told_of_already("told")
    return rights.account_of(stack.audit_log, installation.USER)


# A further part of the outbox is written when half a megabyte is in the one before it.
FURTHER = frozenset(outbox.part_names()[1:])
RIGHTS = [
    right
    for right in rights.given(installation.rules())
    if right.verb != "patch" or right.name not in FURTHER
]


@pytest.mark.parametrize("right", RIGHTS, ids=str)
def test_right_is_needed(account: rights.Account, right: rights.Right) -> None:
    assert account.idle([right]) == []


def test_nothing_was_asked_for_in_vain(account: rights.Account) -> None:
    assert account.refused == ()
    assert len(account.used) >= len(RIGHTS)


def test_right_that_nobody_uses_would_be_found(account: rights.Account) -> None:
    useless = rights.Right("", "secrets", "get")
    elsewhere = rights.Right("tekton.dev", "pipelineruns", "delete", namespace=TEAM)
    assert account.idle([useless, elsewhere]) == [str(useless), str(elsewhere)]

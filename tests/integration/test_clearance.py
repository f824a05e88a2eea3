"""Under the admission policy: the program with the rights that it is given, and the guide."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
import yaml

from tests.integration import people
from workflowexecution.adapters.guard import AdmissionGuard
from workflowexecution.api import names
from workflowexecution.domain import locking
from workflowexecution.runtime import client, connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject, World
    from tests.stack.cluster import Stack

DOCS = Path(__file__).parents[2] / "docs"
ACCOUNT = "the-controller"
USER = f"system:serviceaccount:default:{ACCOUNT}"
CLEAR = "Clear a block"
CANCEL = "Cancel an execution"
WHO = "Who may"


@pytest.fixture(scope="module", autouse=True)
def policy(stack: Stack) -> Iterator[None]:
    """The policy, in force."""
    with people.policy(stack):
        yield


@pytest.fixture(scope="module")
def kubeconfig(stack: Stack) -> Iterator[Path]:
    """That of a service account with the rights that the documentation names, and no others."""
    metadata = {"name": ACCOUNT, "namespace": "default"}
    stack.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    (block,) = blocks("configuration.md", "Rights", "yaml")
    with people.granted(stack, USER, yaml.safe_load(block)):
        yield stack.service_account_kubeconfig("default", ACCOUNT)


def blocks(document: str, heading: str, language: str) -> list[str]:
    """The blocks of a language in a section of a document."""
    text = (DOCS / document).read_text("utf-8")
    section = re.split(rf"^## {heading}$", text, flags=re.MULTILINE)[1].split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


async def follow(stack: Stack, user: str, heading: str, **places: str) -> str:
    """Do in a shell what a section of the guide says; returns what it printed.

    Raises:
        AssertionError: a command failed; the message is what it said.
    """
    script = "\n".join(blocks("clearance.md", heading, "sh"))
    for place, value in places.items():
        script = re.sub(rf"\b{place}\b", value, script)
    path = f"{stack.program('kubectl').parent}:{os.environ['PATH']}"
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-euo", "pipefail", "-c", script],
        env={**os.environ, "PATH": path, "KUBECONFIG": str(stack.user_kubeconfig(user))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestProgram:
    @pytest_asyncio.fixture
    async def world(self, controllers: Controllers, kubeconfig: Path) -> AsyncIterator[World]:
        """The place of a program that runs under its own account."""
        async with replace(controllers, kubeconfig=kubeconfig).running():
            yield controllers.world

    async def test_execution_comes_to_its_end(self, world: World) -> None:
        await world.create(world.execution("guarded"))
        run = await world.play(await world.phase("guarded", "Running"), "restart")
        await run.start_task("restart")
        await run.end_task("restart", exit_code=1)
        await run.end()
        status = await world.phase("guarded", "Failed")
        assert status["failureDetails"]["wasExecutionFailure"]

    async def test_execution_comes_to_its_end_when_it_was_cleared_early(
        self, world: World, stack: Stack
    ) -> None:
        await world.create(world.execution("cleared"))
        run = await world.play(await world.phase("cleared", "Running"))
        async with people.at_work(stack, "admin", world.namespace) as admin:
            (await admin.clear("cleared")).accept()
        await run.end()
        status = await world.phase("cleared", "Completed")
        assert status["blockClearance"]["clearedBy"] == "admin"


class TestGuard:
    @pytest_asyncio.fixture
    async def api(self, kubeconfig: Path) -> AsyncIterator[client.Client]:
        way = await connection.connect(kubeconfig=str(kubeconfig), environ={})
        opened = client.Client(connection=way, user_agent="integration-test/guard")
        yield opened
        await opened.close()

    async def test_guard_is_in_force_as_installed(self, api: client.Client) -> None:
        assert await AdmissionGuard(client=api).in_force()

    @pytest.mark.parametrize("kind", ["Policy", "PolicyBinding"])
    async def test_guard_is_not_in_force_when_a_part_is_gone(
        self, api: client.Client, stack: Stack, kind: str
    ) -> None:
        with gone(stack, f"ValidatingAdmission{kind}"):
            assert not await AdmissionGuard(client=api).in_force()
        assert await AdmissionGuard(client=api).in_force()


@contextlib.contextmanager
def gone(stack: Stack, kind: str) -> Iterator[None]:
    """Without one of the policy's parts."""
    stack.kubectl("delete", kind, people.NAME)
    try:
        yield
    finally:
        stack.kubectl("apply", "-k", str(people.POLICIES))


class TestGuide:
    @pytest_asyncio.fixture
    async def place(self, stack: Stack, world: World) -> dict[str, str]:
        """What stands for NAME and the like, and rights to clear by the guide's own words."""
        target = f"{world.namespace}/Deployment/blocked"
        execution = world.execution("blocked", targetResource=target)
        # As its start marks it.
        label = locking.target_label(locking.run_name(target))
        execution["metadata"]["labels"] = {names.LABEL_TARGET: label}
        await world.create(execution)
        reply: JsonObject = {"status": {"phase": "Failed"}}
        async with people.at_work(stack, "admin", world.namespace) as admin:
            (await admin.patch_status("blocked", reply)).accept()
        return {
            "NAME": "blocked",
            "NAMESPACE": world.namespace,
            "TARGET": locking.canonical_target(target),
            "GROUP": "remediation",
        }

    async def test_block_is_cleared(
        self, stack: Stack, world: World, place: dict[str, str]
    ) -> None:
        await follow(stack, "admin", WHO, **place)
        people.wait_granted(stack, "carol", people.CLEARER, namespace=world.namespace)
        rules = [
            {"apiGroups": ["kubernaut.ai"], "resources": ["workflowexecutions"], "verbs": ["list"]}
        ]
        with people.granted(stack, "carol", rules):
            said = await follow(stack, "carol", CLEAR, **place)
        assert re.search(rf"^{world.namespace} +blocked +Failed", said, re.MULTILINE)
        clearance = (await world.read("blocked"))["status"]["blockClearance"]
        assert clearance["clearedBy"] == "carol"
        assert clearance["clearReason"] == "restarted it by hand, all pods are up"

    async def test_execution_is_cancelled(
        self, stack: Stack, world: World, place: dict[str, str]
    ) -> None:
        await follow(stack, "admin", CANCEL, **place)
        cancel = (await world.read("blocked"))["spec"]["cancel"]
        assert cancel == {"requestedBy": "admin", "reason": "it makes things worse"}

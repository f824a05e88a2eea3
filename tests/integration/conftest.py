"""Fixtures of the integration tests: one cluster for all, a namespace for each test."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.datastorage import postgres
from tests.datastorage.server import DataStorage
from tests.datastorage.table import Table
from tests.fake import kinds
from tests.fake.api import Api, Endpoint
from tests.integration import objects
from tests.integration.audit import AuditLog
from tests.integration.controllers import Controllers
from tests.integration.world import World, create_namespace
from tests.stack.cluster import Parts, Stack
from tests.support import kubectl, program, sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PARTED_S = 5.0
CRD_FOLDER = Path(__file__).parents[2] / "manifests" / "crd"


@pytest_asyncio.fixture(autouse=True)
async def _parted() -> AsyncIterator[None]:
    """Let every connection say its TLS goodbye before the test's loop is closed.

    One that is cut off in it is a leak to the interpreter, which then blames a later test. It is
    set up before all others, so what they hold is closed by then.
    """
    yield
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PARTED_S):
            while sockets.are_open():  # noqa: ASYNC110 - nothing tells when a socket closes
                await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def bare_stack() -> Iterator[Stack]:
    """A control plane with Tekton's CRDs and nothing of this project."""
    with Stack(name="integration", parts=Parts.CONTROL_PLANE, tekton_crds=True) as running:
        yield running


@pytest.fixture(scope="session")
def stack(bare_stack: Stack) -> Stack:
    """The same with this project's CRD, as the README says to install it."""
    bare_stack.kubectl("apply", "-k", str(CRD_FOLDER))
    name = "crd/workflowexecutions.kubernaut.ai"
    # Not by --for=condition: kubectl fails on a CRD so young that it has no conditions.
    bare_stack.kubectl("wait", name, kubectl.ESTABLISHED, "--timeout=30s")
    bare_stack.api.apply({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": objects.RUNS},
    })
    return bare_stack


@pytest.fixture(scope="session")
def endpoint(stack: Stack) -> Endpoint:
    """The way to the server, as its administrator."""
    return Endpoint(stack.server_url, stack.admin_token, str(stack.ca_file))


@pytest_asyncio.fixture
async def world(endpoint: Endpoint) -> AsyncIterator[World]:
    """A namespace of the test's own, whose executions do not outlive it."""
    async with Api(endpoint, agent="integration-test") as api:
        made = World(api, f"it-{uuid.uuid4().hex[:8]}")
        await create_namespace(api, made.namespace)
        yield made
        await api.request("DELETE", kinds.EXECUTIONS.path(made.namespace))


@pytest.fixture
def audit(stack: Stack) -> AuditLog:
    """What was asked of the server since the test began."""
    return AuditLog(stack.audit_log)


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """The URL of a PostgreSQL of the tests' own."""
    with postgres.running() as url:
        yield url


@pytest_asyncio.fixture
async def storage(database: str) -> AsyncIterator[DataStorage]:
    """A running Data Storage with nothing in it."""
    table = await Table.open(database)
    await table.clear()
    try:
        async with DataStorage(table).running() as running:
            yield running
    finally:
        await table.close()


@pytest.fixture(scope="module")
def controller(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[program.Program]:
    """The program, for all tests of a module, with the settings that a bare cluster gives it.

    Its audit is off: acknowledgements are writes, and these tests look at others.
    """
    execution = {"allowedServiceAccounts": [objects.ACCOUNT, objects.OTHER_ACCOUNT]}
    folder = tmp_path_factory.mktemp("controller")
    audit = {"sink": "none"}
    with program.running(folder, stack.kubeconfig, execution=execution, audit=audit) as running:
        yield running


@pytest_asyncio.fixture
async def controllers(
    world: World, endpoint: Endpoint, stack: Stack, tmp_path: Path
) -> Controllers:
    """Controllers of the test's own, as many as it starts."""
    return await Controllers.of(world, endpoint, stack.kubeconfig, tmp_path)

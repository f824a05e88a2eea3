"""Fixtures of the integration tests: one cluster for all, a namespace for each test."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.contract.bed import WIDGETS
from tests.datastorage import postgres
from tests.datastorage.server import DataStorage
from tests.datastorage.table import Table
from tests.fake import definitions, kinds
from tests.fake.api import Api, Endpoint
from tests.integration import objects
from tests.integration.audit import AuditLog
from tests.integration.controllers import Controllers
from tests.integration.world import World, create_namespace
from tests.stack import crds
from tests.stack.cluster import Parts, Stack
from tests.support import installation, kubectl, program, rights, sharing, sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

CRD_FOLDER = Path(__file__).parents[2] / "manifests" / "crd"


@pytest_asyncio.fixture(autouse=True)
async def _parted() -> AsyncIterator[None]:
    """Wait for goodbyes; it is set up before all others, so what they hold is closed by then."""
    yield
    await sockets.parted()


@pytest.fixture(scope="session")
def bare_stack() -> Iterator[Stack]:
    """A control plane with Tekton's CRDs and nothing of this project."""
    name = f"integration{sharing.worker()}"
    with Stack(name=name, parts=Parts.CONTROL_PLANE, tekton_crds=True) as running:
        yield running


@pytest.fixture(scope="session")
def stack(bare_stack: Stack) -> Stack:
    """The same with this project's CRD, as the README says to install it."""
    bare_stack.kubectl("apply", "-k", str(CRD_FOLDER))
    kubectl.wait_served(bare_stack.kubectl)
    installation.create_namespaces(bare_stack)
    # The garbage collector looks for new kinds every 30 s: it is to know those whose owners tests
    # delete before they come to that.
    collected = kinds.REMEDIATION_REQUESTS, WIDGETS
    crds.install(bare_stack.api, [definitions.build_definition(it) for it in collected])
    return bare_stack


@pytest.fixture(scope="module")
def endpoint(stack: Stack) -> Endpoint:
    """The way to the server, as its administrator; a module may have a server of its own."""
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
def account(stack: Stack) -> Iterator[Path]:
    """A kubeconfig of the controller's account, with the roles of the manifests and no others.

    None of its requests is one that they forbid.
    """
    since = stack.audit_log.stat().st_size
    yield installation.give_access(stack)
    done = rights.account_of(stack.audit_log, installation.USER, since=since)
    assert done.refused == ()


@pytest.fixture(scope="module")
def controller(
    account: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[program.Program]:
    """The program, for all tests of a module, with the settings that a bare cluster gives it.

    Its audit is off: acknowledgements are writes, and these tests look at others.
    """
    execution = {"allowedServiceAccounts": [objects.ACCOUNT, objects.OTHER_ACCOUNT]}
    folder = tmp_path_factory.mktemp("controller")
    audit = {"sink": "none"}
    with program.running(folder, account, execution=execution, audit=audit) as running:
        yield running


@pytest_asyncio.fixture
async def controllers(
    world: World, endpoint: Endpoint, account: Path, tmp_path: Path
) -> Controllers:
    """Controllers of the test's own, as many as it starts."""
    return await Controllers.of(world, endpoint, account, tmp_path)

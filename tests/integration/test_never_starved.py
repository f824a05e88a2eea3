"""Neighbours, giants and nonsense on the same server do not keep the program from its work."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.fake import kinds
from tests.fake.api import Api
from tests.integration.accounts import Account
from tests.integration.audit import by
from tests.integration.leaders import Leaders
from tests.stack import kubeconfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fake.api import Endpoint
    from tests.integration.audit import AuditLog
    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject, World
    from tests.stack.cluster import Stack

LOG = logging.getLogger(__name__)

FLOW = "/apis/flowcontrol.apiserver.k8s.io/v1"
FOLDER = Path(__file__).parents[2] / "manifests" / "flowcontrol"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NEIGHBOURS = 40
TOTAL = 30
DONE_S = 120.0
GIANT = 1_300_000


def test_example_of_flow_control_is_accepted(stack: Stack) -> None:
    said = stack.kubectl("apply", "-k", str(FOLDER), "--dry-run=server")
    made = [line.split()[0] for line in said.splitlines()]
    assert made == [
        "flowschema.flowcontrol.apiserver.k8s.io/workflowexecution-controller",
        "flowschema.flowcontrol.apiserver.k8s.io/workflowexecution-controller-leases",
        "prioritylevelconfiguration.flowcontrol.apiserver.k8s.io/workflowexecution-controller",
    ]


@contextlib.asynccontextmanager
async def few_seats(world: World, *accounts: Account) -> AsyncIterator[None]:
    """Let these accounts share a handful of seats; what finds none waits, or is refused."""
    name = f"tight-{world.runs}"
    limited = {
        "nominalConcurrencyShares": 2,
        "lendablePercent": 0,
        "borrowingLimitPercent": 0,
        "limitResponse": {
            "type": "Queue",
            "queuing": {"queues": 64, "handSize": 4, "queueLengthLimit": 3},
        },
    }
    level = {"metadata": {"name": name}, "spec": {"type": "Limited", "limited": limited}}
    rule = {
        "subjects": [{"kind": "User", "user": {"name": it.user}} for it in accounts],
        "resourceRules": [
            {
                "apiGroups": ["*"],
                "resources": ["*"],
                "verbs": ["*"],
                "namespaces": ["*"],
                "clusterScope": True,
            }
        ],
    }
    spec = {
        "priorityLevelConfiguration": {"name": name},
        "matchingPrecedence": 3,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [rule],
    }
    # Leases go their own way, as in the example.
    leases = {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["*"],
        "namespaces": ["*"],
    }
    own = {
        "priorityLevelConfiguration": {"name": "leader-election"},
        "matchingPrecedence": 2,
        "rules": [{"subjects": rule["subjects"], "resourceRules": [leases]}],
    }
    levels, schemas = f"{FLOW}/prioritylevelconfigurations", f"{FLOW}/flowschemas"
    made = {
        f"{levels}/{name}": level,
        f"{schemas}/{name}": {"metadata": {"name": name}, "spec": spec},
        f"{schemas}/{name}-leases": {"metadata": {"name": f"{name}-leases"}, "spec": own},
    }
    for path, body in made.items():
        (await world.api.request("POST", path.rpartition("/")[0], body=body)).accept()
    try:
        yield
    finally:
        for path in made:
            await world.api.request("DELETE", path)


@contextlib.asynccontextmanager
async def noise(endpoint: Endpoint, token: str) -> AsyncIterator[list[int]]:
    """Ask for what is large, again and again, from many sides; gives the answers."""
    answers: list[int] = []

    async def ask(api: Api) -> None:
        while True:
            # A refusal closes the connection, sometimes before the next request has noticed.
            with contextlib.suppress(aiohttp.ClientError):
                answers.append((await api.request("GET", DEFINITIONS)).status)

    async with (
        Api(dataclasses.replace(endpoint, token=token), agent="neighbour") as api,
        asyncio.TaskGroup() as group,
    ):
        tasks = [group.create_task(ask(api)) for _ in range(NEIGHBOURS)]
        try:
            yield answers
        finally:
            for task in tasks:
                task.cancel()


@pytest.mark.long
async def test_lease_is_kept_and_all_is_told_when_a_neighbour_takes_the_seats(
    controllers: Controllers, endpoint: Endpoint, audit: AuditLog, tmp_path: Path
) -> None:
    world = controllers.world
    mine, other = Account(world, "mine"), Account(world, "other")
    for account in (mine, other):
        await account.create()
    way = kubeconfig.write(
        tmp_path / "mine",
        server_url=endpoint.url,
        ca_file=Path(endpoint.ca_file),
        user="mine",
        token=await mine.token("mine"),
    )
    elected = Leaders(dataclasses.replace(controllers, kubeconfig=way))
    token = await other.token("other")
    async with few_seats(world, mine, other), elected.replica() as program:
        await elected.works("before")
        async with noise(endpoint, token) as answers:
            names = [f"n-{number}" for number in range(TOTAL)]
            await asyncio.gather(*(through(world, it) for it in names))
        lease = (await world.api.get(*elected.place)).accept()
        assert (program.process.poll(), lease["spec"]["leaseTransitions"]) == (None, 0)
        refused = [it for it in by(program, audit.requests()) if it.code == 429]
    LOG.info("refused: %s of the neighbour's, %s own", answers.count(429), len(refused))
    assert answers.count(429) > 0
    for account in (mine, other):
        await account.delete()


async def through(world: World, name: str) -> None:
    """An execution from its creation to its end."""
    await world.create(world.execution(name))
    run = await world.play(await world.phase(name, "Running", deadline_s=DONE_S))
    await run.end()
    await world.phase(name, "Completed", deadline_s=DONE_S)


def nonsense(world: World) -> list[JsonObject]:
    """Runs that no program expects: giants, and such as say what makes no sense."""

    def run(name: str, **parts: Any) -> JsonObject:  # noqa: ANN401 - raw objects
        labels = {"kubernaut.ai/workflow-execution-uid": f"nobody-{name}"}
        return {"metadata": {"name": name, "labels": labels}, **parts}

    giant = {"params": [{"name": "HUGE", "value": "x" * GIANT}]}
    return [
        run("giant", spec=giant),
        run("empty"),
        run("odd-times", spec={"timeouts": {"pipeline": "soon", "tasks": "-3"}}),
        run("odd-status", status={"conditions": [{"type": "Succeeded", "status": "Perhaps"}]}),
        run("odd-steps", status={"childReferences": [{"name": "?"}], "taskRuns": "odd"}),
    ]


@pytest.mark.parametrize(
    "count", [40, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
async def test_good_ones_go_on_when_giants_and_nonsense_are_among_them(
    controllers: Controllers, audit: AuditLog, count: int
) -> None:
    world = controllers.world
    names = [f"good-{number}" for number in range(count)]
    async with controllers.running() as program:
        for body in nonsense(world):
            (await world.api.create(kinds.PIPELINE_RUNS, world.runs, body)).accept()
            status = {"status": body.get("status", {})}
            place = kinds.PIPELINE_RUNS, world.runs, body["metadata"]["name"]
            (await world.api.patch(*place, status, subresource="status")).accept()
        for some in range(0, count, 40):
            batch = names[some : some + 40]
            await asyncio.gather(*(world.create(world.execution(it)) for it in batch))
            await asyncio.gather(*(world.phase(it, "Running", deadline_s=DONE_S) for it in batch))
        assert program.process.poll() is None
        asked = await audit.until_so_many(program, "create pipelineruns", count)
        created = [it.name for it in asked]
    assert len(set(created)) == len(created) == count

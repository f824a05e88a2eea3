"""Set-up that the runtime's tests share."""

import json
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.fake.cluster import FakeCluster
from tests.unit.runtime import electors, servers
from workflowexecution.runtime import client, connection

Connect = Callable[..., Awaitable[connection.Connection]]


@pytest.fixture
def connect(tmp_path: pathlib.Path) -> Connect:
    """Connect through a kubeconfig file; keywords are the user section's fields."""

    async def connect_to(server: str, **user: object) -> connection.Connection:
        path = tmp_path / "config"
        path.write_text(json.dumps(servers.kubeconfig(server, user)))
        return await connection.connect(kubeconfig=str(path), environ={})

    return connect_to


class Pair:
    """A server that does what `handler` says, and a client that talks to it."""

    def __init__(self, server: servers.Server, opened: client.Client) -> None:
        self.server = server
        self.client = opened
        self.dates: list[tuple[str, float]] = []

    def answer(self, handler: servers.Handler) -> None:
        self.server.handler = handler


@pytest.fixture
async def pair(connect: Connect) -> AsyncIterator[Pair]:
    """Give a connected pair that answers every request with an empty object."""

    async def empty(exchange: servers.Exchange) -> None:
        await exchange.reply({})

    dates: list[tuple[str, float]] = []

    def observe(date: str, at: float) -> None:
        dates.append((date, at))

    async with (
        servers.serving(empty) as server,
        servers.talking_to(await connect(server.url, token="secret"), observe) as opened,
    ):
        both = Pair(server, opened)
        both.dates = dates
        yield both


@pytest.fixture
async def bench(connect: Connect) -> AsyncIterator[electors.Bench]:
    """Give a cluster without a lease, for replicas that elect a leader."""
    async with FakeCluster() as cluster:
        made = electors.Bench(cluster, await connect(cluster.url))
        yield made
        await made.close()

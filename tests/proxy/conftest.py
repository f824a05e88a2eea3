"""Fixtures of the proxy's own tests: a fake cluster, and the way to it by a proxy."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.contract import bed as contract_bed
from tests.fake.api import Api, Endpoint
from tests.fake.cluster import FakeCluster
from tests.proxy.proxy import Proxy

TOKEN = "proxy"


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    """A running fake cluster."""
    async with FakeCluster() as running:
        yield running


@pytest_asyncio.fixture
async def proxy(cluster: FakeCluster) -> AsyncIterator[Proxy]:
    """A proxy before it."""
    async with Proxy(Endpoint(cluster.url)) as running:
        yield running


@pytest_asyncio.fixture
async def api(proxy: Proxy) -> AsyncIterator[Api]:
    """A client that goes by the proxy."""
    async with Api(Endpoint(proxy.url)) as client:
        yield client


@pytest_asyncio.fixture
async def bed(cluster: FakeCluster, proxy: Proxy) -> AsyncIterator[contract_bed.Bed]:
    """The cluster as the contract suite wants it, by way of the proxy."""
    cluster.reviews.users = {TOKEN: "admin"}
    endpoint = Endpoint(proxy.url, token=TOKEN)
    async with contract_bed.open_bed(endpoint, collects=True) as made:
        yield made

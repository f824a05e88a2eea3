"""Fixtures of the component tests: a fake cluster for each test."""

import pathlib
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.component.world import World, virtual_now
from tests.contract import bed as contract_bed
from tests.fake.api import Api, Endpoint
from tests.fake.cluster import FakeCluster

TOKEN = "component"


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    """A running fake cluster with the custom resources of the controller and of Tekton."""
    async with FakeCluster() as running:
        yield running


@pytest_asyncio.fixture
async def api(cluster: FakeCluster) -> AsyncIterator[Api]:
    """The tests' own client of the fake cluster."""
    async with Api(Endpoint(cluster.url)) as client:
        yield client


@pytest_asyncio.fixture
async def bed(cluster: FakeCluster) -> AsyncIterator[contract_bed.Bed]:
    """The fake cluster as the contract suite wants it: with a token."""
    cluster.reviews.users = {TOKEN: "admin"}
    endpoint = Endpoint(cluster.url, token=TOKEN)
    async with contract_bed.open_bed(endpoint, collects=True) as made:
        yield made


@pytest_asyncio.fixture
async def here(tmp_path: pathlib.Path) -> AsyncIterator[World]:
    """The program's surroundings, whose wall clock is the loop's."""
    async with FakeCluster(now=virtual_now) as running:
        yield World(running, tmp_path)

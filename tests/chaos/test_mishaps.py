"""A fault says whether it met anybody, and reads of the past are met."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
import pytest_asyncio

from tests.chaos import mishaps, plan
from tests.chaos.plan import Mishap
from tests.fake import kinds
from tests.fake.api import Api, Endpoint
from tests.fake.cluster import FakeCluster
from tests.proxy.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.chaos.stage import Stage

pytestmark = pytest.mark.looptime

RUNS = kinds.PIPELINE_RUNS
PAGE = {"limit": "500"}


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before a cluster."""
    async with FakeCluster() as cluster, Proxy(Endpoint(cluster.url)) as running:
        yield running


@pytest_asyncio.fixture
async def api(proxy: Proxy) -> AsyncIterator[Api]:
    """A client that goes by the proxy."""
    async with Api(Endpoint(proxy.url)) as client:
        yield client


def stage(*proxies: Proxy) -> Stage:
    """A stage with as many replicas as proxies, of which none leads."""

    async def leader() -> None:
        return None

    replicas = [SimpleNamespace(number=number) for number in range(len(proxies))]
    made = SimpleNamespace(proxies=proxies, replicas=replicas, leader=leader)
    return cast("Stage", made)


async def count(api: Api) -> int:
    """How many runs an informer would list."""
    return len((await api.list(RUNS, "default", **PAGE)).accept()["items"])


async def create(api: Api, name: str) -> None:
    (await api.create(RUNS, "default", {"metadata": {"name": name}, "spec": {}})).accept()


class TestPast:
    async def test_watches_expire_and_the_next_list_shows_the_past(
        self, proxy: Proxy, api: Api
    ) -> None:
        past = mishaps.Past(proxy, mishaps.FITS["lists"])
        assert (await count(api), past.met) == (0, 0)
        await create(api, "a")
        async with api.watch(RUNS, "default") as watch:
            (event,) = [it async for it in watch]
        assert (event.type, event.object["code"]) == ("ERROR", 410)
        assert (await count(api), past.met) == (0, 1)
        past.end()
        assert (await count(api), past.met) == (1, 1)
        async with api.watch(RUNS, "default") as watch:
            await create(api, "b")
            assert (await watch.take(1))[0].type == "ADDED"

    async def test_fault_of_the_list_is_this_one(self) -> None:
        assert mishaps._drawn("F10", random.Random(1)) is mishaps.Past


@pytest.mark.parametrize(("what", "met"), [("work", True), ("lease", False)])
async def test_fault_at_proxies_says_whether_it_met_a_request(
    proxy: Proxy, api: Api, what: str, met: bool
) -> None:
    fault = Mishap("F9", 0.0, 1.0, plan.ALL, what)
    async with asyncio.TaskGroup() as group:
        playing = group.create_task(mishaps.play(stage(proxy), fault, random.Random(1)))
        await asyncio.sleep(0.1)
        await create(api, "a")
    assert playing.result() is met


async def test_fault_of_the_leader_meets_nobody_where_none_leads() -> None:
    for code in ("F1", "P2"):
        fault = Mishap(code, 0.0, 0.1, plan.LEADER)
        assert not await mishaps.play(stage(), fault, random.Random(1))

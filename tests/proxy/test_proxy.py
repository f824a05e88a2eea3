"""What a proxy does to requests, answers and watches when it is told to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.fake import kinds
from tests.proxy import calls
from tests.proxy.rules import Point

if TYPE_CHECKING:
    from tests.fake.api import Api
    from tests.fake.cluster import FakeCluster
    from tests.proxy.proxy import Proxy

pytestmark = pytest.mark.looptime

MAPS = kinds.CONFIG_MAPS
CREATES = calls.creates("configmaps")
WATCHES = calls.watches("configmaps")
LATE_S = 0.01


def body(name: str) -> dict[str, object]:
    return {"metadata": {"name": name}}


def stored(cluster: FakeCluster) -> list[str]:
    """Names of the maps that the server has."""
    return [each["metadata"]["name"] for each in cluster.items(MAPS)]


def now() -> float:
    return asyncio.get_running_loop().time()


class TestHold:
    async def test_request_waits_before_the_server_until_it_is_released(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        hold = proxy.hold(CREATES, Point.BEFORE)
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(api.create(MAPS, "default", body("a")))
            await hold.wait()
            assert stored(cluster) == []
            hold.release()
        assert asked.result().status == 201
        assert await hold.wait_answered() == 201
        assert stored(cluster) == ["a"]

    async def test_released_request_reaches_the_server_when_its_client_has_gone(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        hold = proxy.hold(CREATES, Point.BEFORE)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await api.create(MAPS, "default", body("late"))
        assert stored(cluster) == []
        hold.release()
        assert await hold.wait_answered() == 201
        assert stored(cluster) == ["late"]

    @pytest.mark.parametrize(
        ("point", "left"), [(Point.BEFORE, []), (Point.AFTER, ["a"])], ids=["request", "answer"]
    )
    async def test_client_loses_its_connection_when_what_is_held_is_dropped(
        self, cluster: FakeCluster, proxy: Proxy, api: Api, point: Point, left: list[str]
    ) -> None:
        hold = proxy.hold(CREATES, point)

        async def drop() -> None:
            await hold.wait()
            hold.drop()

        async with asyncio.TaskGroup() as group:
            group.create_task(drop())
            with pytest.raises(aiohttp.ClientError):
                await api.create(MAPS, "default", body("a"))
        assert stored(cluster) == left

    async def test_only_the_first_request_that_fits_is_held(self, proxy: Proxy, api: Api) -> None:
        hold = proxy.hold(lambda call: call.body["metadata"]["name"] == "b", Point.AFTER)
        async with asyncio.TaskGroup() as group:
            assert (await api.create(MAPS, "default", body("a"))).status == 201
            asked = group.create_task(api.create(MAPS, "default", body("b")))
            await hold.wait()
            assert (await api.create(MAPS, "default", body("b"))).status == 409
            hold.release()
        assert asked.result().status == 201


class TestFail:
    @pytest.mark.parametrize(
        ("point", "left"), [(Point.BEFORE, []), (Point.AFTER, ["a"])], ids=["before", "after"]
    )
    async def test_answer_is_a_failure_whether_or_not_the_server_did_it(
        self, cluster: FakeCluster, proxy: Proxy, api: Api, point: Point, left: list[str]
    ) -> None:
        proxy.fail(CREATES, 503, point)
        reply = await api.create(MAPS, "default", body("a"))
        assert (reply.status, reply.body["kind"]) == (503, "Status")
        assert stored(cluster) == left
        assert (await api.create(MAPS, "default", body("b"))).status == 201

    async def test_connection_breaks_when_there_is_to_be_no_answer(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        rule = proxy.fail(CREATES, times=2)
        for name in ("a", "b"):
            with pytest.raises(aiohttp.ClientError):
                await api.create(MAPS, "default", body(name))
        assert rule.left == 0
        assert stored(cluster) == ["a", "b"]


class TestLag:
    async def test_events_come_late_and_in_order(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        proxy.lag(WATCHES, 30)
        async with api.watch(MAPS, "default") as watch:
            for number in range(3):
                cluster.create(_map(f"m-{number}"))
                await asyncio.sleep(1)
            came = []
            for due in (30, 31, 32):
                came += [event.object["metadata"]["name"] for event in await watch.take(1)]
                assert now() == pytest.approx(due, abs=LATE_S)
        assert came == ["m-0", "m-1", "m-2"]

    async def test_late_events_come_at_once_when_the_lag_ends(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        lag = proxy.lag(WATCHES, 30)
        async with api.watch(MAPS, "default") as watch:
            for number in range(2):
                cluster.create(_map(f"m-{number}"))
            await asyncio.sleep(2)
            lag.end()
            assert len(await watch.take(2)) == 2
            cluster.create(_map("m-2"))
            assert len(await watch.take(1)) == 1
        assert now() == pytest.approx(2, abs=LATE_S)

    async def test_other_watches_and_other_requests_are_in_time(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        proxy.lag(calls.watches("pods"), 30)
        async with api.watch(MAPS, "default") as watch:
            cluster.create(_map("m"))
            assert len(await watch.take(1)) == 1
        assert (await api.list(kinds.PODS, "default")).status == 200
        assert now() == pytest.approx(0, abs=LATE_S)

    async def test_lag_begins_in_a_watch_that_is_open(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        async with api.watch(MAPS, "default") as watch:
            cluster.create(_map("a"))
            await watch.take(1)
            proxy.lag(calls.watches(), 10)
            cluster.create(_map("b"))
            await watch.take(1)
        assert now() == pytest.approx(10, abs=LATE_S)


class TestConnections:
    async def test_open_watches_end_and_new_ones_work_when_connections_are_broken(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        async with api.watch(MAPS, "default") as watch:
            proxy.break_connections()
            with pytest.raises(aiohttp.ClientError):
                await watch.take(1)
        async with api.watch(MAPS, "default") as watch:
            cluster.create(_map("a"))
            assert len(await watch.take(1)) == 1

    async def test_watch_ends_at_the_server_when_its_client_leaves(
        self, cluster: FakeCluster, api: Api
    ) -> None:
        async with api.watch(MAPS, "default"):
            assert len(cluster.faults.streams) == 1
        # The word passes over two connections, which takes no time of the clock here.
        await asyncio.sleep(LATE_S)
        assert cluster.faults.streams == []

    async def test_agent_and_query_are_what_the_client_sent(self, proxy: Proxy, api: Api) -> None:
        proxy.fail(lambda call: call.agent == "tests" and call.query == {"limit": "7"}, 500)
        assert (await api.list(MAPS, "default", limit="8")).status == 200
        assert (await api.list(MAPS, "default", limit="7")).status == 500


def _map(name: str) -> dict[str, object]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}

"""Each fault of the catalogue does what it says, as a client sees it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.fake import kinds
from tests.fake.api import Api, Endpoint, Refused
from tests.proxy import calls, catalogue, mishaps

if TYPE_CHECKING:
    from tests.fake.api import Reply
    from tests.fake.cluster import FakeCluster
    from tests.fake.resources import ResourceType
    from tests.proxy.proxy import Proxy

pytestmark = pytest.mark.looptime

MAPS = kinds.CONFIG_MAPS
SOON_S = 0.01
EVERYTHING = calls.any_at_all
RUNS = kinds.PIPELINE_RUNS
NOTHING = calls.creates("nothing")


def a_map(name: str) -> dict[str, object]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


async def create(api: Api, name: str) -> Reply:
    return await api.create(MAPS, "default", {"metadata": {"name": name}})


def kind_of(resource: ResourceType) -> dict[str, object]:
    return {"apiVersion": resource.api_version, "kind": resource.kind}


def stored(cluster: FakeCluster) -> list[str]:
    return [each["metadata"]["name"] for each in cluster.items(MAPS)]


def test_every_code_of_the_catalogue_is_there() -> None:
    assert list(catalogue.CATALOGUE) == [f"F{number}" for number in range(1, 15)]
    assert all(code == fault.code for code, fault in catalogue.CATALOGUE.items())


class TestMet:
    async def ask(self, cluster: FakeCluster, api: Api, name: str) -> None:
        """A watch with an event, a list, and a create; whatever becomes of them."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, Refused):
            async with asyncio.timeout(60):
                await api.create(RUNS, "default", {"metadata": {"name": name}, "spec": {}})
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, Refused):
            async with asyncio.timeout(60):
                await api.list(RUNS, "default")
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, Refused):
            async with asyncio.timeout(60), api.watch(RUNS, "default") as watch:
                metadata = {"name": f"{name}-more", "namespace": "default"}
                cluster.create({**kind_of(RUNS), "metadata": metadata, "spec": {}})
                await watch.take(1)

    @pytest.mark.parametrize("code", list(catalogue.CATALOGUE))
    async def test_fault_counts_what_it_met_and_nothing_else(
        self, cluster: FakeCluster, proxy: Proxy, api: Api, code: str
    ) -> None:
        begin = catalogue.CATALOGUE[code].begin
        fault, other = begin(proxy, calls.of_group("tekton.dev")), begin(proxy, NOTHING)
        assert (fault.met, other.met) == (0, 0)
        for name in ("a", "b"):
            await self.ask(cluster, api, name)
        assert fault.met > 0
        assert other.met == 0


class TestBlackHole:
    async def test_request_gets_no_answer_and_no_end(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        hole = catalogue.CATALOGUE["F1"].begin(proxy, EVERYTHING)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await create(api, "a")
        hole.end()
        assert (await create(api, "b")).status == 201
        assert stored(cluster) == ["b"]

    async def test_open_watch_falls_silent_and_breaks_when_it_is_over(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        async with api.watch(MAPS, "default") as watch:
            cluster.create(a_map("a"))
            await watch.take(1)
            hole = proxy.swallow(calls.watches("configmaps"))
            cluster.create(a_map("b"))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3600):
                    await watch.take(1)
        hole.end()

    async def test_others_pass(self, proxy: Proxy, api: Api) -> None:
        proxy.swallow(calls.creates("pods"))
        assert (await create(api, "a")).status == 201


class TestReset:
    async def test_answer_is_cut_in_its_body(self, proxy: Proxy, api: Api) -> None:
        catalogue.reset(proxy, EVERYTHING, after_bytes=10)
        for name in ("a", "b"):
            with pytest.raises(aiohttp.ClientError):
                await create(api, name)
        assert (await create(api, "c")).status == 201

    async def test_watch_is_cut_in_a_chunk(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        catalogue.reset(proxy, calls.watches(), after_bytes=20)
        async with api.watch(MAPS, "default") as watch:
            cluster.create(a_map("a"))
            with pytest.raises(aiohttp.ClientError):
                await watch.take(1)
            assert len(watch.rest) <= 20


class TestEnds:
    async def test_watches_end_at_once_for_as_long_as_it_lasts(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        fault = catalogue.instant_end(proxy, EVERYTHING)
        for _ in range(3):
            async with api.watch(MAPS, "default") as watch:
                assert [event async for event in watch] == []
        fault.end()
        async with api.watch(MAPS, "default") as watch:
            cluster.create(a_map("a"))
            assert len(await watch.take(1)) == 1

    @pytest.mark.parametrize("opened", ["before", "after"])
    async def test_watch_ends_within_a_line(
        self, cluster: FakeCluster, proxy: Proxy, api: Api, opened: str
    ) -> None:
        if opened == "after":
            catalogue.torn_line(proxy, EVERYTHING, after_bytes=30)
        async with api.watch(MAPS, "default") as watch:
            if opened == "before":
                catalogue.torn_line(proxy, EVERYTHING, after_bytes=30)
            cluster.create(a_map("a"))
            assert [event async for event in watch] == []
            assert len(watch.rest) == 30

    @pytest.mark.parametrize("reason", ["Expired", ""], ids=["with-reason", "without"])
    @pytest.mark.parametrize("code", [410, 429, 500, 504])
    async def test_watch_tells_of_an_error_after_its_events_and_ends(
        self, cluster: FakeCluster, proxy: Proxy, api: Api, code: int, reason: str
    ) -> None:
        catalogue.error_event(proxy, EVERYTHING, code=code, reason=reason, after_events=2)
        async with api.watch(MAPS, "default") as watch:
            for name in ("a", "b", "c"):
                cluster.create(a_map(name))
            events = [event async for event in watch]
        assert [event.type for event in events] == ["ADDED", "ADDED", "ERROR"]
        said = events[-1].object
        assert (said["code"], said.get("reason", "")) == (code, reason)


class TestAnswers:
    async def test_throttled_answer_is_no_status_and_closes(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        fault = catalogue.throttle(proxy, EVERYTHING, seconds=7)
        reply = await create(api, "a")
        assert (reply.status, reply.content_type) == (429, "text/plain")
        assert (reply.headers["Retry-After"], reply.headers["Connection"]) == ("7", "close")
        assert stored(cluster) == []
        fault.end()
        assert (await create(api, "a")).status == 201

    @pytest.mark.parametrize("code", [502, 503, 504])
    async def test_page_of_a_balancer_is_html(self, proxy: Proxy, api: Api, code: int) -> None:
        catalogue.page(proxy, EVERYTHING, code=code)
        reply = await create(api, "a")
        assert (reply.status, reply.content_type) == (code, "text/html")

    async def test_write_is_done_and_its_answer_lost(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        catalogue.apply_then_drop(proxy, EVERYTHING, times=1)
        assert (await api.list(MAPS, "default")).status == 200
        with pytest.raises(aiohttp.ClientError):
            await create(api, "a")
        assert stored(cluster) == ["a"]

    async def test_answer_comes_late_until_it_ends(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        fault = catalogue.late_answers(proxy, EVERYTHING, seconds=30)
        assert (await create(api, "a")).status == 201
        assert asyncio.get_running_loop().time() == pytest.approx(30, abs=SOON_S)
        fault.end()
        assert (await create(api, "b")).status == 201
        assert asyncio.get_running_loop().time() == pytest.approx(30, abs=SOON_S)
        assert stored(cluster) == ["a", "b"]

    async def test_reads_show_the_past(self, proxy: Proxy, api: Api) -> None:
        fault = catalogue.stale_reads(proxy, EVERYTHING)
        assert (await api.list(MAPS, "default")).accept()["items"] == []
        assert (await create(api, "a")).status == 201
        assert (await api.list(MAPS, "default")).accept()["items"] == []
        assert (await api.get(MAPS, "default", "a")).status == 200
        fault.end()
        assert len((await api.list(MAPS, "default")).accept()["items"]) == 1

    async def test_recording_shows_what_was_when_it_was_frozen(
        self, proxy: Proxy, api: Api
    ) -> None:
        recording = proxy.record(EVERYTHING)
        for name in ("a", "b"):
            await create(api, name)
            await api.list(MAPS, "default")
        recording.freeze()
        await create(api, "c")
        assert len((await api.list(MAPS, "default")).accept()["items"]) == 2

    async def test_only_the_old_token_is_unknown(self, cluster: FakeCluster, proxy: Proxy) -> None:
        catalogue.old_token(proxy, EVERYTHING, token="old")
        assert cluster.url
        for token, status in (("old", 401), ("new", 200)):
            async with Api(Endpoint(proxy.url, token=token)) as api:
                assert (await api.list(MAPS, "default")).status == status

    async def test_one_group_is_not_served(self, proxy: Proxy, api: Api) -> None:
        fault = catalogue.group_missing(proxy, EVERYTHING)
        reply = await api.list(kinds.PIPELINE_RUNS, "default")
        assert (reply.status, reply.raw) == (404, b"404 page not found\n")
        assert (await api.list(MAPS, "default")).status == 200
        fault.end()
        assert (await api.list(kinds.PIPELINE_RUNS, "default")).status == 200


class TestEvents:
    async def test_events_come_late(self, cluster: FakeCluster, proxy: Proxy, api: Api) -> None:
        catalogue.late_events(proxy, EVERYTHING, seconds=30)
        async with api.watch(MAPS, "default") as watch:
            assert (await create(api, "a")).status == 201
            assert asyncio.get_running_loop().time() == pytest.approx(0, abs=SOON_S)
            await watch.take(1)
        assert asyncio.get_running_loop().time() == pytest.approx(30, abs=SOON_S)
        assert stored(cluster) == ["a"]

    async def test_one_event_is_long_and_the_next_is_not(
        self, cluster: FakeCluster, proxy: Proxy, api: Api
    ) -> None:
        catalogue.long_line(proxy, EVERYTHING)
        async with api.watch(MAPS, "default") as watch:
            for name in ("a", "b"):
                cluster.create(a_map(name))
            long, short = await watch.take(2)
        padding = long.object["metadata"]["annotations"][mishaps.PADDING]
        assert len(padding) == catalogue.LONG_LINE_BYTES
        assert "annotations" not in short.object["metadata"]

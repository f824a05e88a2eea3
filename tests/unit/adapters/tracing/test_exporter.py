"""Finished spans on their way to a collector that is there, busy, away or unwilling."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
import structlog.testing

from tests.support.otlp import Collector
from tests.unit.clocks import WallClock
from workflowexecution.adapters.tracing import exporter, spans

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.looptime

SUBJECT = spans.Subject("uid", "payment", "x", "rr-1", "w")


class Rig:
    """An exporter and what tells it spans."""

    def __init__(self, url: str) -> None:
        self.exporter = exporter.Exporter(endpoint=url, user_agent="workflowexecution/1")
        self.spans = spans.Spans(
            processor=self.exporter, clock=WallClock(), version="1", identity="pod-1"
        )

    def tell(self, count: int = 1) -> None:
        now = self.spans.now_ns()
        for number in range(count):
            told = spans.Told(
                name=f"s-{number}", span=spans.new_id(), parent=7,
                started_ns=now, ended_ns=now - 5, attributes={"n": number},
            )  # fmt: skip
            self.spans.tell(SUBJECT, told)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.exporter.run())
            yield
            self.exporter.stop()


async def test_spans_of_a_second_go_together() -> None:
    async with Collector().running() as collector:
        rig = Rig(collector.url)
        async with rig.running():
            await asyncio.sleep(30)
            rig.tell(3)
            await asyncio.sleep(0.5)
            rig.tell(2)
            assert collector.requests == 0
            await asyncio.sleep(1)
            assert (collector.requests, len(collector.spans)) == (1, 5)
    assert {it.sender for it in collector.spans} == {"pod-1"}
    assert {it.parent for it in collector.spans} == {f"{7:016x}"}
    assert all(it.started_ns == it.ended_ns for it in collector.spans)
    assert collector.headers["User-Agent"] == "workflowexecution/1"


@pytest.mark.parametrize("status", [429, 503])
async def test_spans_come_again_when_the_collector_is_busy(status: int) -> None:
    async with Collector().running() as collector:
        collector.statuses = [status]
        rig = Rig(collector.url)
        async with rig.running():
            rig.tell(2)
            await asyncio.sleep(10)
    assert [it.name for it in collector.spans] == ["s-0", "s-1"]
    assert rig.exporter.lost == 0


async def test_spans_are_dropped_when_the_collector_refuses_them() -> None:
    async with Collector().running() as collector:
        collector.statuses = [400]
        rig = Rig(collector.url)
        with structlog.testing.capture_logs() as logs:
            async with rig.running():
                rig.tell(2)
                await asyncio.sleep(10)
                rig.tell(1)
                await asyncio.sleep(10)
    assert len(collector.spans) == 1
    assert rig.exporter.lost == 2
    assert [it["event"] for it in logs] == ["Spans are refused", "Spans are lost"]


async def test_memory_is_bounded_while_the_collector_is_away() -> None:
    rig = Rig("http://127.0.0.1:1")
    with structlog.testing.capture_logs() as logs:
        async with rig.running():
            rig.tell(exporter.MAX_WAITING)
            await asyncio.sleep(20)
            rig.tell(10)
            await asyncio.sleep(20)
    assert rig.exporter.lost == 10
    assert [it["event"] for it in logs] == [
        "Spans cannot be sent", "Spans begin to be lost", "Spans are lost",
    ]  # fmt: skip
    assert logs[-1]["spans"] == exporter.MAX_WAITING + 10


@pytest.mark.parametrize(
    ("url", "header"),
    [
        pytest.param("http://127.0.0.1:1", "x-tenant=a%0Ab", id="line-break-in-a-header"),
        pytest.param("http://a..b", "x-tenant=a", id="no-host"),
    ],
)
async def test_spans_wait_where_no_request_can_be_made(
    monkeypatch: pytest.MonkeyPatch, url: str, header: str
) -> None:
    monkeypatch.setenv(exporter.HEADERS, header)
    rig = Rig(url)
    with structlog.testing.capture_logs() as logs:
        async with rig.running():
            rig.tell(1)
            await asyncio.sleep(20)
    assert [it["event"] for it in logs] == ["Spans cannot be sent", "Spans are lost"]


async def overflow(rig: Rig, collector: Collector) -> None:
    """An outage in which there is room for four spans, and seven are told."""
    collector.statuses = [503] * 3
    rig.tell(3)
    await asyncio.sleep(3)
    rig.tell(2)
    rig.tell(2)
    await asyncio.sleep(30)


async def test_each_outage_tells_when_spans_begin_to_be_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporter, "MAX_WAITING", 4)
    with structlog.testing.capture_logs() as logs:
        async with Collector().running() as collector:
            rig = Rig(collector.url)
            async with rig.running():
                await overflow(rig, collector)
                await overflow(rig, collector)
    began = [it for it in logs if it["event"] == "Spans begin to be lost"]
    assert [it["url"] for it in began] == [rig.exporter.url] * 2
    assert rig.exporter.lost == 6


async def test_oldest_give_way_when_a_batch_comes_back_to_a_full_line() -> None:
    async with Collector().running() as collector:
        collector.statuses = [503]
        rig = Rig(collector.url)
        async with rig.running():
            rig.tell(exporter.MAX_WAITING)
            await asyncio.sleep(1)
            while collector.requests == 0:  # noqa: ASYNC110 - virtual time
                await asyncio.sleep(0)
            rig.tell(exporter.MAX_BATCH)
            await asyncio.sleep(20)
        assert rig.exporter.lost + len(collector.spans) == (
            exporter.MAX_WAITING + exporter.MAX_BATCH
        )


async def test_stop_sends_what_is_there_and_waits_for_nobody() -> None:
    async with Collector().running() as collector:
        rig = Rig(collector.url)
        began = asyncio.get_running_loop().time()
        async with rig.running():
            rig.tell()
        assert len(collector.spans) == 1
        assert asyncio.get_running_loop().time() - began < exporter.LAST_S


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("http://c/otlp/v1/traces", "http://c/otlp/v1/traces"),
    ],
)
async def test_path_of_the_protocol_is_added_where_there_is_none(given: str, asked: str) -> None:
    assert exporter.Exporter(endpoint=given, user_agent="x").url == asked


async def test_headers_come_from_the_usual_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(exporter.HEADERS, "x-tenant=remediation")
    async with Collector().running() as collector:
        rig = Rig(collector.url)
        async with rig.running():
            rig.tell()
            await asyncio.sleep(2)
    assert collector.headers["x-tenant"] == "remediation"

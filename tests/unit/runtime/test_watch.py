import asyncio
import json

import pytest
import structlog.testing

from tests.unit.runtime import objects, servers
from tests.unit.runtime.conftest import Pair
from workflowexecution.runtime import client, errors

pytestmark = pytest.mark.looptime


def line(kind: str, version: str) -> bytes:
    return json.dumps({"type": kind, "object": objects.raw(version=version)}).encode() + b"\n"


async def collect(
    pair: Pair, handler: servers.Handler, batches: list[list[str]] | None = None
) -> list[list[str]]:
    """Watch to the end; returns the versions of each batch."""
    seen = [] if batches is None else batches
    pair.answer(handler)
    async with pair.client.watch(
        objects.WIDGETS, label_selector="a", resource_version="5", timeout_s=290.7, idle_s=90
    ) as stream:
        async for batch in stream:
            seen.append([event.object["metadata"]["resourceVersion"] for event in batch])
    return seen


async def test_watch_asks_for_bookmarks_and_a_timeout(pair: Pair) -> None:
    await pair.client.get_json("/x")
    await collect(pair, servers.Exchange.reply)
    asked = pair.server.seen[1]
    assert asked.path == "/apis/example.org/v1/widgets"
    assert asked.query == {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "labelSelector": "a",
        "resourceVersion": "5",
        "timeoutSeconds": "290",
    }


async def test_watch_gives_the_events_of_a_chunk_together(pair: Pair) -> None:
    async def handler(exchange: servers.Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(line("ADDED", "1") + line("MODIFIED", "2"))
        await asyncio.sleep(1)
        await exchange.chunk(line("BOOKMARK", "3"))
        await exchange.chunk(b"")

    assert await collect(pair, handler) == [["1", "2"], ["3"]]


async def test_watch_joins_an_event_that_comes_in_pieces(pair: Pair) -> None:
    async def handler(exchange: servers.Exchange) -> None:
        whole = line("ADDED", "1") + line("ADDED", "2")
        await exchange.begin_stream()
        for start in range(0, len(whole), 7):
            await exchange.chunk(whole[start : start + 7])
            await asyncio.sleep(1)
        await exchange.chunk(b"")

    assert await collect(pair, handler) == [["1"], ["2"]]


async def test_watch_drops_an_incomplete_last_event(pair: Pair) -> None:
    async def handler(exchange: servers.Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(line("ADDED", "1") + line("ADDED", "2")[:-9])
        await exchange.chunk(b"")

    assert await collect(pair, handler) == [["1"]]


@pytest.mark.parametrize("cut", range(0, 200, 13))
async def test_reset_at_any_byte_gives_whole_events_and_an_error(pair: Pair, cut: int) -> None:
    whole = line("ADDED", "1") + line("ADDED", "2")

    async def handler(exchange: servers.Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(whole[: cut + 1])
        await asyncio.sleep(1)
        exchange.abort()

    seen: list[list[str]] = []
    with pytest.raises(errors.TransportError):
        await collect(pair, handler, seen)
    expected = [str(number) for number in range(1, 1 + whole[: cut + 1].count(b"\n"))]
    assert seen == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({"kind": "Status", "code": 410}, errors.Gone, id="410"),
        pytest.param({"kind": "Status", "reason": "Expired"}, errors.Gone, id="expired"),
        pytest.param({"kind": "Status", "code": 429}, errors.Throttled, id="429"),
        pytest.param({"kind": "Status", "code": 500}, errors.ServerError, id="500"),
        pytest.param({}, errors.ServerError, id="empty"),
    ],
)
async def test_error_event_is_raised_after_the_events_before_it(
    pair: Pair, status: dict[str, object], expected: type[errors.ApiError]
) -> None:
    async def handler(exchange: servers.Exchange) -> None:
        await exchange.begin_stream()
        await exchange.events(("ADDED", objects.raw()), ("ERROR", status), ("ADDED", objects.raw()))
        await exchange.stay_silent()

    seen: list[list[str]] = []
    with pytest.raises(expected):
        await collect(pair, handler, seen)
    assert seen == [["1"]]


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"{nonsense\n", id="not-json"),
        pytest.param(b"[]\n", id="not-an-object"),
        pytest.param(b'{"type": "ADDED"}\n', id="no-object"),
        pytest.param(b'{"type": "ADDED", "object": "x"}\n', id="odd-object"),
    ],
)
async def test_garbage_in_the_stream_is_no_usable_answer(pair: Pair, garbage: bytes) -> None:
    async def handler(exchange: servers.Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(garbage)
        await exchange.stay_silent()

    with pytest.raises(errors.TransportError, match="malformed"):
        await collect(pair, handler)


async def test_watch_is_given_up_when_no_byte_comes(pair: Pair) -> None:
    async def handler(exchange: servers.Exchange) -> None:
        await exchange.begin_stream()
        await asyncio.sleep(60)
        await exchange.chunk(line("BOOKMARK", "1"))
        await exchange.stay_silent()

    seen: list[list[str]] = []
    with pytest.raises(errors.TransportError) as caught:
        await collect(pair, handler, seen)
    assert caught.value.silent
    assert seen == [["1"]]
    assert asyncio.get_running_loop().time() == 150


async def test_watch_whose_connection_is_closed_in_silence_is_broken(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handler(exchange: servers.Exchange) -> None:
        await exchange.begin_stream()
        await exchange.stay_silent()

    servers.close_in_silence(monkeypatch)
    with pytest.raises(errors.TransportError, match="Connection closed"):
        await collect(pair, handler)


async def test_watch_is_given_up_when_the_server_never_ends_it(pair: Pair) -> None:
    async def handler(exchange: servers.Exchange) -> None:
        await exchange.begin_stream()
        while True:
            await asyncio.sleep(60)
            await exchange.chunk(line("BOOKMARK", "1"))

    with pytest.raises(errors.TransportError) as caught:
        await collect(pair, handler)
    assert not caught.value.silent
    assert asyncio.get_running_loop().time() == pytest.approx(290.7 + 90 + 15, abs=1)


async def test_event_that_is_too_long_is_skipped_and_counted(pair: Pair) -> None:
    async def handler(exchange: servers.Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(line("ADDED", "1"))
        for _ in range(9):
            await exchange.chunk(b"x" * 1024 * 1024)
        await exchange.chunk(b"\n" + line("ADDED", "3"))
        await exchange.chunk(b"")

    with structlog.testing.capture_logs() as logs:
        seen = await collect(pair, handler)
    assert [version for batch in seen for version in batch] == ["1", "3"]
    assert pair.client.skipped_lines == 1
    assert len(logs) == 1


async def test_event_of_five_mebibytes_is_given(pair: Pair) -> None:
    fat = objects.raw(version="2", color="x" * 5 * 1024 * 1024)

    async def handler(exchange: servers.Exchange) -> None:
        await exchange.begin_stream()
        await exchange.events(("ADDED", fat))
        await exchange.chunk(b"")

    assert await collect(pair, handler) == [["2"]]


async def test_watch_that_is_left_closes_its_connection(pair: Pair) -> None:
    closed = asyncio.Event()

    async def handler(exchange: servers.Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(line("ADDED", "1"))
        await exchange.wait_closed()
        closed.set()

    pair.answer(handler)
    async with pair.client.watch(
        objects.WIDGETS, resource_version="5", timeout_s=290, idle_s=90
    ) as stream:
        async for batch in stream:
            assert batch == [client.WatchEvent("ADDED", objects.raw())]
            break
    await closed.wait()


async def test_error_of_the_watcher_itself_is_not_changed(pair: Pair) -> None:
    async def handler(exchange: servers.Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(line("ADDED", "1"))
        await exchange.stay_silent()

    class Failing(list[list[str]]):
        def append(self, item: list[str]) -> None:
            raise OSError("mine")

    with pytest.raises(OSError, match="mine"):
        await collect(pair, handler, Failing())

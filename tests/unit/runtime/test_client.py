import json
from collections.abc import Awaitable, Callable

import pytest

from tests.unit.runtime import objects, servers
from tests.unit.runtime.conftest import Pair
from workflowexecution.runtime import client, errors

pytestmark = pytest.mark.looptime

COLLECTION = "/apis/example.org/v1/namespaces/space/widgets"
ONE = f"{COLLECTION}/one"


def always(content: object, status: int = 200, **headers: str) -> servers.Handler:
    async def handler(exchange: servers.Exchange) -> None:
        await exchange.reply(content, status=status, **headers)

    return handler


async def test_get_reads_one_object(pair: Pair) -> None:
    pair.answer(always(objects.raw()))
    assert await pair.client.get(objects.WIDGETS, objects.key()) == objects.raw()
    asked = pair.server.seen[0]
    assert (asked.method, asked.path, asked.query, asked.body) == ("GET", ONE, {}, b"")


async def test_find_reads_what_is_there_and_tells_what_is_not(pair: Pair) -> None:
    pair.answer(always(objects.raw()))
    assert await pair.client.find(objects.WIDGETS, objects.key()) == objects.raw()
    pair.answer(always({"kind": "Status"}, status=404))
    assert await pair.client.find(objects.WIDGETS, objects.key()) is None
    pair.answer(always({"kind": "Status"}, status=403))
    with pytest.raises(errors.Forbidden):
        await pair.client.find(objects.WIDGETS, objects.key())


async def test_every_request_says_who_asks_and_for_what(pair: Pair) -> None:
    await pair.client.get(objects.WIDGETS, objects.key())
    headers = pair.server.seen[0].headers
    assert headers["user-agent"] == "tester/1"
    assert headers["authorization"] == "Bearer secret"
    assert headers["accept"] == "application/json"
    assert headers["accept-encoding"] == "identity"
    assert "content-type" not in headers


async def test_list_page_asks_for_what_is_given(pair: Pair) -> None:
    pair.answer(always({"items": [objects.raw()], "metadata": {"resourceVersion": "7"}}))
    page = await pair.client.list_page(
        objects.WIDGETS, label_selector="a in (b,c)", field_selector="x=y", limit=5
    )
    assert page == client.ListPage([objects.raw()], "7", "")
    asked = pair.server.seen[0]
    assert asked.path == "/apis/example.org/v1/widgets"
    assert asked.query == {"labelSelector": "a in (b,c)", "fieldSelector": "x=y", "limit": "5"}


async def test_list_page_follows_a_token(pair: Pair) -> None:
    pair.answer(always({"items": None, "metadata": {"resourceVersion": "7", "continue": "t2"}}))
    page = await pair.client.list_page(objects.WIDGETS, namespace="space", continue_token="t1")
    assert page == client.ListPage([], "7", "t2")
    assert pair.server.seen[0].path == COLLECTION
    assert pair.server.seen[0].query == {"continue": "t1"}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"metadata": {"resourceVersion": "1"}}, id="no-items"),
        pytest.param({"items": []}, id="no-metadata"),
        pytest.param({"items": [], "metadata": None}, id="odd-metadata"),
        pytest.param([], id="not-an-object"),
        pytest.param(b"<html>", id="not-json"),
    ],
)
async def test_answer_that_is_no_list_is_no_usable_answer(pair: Pair, answer: object) -> None:
    pair.answer(always(answer))
    with pytest.raises(errors.TransportError, match="answer is not"):
        await pair.client.list_page(objects.WIDGETS)


async def test_create_posts_the_object(pair: Pair) -> None:
    pair.answer(always(objects.raw(version="2"), status=201))
    created = await pair.client.create(objects.WIDGETS, "space", objects.raw())
    assert created == objects.raw(version="2")
    asked = pair.server.seen[0]
    assert (asked.method, asked.path) == ("POST", COLLECTION)
    assert asked.headers["content-type"] == "application/json"
    assert json.loads(asked.body) == objects.raw()


async def test_merge_patch_sends_the_patch_to_the_subresource(pair: Pair) -> None:
    patch = {"metadata": {"resourceVersion": "1"}, "status": {"phase": None}}
    await pair.client.merge_patch(objects.WIDGETS, objects.key(), patch, subresource="status")
    asked = pair.server.seen[0]
    assert (asked.method, asked.path) == ("PATCH", f"{ONE}/status")
    assert asked.headers["content-type"] == "application/merge-patch+json"
    assert json.loads(asked.body) == patch


@pytest.mark.parametrize(
    ("whole", "accepted"),
    [
        (True, "application/json"),
        (
            False,
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
        ),
    ],
)
async def test_writes_ask_for_no_more_of_the_object_than_is_wanted(
    pair: Pair, whole: bool, accepted: str
) -> None:
    await pair.client.create(objects.WIDGETS, "space", objects.raw(), whole=whole)
    await pair.client.merge_patch(objects.WIDGETS, objects.key(), {}, whole=whole)
    assert [asked.headers["accept"] for asked in pair.server.seen] == [accepted, accepted]


async def test_delete_names_exactly_the_object(pair: Pair) -> None:
    await pair.client.delete(objects.WIDGETS, objects.key(), uid="u1")
    asked = pair.server.seen[0]
    assert (asked.method, asked.path) == ("DELETE", ONE)
    options = json.loads(asked.body)
    assert options["propagationPolicy"] == "Foreground"
    assert options["preconditions"] == {"uid": "u1"}


async def test_get_json_reads_any_path(pair: Pair) -> None:
    pair.answer(always({"kind": "APIResourceList"}))
    answer = await pair.client.get_json("/apis/example.org/v1", params={"a": "b"})
    assert answer == {"kind": "APIResourceList"}
    assert pair.server.seen[0].query == {"a": "b"}


async def test_get_text_reads_text(pair: Pair) -> None:
    pair.answer(always("grün".encode() + b"\xc3"))
    assert await pair.client.get_text("/log", params={"x": "y"}, max_bytes=100) == "grün\ufffd"
    assert pair.server.seen[0].query == {"x": "y"}


async def test_get_text_keeps_the_end_of_a_long_text(pair: Pair) -> None:
    async def long(exchange: servers.Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(b"x" * 50)
        await exchange.chunk(b"y" * 50)
        await exchange.chunk(b"end")
        await exchange.chunk(b"")

    pair.answer(long)
    assert await pair.client.get_text("/log", max_bytes=60) == "x" * 7 + "y" * 50 + "end"


async def call_get(asking: client.Client) -> None:
    await asking.get(objects.WIDGETS, objects.key())


async def call_list(asking: client.Client) -> None:
    await asking.list_page(objects.WIDGETS)


async def call_create(asking: client.Client) -> None:
    await asking.create(objects.WIDGETS, "space", {})


async def call_patch(asking: client.Client) -> None:
    await asking.merge_patch(objects.WIDGETS, objects.key(), {})


async def call_delete(asking: client.Client) -> None:
    await asking.delete(objects.WIDGETS, objects.key(), uid="u")


async def call_text(asking: client.Client) -> None:
    await asking.get_text("/log", max_bytes=10)


async def call_watch(asking: client.Client) -> None:
    async with asking.watch(
        objects.WIDGETS, resource_version="1", timeout_s=290, idle_s=90
    ) as batches:
        async for _ in batches:
            pass


Verb = Callable[[client.Client], Awaitable[None]]
VERBS = [call_get, call_list, call_create, call_patch, call_delete, call_text, call_watch]


@pytest.mark.parametrize("call", VERBS)
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(429, b"Too many requests\n", errors.Throttled, id="429-text"),
        pytest.param(502, b"<html></html>", errors.ServerError, id="502-html"),
        pytest.param(404, b"404 page not found\n", errors.EndpointMissing, id="404-text"),
        pytest.param(404, b'{"kind":"Status"}', errors.NotFound, id="404-status"),
        pytest.param(401, b"", errors.Unauthorized, id="401"),
    ],
)
async def test_every_verb_raises_what_the_server_says(
    pair: Pair, call: Verb, status: int, body: bytes, expected: type[errors.ApiError]
) -> None:
    pair.answer(always(body, status, Retry_After="3", Connection="close"))
    with pytest.raises(expected) as caught:
        await call(pair.client)
    assert caught.value.retry_after_s == 3
    assert len(pair.server.seen) == 1


@pytest.mark.parametrize("call", VERBS)
async def test_every_verb_ends_when_the_server_is_silent(pair: Pair, call: Verb) -> None:
    pair.answer(servers.Exchange.stay_silent)
    with pytest.raises(errors.TransportError, match="Timeout") as caught:
        await call(pair.client)
    assert caught.value.sent


@pytest.mark.parametrize("call", VERBS)
async def test_every_verb_maps_a_reset(pair: Pair, call: Verb) -> None:
    async def reset(exchange: servers.Exchange) -> None:
        exchange.abort()

    pair.answer(reset)
    with pytest.raises(errors.TransportError):
        await call(pair.client)

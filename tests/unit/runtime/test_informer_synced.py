"""What an informer says of its list: it is in, why it cannot be, or there is no such API."""

import asyncio

import pytest

from tests.unit.runtime import objects, sources
from tests.unit.runtime.informers import FAILED, GONE, REFUSED, RESET, Rig
from workflowexecution.runtime import client, errors

pytestmark = pytest.mark.looptime


async def test_informer_is_synced_once_the_list_is_in() -> None:
    rig = Rig()
    rig.source.pages = [RESET, client.ListPage([], "1", "")]
    assert not rig.informer.synced
    async with asyncio.TaskGroup() as group:
        running = group.create_task(rig.informer.run())
        await rig.informer.wait_synced()
        assert sources.now() == 0.8
        running.cancel()
    assert (rig.informer.synced, rig.cache.synced) == (True, True)
    assert rig.states == [(0.8, True, False)]


@pytest.mark.parametrize(
    "page", [client.ListPage([], "1", ""), sources.refusal(404), sources.refusal(403)]
)
async def test_informer_is_known_once_the_list_is_in_or_why_it_cannot_be(
    page: client.ListPage | errors.ApiError,
) -> None:
    rig = Rig()
    rig.source.pages = [RESET, page]
    async with asyncio.TaskGroup() as group:
        running = group.create_task(rig.informer.run())
        await rig.informer.wait_known()
        assert sources.now() == 0.8
        await rig.informer.wait_known()
        running.cancel()


@pytest.mark.parametrize(
    ("failures", "known_at"),
    [
        pytest.param([FAILED], [50.4], id="500"),
        pytest.param([REFUSED], [], id="no-server"),
        pytest.param([sources.refusal(503)], [], id="proxy"),
        pytest.param([sources.refusal(429)], [], id="busy"),
        pytest.param([GONE], [], id="expired"),
        pytest.param([FAILED, *[REFUSED] * 20, FAILED], [106.8], id="not-before-an-outage"),
        pytest.param(
            [FAILED, *[sources.refusal(502)] * 20, FAILED], [106.8], id="not-before-a-proxys"
        ),
        pytest.param([FAILED, *[sources.refusal(429)] * 2, FAILED], [50.4], id="busy-meanwhile"),
    ],
)
async def test_informer_is_known_once_the_server_has_refused_the_list_for_half_a_minute(
    failures: list[errors.ClusterError], known_at: list[float]
) -> None:
    rig = Rig()
    rig.source.pages = [*failures]
    told: list[float] = []

    async def know() -> None:
        await rig.informer.wait_known()
        told.append(sources.now())

    knowing = asyncio.create_task(know())
    await rig.run_for(600)
    knowing.cancel()
    assert told == pytest.approx(known_at)
    assert not rig.informer.synced


async def test_missing_api_is_told_once_and_changes_nothing_else() -> None:
    rig = Rig()
    rig.source.serve(objects.raw("a"))
    rig.source.watches = [[10.0], sources.refusal(404)]
    rig.source.pages += [sources.refusal(404), sources.refusal(404)]
    await rig.run_for(22)
    assert rig.source.listed_at == [0, 15, 20]
    assert (rig.informer.missing, rig.informer.synced) == (True, True)
    assert (rig.names, len(rig.told)) == (["a"], 1)
    assert rig.states == [(0, True, False), (10, True, True)]


async def test_api_that_is_served_again_is_told_and_listed() -> None:
    rig = Rig()
    rig.source.pages = [sources.refusal(404), client.ListPage([objects.raw("a")], "4", "")]
    await rig.run_for(20)
    assert rig.states == [(0, False, True), (5, False, False), (5, True, False)]
    assert rig.names == ["a"]


async def test_object_that_is_not_found_means_a_missing_api_for_a_collection() -> None:
    rig = Rig()
    rig.source.pages = [errors.map_status({"code": 404, "reason": "NotFound"})]
    await rig.run_for(1)
    assert rig.informer.missing

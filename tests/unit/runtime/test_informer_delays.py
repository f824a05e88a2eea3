"""How soon an informer tries again, and what it goes on from."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog.testing

from tests.unit.runtime import objects, sources
from tests.unit.runtime.informers import FAILED, GONE, REFUSED, RESET, Rig
from workflowexecution.runtime import client, errors, resource

pytestmark = pytest.mark.looptime


async def test_informer_backs_off_when_every_version_is_called_expired() -> None:
    rig = Rig()
    rig.source.watches = [GONE] * 4
    await rig.run_for(9)
    assert rig.source.listed_at == pytest.approx([0, 0, 1.6, 4.8])


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(sources.refusal(500), id="500"),
        pytest.param(errors.map_status({}), id="empty-status"),
        pytest.param(errors.map_status({"code": 429}), id="429-event"),
        pytest.param(RESET, id="reset"),
    ],
)
async def test_informer_resumes_from_the_last_good_version_after_a_failure(
    failure: errors.ClusterError,
) -> None:
    rig = Rig()
    rig.source.watches = [[[sources.event("ADDED", objects.raw("a", "6"))], failure]]
    with structlog.testing.capture_logs() as logs:
        await rig.run_for(10)
    assert rig.source.opened_versions == ["1", "6"]
    assert rig.source.opened_at == [0, 0.8]
    assert len(rig.source.lists) == 1
    assert [entry["log_level"] for entry in logs] == ["warning"]


async def test_informer_connects_at_most_fifteen_times_a_minute_when_streams_end_at_once() -> None:
    rig = Rig()
    rig.source.watches = [[] for _ in range(100)]
    await rig.run_for(60)
    assert rig.source.opened_at == pytest.approx([0, 0.8, 2.4, 5.6, 12, 24.8, 50.4])


async def test_informer_backs_off_up_to_thirty_seconds() -> None:
    rig = Rig()
    rig.source.watches = [FAILED for _ in range(100)]
    await rig.run_for(200)
    assert rig.source.opened_at[-1] - rig.source.opened_at[-2] == pytest.approx(30)


async def test_informer_tries_each_three_seconds_while_connections_are_refused() -> None:
    rig = Rig()
    rig.source.pages = [REFUSED]
    await rig.run_for(20)
    assert rig.source.listed_at == pytest.approx([0, 0.8, 2.4, 5.4, 8.4, 11.4, 14.4, 17.4])


async def test_informer_is_back_soon_when_the_server_is_after_a_long_time() -> None:
    rig = Rig()
    starting = [sources.refusal(500), sources.refusal(429, retry_after="1"), GONE]
    rig.source.watches = [[10.0, RESET], REFUSED, *starting]
    rig.source.pages = [*rig.source.pages, *[REFUSED] * 200, client.ListPage([], "2", "")]
    await rig.run_for(700)
    *_, first, second, third, good = rig.source.opened_at
    *_, refused, listed, _ = rig.source.listed_at
    assert listed - refused == pytest.approx(3)
    assert first == listed
    assert [second - first, third - second, good - third] == pytest.approx([1.6, 3.2, 0])


async def test_informer_forgets_its_failures_after_a_stream_that_lived() -> None:
    rig = Rig()
    rig.source.watches = [FAILED, FAILED, [5.0, RESET], FAILED]
    await rig.run_for(20)
    assert rig.source.opened_at == pytest.approx([0, 0.8, 2.4, 8.2, 9.8])


async def test_informer_tries_at_once_when_it_is_told_that_the_server_is_back() -> None:
    rig = Rig()
    rig.source.watches = [FAILED] * 6
    loop = asyncio.get_running_loop()
    loop.call_later(30, rig.informer.hurry)
    await rig.run_for(49)
    assert rig.source.opened_at == pytest.approx([0, 0.8, 2.4, 5.6, 12, 24.8, 30])


class SlowSource(sources.Source):
    """A source that needs ten seconds to open a watch, or to fail to."""

    @contextlib.asynccontextmanager
    async def watch(
        self,
        resource: resource.Resource,
        /,
        **options: Any,  # noqa: ANN401 - forwarded as they come
    ) -> AsyncIterator[AsyncIterator[list[client.WatchEvent]]]:
        await asyncio.sleep(10)
        async with super().watch(resource, **options) as batches:
            yield batches


async def test_informer_does_not_call_a_slow_failure_to_connect_a_stream_that_lived() -> None:
    rig = Rig(SlowSource())
    rig.source.watches = [FAILED, FAILED, FAILED]
    await rig.run_for(50)
    assert rig.source.opened_at == pytest.approx([10, 20.8, 32.4, 45.6])


async def test_informer_waits_as_long_as_the_server_asks_and_keeps_its_version() -> None:
    rig = Rig()
    rig.source.watches = [sources.refusal(429, retry_after="8"), sources.refusal(429)]
    await rig.run_for(30)
    assert rig.source.opened_at == pytest.approx([0, 10, 11.6])
    assert rig.source.opened_versions == ["1", "1", "1"]

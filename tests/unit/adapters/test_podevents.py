"""Events about pods: one reading for all who ask, and none more often than it is worth."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.adapters import fakes
from workflowexecution.adapters import podevents
from workflowexecution.adapters.events import EVENTS
from workflowexecution.runtime import client, errors, resource

pytestmark = pytest.mark.looptime
NAMESPACE = "kubernaut-workflows"
WARNINGS = "involvedObject.kind=Pod,type=Warning"
PULLS = "involvedObject.kind=Pod,type=Normal,reason=BackOff"


def about(pod: str, reason: str = "FailedMount") -> resource.JsonObject:
    return {"involvedObject": {"kind": "Pod", "name": pod}, "reason": reason}


class Lists(fakes.FakeClient):
    """Answers lists by their selector, page by page, as slowly as told."""

    def __init__(self) -> None:
        super().__init__()
        self.events: dict[str, list[list[resource.JsonObject]]] = {}
        self.takes_s = 0.0

    async def list_page(
        self,
        resource: resource.Resource,
        *,
        field_selector: str = "",
        continue_token: str = "",
        **more: Any,  # noqa: ANN401 - what the tests do not look at
    ) -> client.ListPage:
        self._answer("list", resource, more["namespace"], field_selector, continue_token)
        await asyncio.sleep(self.takes_s)
        found = self.events.get(field_selector, [[]])
        number = int(continue_token or 0)
        is_last = number + 1 == len(found)
        # A list that is read is used up.
        return client.ListPage(list(found[number]), "9", "" if is_last else str(number + 1))


class Bed:
    def __init__(self) -> None:
        self.client = Lists()
        self.live = {"a", "b"}
        self.of = podevents.PodEvents(self.client, NAMESPACE, lambda: self.live)


async def test_events_of_one_pod_are_all_that_name_it() -> None:
    bed = Bed()
    selector = "involvedObject.kind=Pod,involvedObject.name=a"
    bed.client.events = {selector: [[about("a")]]}
    assert await bed.of.read("a") == [about("a")]
    assert bed.client.calls == [("list", EVENTS, NAMESPACE, selector, "")]


async def test_events_of_one_pod_that_cannot_be_read_raise() -> None:
    bed = Bed()
    bed.client.answer = fakes.refusal(errors.Forbidden)
    with pytest.raises(errors.Forbidden):
        await bed.of.read("a")


async def test_warnings_of_many_pods_are_read_at_once() -> None:
    bed = Bed()
    bed.client.events = {WARNINGS: [[about("a")]], PULLS: [[about("b", "BackOff")]]}
    found = await asyncio.gather(*(bed.of.warnings(pod) for pod in "abc"))
    assert found == [[about("a")], [about("b", "BackOff")], ()]
    assert [call[3] for call in bed.client.calls] == [WARNINGS, PULLS]


async def test_warnings_come_page_by_page() -> None:
    bed = Bed()
    bed.client.events = {WARNINGS: [[about("a")], [about("b"), about("a", "Failed")]]}
    assert await bed.of.warnings("a") == [about("a"), about("a", "Failed")]
    assert [call[4] for call in bed.client.calls] == ["", "1", ""]


async def test_warnings_are_read_anew_once_they_are_old() -> None:
    bed = Bed()
    assert await bed.of.warnings("a") == ()
    bed.client.events = {WARNINGS: [[about("a")]]}
    await asyncio.sleep(podevents.FRESH_S - 0.1)
    assert await bed.of.warnings("a") == ()
    await asyncio.sleep(0.1)
    assert await bed.of.warnings("a") == [about("a")]
    assert len(bed.client.calls) == 4


async def test_warnings_are_kept_of_live_pods_alone() -> None:
    bed = Bed()
    bed.client.events = {WARNINGS: [[about("gone"), {"involvedObject": None}, about("a")]]}
    assert await bed.of.warnings("gone") == ()
    assert await bed.of.warnings("a") == [about("a")]


async def test_warnings_that_cannot_be_read_are_unknown_and_not_asked_for_at_once() -> None:
    bed = Bed()
    assert await bed.of.warnings("a") == ()
    await asyncio.sleep(podevents.FRESH_S)
    bed.client.answer = fakes.refusal(errors.Forbidden)
    found = await asyncio.gather(*(bed.of.warnings(pod) for pod in "ab"))
    assert (found, len(bed.client.calls)) == ([None, None], 3)
    bed.client.answer = {}
    await asyncio.sleep(podevents.FRESH_S)
    assert await bed.of.warnings("a") == ()


@pytest.mark.parametrize(
    ("takes_s", "pause_s"), [(0.5, 10.0), (4.0, 30.0)], ids=["ten-times", "half-a-minute-at-most"]
)
async def test_slow_lists_are_asked_for_less_often(takes_s: float, pause_s: float) -> None:
    bed = Bed()
    bed.client.takes_s = takes_s
    for wait_s, asked in ((0.0, 2), (pause_s - 0.1, 2), (0.1, 4)):
        await asyncio.sleep(wait_s)
        await bed.of.warnings("a")
        assert len(bed.client.calls) == asked


async def test_who_gives_up_asking_leaves_the_next_to_read() -> None:
    bed = Bed()
    bed.client.takes_s = 1.0
    first = asyncio.create_task(bed.of.warnings("a"))
    second = asyncio.create_task(bed.of.warnings("b"))
    await asyncio.sleep(0.5)
    first.cancel()
    assert await second == ()
    assert first.cancelled()
    assert len(bed.client.calls) == 3

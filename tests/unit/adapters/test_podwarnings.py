"""Warnings about pods: one reading for all who ask, and none more often than it is worth."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.adapters import fakes
from workflowexecution.adapters import podwarnings
from workflowexecution.adapters.events import EVENTS
from workflowexecution.runtime import client, errors, resource

pytestmark = pytest.mark.looptime
NAMESPACE = "kubernaut-workflows"
WARNINGS = "involvedObject.kind=Pod,type=Warning"
PULLS = "involvedObject.kind=Pod,type=Normal,reason=BackOff"


def about(pod: str, reason: str = "FailedMount", **metadata: object) -> resource.JsonObject:
    involved = {"kind": "Pod", "name": pod}
    return {"involvedObject": involved, "reason": reason, "metadata": metadata}


class Lists(fakes.FakeClient):
    """Answers lists by their selector, page by page, as slowly as told."""

    def __init__(self) -> None:
        super().__init__()
        self.events: dict[str, list[list[Any]]] = {}
        self.takes_s = 0.0
        self.asked: list[tuple[str, str]] = []

    async def page(self, field_selector: str, continue_token: str) -> client.ListPage:
        self.asked.append((field_selector, continue_token))
        await asyncio.sleep(self.takes_s)
        found = self.events.get(field_selector, [[]])
        number = int(continue_token or 0)
        is_last = number + 1 == len(found)
        # A list that is read is used up.
        return client.ListPage(list(found[number]), "9", "" if is_last else str(number + 1))


class Bed:
    """A client, two live pods, and what is known of them."""

    def __init__(self) -> None:
        self.client = Lists()
        self.live = ["a", "b"]
        self.of = podwarnings.PodWarnings(self.client, NAMESPACE, lambda: self.live)

    @property
    def is_due(self) -> bool:
        """Whether a look now would read."""
        return self.of.due_in_s <= 0

    @property
    def readings(self) -> int:
        """How many were begun."""
        return self.client.asked.count((WARNINGS, ""))


async def test_nothing_is_known_before_the_first_reading() -> None:
    bed = Bed()
    assert (bed.is_due, bed.of.known, bed.readings) == (True, {}, 0)


async def test_one_reading_tells_of_all_live_pods() -> None:
    bed = Bed()
    bed.client.events = {
        WARNINGS: [[about("a"), about("gone")]],
        PULLS: [[about("a", "BackOff")]],
    }
    await bed.of.renew()
    assert bed.of.known == {"a": [about("a"), about("a", "BackOff")], "b": []}
    assert bed.of.due_in_s == podwarnings.PAUSE_S
    wanted = [("list", EVENTS, NAMESPACE, "", which, 500) for which in (WARNINGS, PULLS)]
    assert bed.client.calls == wanted


async def test_a_reading_goes_from_page_to_page() -> None:
    bed = Bed()
    bed.client.events = {WARNINGS: [[about("a")], [about("b"), about("a", "Failed")]]}
    await bed.of.renew()
    assert bed.of.known == {"a": [about("a"), about("a", "Failed")], "b": [about("b")]}


async def test_what_is_kept_of_an_event_is_what_may_be_told() -> None:
    bed = Bed()
    chatter = about("a", "Unhealthy")
    odd = [
        None,
        {},
        {"involvedObject": 7},
        {**about("a"), "reason": 7},
        {**about("b"), "metadata": 7},
    ]
    mine = about("a", creationTimestamp="2026-11-22T17:00:00Z", managedFields=[{"manager": "k"}])
    bed.client.events = {WARNINGS: [[chatter, *odd, mine]]}
    await bed.of.renew()
    kept = about("a", creationTimestamp="2026-11-22T17:00:00Z")
    assert bed.of.known == {"a": [kept], "b": [about("b")]}


async def test_what_is_known_is_renewed_once_it_is_old() -> None:
    bed = Bed()
    await bed.of.renew()
    bed.client.events = {WARNINGS: [[about("a")]]}
    await asyncio.sleep(podwarnings.PAUSE_S - 0.1)
    await bed.of.renew()
    assert (bed.of.known, bed.readings) == ({"a": [], "b": []}, 1)
    await asyncio.sleep(0.1)
    assert (bed.is_due, bed.of.known) == (True, {})
    await bed.of.renew()
    assert (bed.of.known, bed.readings) == ({"a": [about("a")], "b": []}, 2)


async def test_who_comes_while_another_reads_waits_for_nothing() -> None:
    bed = Bed()
    bed.client.takes_s = 1.0
    reading = asyncio.create_task(bed.of.renew())
    await asyncio.sleep(0.5)
    async with asyncio.timeout(0):
        await bed.of.renew()
    assert (bed.of.due_in_s, bed.of.known, bed.readings) == (1.0, {}, 1)
    await reading
    assert set(bed.of.known) == {"a", "b"}


async def test_a_pod_that_becomes_live_during_a_reading_is_unknown() -> None:
    bed = Bed()
    bed.client.takes_s = 1.0
    reading = asyncio.create_task(bed.of.renew())
    await asyncio.sleep(0.5)
    bed.live.append("c")
    await reading
    assert set(bed.of.known) == {"a", "b"}


@pytest.mark.parametrize(
    "page", [[[about("a")]], [[about("a")], [about("b")]]], ids=["second-list", "second-page"]
)
async def test_a_reading_that_fails_leaves_nothing_known_for_a_while(page: list[list[Any]]) -> None:
    bed = Bed()
    await bed.of.renew()
    await asyncio.sleep(podwarnings.PAUSE_S)
    bed.client.events = {WARNINGS: page}
    bed.client.takes_s = 1.0
    reading = asyncio.create_task(bed.of.renew())
    await asyncio.sleep(0.5)
    bed.client.answer = fakes.refusal(errors.Forbidden)
    await reading
    assert (bed.of.due_in_s, bed.of.known) == (podwarnings.PAUSE_S, {})
    bed.client.answer = {}
    await asyncio.sleep(podwarnings.PAUSE_S)
    await bed.of.renew()
    assert bed.of.known["a"] == [about("a")]


@pytest.mark.parametrize("takes_s", [100.0, 8.0], ids=["one-list", "both-together"])
async def test_a_reading_that_takes_too_long_is_given_up_for_as_long(takes_s: float) -> None:
    bed = Bed()
    bed.client.takes_s = takes_s
    loop = asyncio.get_running_loop()
    began = loop.time()
    await bed.of.renew()
    assert loop.time() - began == pytest.approx(15.0)
    assert bed.of.due_in_s == pytest.approx(15.0)
    assert bed.of.known == {}


@pytest.mark.parametrize(("takes_s", "pause_s"), [(0.25, 2.5), (1.0, 8.0)], ids=["short", "long"])
async def test_long_readings_have_long_pauses(takes_s: float, pause_s: float) -> None:
    bed = Bed()
    bed.client.takes_s = takes_s
    await bed.of.renew()
    await asyncio.sleep(pause_s - 0.1)
    assert bed.of.due_in_s == pytest.approx(0.1)
    assert bed.of.known
    await asyncio.sleep(0.1)
    assert bed.is_due


async def test_who_is_cancelled_leaves_the_reading_to_the_next_in_a_while() -> None:
    bed = Bed()
    bed.client.takes_s = 1.0
    reading = asyncio.create_task(bed.of.renew())
    await asyncio.sleep(0.5)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (bed.of.due_in_s, bed.of.known) == (podwarnings.PAUSE_S, {})
    await asyncio.sleep(podwarnings.PAUSE_S)
    await bed.of.renew()
    assert set(bed.of.known) == {"a", "b"}

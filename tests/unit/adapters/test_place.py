"""What the answers of the server tell of the namespace of the runs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.adapters import fakes
from workflowexecution.adapters import place, tekton
from workflowexecution.runtime import client, errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from workflowexecution.runtime import resource

pytestmark = pytest.mark.looptime
PAGE = client.ListPage(items=[], resource_version="7", continue_token="")


class FakeSource:
    """Answers, or refuses, and keeps how it was asked."""

    def __init__(self) -> None:
        self.error: errors.ClusterError | None = None
        self.asked: list[dict[str, Any]] = []

    async def list_page(self, resource: resource.Resource, /, **given: Any) -> client.ListPage:  # noqa: ANN401 - parameters of the API
        self._answer(given)
        return PAGE

    @contextlib.asynccontextmanager
    async def watch(
        self,
        resource: resource.Resource,
        /,
        **given: Any,  # noqa: ANN401 - parameters of the API
    ) -> AsyncIterator[AsyncIterator[list[client.WatchEvent]]]:
        self._answer(given)
        yield _no_batches()

    def _answer(self, given: dict[str, Any]) -> None:
        self.asked.append(given)
        if self.error is not None:
            raise self.error


async def _no_batches() -> AsyncIterator[list[client.WatchEvent]]:
    return
    yield


class Bed:
    """What informers read from."""

    def __init__(self) -> None:
        self.place = place.Place("runs")
        self.source = FakeSource()
        self.watched = place.Watched(self.source, self.place)

    async def list(self) -> None:
        where = {"namespace": "runs", "label_selector": "a=b", "limit": 5, "continue_token": "t"}
        page = await self.watched.list_page(tekton.PIPELINERUNS, **where)  # type: ignore[arg-type]  # of each its own
        assert page is PAGE
        assert self.source.asked[-1] == where

    async def watch(self) -> None:
        how = {"namespace": "runs", "label_selector": "a=b", "resource_version": "7",
               "timeout_s": 9.0, "idle_s": 3.0}  # fmt: skip
        async with self.watched.watch(tekton.PIPELINERUNS, **how) as batches:  # type: ignore[arg-type]  # of each its own
            assert [batch async for batch in batches] == []
        assert self.source.asked[-1] == how


async def test_nothing_known_is_no_trouble() -> None:
    assert place.Place("runs").trouble == ""


async def test_trouble_is_forgotten_when_nobody_meets_it_any_more() -> None:
    it = place.Place("runs")
    it.absent()
    await asyncio.sleep(place.REMEMBERED_S - 1)
    assert "does not exist" in it.trouble
    it.shut()
    await asyncio.sleep(1)
    assert "no role in it" in it.trouble
    await asyncio.sleep(place.REMEMBERED_S)
    assert it.trouble == ""


@pytest.mark.parametrize("asks", [Bed.list, Bed.watch], ids=["list", "watch"])
async def test_informers_tell_of_a_place_that_is_shut_and_opens(asks: Any) -> None:  # noqa: ANN401 - a method
    bed = Bed()
    bed.source.error = fakes.refusal(errors.Forbidden)
    with pytest.raises(errors.Forbidden):
        await asks(bed)
    assert "Nothing may be read in namespace 'runs'" in bed.place.trouble
    bed.source.error = None
    await asks(bed)
    assert bed.place.trouble == ""


async def test_a_place_that_opens_is_unsettled_for_a_while() -> None:
    it = place.Place("runs")
    it.opened()
    assert it.unsettled == ""
    for opens in (it.opened, it.present):
        it.shut()
        assert it.unsettled == ""
        opens()
        await asyncio.sleep(place.SETTLES_S - 1)
        # What is answered again and again does not lengthen it.
        it.opened()
        assert "'runs' of the runs could not be read until a moment ago" in it.unsettled
        await asyncio.sleep(1)
        assert it.unsettled == ""


@pytest.mark.parametrize("asks", [Bed.list, Bed.watch], ids=["list", "watch"])
async def test_other_failures_of_informers_tell_nothing(asks: Any) -> None:  # noqa: ANN401 - a method
    bed = Bed()
    bed.source.error = errors.TransportError("away")
    with pytest.raises(errors.TransportError):
        await asks(bed)
    assert bed.place.trouble == ""

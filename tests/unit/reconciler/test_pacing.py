"""When a change that is no transition may be looked at, and written."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.reconciler import fakes
from workflowexecution.reconciler import pacing
from workflowexecution.runtime import resource

pytestmark = pytest.mark.looptime
OTHER = resource.ObjectKey("payment", "other")


class Bed:
    """A pace, long after everything has begun."""

    def __init__(self) -> None:
        self.is_busy = False
        self.pace = pacing.Pace(busy=lambda: self.is_busy)

    def waits(self, key: resource.ObjectKey = fakes.KEY) -> tuple[float, float]:
        """For progress, and for a warning."""
        return self.pace.progress_in_s(key), self.pace.warning_in_s(key)


async def rested() -> Bed:
    """Nothing was written for a minute."""
    await asyncio.sleep(60)
    return Bed()


async def test_progress_waits_for_its_own_and_for_that_of_others() -> None:
    bed = await rested()
    assert bed.waits() == (0.0, 0.0)
    bed.pace.progressed(fakes.KEY)
    assert bed.waits() == (2.0, 2.0)
    assert bed.waits(OTHER) == (1.0, 0.0)
    await asyncio.sleep(0.25)
    assert bed.waits(OTHER) == (0.0, 0.0)
    assert bed.waits() == (1.75, 1.75)


async def test_a_warning_waits_for_its_own_execution_alone() -> None:
    bed = await rested()
    bed.is_busy = True
    assert bed.waits() == (1.0, 0.0)
    bed.is_busy = False
    bed.pace.warned(fakes.KEY)
    assert bed.waits() == (2.0, 2.0)
    assert bed.waits(OTHER) == (0.0, 0.0)


async def test_all_keep_away_from_a_transition() -> None:
    bed = await rested()
    bed.pace.moved(fakes.KEY)
    assert bed.waits() == (1.0, 1.0)
    bed.pace.forget(fakes.KEY)
    assert bed.waits() == (0.0, 0.0)


async def test_a_look_is_put_off_for_ten_seconds_at_most() -> None:
    bed = await rested()
    for _ in range(2):
        for _ in range(10):
            assert bed.pace.put_off_s(fakes.KEY, 1.0) == 1.0
            await asyncio.sleep(1.0)
        assert bed.pace.put_off_s(fakes.KEY, 1.0) == 0.0
    assert bed.pace.put_off_s(fakes.KEY, 1.0) == 1.0
    await asyncio.sleep(9.0)
    assert bed.pace.put_off_s(fakes.KEY, 0.0) == 0.0
    await asyncio.sleep(1.0)
    assert bed.pace.put_off_s(fakes.KEY, 1.0) == 1.0

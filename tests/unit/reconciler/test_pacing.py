"""When a change that is no transition may be looked at, and written."""

from __future__ import annotations

import asyncio
import contextlib
import datetime

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.api.status import Status, TaskRunPhase, TaskRunStatus
from workflowexecution.reconciler import pacing
from workflowexecution.runtime import resource

pytestmark = pytest.mark.looptime
CALLED = pacing.PUT_OFF_AT_MOST_S
"""Wait of whoever is called before."""
OTHER = resource.ObjectKey("payment", "other")


class Bed:
    """A pace, long after everything has begun."""

    def __init__(self) -> None:
        self.is_busy = False
        self.called: list[resource.ObjectKey] = []
        self.pace = pacing.Pace(busy=lambda: self.is_busy, call=self.called.append)

    def waits(self, key: resource.ObjectKey = fakes.KEY) -> tuple[float, float]:
        """For progress, and for a warning."""
        return self.pace.progress_in_s(key), self.pace.warning_in_s(key)

    def writes(self, key: resource.ObjectKey) -> None:
        """Write progress now."""
        assert self.pace.progress_in_s(key) == 0.0
        self.pace.progressed(key)


async def rested() -> Bed:
    """Nothing was written for a minute."""
    await asyncio.sleep(60)
    return Bed()


def others(count: int) -> list[resource.ObjectKey]:
    return [resource.ObjectKey("payment", f"other-{number}") for number in range(count)]


async def waiting(count: int) -> tuple[Bed, list[resource.ObjectKey]]:
    """One has just written, and so many wait for their turns."""
    bed, line = await rested(), others(count)
    bed.writes(fakes.KEY)
    assert [bed.pace.progress_in_s(key) for key in line] == [CALLED] * count
    return bed, line


async def test_progress_waits_for_its_own_and_is_called_after_that_of_others() -> None:
    bed = await rested()
    assert bed.waits() == (0.0, 0.0)
    bed.pace.progressed(fakes.KEY)
    assert bed.waits() == (2.0, 2.0)
    assert bed.waits(OTHER) == (CALLED, 0.0)
    await asyncio.sleep(0.19)
    assert bed.called == []
    await asyncio.sleep(0.02)
    assert bed.called == [OTHER]
    assert bed.waits(OTHER) == (0.0, 0.0)
    await asyncio.sleep(0.79)
    assert bed.waits() == (1.0, 1.0)


async def test_those_who_wait_are_called_in_turn_and_no_other_goes_before_them() -> None:
    bed, line = await waiting(4)
    assert bed.pace.progress_in_s(line[0]) == CALLED
    await asyncio.sleep(0.5)
    assert bed.called == line[:2]
    assert bed.pace.progress_in_s(OTHER) == CALLED
    # Who has been called takes no slot again, however late it writes.
    await asyncio.sleep(0.05)
    bed.writes(line[0])
    await asyncio.sleep(0.5)
    assert bed.called == [*line, OTHER]


async def test_who_leaves_the_line_makes_room_for_the_rest() -> None:
    bed, line = await waiting(5)
    for leave, key in zip(
        (bed.pace.forget, bed.pace.rests, bed.pace.warned, bed.pace.moved), line, strict=False
    ):
        leave(key)
    await asyncio.sleep(0.25)
    assert bed.called == [line[4]]
    # A call is no right for ever: who has nothing to write has none.
    bed.pace.rests(line[4])
    await asyncio.sleep(0.25)
    bed.writes(OTHER)
    assert bed.waits(line[4]) == (CALLED, 0.0)
    await asyncio.sleep(1.0)
    assert bed.called == [line[4]] * 2


async def test_who_was_called_and_has_nothing_to_write_takes_no_time_from_the_rest() -> None:
    bed, line = await waiting(6)
    await asyncio.sleep(0.21)
    for number, key in enumerate(line[:5]):
        assert bed.called == line[: number + 1]
        bed.pace.rests(key)
        await asyncio.sleep(0.001)
    assert bed.called == line
    # What was given back is no credit for later: the last one's slot is taken.
    assert bed.waits(OTHER) == (CALLED, 0.0)
    await asyncio.sleep(0.15)
    assert bed.called == line
    await asyncio.sleep(0.05)
    assert bed.called == [*line, OTHER]


async def test_those_who_were_called_in_an_outage_do_not_all_write_at_its_end() -> None:
    bed, line = await waiting(100)
    # Nobody can look.
    await asyncio.sleep(30.0)
    assert bed.called == line
    wrote: dict[resource.ObjectKey, float] = {}
    since = asyncio.get_running_loop().time()
    while len(wrote) < len(line):
        called = list(bed.called)
        bed.called.clear()
        for key in called:
            if bed.pace.progress_in_s(key) == 0.0:
                bed.pace.progressed(key)
                wrote[key] = asyncio.get_running_loop().time() - since
        await asyncio.sleep(0.05)
    times = sorted(wrote.values())
    assert all(later - at >= 1.0 for at, later in zip(times, times[6:], strict=False))
    assert times[-1] == pytest.approx(100 / pacing.PROGRESS_PER_S, abs=2.0)


async def test_nobody_is_called_while_more_urgent_keys_wait() -> None:
    bed = await rested()
    bed.is_busy = True
    assert bed.waits() == (CALLED, 0.0)
    await asyncio.sleep(5.0)
    assert bed.called == []
    bed.is_busy = False
    await asyncio.sleep(0.25)
    assert bed.called == [fakes.KEY]


async def test_a_warning_waits_for_its_own_execution_alone() -> None:
    bed = await rested()
    bed.pace.warned(fakes.KEY)
    assert bed.waits() == (2.0, 2.0)
    assert bed.waits(OTHER) == (0.0, 0.0)


async def test_all_keep_away_from_a_transition() -> None:
    bed = await rested()
    bed.pace.moved(fakes.KEY)
    assert bed.waits() == (1.0, 1.0)
    bed.pace.forget(fakes.KEY)
    assert bed.waits() == (0.0, 0.0)


async def test_a_look_is_put_off_for_a_minute_at_most() -> None:
    bed = await rested()
    for _ in range(2):
        for _ in range(60):
            assert bed.pace.put_off_s(fakes.KEY, 1.0) == 1.0
            await asyncio.sleep(1.0)
        assert bed.pace.put_off_s(fakes.KEY, 1.0) == 0.0
    assert bed.pace.put_off_s(fakes.KEY, 1.0) == 1.0
    await asyncio.sleep(59.0)
    assert bed.pace.put_off_s(fakes.KEY, 10.0) == 1.0
    assert bed.pace.put_off_s(fakes.KEY, 0.0) == 0.0
    await asyncio.sleep(1.0)
    assert bed.pace.put_off_s(fakes.KEY, 10.0) == 10.0


class Crowd:
    """Keys that come back when they are called or their wait is over, until they have told."""

    def __init__(self, count: int) -> None:
        self.looks = 0
        self.told_at: dict[resource.ObjectKey, float] = {}
        self._woken = {key: asyncio.Event() for key in others(count)}
        self.pace = pacing.Pace(busy=lambda: False, call=lambda key: self._woken[key].set())

    async def tell(self) -> None:
        async with asyncio.TaskGroup() as group:
            for key in self._woken:
                group.create_task(self._one(key))

    async def _one(self, key: resource.ObjectKey) -> None:
        while True:
            self.looks += 1
            wait_s = self.pace.progress_in_s(key)
            if wait_s == 0.0:
                self.pace.progressed(key)
                self.told_at[key] = asyncio.get_running_loop().time()
                return
            self._woken[key].clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken[key].wait(), wait_s)


async def test_a_thousand_write_five_in_a_second_and_look_when_it_is_time() -> None:
    await asyncio.sleep(60)
    crowd, since = Crowd(1000), asyncio.get_running_loop().time()
    await crowd.tell()
    took = [at - since for at in crowd.told_at.values()]
    assert took == sorted(took)
    assert took[-1] == pytest.approx(999 / pacing.PROGRESS_PER_S, abs=1.0)
    # Two each, and one in a minute of its wait.
    assert crowd.looks <= 2 * 1000 + sum(it / pacing.PUT_OFF_AT_MOST_S for it in took)


@pytest.mark.parametrize(
    ("known", "after_s", "urgent"),
    [
        pytest.param(False, 0.0, False, id="a-moment-ago"),
        pytest.param(False, 1.0, True, id="long-ago"),
        pytest.param(True, 1.0, False, id="known"),
    ],
)
def test_that_a_task_has_begun_waits_for_others_but_not_for_ever(
    known: bool, after_s: float, urgent: bool
) -> None:
    begun = TaskRunStatus(
        name="t", task="t", phase=TaskRunPhase.RUNNING, started=True, start_time=builders.NOW
    )
    before = Status(task_runs=(begun if known else begun.model_copy(update={"started": False}),))
    now = builders.NOW + pacing.BEGUN_WITHIN + datetime.timedelta(seconds=after_s)
    assert pacing.is_urgent(before, Status(task_runs=(begun,)), now) is urgent

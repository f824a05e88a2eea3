"""When a write may be made that nobody waits for."""

import asyncio

import pytest

from workflowexecution.reconciler import lull
from workflowexecution.runtime.resource import ObjectKey

pytestmark = pytest.mark.looptime

A, B = ObjectKey("n", "a"), ObjectKey("n", "b")
"""Their names are their UIDs here."""


class Bed:
    """A lull, and when it has called whom."""

    def __init__(self) -> None:
        self.busy, self.asked = True, 0
        self.calls: list[tuple[float, str]] = []
        self.lull = lull.Lull(busy=self.is_busy, call=self.call)

    def is_busy(self) -> bool:
        self.asked += 1
        return self.busy

    def call(self, key: ObjectKey) -> None:
        self.calls.append((round(asyncio.get_running_loop().time(), 3), key.name))

    def has_come(self, key: ObjectKey) -> bool:
        return self.lull.has_come(key.name, key)

    def crowd(self, count: int) -> list[ObjectKey]:
        keys = [ObjectKey("n", f"k-{number}") for number in range(count)]
        assert [self.has_come(key) for key in keys] == [False] * count
        return keys


async def test_where_nothing_is_done_it_has_come() -> None:
    bed = Bed()
    bed.busy = False
    assert bed.has_come(A)
    await asyncio.sleep(60)
    assert (bed.calls, len(bed.lull), bed.asked) == ([], 0, 1)


async def test_who_had_to_wait_is_called_in_the_next_lull_the_oldest_first() -> None:
    bed = Bed()
    assert not bed.has_come(A)
    assert not bed.has_come(B)
    assert not bed.has_come(A)
    await asyncio.sleep(5.1)
    assert bed.calls == []
    bed.busy = False
    await asyncio.sleep(5)
    assert bed.calls == [(5.2, "a"), (5.2, "b")]
    assert bed.has_come(A)
    assert bed.has_come(B)
    assert len(bed.lull) == 2
    for key in (A, B):
        bed.lull.forget(key.name)
    assert len(bed.lull) == 0


async def test_nobody_waits_for_longer_than_half_a_minute() -> None:
    bed = Bed()
    assert not bed.has_come(A)
    await asyncio.sleep(lull.AT_MOST_S - 0.1)
    assert not bed.has_come(A)
    await asyncio.sleep(0.3)
    assert [name for _, name in bed.calls] == ["a"]
    assert bed.calls[0][0] == pytest.approx(lull.AT_MOST_S, abs=lull.LOOK_EVERY_S)
    assert bed.has_come(A)
    # The write has failed.
    assert bed.has_come(A)
    bed.lull.forget(A.name)
    # What it writes next is another matter.
    assert not bed.has_come(A)
    bed.busy = False
    await asyncio.sleep(lull.LOOK_EVERY_S)
    assert len(bed.calls) == 2


async def test_who_was_called_and_comes_too_late_waits_on() -> None:
    bed = Bed()
    assert not bed.has_come(A)
    bed.busy = False
    await asyncio.sleep(0.3)
    bed.busy = True
    await asyncio.sleep(9.7)
    assert len(bed.calls) == 1
    assert not bed.has_come(B)
    assert not bed.has_come(A)
    await asyncio.sleep(19.9)
    assert len(bed.calls) == 1
    await asyncio.sleep(0.3)
    assert [name for _, name in bed.calls] == ["a", "a"]
    assert bed.has_come(A)


async def test_who_was_called_and_does_not_come_costs_no_look() -> None:
    bed = Bed()
    assert not bed.has_come(A)
    bed.busy = False
    await asyncio.sleep(1)
    assert len(bed.calls) == 1
    asked = bed.asked
    await asyncio.sleep(60)
    assert bed.asked == asked


@pytest.mark.parametrize("busy", [False, True])
async def test_many_are_called_a_few_at_a_time(busy: bool) -> None:
    bed = Bed()
    keys = bed.crowd(50)
    await asyncio.sleep(lull.AT_MOST_S - 0.1 if busy else 0.1)
    bed.busy = busy
    for called in (20, 40, 50, 50):
        await asyncio.sleep(lull.LOOK_EVERY_S)
        assert [name for _, name in bed.calls] == [key.name for key in keys[:called]]


async def test_those_who_wait_for_less_are_not_called_with_the_overdue() -> None:
    bed = Bed()
    assert not bed.has_come(A)
    await asyncio.sleep(15)
    assert not bed.has_come(B)
    await asyncio.sleep(25)
    assert [name for _, name in bed.calls] == ["a"]


async def test_who_has_nothing_to_write_any_more_is_not_called() -> None:
    bed = Bed()
    assert not bed.has_come(A)
    assert not bed.has_come(B)
    bed.lull.forget(A.name)
    bed.busy = False
    await asyncio.sleep(1)
    assert [name for _, name in bed.calls] == ["b"]
    bed.lull.forget(B.name)
    await asyncio.sleep(1)
    asked = bed.asked
    await asyncio.sleep(60)
    assert bed.asked == asked

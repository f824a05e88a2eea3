import asyncio

import pytest

from workflowexecution.runtime import budget
from workflowexecution.runtime.budget import Rank

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def take(bucket: budget.Budget, rank: Rank, into: list[tuple[Rank, float]]) -> None:
    await bucket.take(rank)
    into.append((rank, now()))


async def test_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    bucket = budget.Budget(per_s=10, burst=3)
    got: list[tuple[Rank, float]] = []
    await asyncio.gather(*(take(bucket, Rank.ACT, got) for _ in range(6)))
    assert [at for _, at in got] == pytest.approx([0, 0, 0, 0.1, 0.2, 0.3])


async def test_bucket_fills_up_to_its_burst_and_no_further() -> None:
    bucket = budget.Budget(per_s=10, burst=2)
    got: list[tuple[Rank, float]] = []
    await asyncio.sleep(100)
    await asyncio.gather(*(take(bucket, Rank.ACT, got) for _ in range(3)))
    assert [at - 100 for _, at in got] == pytest.approx([0, 0, 0.1])


async def test_most_urgent_goes_first_when_tokens_are_short() -> None:
    bucket = budget.Budget(per_s=1, burst=1)
    got: list[tuple[Rank, float]] = []
    await bucket.take(Rank.NOTE)
    ranks = [Rank.NOTE, Rank.TELL, Rank.ACT, Rank.TELL]
    await asyncio.gather(*(take(bucket, it, got) for it in ranks))
    assert [rank for rank, _ in got] == [Rank.ACT, Rank.TELL, Rank.TELL, Rank.NOTE]
    assert [at for _, at in got] == pytest.approx([1, 2, 3, 4])


async def test_who_gives_up_takes_no_token() -> None:
    bucket = budget.Budget(per_s=1, burst=1)
    got: list[tuple[Rank, float]] = []
    await bucket.take(Rank.ACT)
    impatient = asyncio.ensure_future(bucket.take(Rank.ACT))
    patient = asyncio.ensure_future(take(bucket, Rank.TELL, got))
    await asyncio.sleep(0.5)
    impatient.cancel()
    await patient
    assert got[0][1] == pytest.approx(1)


async def test_token_goes_on_when_its_taker_is_cancelled_in_the_same_turn() -> None:
    # Two tokens come at once: who gets the first one cancels who has just been given the second.
    bucket = budget.Budget(per_s=2000, burst=2)
    got: list[tuple[Rank, float]] = []
    tasks: list[asyncio.Future[None]] = []

    async def cancel() -> None:
        await bucket.take(Rank.ACT)
        tasks[1].cancel()

    for _ in range(2):
        await bucket.take(Rank.ACT)
    tasks += [asyncio.ensure_future(it) for it in (cancel(), bucket.take(Rank.ACT))]
    await asyncio.sleep(0)
    tasks.append(asyncio.ensure_future(take(bucket, Rank.NOTE, got)))
    await asyncio.wait(tasks)
    assert tasks[1].cancelled()
    assert got[0][1] == pytest.approx(0.001)

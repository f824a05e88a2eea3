import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable

import looptime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflowexecution.runtime import deadlines

pytestmark = pytest.mark.looptime

Seconds = st.integers(0, 12).map(float)


def now() -> float:
    return asyncio.get_running_loop().time()


async def work_within(seconds: float) -> None:
    with deadlines.Deadlines().within(seconds):
        await asyncio.sleep(10)


class Timers:
    """Counts the timers that are set on a loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.handles: list[asyncio.TimerHandle] = []
        loop = asyncio.get_running_loop()
        original = loop.call_at

        def call_at(
            when: float,
            callback: Callable[..., object],
            *arguments: object,
            context: contextvars.Context | None = None,
        ) -> asyncio.TimerHandle:
            self.handles.append(original(when, callback, *arguments, context=context))
            return self.handles[-1]

        monkeypatch.setattr(loop, "call_at", call_at)

    @property
    def set(self) -> list[tuple[float, bool]]:
        """For when, and whether it is off again."""
        return [(it.when(), it.cancelled()) for it in self.handles]


async def test_what_takes_too_long_ends_with_a_timeout_at_its_time() -> None:
    began = now()
    with pytest.raises(TimeoutError), deadlines.Deadlines().within(3) as deadline:
        await asyncio.sleep(10)
    assert now() - began == 3
    assert deadline.expired()


async def test_what_is_done_in_time_is_not_touched() -> None:
    bounds = deadlines.Deadlines()
    with bounds.within(3) as deadline:
        await asyncio.sleep(2)
    await asyncio.sleep(10)
    assert not deadline.expired()


async def test_a_time_that_is_over_already_ends_the_first_wait() -> None:
    began = now()
    with pytest.raises(TimeoutError), deadlines.Deadlines().within(0):
        await asyncio.sleep(10)
    assert now() == began


async def test_a_cancellation_by_others_stays_one() -> None:
    task = asyncio.create_task(work_within(3))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_cancellation_by_others_in_the_same_moment_stays_one() -> None:
    task = asyncio.create_task(work_within(3))
    # Begun after the deadline's timer, so it is called behind it.
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(3, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_on_the_way_out_is_the_one_that_counts() -> None:
    deadline = deadlines.Deadlines().within(3)

    async def work() -> None:
        with deadline:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                message = "mine"
                raise ValueError(message) from None

    with pytest.raises(ValueError, match="mine"):
        await work()
    assert deadline.expired()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_the_outer_of_two_ends_both() -> None:
    bounds = deadlines.Deadlines()
    with (
        pytest.raises(TimeoutError),
        bounds.within(2) as outer,
        contextlib.suppress(TimeoutError),
        bounds.within(5) as inner,
    ):
        await asyncio.sleep(10)
    assert (outer.expired(), inner.expired()) == (True, False)


async def test_the_inner_of_two_ends_itself_alone() -> None:
    bounds, began = deadlines.Deadlines(), now()
    with bounds.within(5) as outer:
        with pytest.raises(TimeoutError), bounds.within(2):
            await asyncio.sleep(10)
        await asyncio.sleep(1)
    assert now() - began == 3
    assert not outer.expired()


async def test_many_share_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    timers, bounds = Timers(monkeypatch), deadlines.Deadlines()
    for _ in range(1000):
        with bounds.within(10):
            await asyncio.sleep(0)
    assert timers.set == [(10, False)]


async def test_an_earlier_one_sets_the_timer_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    timers, bounds = Timers(monkeypatch), deadlines.Deadlines()
    with bounds.within(10), bounds.within(4), bounds.within(7):
        pass
    assert timers.set == [(10, True), (4, False)]


async def test_the_timer_ends_with_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = deadlines.Deadlines()
    with bounds.within(10):
        pass
    timers = Timers(monkeypatch)
    await asyncio.sleep(50)
    assert [it.when() for it in timers.handles] == [50]


async def test_outside_of_a_task_there_is_nothing_to_bound() -> None:
    deadline, said = deadlines.Deadlines().within(1), asyncio.get_running_loop().create_future()

    def enter() -> None:
        try:
            deadline.__enter__()
        except RuntimeError as error:
            said.set_result(str(error))
        else:
            said.set_result("nothing")

    asyncio.get_running_loop().call_soon(enter)
    assert await said == "a deadline is for a task"


Way = Callable[[float, Awaitable[None]], Awaitable[bool]]


async def by_asyncio(seconds: float, work: Awaitable[None]) -> bool:
    """Whether the library's own bound is met."""
    async with asyncio.timeout(seconds) as limit:
        await work
    return limit.expired()


Plan = list[tuple[float, float, float, float | None]]


async def play(plan: Plan, way: Way) -> list[tuple[str, float]]:
    """Begin, limit, work and cancel as the plan says; how each task ended, and when."""
    began = now()

    async def work(begin_s: float, limit_s: float, work_s: float) -> tuple[str, float]:
        await asyncio.sleep(begin_s)
        try:
            how = f"done, expired: {await way(limit_s, asyncio.sleep(work_s))}"
        except TimeoutError:
            how = "late"
        except asyncio.CancelledError:
            how = "cancelled"
        return how, now() - began

    tasks = []
    for begin_s, limit_s, work_s, cancel_s in plan:
        task = asyncio.create_task(work(begin_s, limit_s, work_s))
        tasks.append(task)
        if cancel_s is not None:
            # Between the whole seconds, where nothing else is.
            asyncio.get_running_loop().call_later(begin_s + cancel_s + 0.5, task.cancel)
    return list(await asyncio.gather(*tasks))


@given(
    st.lists(
        st.tuples(Seconds, Seconds.map(lambda it: it + 0.25), Seconds, st.none() | Seconds),
        max_size=8,
    )
)
def test_it_ends_what_asyncios_own_ends_and_when(plan: Plan) -> None:
    async def both() -> None:
        bounds = deadlines.Deadlines()

        async def by_ours(seconds: float, work: Awaitable[None]) -> bool:
            with bounds.within(seconds) as limit:
                await work
            return limit.expired()

        assert await play(plan, by_ours) == await play(plan, by_asyncio)

    loop = looptime.new_event_loop()
    try:
        loop.run_until_complete(both())
    finally:
        loop.close()

import asyncio
import os
import signal

import pytest

from tests.unit.runtime import sources
from workflowexecution.runtime import manager

pytestmark = pytest.mark.looptime


class Part:
    """A service that writes down what happens to it."""

    def __init__(
        self,
        diary: list[str],
        name: str,
        *,
        ready_after_s: float = 0,
        ends_after_s: float = float("inf"),
        clean_up_s: float = 0,
    ) -> None:
        self.diary = diary
        self.name = name
        self.ready_after_s = ready_after_s
        self.ends_after_s = ends_after_s
        self.clean_up_s = clean_up_s
        self.failure: Exception | None = None
        self.asked = asyncio.Event()

    async def run(self) -> None:
        self.diary.append(f"{self.name} starts")
        try:
            await asyncio.sleep(min(self.ends_after_s, 1e9))
            if self.failure is not None:
                raise self.failure
        except asyncio.CancelledError:
            await asyncio.sleep(self.clean_up_s)
            self.diary.append(f"{self.name} cancelled at {sources.now():g}")
            raise

    async def run_until_asked(self) -> None:
        await self.asked.wait()
        await asyncio.sleep(self.ends_after_s)
        self.diary.append(f"{self.name} ends at {sources.now():g}")

    async def ready(self) -> None:
        await asyncio.sleep(self.ready_after_s)
        self.diary.append(f"{self.name} ready at {sources.now():g}")

    def service(self) -> manager.Service:
        return manager.Service(name=self.name, run=self.run, ready=self.ready)

    def graceful(self) -> manager.Service:
        return manager.Service(name=self.name, run=self.run_until_asked, stop=self.asked.set)


class Rig:
    """A manager whose forced exits are written down."""

    def __init__(self, *services: manager.Service, grace_s: float = 30) -> None:
        self.exits: list[tuple[float, int]] = []
        self.manager = manager.Manager(
            services=services, shutdown_grace_s=grace_s, exit_now=self.note
        )

    def note(self, code: int) -> None:
        self.exits.append((sources.now(), code))

    async def run(self, *, stop_after_s: float) -> None:
        asyncio.get_running_loop().call_later(stop_after_s, self.manager.stop)
        await self.manager.run()


async def test_services_start_in_order_and_stop_in_reverse() -> None:
    diary: list[str] = []
    first, second = Part(diary, "a", ready_after_s=2), Part(diary, "b", ready_after_s=3)
    await Rig(first.service(), second.service()).run(stop_after_s=10)
    assert diary == [
        "a starts",
        "a ready at 2",
        "b starts",
        "b ready at 5",
        "b cancelled at 10",
        "a cancelled at 10",
    ]


async def test_stop_during_the_start_starts_nothing_more() -> None:
    diary: list[str] = []
    slow = manager.Service(name="c", run=Part(diary, "c").run)
    parts = [Part(diary, "a").service(), Part(diary, "b", ready_after_s=99).service(), slow]
    await Rig(*parts).run(stop_after_s=10)
    assert diary[-2:] == ["b cancelled at 10", "a cancelled at 10"]
    assert "c starts" not in diary


async def test_stop_before_the_start_ends_at_once() -> None:
    diary: list[str] = []
    rig = Rig(manager.Service(name="a", run=Part(diary, "a").run), Part(diary, "b").service())
    rig.manager.stop()
    await rig.manager.run()
    assert "b starts" not in diary


async def test_graceful_service_gets_its_time() -> None:
    diary: list[str] = []
    rig = Rig(Part(diary, "a").service(), Part(diary, "b", ends_after_s=7).graceful())
    await rig.run(stop_after_s=10)
    assert diary[-2:] == ["b ends at 17", "a cancelled at 17"]
    assert rig.exits == []


async def test_all_services_share_one_grace() -> None:
    diary: list[str] = []
    rig = Rig(
        Part(diary, "a", ends_after_s=99).graceful(),
        Part(diary, "b", ends_after_s=20).graceful(),
        grace_s=30,
    )
    await rig.run(stop_after_s=0)
    assert (diary, sources.now()) == (["b ends at 20"], 30)


async def test_graceful_service_gets_no_time_when_the_grace_is_used_up() -> None:
    diary: list[str] = []
    rig = Rig(
        Part(diary, "a", ends_after_s=1).graceful(),
        Part(diary, "b", ends_after_s=99).graceful(),
        grace_s=5,
    )
    await rig.run(stop_after_s=0)
    assert (diary, sources.now()) == ([], 5)


async def test_grace_counts_from_the_stop() -> None:
    diary: list[str] = []
    rig = Rig(
        Part(diary, "a", ends_after_s=99).graceful(),
        Part(diary, "b", ends_after_s=4).graceful(),
        grace_s=30,
    )
    await rig.run(stop_after_s=10)
    assert (diary, sources.now()) == (["b ends at 14"], 40)
    await asyncio.sleep(100)
    assert rig.exits == []


async def test_service_that_fails_cancels_all_at_once_without_grace() -> None:
    diary: list[str] = []
    failing = Part(diary, "b", ends_after_s=4)
    failing.failure = ValueError("broken")
    inner = Part(diary, "c", ends_after_s=99).graceful()
    rig = Rig(Part(diary, "a").service(), failing.service(), inner)
    with pytest.raises(BaseExceptionGroup) as caught:
        await rig.manager.run()
    assert manager.causes(caught.value) == [failing.failure]
    assert diary[-1] == "a cancelled at 4"


async def test_service_that_returns_unasked_is_a_failure() -> None:
    diary: list[str] = []
    rig = Rig(Part(diary, "a", ends_after_s=4).service(), Part(diary, "b").service())
    with pytest.raises(BaseExceptionGroup) as caught:
        await rig.manager.run()
    (cause,) = manager.causes(caught.value)
    assert isinstance(cause, manager.ServiceEnded)
    assert str(cause) == "a"
    assert diary[-1] == "b cancelled at 4"


async def test_readiness_that_fails_is_a_failure() -> None:
    async def broken() -> None:
        raise ValueError("never ready")

    diary: list[str] = []
    service = manager.Service(name="a", run=Part(diary, "a").run, ready=broken)
    with pytest.raises(BaseExceptionGroup) as caught:
        await Rig(service).manager.run()
    assert [type(cause) for cause in manager.causes(caught.value)] == [ValueError]
    assert diary[-1] == "a cancelled at 0"


async def test_failure_during_the_graceful_end_surfaces() -> None:
    async def broken() -> None:
        await asked.wait()
        raise ValueError("while ending")

    asked = asyncio.Event()
    diary: list[str] = []
    outer = Part(diary, "a", ends_after_s=99)
    service = manager.Service(name="b", run=broken, stop=asked.set)
    with pytest.raises(BaseExceptionGroup) as caught:
        await Rig(outer.service(), service).run(stop_after_s=3)
    assert [type(cause) for cause in manager.causes(caught.value)] == [ValueError]
    assert diary[-1] == "a cancelled at 3"


async def test_process_ends_when_a_service_survives_its_cancellation() -> None:
    diary: list[str] = []
    rig = Rig(Part(diary, "a", clean_up_s=100).service(), grace_s=30)
    await rig.run(stop_after_s=10)
    assert rig.exits == [(45, 70)]


async def test_process_ends_when_a_service_survives_a_failure_of_another() -> None:
    diary: list[str] = []
    rig = Rig(
        Part(diary, "a", clean_up_s=100).service(), Part(diary, "b", ends_after_s=10).service()
    )
    with pytest.raises(BaseExceptionGroup):
        await rig.manager.run()
    assert rig.exits == [(15, 70)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_stops_and_a_second_one_exits_at_once(number: signal.Signals) -> None:
    diary: list[str] = []
    rig = Rig(Part(diary, "a", clean_up_s=3).service())
    loop = asyncio.get_running_loop()
    loop.call_later(1, os.kill, os.getpid(), number)
    loop.call_later(2, os.kill, os.getpid(), number)
    await rig.manager.run()
    assert [code for _, code in rig.exits] == [128 + number]
    assert not loop.remove_signal_handler(number)


async def test_stop_again_changes_nothing() -> None:
    diary: list[str] = []
    rig = Rig(Part(diary, "a", ends_after_s=99).graceful(), grace_s=10)
    asyncio.get_running_loop().call_later(5, rig.manager.stop)
    await rig.run(stop_after_s=0)
    assert sources.now() == 10


async def test_manager_without_services_waits_for_the_stop() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await Rig().manager.run()


def test_causes_of_a_plain_error_is_that_error() -> None:
    error = ValueError()
    assert manager.causes(error) == [error]

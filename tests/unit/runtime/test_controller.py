import asyncio
import collections
from collections.abc import Callable

import pytest
import structlog.testing

from tests.unit.runtime import objects
from tests.unit.runtime.sources import refusal
from workflowexecution.runtime import controller, errors, queue, resource

pytestmark = pytest.mark.looptime

Step = BaseException | controller.Result | float
Held = Callable[[resource.ObjectKey, queue.Priority], bool]


def upper_edge() -> float:
    return 1.0


class Rig:
    """A controller over a script: errors are raised, numbers are slept, results are returned."""

    def __init__(self, *script: Step, workers: int = 1) -> None:
        self.script = list(script)
        self.keys: list[resource.ObjectKey] = []
        self.at: list[float] = []
        self.outcomes: list[controller.Outcome] = []
        self.durations: list[float] = []
        self.held: Held = lambda key, priority: False
        self.away = False
        self.queue = queue.WorkQueue(backoff_base_s=1, backoff_cap_s=60, uniform=upper_edge)
        self.controller = controller.Controller(
            reconcile=self.reconcile,
            queue=self.queue,
            workers=workers,
            reconcile_deadline_s=30,
            held=lambda key, priority: self.held(key, priority),
            away=lambda: self.away,
            observer=self,
        )

    async def reconcile(self, key: resource.ObjectKey) -> controller.Result:
        self.keys.append(key)
        self.at.append(asyncio.get_running_loop().time())
        step = self.script.pop(0) if self.script else controller.Result()
        match step:
            case controller.Result():
                return step
            case BaseException():
                raise step
            case seconds:
                await asyncio.sleep(seconds)
                return controller.Result()

    def reconciled(self, outcome: controller.Outcome, duration_s: float) -> None:
        self.outcomes.append(outcome)
        self.durations.append(duration_s)

    async def run_for(self, seconds: float) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.controller.run())
            await asyncio.sleep(seconds)
            self.controller.stop()


async def test_controller_reconciles_a_key_once_when_it_succeeds() -> None:
    rig = Rig()
    rig.queue.add(objects.key())
    await rig.run_for(100)
    assert (rig.at, rig.outcomes) == ([0], [controller.Outcome.SUCCESS])


async def test_controller_comes_again_when_the_result_asks_for_it() -> None:
    rig = Rig(controller.Result(requeue_after_s=7))
    rig.queue.add(objects.key())
    await rig.run_for(100)
    assert rig.at == [0, 7]


async def test_controller_comes_again_at_once_when_the_result_asks_for_no_delay() -> None:
    rig = Rig(controller.Result(requeue_after_s=0))
    rig.queue.add(objects.key())
    await rig.run_for(100)
    assert rig.at == [0, 0]


async def test_controller_keeps_the_priority_of_the_result() -> None:
    rig = Rig()
    rig.script = [controller.Result(0, queue.Priority.URGENT), 5.0]
    rig.queue.add(objects.key("a"))
    rig.queue.add(objects.key("b"), queue.Priority.HIGH)
    await rig.run_for(100)
    assert [key.name for key in rig.keys] == ["b", "b", "a"]


@pytest.mark.parametrize(
    ("error", "level", "outcome"),
    [
        pytest.param(ValueError("x"), "error", controller.Outcome.ERROR, id="unknown"),
        pytest.param(refusal(500), "error", controller.Outcome.ERROR, id="server"),
        pytest.param(refusal(409), "debug", controller.Outcome.CONFLICT, id="conflict"),
        pytest.param(errors.LeaseLost("x"), "debug", controller.Outcome.CONFLICT, id="lease"),
        pytest.param(refusal(429), "info", controller.Outcome.THROTTLED, id="throttled"),
    ],
)
async def test_controller_backs_off_when_a_reconcile_fails(
    error: Exception, level: str, outcome: controller.Outcome
) -> None:
    rig = Rig(error, error, error)
    rig.queue.add(objects.key())
    with structlog.testing.capture_logs() as logs:
        await rig.run_for(100)
    assert rig.at == [0, 1, 3, 7]
    assert rig.outcomes == [outcome] * 3 + [controller.Outcome.SUCCESS]
    assert [entry["log_level"] for entry in logs] == [level] * 3


async def test_controller_begins_with_a_short_delay_again_after_a_success() -> None:
    rig = Rig(ValueError(), ValueError(), controller.Result(10), ValueError())
    rig.queue.add(objects.key())
    await rig.run_for(100)
    assert rig.at == [0, 1, 3, 13, 14]


async def test_controller_never_retries_a_terminal_error() -> None:
    rig = Rig(errors.TerminalError("hopeless"))
    rig.queue.add(objects.key())
    with structlog.testing.capture_logs() as logs:
        await rig.run_for(100)
    assert (rig.at, rig.outcomes) == ([0], [controller.Outcome.TERMINAL_ERROR])
    assert [(entry["log_level"], entry["key"]) for entry in logs] == [("error", "space/one")]


async def test_controller_waits_as_long_as_the_server_asks() -> None:
    rig = Rig(refusal(429, retry_after="8"))
    rig.queue.add(objects.key())
    await rig.run_for(100)
    assert rig.at == [0, 10]


async def test_controller_cancels_a_reconcile_at_its_deadline_and_backs_off() -> None:
    rig = Rig(1000.0)
    rig.queue.add(objects.key())
    with structlog.testing.capture_logs() as logs:
        await rig.run_for(100)
    assert rig.at == [0, 31]
    assert (rig.outcomes[0], rig.durations[0]) == (controller.Outcome.ERROR, 30)
    assert logs[0]["error"] == "TimeoutError"


async def test_traceback_is_logged_only_when_the_cluster_is_not_the_cause() -> None:
    rig = Rig(ValueError("bug"), errors.TransportError("reset"))
    rig.queue.add(objects.key())
    with structlog.testing.capture_logs() as logs:
        await rig.run_for(100)
    assert [bool(entry["exc_info"]) for entry in logs] == [True, False]
    assert [(entry["attempt"], entry["retry_s"]) for entry in logs] == [(1, 1), (2, 2)]


async def test_held_key_is_given_back_without_a_reconcile() -> None:
    rig = Rig()
    rig.held = lambda key, priority: True
    rig.queue.add(objects.key())
    await rig.run_for(100)
    assert (rig.at, rig.outcomes, len(rig.queue)) == ([], [], 0)


@pytest.mark.parametrize(
    ("error", "at"),
    [
        pytest.param(errors.TransportError("lost"), [0, 0], id="no-answer"),
        pytest.param(refusal(503), [0, 0], id="503"),
        pytest.param(ValueError("bad"), [0, 1], id="its-own"),
    ],
)
async def test_failure_is_not_the_keys_while_the_server_is_away(
    error: Exception, at: list[float]
) -> None:
    rig = Rig(error)
    rig.away = True
    rig.queue.add(objects.key())
    await rig.run_for(10)
    assert rig.at == at
    assert rig.queue.failures(objects.key()) == 0


async def test_key_that_waits_for_the_server_keeps_its_class() -> None:
    rig = Rig(errors.TransportError("lost"))
    rig.away = True
    classes: list[queue.Priority] = []

    def held(key: resource.ObjectKey, priority: queue.Priority) -> bool:
        classes.append(priority)
        return False

    rig.held = held
    rig.queue.add(objects.key(), queue.Priority.URGENT)
    await rig.run_for(10)
    assert classes == [queue.Priority.URGENT] * 2


async def test_worker_that_is_gone_is_missed() -> None:
    rig = Rig(workers=3)
    assert rig.controller.missing == 0
    async with asyncio.TaskGroup() as group:
        group.create_task(rig.controller.run())
        await asyncio.sleep(1)
        assert rig.controller.missing == 0
        (worker,) = [it for it in asyncio.all_tasks() if it.get_name() == "worker-1"]
        worker.cancel()
        await asyncio.sleep(1)
        assert rig.controller.missing == 1
        rig.controller.stop()
        assert rig.controller.missing == 0


async def test_workers_reconcile_different_keys_at_the_same_time() -> None:
    rig = Rig(10.0, 10.0, 10.0, workers=2)
    for name in "abc":
        rig.queue.add(objects.key(name))
    async with asyncio.TaskGroup() as group:
        group.create_task(rig.controller.run())
        await asyncio.sleep(5)
        assert rig.controller.active == 2
        await asyncio.sleep(50)
        assert rig.controller.active == 0
        rig.controller.stop()
    assert rig.at == [0, 0, 10]


@pytest.mark.parametrize("held", [False, True], ids=["reconciled", "held"])
async def test_other_tasks_get_their_turn_between_many_keys(held: bool) -> None:
    rig = Rig(workers=24)
    seen: list[int] = []

    def hold(key: resource.ObjectKey, priority: queue.Priority) -> bool:
        seen.append(turns)
        return held

    rig.held, turns = hold, 0
    for number in range(1000):
        rig.queue.add(objects.key(str(number)))
    async with asyncio.TaskGroup() as group:
        group.create_task(rig.controller.run())
        while len(rig.queue):
            turns += 1
            await asyncio.sleep(0)
        rig.controller.stop()
    assert max(collections.Counter(seen).values()) == controller.KEYS_PER_TURN
    assert (len(seen), len(rig.keys)) == (1000, 0 if held else 1000)


async def test_keys_that_wait_for_something_need_no_further_turn() -> None:
    rig = Rig(*[0.1] * 200, workers=10)
    for number in range(200):
        rig.queue.add(objects.key(str(number)))
    await rig.run_for(10)
    assert len(rig.outcomes) == 200
    assert max(rig.at) == pytest.approx(1.9)


async def test_stop_lets_the_running_reconcile_end_and_starts_no_other() -> None:
    rig = Rig(10.0)
    rig.queue.add(objects.key("a"))
    rig.queue.add(objects.key("b"))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(rig.controller.run())
        await asyncio.sleep(5)
        rig.controller.stop()
        await running
        assert asyncio.get_running_loop().time() == 10
    assert rig.at == [0]


async def test_cancelling_the_controller_cancels_the_reconcile() -> None:
    rig = Rig(1000.0)
    rig.queue.add(objects.key())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await rig.controller.run()
    assert (rig.controller.active, rig.outcomes, len(rig.queue)) == (0, [], 0)
    assert rig.controller.interrupted


async def test_nothing_is_interrupted_when_the_reconcile_ends_by_itself() -> None:
    rig = Rig(3.0)
    rig.queue.add(objects.key())
    async with asyncio.TaskGroup() as group:
        group.create_task(rig.controller.run())
        await asyncio.sleep(1)
        rig.controller.stop()
    assert (rig.outcomes, rig.controller.interrupted) == ([controller.Outcome.SUCCESS], False)


async def test_cancellation_inside_a_reconcile_is_not_swallowed() -> None:
    rig = Rig(asyncio.CancelledError())
    rig.queue.add(objects.key())
    await rig.controller.run()
    assert rig.outcomes == []


async def sleepers(rig: Rig, count: int, seconds: float) -> None:
    """So many keys whose reconciles take so long."""
    rig.script = [seconds] * count
    for number in range(count):
        rig.queue.add(objects.key(f"k{number}"))


class TestResize:
    async def test_more_workers_take_what_waits_at_once(self) -> None:
        rig = Rig(workers=1)
        async with asyncio.TaskGroup() as group:
            group.create_task(rig.controller.run())
            await sleepers(rig, 3, 10.0)
            await asyncio.sleep(1)
            assert rig.controller.active == 1
            rig.controller.resize(3)
            await asyncio.sleep(1)
            assert (rig.controller.active, rig.controller.workers) == (3, 3)
            await asyncio.sleep(20)
            rig.controller.stop()
        assert rig.at == [0, 1, 1]

    async def test_fewer_workers_end_what_they_are_at(self) -> None:
        rig = Rig(workers=3)
        async with asyncio.TaskGroup() as group:
            group.create_task(rig.controller.run())
            await sleepers(rig, 6, 10.0)
            await asyncio.sleep(1)
            rig.controller.resize(1)
            await asyncio.sleep(40)
            rig.controller.stop()
        assert rig.at == [0, 0, 0, 10, 20, 30]
        assert rig.outcomes == [controller.Outcome.SUCCESS] * 6
        assert not rig.controller.interrupted

    async def test_idle_workers_go_and_come_without_losing_a_key(self) -> None:
        rig = Rig(workers=4)
        async with asyncio.TaskGroup() as group:
            group.create_task(rig.controller.run())
            await asyncio.sleep(1)
            rig.queue.add(objects.key("woken"))
            # The key has its worker already, which has not turned yet.
            rig.controller.resize(1)
            rig.controller.resize(2)
            rig.controller.resize(1)
            await asyncio.sleep(1)
            await sleepers(rig, 2, 10.0)
            await asyncio.sleep(30)
            rig.controller.stop()
        assert [key.name for key in rig.keys] == ["woken", "k0", "k1"]
        assert rig.at == [1, 2, 12]

    async def test_nobody_is_hired_before_the_start_or_after_the_end(self) -> None:
        rig = Rig(workers=1)
        rig.controller.resize(2)
        await rig.run_for(1)
        rig.controller.resize(5)
        assert rig.controller.active == 0

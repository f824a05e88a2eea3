import asyncio

import pytest
import structlog.testing

from tests.unit import quiet
from tests.unit.runtime import objects
from workflowexecution.runtime import controller, errors, queue, reach, resource, transport

pytestmark = pytest.mark.looptime

LOST = errors.TransportError("refused", sent=False)
NORMAL = queue.Priority.NORMAL
KEYS = [objects.key(name) for name in "abc"]


class Rig:
    """A reach, and what it has let go."""

    def __init__(self) -> None:
        self.released: list[tuple[float, str]] = []
        self.classes: list[queue.Priority] = []
        self.came_back = 0
        self.in_doubt = False
        self.spared: set[resource.ObjectKey] = set()
        self.reach = reach.Reach(
            on_release=self.release,
            on_back=self.note_back,
            in_doubt=lambda: self.in_doubt,
            spares=lambda key: key in self.spared,
            observer=transport.NoObserver(),
        )

    def release(self, key: resource.ObjectKey, priority: queue.Priority) -> None:
        self.released.append((asyncio.get_running_loop().time(), key.name))
        self.classes.append(priority)

    def note_back(self) -> None:
        self.came_back += 1

    def miss(self, times: int = 3) -> None:
        for _ in range(times):
            self.reach.unanswered("GET")

    def hold(self) -> None:
        assert all(self.reach.holds(key, NORMAL) for key in KEYS)


@pytest.fixture
async def rig() -> Rig:
    return Rig()


async def test_nothing_is_held_while_the_server_answers(rig: Rig) -> None:
    rig.miss(2)
    rig.reach.answered("GET", 500)
    rig.miss(2)
    assert not rig.reach.holds(KEYS[0], NORMAL)
    assert (rig.reach.is_away, rig.reach.away_s, len(rig.reach)) == (False, 0, 0)


async def test_server_is_away_from_the_first_of_three_requests_without_an_answer(rig: Rig) -> None:
    for _ in range(3):
        await asyncio.sleep(1)
        rig.miss(1)
    assert (rig.reach.is_away, rig.reach.away_s) == (True, 2)
    rig.hold()
    assert len(rig.reach) == 3


async def test_server_that_sends_events_is_there_whatever_becomes_of_requests(rig: Rig) -> None:
    rig.miss()
    rig.hold()
    rig.reach.heard()
    assert (rig.reach.is_away, rig.came_back, len(rig.reach)) == (False, 1, 0)
    rig.miss(2)
    rig.reach.heard()
    rig.miss(2)
    assert (rig.reach.is_away, rig.came_back) == (False, 1)


async def test_proxy_that_speaks_for_the_server_is_no_answer(rig: Rig) -> None:
    for status in (502, 503, 502):
        rig.reach.answered("GET", status)
    assert rig.reach.is_away


async def test_silence_of_those_behind_the_server_is_not_the_servers(rig: Rig) -> None:
    rig.miss(2)
    for _ in range(3):
        rig.reach.unanswered("GET", relayed=True)
        rig.reach.answered("GET", 503, relayed=True)
    away = [rig.reach.is_away]
    rig.miss(1)
    away.append(rig.reach.is_away)
    rig.reach.answered("GET", 404, relayed=True)
    assert [*away, rig.reach.is_away] == [False, True, False]


async def test_one_key_is_let_through_each_two_seconds(rig: Rig) -> None:
    rig.miss()
    rig.hold()
    await asyncio.sleep(7)
    assert rig.released == [(2, "a"), (4, "b"), (6, "c")]


async def test_key_that_was_let_through_is_tried_once(rig: Rig) -> None:
    rig.miss()
    rig.hold()
    await asyncio.sleep(3)
    assert [rig.reach.holds(KEYS[0], NORMAL) for _ in range(2)] == [False, True]


async def test_every_key_is_let_go_when_the_server_is_back(rig: Rig) -> None:
    rig.miss()
    rig.hold()
    await asyncio.sleep(1)
    with structlog.testing.capture_logs() as logs:
        rig.reach.answered("GET", 200)
        await asyncio.sleep(60)
    assert rig.released == [(1, "a"), (1, "b"), (1, "c")]
    assert (logs[0]["away_s"], logs[0]["waited"]) == (1, 3)
    assert (rig.reach.is_away, rig.reach.holds(KEYS[0], NORMAL)) == (False, False)
    assert rig.came_back == 1


async def test_key_is_let_go_with_the_most_urgent_class_it_came_with(rig: Rig) -> None:
    rig.miss()
    low, high, urgent = queue.Priority.LOW, queue.Priority.HIGH, queue.Priority.URGENT
    for key, priority in zip((*KEYS, *KEYS), (low, high, low, urgent, low, low), strict=True):
        assert rig.reach.holds(key, priority)
    await asyncio.sleep(2)
    assert rig.reach.holds(KEYS[0], low) is False
    assert rig.reach.holds(KEYS[0], low)
    rig.reach.answered("GET", 200)
    assert rig.released == [(2, "a"), (2, "b"), (2, "c"), (2, "a")]
    assert rig.classes == [urgent, high, low, low]


async def test_cancellation_goes_before_all_that_waited_longer() -> None:
    work = queue.WorkQueue()
    looked = reach.Reach(
        on_release=work.add,
        on_back=lambda: None,
        in_doubt=lambda: False,
        spares=lambda _: False,
        observer=transport.NoObserver(),
    )
    for _ in range(3):
        looked.unanswered("GET")
    for number in range(1000):
        assert looked.holds(objects.key(str(number)), queue.Priority.LOW)
    assert looked.holds(objects.key("cancelled"), queue.Priority.URGENT)
    assert looked.holds(objects.key("new"), queue.Priority.HIGH)
    looked.answered("GET", 200)
    assert [(await work.get()).name for _ in range(4)] == ["cancelled", "new", "0", "1"]


async def test_every_key_is_held_while_a_cache_is_in_doubt(rig: Rig) -> None:
    rig.miss()
    rig.in_doubt = True
    rig.hold()
    await asyncio.sleep(7)
    rig.reach.answered("GET", 200)
    rig.reach.look()
    assert (rig.released, rig.reach.holds(KEYS[0], NORMAL)) == ([], True)
    rig.in_doubt = False
    rig.reach.look()
    assert rig.released == [(7, "a"), (7, "b"), (7, "c")]
    assert not rig.reach.holds(KEYS[0], NORMAL)


async def test_spared_key_waits_for_the_server_and_for_no_cache(rig: Rig) -> None:
    rig.in_doubt = True
    rig.hold()
    rig.spared = {KEYS[1]}
    assert [rig.reach.holds(key, NORMAL) for key in KEYS] == [True, False, True]
    rig.miss()
    assert rig.reach.holds(KEYS[1], NORMAL)
    await asyncio.sleep(5)
    assert rig.released == []
    rig.reach.answered("GET", 200)
    await asyncio.sleep(5)
    assert (rig.released, len(rig.reach)) == ([(6, "b")], 2)


async def test_nobody_is_looked_for_once_every_key_was_spared(rig: Rig) -> None:
    failed: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    rig.in_doubt = True
    assert rig.reach.holds(KEYS[0], NORMAL)
    rig.spared = {KEYS[0]}
    await asyncio.sleep(2)
    assert rig.released == [(2, "a")]
    rig.miss()
    rig.in_doubt = False
    rig.reach.look()
    await asyncio.sleep(10)
    assert (rig.released, failed) == ([(2, "a")], [])
    assert rig.reach.holds(KEYS[1], NORMAL)
    await asyncio.sleep(2)
    assert rig.released[1:] == [(14, "b")]


async def test_key_that_was_let_through_waits_when_doubts_come(rig: Rig) -> None:
    rig.miss()
    rig.hold()
    await asyncio.sleep(3)
    rig.in_doubt = True
    assert rig.reach.holds(KEYS[0], NORMAL)


async def test_nothing_is_let_go_by_a_look_while_the_server_is_away(rig: Rig) -> None:
    rig.miss()
    rig.hold()
    rig.reach.look()
    assert (rig.released, len(rig.reach)) == ([], 3)


async def test_server_that_comes_back_to_nobody_is_back(rig: Rig) -> None:
    rig.miss()
    rig.reach.answered("GET", 200)
    assert not rig.reach.is_away


async def test_rejection_counts_from_its_first_until_another_answer(rig: Rig) -> None:
    assert rig.reach.rejected_s == 0
    for _ in range(3):
        rig.reach.answered("GET", 401)
        await asyncio.sleep(5)
    assert (rig.reach.rejected_s, rig.reach.is_away) == (15, False)
    rig.reach.answered("GET", 403)
    assert rig.reach.rejected_s == 0


async def test_outage_costs_no_back_off_and_few_requests() -> None:
    server = {"up": True}
    tried: list[float] = []
    work = queue.WorkQueue()
    looked = reach.Reach(
        on_release=work.add,
        on_back=lambda: None,
        in_doubt=lambda: False,
        spares=lambda _: False,
        observer=transport.NoObserver(),
    )

    async def reconcile(key: resource.ObjectKey) -> controller.Result:
        tried.append(asyncio.get_running_loop().time())
        if server["up"]:
            looked.answered("GET", 200)
            return controller.Result()
        looked.unanswered("GET")
        raise LOST

    workers = controller.Controller(
        reconcile=reconcile, queue=work, workers=4, reconcile_deadline_s=30,
        held=looked.holds, away=lambda: looked.is_away, observer=quiet.Quiet(),
    )  # fmt: skip
    async with asyncio.TaskGroup() as group:
        group.create_task(workers.run())
        server["up"] = False
        for number in range(100):
            work.add(objects.key(str(number)))
        await asyncio.sleep(600)
        assert len(tried) < 320
        server["up"] = True
        tried.clear()
        await asyncio.sleep(3)
        assert (len(tried), max(tried) < 602.1) == (100, True)
        workers.stop()

import asyncio
from typing import Any

import pytest

from tests.unit.runtime import objects
from workflowexecution.runtime import freshness, resource, store
from workflowexecution.runtime.queue import Priority

pytestmark = pytest.mark.looptime

OWNER = objects.key("owner")
OTHER = objects.key("other")


class Rig:
    """A freshness with a cache of widgets; `arrive` and `vanish` play the informer."""

    def __init__(self) -> None:
        self.cache: store.StoreWriter[objects.Widget] = store.StoreWriter()
        self.unparked: list[resource.ObjectKey] = []
        self.priorities: list[Priority] = []
        self.lags: list[float] = []
        self.fresh = freshness.Freshness(
            stores={objects.WIDGETS: self.cache}.get,
            on_unpark=self.unpark,
            observer=self,
        )

    def unpark(self, key: resource.ObjectKey, priority: Priority) -> None:
        self.unparked.append(key)
        self.priorities.append(priority)

    def caught_up(self, lag_s: float) -> None:
        self.lags.append(lag_s)

    def arrive(self, version: str, name: str = "one", uid: str = "") -> None:
        item = objects.widget(name, version, uid=uid)
        self.cache.apply(item)
        self.fresh.seen(objects.WIDGETS, item.key, item.uid, version)

    def vanish(self, name: str = "one", uid: str = "") -> None:
        key = objects.key(name)
        self.cache.remove(key)
        self.fresh.seen(objects.WIDGETS, key, uid or f"uid-{name}", "")

    def relist(self, number: int) -> None:
        self.fresh.relisted(objects.WIDGETS, number)

    def begin(self, name: str = "one", owner: resource.ObjectKey = OWNER) -> freshness.Write:
        return self.fresh.writing(owner, objects.WIDGETS, objects.key(name))

    def write(self, version: str, name: str = "one", owner: resource.ObjectKey = OWNER) -> None:
        with self.begin(name, owner) as write:
            write.answered(objects.raw(name, version))

    def is_empty(self) -> bool:
        fresh = self.fresh
        return not (fresh._by_key or fresh._by_uid or fresh._writing or fresh._asked)


async def test_key_is_parked_from_the_answer_until_the_version_arrives() -> None:
    rig = Rig()
    rig.arrive("1")
    rig.write("2")
    assert rig.fresh.parked(OWNER)
    assert len(rig.fresh) == 1
    rig.arrive("2")
    assert not rig.fresh.parked(OWNER)
    assert rig.is_empty()


async def test_key_is_not_parked_when_the_event_came_before_the_answer() -> None:
    rig = Rig()
    with rig.begin() as write:
        rig.arrive("2")
        write.answered(objects.raw(version="2"))
    assert not rig.fresh.parked(OWNER)
    assert rig.is_empty()


async def test_key_is_not_parked_when_another_version_followed_before_the_answer() -> None:
    rig = Rig()
    with rig.begin() as write:
        rig.arrive("2")
        rig.arrive("3")
        write.answered(objects.raw(version="2"))
    assert not rig.fresh.parked(OWNER)


async def test_key_is_parked_when_only_an_older_version_arrived_meanwhile() -> None:
    rig = Rig()
    with rig.begin() as write:
        rig.arrive("1")
        write.answered(objects.raw(version="2"))
    assert rig.fresh.parked(OWNER)


async def test_key_is_not_parked_when_the_write_changed_nothing() -> None:
    rig = Rig()
    rig.arrive("1")
    rig.write("1")
    assert not rig.fresh.parked(OWNER)


async def test_key_is_not_parked_when_nothing_changed_and_the_cache_moved_on_meanwhile() -> None:
    rig = Rig()
    rig.arrive("1")
    with rig.begin() as write:
        rig.arrive("2")
        write.answered(objects.raw(version="1"))
    assert not rig.fresh.parked(OWNER)


async def test_key_is_parked_when_nothing_changed_but_the_cache_is_behind() -> None:
    rig = Rig()
    rig.arrive("1")
    rig.write("2")
    rig.write("2")
    assert rig.fresh.parked(OWNER)
    rig.arrive("2")
    assert rig.is_empty()


async def test_only_the_last_version_counts_when_an_object_is_written_twice() -> None:
    rig = Rig()
    rig.write("2")
    rig.write("3")
    rig.arrive("2")
    assert rig.fresh.parked(OWNER)
    rig.arrive("3")
    assert not rig.fresh.parked(OWNER)


async def test_second_write_releases_the_first_when_its_event_is_here_already() -> None:
    rig = Rig()
    rig.write("2")
    assert rig.fresh.parked(OWNER)
    with rig.begin() as write:
        rig.arrive("3")
        write.answered(objects.raw(version="3"))
    assert rig.unparked == [OWNER]
    assert rig.is_empty()


async def test_key_stays_parked_until_all_its_objects_arrived() -> None:
    rig = Rig()
    rig.write("2", "one")
    rig.write("5", "two")
    rig.arrive("2", "one")
    assert rig.fresh.parked(OWNER)
    rig.arrive("5", "two")
    assert rig.unparked == [OWNER]


async def test_two_keys_wait_for_their_own_versions_of_one_object() -> None:
    rig = Rig()
    rig.write("2", owner=OWNER)
    rig.write("3", owner=OTHER)
    rig.arrive("2")
    assert (rig.fresh.parked(OWNER), rig.fresh.parked(OTHER)) == (False, True)
    rig.arrive("3")
    assert rig.is_empty()


async def test_writes_on_one_object_at_the_same_time_both_see_what_arrives() -> None:
    rig = Rig()
    with rig.begin(owner=OWNER) as first, rig.begin(owner=OTHER) as second:
        rig.arrive("2")
        first.answered(objects.raw(version="2"))
        second.answered(objects.raw(version="2"))
    assert rig.is_empty()


async def test_asked_key_is_told_once_when_it_need_not_wait() -> None:
    rig = Rig()
    rig.write("2")
    rig.fresh.parked(OWNER)
    rig.fresh.parked(OWNER)
    rig.arrive("2")
    assert rig.unparked == [OWNER]


async def test_asked_key_is_told_with_the_most_urgent_class_that_asked() -> None:
    rig = Rig()
    rig.write("2")
    for priority in (Priority.LOW, Priority.HIGH, Priority.NORMAL):
        rig.fresh.parked(OWNER, priority)
    rig.arrive("2")
    assert rig.priorities == [Priority.HIGH]


async def test_key_that_nobody_asked_for_is_not_told() -> None:
    rig = Rig()
    rig.write("2")
    rig.arrive("2")
    assert rig.unparked == []


async def test_disappearance_releases_the_key() -> None:
    rig = Rig()
    rig.write("2")
    rig.vanish()
    assert not rig.fresh.parked(OWNER)


async def test_disappearance_of_an_earlier_object_of_that_name_does_not_release() -> None:
    rig = Rig()
    rig.arrive("1", uid="old")
    rig.write("5")
    rig.vanish(uid="old")
    assert rig.fresh.parked(OWNER)
    rig.arrive("5")
    assert not rig.fresh.parked(OWNER)


async def test_key_is_not_parked_when_the_object_vanished_before_the_answer() -> None:
    rig = Rig()
    rig.arrive("1")
    with rig.begin() as write:
        rig.vanish()
        write.answered(objects.raw(version="2"))
    assert not rig.fresh.parked(OWNER)


async def test_immediate_deletion_parks_until_the_disappearance() -> None:
    rig = Rig()
    rig.arrive("1")
    with rig.begin() as write:
        write.answered({"kind": "Status", "status": "Success", "details": {"uid": "uid-one"}})
    assert rig.fresh.parked(OWNER)
    rig.arrive("2")
    assert rig.fresh.parked(OWNER)
    rig.vanish()
    assert rig.is_empty()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({}, id="empty"),
        pytest.param({"kind": "Status"}, id="status"),
        pytest.param({"metadata": {"resourceVersion": "2"}}, id="no-uid"),
    ],
)
async def test_answer_without_identity_parks_nothing(answer: dict[str, Any]) -> None:
    rig = Rig()
    with rig.begin() as write:
        write.answered(answer)
    assert rig.is_empty()


async def test_write_on_a_kind_that_is_not_watched_parks_nothing() -> None:
    rig = Rig()
    with rig.fresh.writing(OWNER, objects.PODS, objects.key()) as write:
        write.answered(objects.raw(version="2"))
    assert rig.is_empty()


async def test_failed_write_parks_nothing() -> None:
    rig = Rig()
    with pytest.raises(ValueError, match="reset"), rig.begin():
        raise ValueError("reset")
    assert rig.is_empty()


async def test_relist_that_began_after_the_answer_releases() -> None:
    rig = Rig()
    rig.write("2")
    rig.relist(rig.fresh.relist_begun(objects.WIDGETS))
    assert rig.is_empty()


async def test_relist_that_began_before_the_answer_does_not_release() -> None:
    rig = Rig()
    number = rig.fresh.relist_begun(objects.WIDGETS)
    rig.write("2")
    rig.relist(number)
    assert rig.fresh.parked(OWNER)
    rig.relist(rig.fresh.relist_begun(objects.WIDGETS))
    assert rig.unparked == [OWNER]


async def test_relist_that_began_before_the_answer_releases_when_it_jumped_over_the_write() -> None:
    rig = Rig()
    number = rig.fresh.relist_begun(objects.WIDGETS)
    rig.write("2")
    assert rig.fresh.parked(OWNER)
    rig.arrive("3")
    rig.relist(number)
    assert (rig.unparked, rig.is_empty()) == ([OWNER], True)


async def test_key_is_not_parked_when_a_relist_jumped_over_the_write_in_flight() -> None:
    rig = Rig()
    with rig.begin() as write:
        rig.arrive("3")
        rig.relist(rig.fresh.relist_begun(objects.WIDGETS))
        write.answered(objects.raw(version="2"))
    assert rig.is_empty()


async def test_key_is_parked_when_a_relist_during_the_write_changed_nothing() -> None:
    rig = Rig()
    rig.arrive("1")
    with rig.begin() as write:
        rig.relist(rig.fresh.relist_begun(objects.WIDGETS))
        write.answered(objects.raw(version="2"))
    assert rig.fresh.parked(OWNER)


async def test_relist_of_another_kind_does_not_release() -> None:
    rig = Rig()
    rig.write("2")
    rig.fresh.relisted(objects.PODS, rig.fresh.relist_begun(objects.PODS))
    assert rig.fresh.parked(OWNER)


async def test_nothing_is_parked_for_ever() -> None:
    rig = Rig()
    rig.write("2")
    rig.fresh.parked(OWNER)
    await asyncio.sleep(60)
    rig.write("9", "two", OTHER)
    await asyncio.sleep(61)
    assert (rig.unparked, rig.fresh.parked(OTHER)) == ([OWNER], True)
    await asyncio.sleep(120)
    assert rig.unparked == [OWNER, OTHER]
    assert rig.fresh._sweeper is None


async def test_forgotten_key_waits_for_nothing_and_is_not_told() -> None:
    rig = Rig()
    rig.write("2")
    rig.write("3", "two")
    rig.fresh.parked(OWNER)
    rig.fresh.forget(OWNER)
    assert rig.is_empty()
    assert rig.unparked == []


async def test_observer_sees_how_long_the_cache_was_behind() -> None:
    rig = Rig()
    rig.arrive("1")
    rig.write("2")
    await asyncio.sleep(0.25)
    rig.arrive("2")
    with rig.begin() as write:
        rig.arrive("3")
        write.answered(objects.raw(version="3"))
    assert rig.lags == [0.25, 0.0]


async def test_observer_sees_nothing_of_a_key_that_is_forgotten() -> None:
    rig = Rig()
    rig.arrive("1")
    rig.write("2")
    rig.fresh.forget(OWNER)
    rig.arrive("2")
    assert rig.lags == []

"""An informer lists, then watches: its store has what the server has, and all hear of it."""

import asyncio

import pytest

from tests.unit.runtime import objects, sources
from tests.unit.runtime.informers import GONE, RESET, Rig
from workflowexecution.runtime import client, resource, store

pytestmark = pytest.mark.looptime


async def test_informer_lists_then_watches_from_the_lists_version() -> None:
    rig = Rig(namespace="space", label_selector="a=b")
    rig.source.serve(objects.raw("a"), objects.raw("b"), version="7")
    await rig.run_for(10)
    assert rig.names == ["a", "b"]
    assert [delta.new.key.name for delta in rig.told if delta.new] == ["a", "b"]
    scope = {"namespace": "space", "label_selector": "a=b"}
    assert rig.source.lists == [(0, {**scope, "limit": 500, "continue_token": ""})]
    assert rig.source.opened == [
        (0, {**scope, "resource_version": "7", "timeout_s": 232, "idle_s": 90})
    ]


async def test_informer_reads_pages_and_swaps_them_in_at_once() -> None:
    rig = Rig(page_size=2)
    sizes: list[int] = []
    rig.informer.subscribe(lambda delta: sizes.append(len(rig.cache)))
    rig.source.pages = [
        client.ListPage([objects.raw("a"), objects.raw("b")], "5", "t1"),
        client.ListPage([objects.raw("c")], "6", ""),
    ]
    await rig.run_for(10)
    assert sizes == [3, 3, 3]
    assert [options["continue_token"] for _, options in rig.source.lists] == ["", "t1"]
    assert rig.source.opened_versions == ["5"]


async def test_informer_starts_the_list_anew_when_the_page_token_expired() -> None:
    rig = Rig()
    rig.source.pages = [
        client.ListPage([objects.raw("old")], "5", "t1"),
        GONE,
        client.ListPage([objects.raw("new")], "9", ""),
    ]
    await rig.run_for(10)
    assert [options["continue_token"] for _, options in rig.source.lists] == ["", "t1", ""]
    assert rig.names == ["new"]


async def test_informer_applies_events_and_resumes_after_them() -> None:
    rig = Rig()
    rig.source.watches = [
        [
            [
                sources.event("ADDED", objects.raw("a", "2")),
                sources.event("MODIFIED", objects.raw("a", "3")),
            ],
            [sources.event("BOOKMARK", {"metadata": {"resourceVersion": "8"}})],
            10.0,
        ]
    ]
    await rig.run_for(20)
    assert [delta.new and delta.new.resource_version for delta in rig.told] == ["2", "3"]
    assert rig.source.opened_versions == ["1", "8"]
    assert rig.source.opened_at == [0, 10]
    assert len(rig.source.lists) == 1


async def test_informer_keeps_its_version_when_an_event_has_none() -> None:
    rig = Rig()
    rig.source.watches = [[[sources.event("BOOKMARK", {})], 10.0]]
    await rig.run_for(20)
    assert rig.source.opened_versions == ["1", "1"]


async def test_each_batch_of_a_watch_is_a_sign_of_the_server() -> None:
    heard: list[float] = []
    rig = Rig(on_heard=lambda: heard.append(sources.now()))
    bookmark = {"metadata": {"resourceVersion": "7"}}
    rig.source.watches = [[30.0, [sources.event("BOOKMARK", bookmark)], 30.0]]
    await rig.run_for(50)
    assert heard == [30.0]


async def test_informer_is_stuck_only_when_its_own_waits_do_not_end() -> None:
    rig = Rig()
    rig.source.watches = [[4.0, [sources.event("BOOKMARK", {})], 1e9]]
    assert rig.informer.stuck_s == float("-inf")
    await rig.run_for(10)
    assert rig.informer.stuck_s == -84
    # The transport ends a silent watch; this source does not.
    await rig.run_for(100)
    assert rig.informer.stuck_s == 10


async def test_informer_tells_when_it_last_heard() -> None:
    rig = Rig()
    assert rig.informer.last_event_age_s == float("inf")
    rig.source.watches = [[4.0, [sources.event("BOOKMARK", {})], 3.0, RESET]]
    await rig.run_for(6)
    assert rig.informer.last_event_age_s == 2


async def test_other_tasks_get_their_turn_between_many_events() -> None:
    rig = Rig(events_per_turn=10)
    seen: list[int] = []
    known: list[store.Delta[objects.Widget]] = []
    rig.informer.witness(known.append)
    rig.source.serve(*(objects.raw(f"l{number}") for number in range(30)))
    rig.source.watches = [
        [[sources.event("ADDED", objects.raw(f"w{number}")) for number in range(30)]]
    ]

    async def look() -> None:
        while len(rig.told) < 60:
            seen.append(len(rig.told))
            assert len(known) >= (30 if rig.told else 0)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(rig.informer.run())
        await group.create_task(look())
        running.cancel()
    assert {10, 20, 40, 50} <= set(seen)


async def test_resync_tells_every_object_once_a_period_spread_over_it() -> None:
    rig = Rig(resync_period_s=10)
    rig.source.serve(*(objects.raw(str(number)) for number in range(20)))
    await rig.run_for(10.5)
    again = [delta for delta in rig.told[20:] if delta.old is delta.new]
    assert sorted(delta.new.key.name for delta in again if delta.new) == sorted(map(str, range(20)))
    assert rig.told_at[20:] == [second for second in range(1, 11) for _ in range(2)]


async def test_resync_skips_what_is_gone_meanwhile() -> None:
    rig = Rig(resync_period_s=0.5)
    rig.source.serve(objects.raw("a"), objects.raw("b"))
    rig.source.watches = [[0.2, [sources.event("DELETED", objects.raw("a"))], 99.0]]
    await rig.run_for(0.6)
    assert [delta.new and delta.new.key.name for delta in rig.told] == ["a", "b", None, "b"]


async def test_versions_are_reported_with_the_number_of_the_list() -> None:
    calls: list[tuple[object, ...]] = []

    class Versions:
        def seen(self, kind: resource.Resource, *reached: object) -> None:
            calls.append(("seen", *reached))

        def relist_begun(self, kind: resource.Resource, /) -> int:
            calls.append(("begun",))
            return 7

        def relisted(self, kind: resource.Resource, number: int, /) -> None:
            calls.append(("relisted", number))

    rig = Rig(freshness=Versions())
    rig.source.pages = [RESET, client.ListPage([objects.raw()], "1", "")]
    await rig.run_for(2)
    assert calls == [
        ("begun",),
        ("begun",),
        ("seen", objects.key(), "uid-one", "1"),
        ("relisted", 7),
    ]


async def test_informer_counts_objects_it_cannot_read() -> None:
    rig = Rig()
    rig.source.serve(objects.raw("a", color="poison"), objects.raw("b"))
    await rig.run_for(1)
    assert (rig.informer.poisoned, rig.names) == (1, ["b"])

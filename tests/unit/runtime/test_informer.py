import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog.testing

from tests.unit import quiet
from tests.unit.runtime import objects, sources
from workflowexecution.runtime import client, errors, informer, resource, store

pytestmark = pytest.mark.looptime

REFUSED = errors.TransportError("refused", sent=False)
RESET = errors.TransportError("reset")
SILENT = errors.TransportError("no byte", silent=True)
FAILED = sources.refusal(500)
GONE = sources.refusal(410)
STARTING = errors.map_status(
    {"kind": "Status", "message": "storage is (re)initializing"}, status=429, retry_after="1"
)
FUTURE = errors.map_status({
    "code": 504,
    "details": {"causes": [{"reason": "ResourceVersionTooLarge"}]},
})


def upper_edge() -> float:
    return 1.0


class Rig:
    """An informer over a scripted source; delays are at their upper edges."""

    def __init__(
        self,
        source: sources.Source | None = None,
        **options: Any,  # noqa: ANN401 - forwarded as they come
    ) -> None:
        self.source = source or sources.Source()
        self.cache: store.StoreWriter[objects.Widget] = store.StoreWriter()
        self.told: list[store.Delta[objects.Widget]] = []
        self.told_at: list[float] = []
        self.states: list[tuple[float, bool, bool]] = []
        self.doubts: list[float] = []
        options.setdefault("freshness", quiet.Quiet())
        options.setdefault("on_heard", lambda: None)
        self.informer: informer.Informer[objects.Widget] = informer.Informer(
            client=self.source,
            resource=objects.WIDGETS,
            project=objects.project,
            store=self.cache,
            uniform=upper_edge,
            **options,
        )
        self.informer.subscribe(self.note)
        self.informer.on_state(self.note_state)

    def note(self, delta: store.Delta[objects.Widget]) -> None:
        self.told.append(delta)
        self.told_at.append(sources.now())

    def note_state(self) -> None:
        if self.informer.in_doubt != (len(self.doubts) % 2 == 1):
            self.doubts.append(sources.now())
            return
        self.states.append((sources.now(), self.informer.synced, self.informer.missing))

    async def run_for(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.informer.run()

    @property
    def names(self) -> list[str]:
        return sorted(cached.key.name for cached in self.cache)


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


async def test_informer_is_synced_once_the_list_is_in() -> None:
    rig = Rig()
    rig.source.pages = [RESET, client.ListPage([], "1", "")]
    assert not rig.informer.synced
    async with asyncio.TaskGroup() as group:
        running = group.create_task(rig.informer.run())
        await rig.informer.wait_synced()
        assert sources.now() == 0.8
        running.cancel()
    assert (rig.informer.synced, rig.cache.synced) == (True, True)
    assert rig.states == [(0.8, True, False)]


@pytest.mark.parametrize(
    "page", [client.ListPage([], "1", ""), sources.refusal(404), sources.refusal(403)]
)
async def test_informer_is_known_once_the_list_is_in_or_why_it_cannot_be(
    page: client.ListPage | errors.ApiError,
) -> None:
    rig = Rig()
    rig.source.pages = [RESET, page]
    async with asyncio.TaskGroup() as group:
        running = group.create_task(rig.informer.run())
        await rig.informer.wait_known()
        assert sources.now() == 0.8
        await rig.informer.wait_known()
        running.cancel()


@pytest.mark.parametrize(
    ("failures", "known_at"),
    [
        pytest.param([FAILED], [50.4], id="500"),
        pytest.param([REFUSED], [], id="no-server"),
        pytest.param([sources.refusal(503)], [], id="proxy"),
        pytest.param([sources.refusal(429)], [], id="busy"),
        pytest.param([GONE], [], id="expired"),
        pytest.param([FAILED, *[REFUSED] * 20, FAILED], [106.8], id="not-before-an-outage"),
        pytest.param(
            [FAILED, *[sources.refusal(502)] * 20, FAILED], [106.8], id="not-before-a-proxys"
        ),
        pytest.param([FAILED, *[sources.refusal(429)] * 2, FAILED], [50.4], id="busy-meanwhile"),
    ],
)
async def test_informer_is_known_once_the_server_has_refused_the_list_for_half_a_minute(
    failures: list[errors.ClusterError], known_at: list[float]
) -> None:
    rig = Rig()
    rig.source.pages = [*failures]
    told: list[float] = []

    async def know() -> None:
        await rig.informer.wait_known()
        told.append(sources.now())

    knowing = asyncio.create_task(know())
    await rig.run_for(600)
    knowing.cancel()
    assert told == pytest.approx(known_at)
    assert not rig.informer.synced


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


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(GONE, id="at-open"),
        pytest.param([GONE], id="first-event"),
        pytest.param([[sources.event("ADDED", objects.raw("a", "2"))] * 9, GONE], id="tenth-event"),
        pytest.param([errors.map_status({"reason": "Expired"})], id="reason-only"),
    ],
)
async def test_informer_lists_again_at_once_when_the_version_expired(
    script: list[sources.Step] | errors.ClusterError,
) -> None:
    rig = Rig()
    rig.source.watches = [script]
    rig.source.pages = [
        client.ListPage([objects.raw("a"), objects.raw("b")], "1", ""),
        client.ListPage([objects.raw("b", "5")], "7", ""),
    ]
    await rig.run_for(10)
    assert rig.source.listed_at == [0, 0]
    assert rig.source.opened_versions == ["1", "7"]
    assert rig.names == ["b"]
    assert [delta.new for delta in rig.told[-2:]] == [None, objects.widget("b", "5")]


async def test_informer_backs_off_when_every_version_is_called_expired() -> None:
    rig = Rig()
    rig.source.watches = [GONE] * 4
    await rig.run_for(9)
    assert rig.source.listed_at == pytest.approx([0, 0, 1.6, 4.8])


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(sources.refusal(500), id="500"),
        pytest.param(errors.map_status({}), id="empty-status"),
        pytest.param(errors.map_status({"code": 429}), id="429-event"),
        pytest.param(RESET, id="reset"),
    ],
)
async def test_informer_resumes_from_the_last_good_version_after_a_failure(
    failure: errors.ClusterError,
) -> None:
    rig = Rig()
    rig.source.watches = [[[sources.event("ADDED", objects.raw("a", "6"))], failure]]
    with structlog.testing.capture_logs() as logs:
        await rig.run_for(10)
    assert rig.source.opened_versions == ["1", "6"]
    assert rig.source.opened_at == [0, 0.8]
    assert len(rig.source.lists) == 1
    assert [entry["log_level"] for entry in logs] == ["warning"]


async def test_informer_connects_at_most_fifteen_times_a_minute_when_streams_end_at_once() -> None:
    rig = Rig()
    rig.source.watches = [[] for _ in range(100)]
    await rig.run_for(60)
    assert rig.source.opened_at == pytest.approx([0, 0.8, 2.4, 5.6, 12, 24.8, 50.4])


async def test_informer_backs_off_up_to_thirty_seconds() -> None:
    rig = Rig()
    rig.source.watches = [FAILED for _ in range(100)]
    await rig.run_for(200)
    assert rig.source.opened_at[-1] - rig.source.opened_at[-2] == pytest.approx(30)


DEAF = [
    pytest.param(FAILED, id="500"),
    pytest.param(sources.refusal(403), id="403"),
    pytest.param(sources.refusal(429), id="429"),
    pytest.param([FAILED], id="poisoned"),
    pytest.param([], id="ends-at-once"),
]
"""Watches by which nothing is ever heard of what changes."""


@pytest.mark.parametrize("failure", DEAF)
async def test_informer_lists_once_after_ten_watches_that_failed_in_a_row(
    failure: list[sources.Step] | errors.ClusterError,
) -> None:
    rig = Rig()
    rig.source.watches = [failure] * 30
    rig.source.pages += [FAILED, client.ListPage([objects.raw("new")], "9", "")]
    await rig.run_for(700)
    assert rig.source.listed_at == pytest.approx([0, 170.4, 470.4])
    # The list that failed has taken nothing away.
    assert rig.source.opened_versions == ["1"] * 19 + ["9"] * 8
    assert (rig.names, rig.informer.in_doubt) == (["new"], False)


@pytest.mark.parametrize("failure", DEAF)
async def test_list_in_the_place_of_a_watch_does_not_hide_that_nothing_is_heard(
    failure: list[sources.Step] | errors.ClusterError,
) -> None:
    rig = Rig()
    rig.source.watches = [failure] * 30
    await rig.run_for(400)
    assert len(rig.source.lists) == 2
    assert rig.informer.last_event_age_s == 400


@pytest.mark.parametrize(
    ("after_s", "age_s"),
    [
        pytest.param(5, 5, id="not-yet"),
        pytest.param(6, 5.2, id="open"),
        pytest.param(10, 9.2, id="ended"),
    ],
)
async def test_watch_that_has_lived_is_a_word_of_what_changes(after_s: float, age_s: float) -> None:
    rig = Rig()
    rig.source.watches = [FAILED, [6.0, FAILED], *[FAILED] * 9]
    await rig.run_for(after_s)
    assert rig.informer.last_event_age_s == pytest.approx(age_s)


@pytest.mark.parametrize(
    ("pages", "listed_at"),
    [
        pytest.param([*[FAILED] * 10, client.ListPage([], "1", "")], 170.4, id="the-first"),
        pytest.param(
            [client.ListPage([], "1", ""), sources.refusal(404), client.ListPage([], "1", "")],
            175.4,
            id="of-an-api-that-was-missing",
        ),
    ],
)
async def test_list_that_no_version_came_before_is_a_word_after_ten_failures_too(
    pages: list[client.ListPage | errors.ClusterError], listed_at: float
) -> None:
    rig = Rig()
    rig.source.pages = pages
    rig.source.watches = [FAILED] * 30
    await rig.run_for(listed_at + 2)
    assert rig.source.listed_at[-1] == pytest.approx(listed_at)
    assert rig.informer.last_event_age_s == pytest.approx(2)


async def test_informer_lists_nothing_anew_while_events_come_by_watches_that_fail() -> None:
    rig = Rig()
    bookmark = [sources.event("BOOKMARK", {"metadata": {"resourceVersion": "2"}})]
    rig.source.watches = [*[FAILED] * 9, [bookmark, FAILED], *[FAILED] * 8]
    await rig.run_for(500)
    assert rig.source.listed_at == [0]


async def test_informer_tries_each_three_seconds_while_connections_are_refused() -> None:
    rig = Rig()
    rig.source.pages = [REFUSED]
    await rig.run_for(20)
    assert rig.source.listed_at == pytest.approx([0, 0.8, 2.4, 5.4, 8.4, 11.4, 14.4, 17.4])


async def test_informer_is_back_soon_when_the_server_is_after_a_long_time() -> None:
    rig = Rig()
    starting = [sources.refusal(500), sources.refusal(429, retry_after="1"), GONE]
    rig.source.watches = [[10.0, RESET], REFUSED, *starting]
    rig.source.pages = [*rig.source.pages, *[REFUSED] * 200, client.ListPage([], "2", "")]
    await rig.run_for(700)
    *_, first, second, third, good = rig.source.opened_at
    *_, refused, listed, _ = rig.source.listed_at
    assert listed - refused == pytest.approx(3)
    assert first == listed
    assert [second - first, third - second, good - third] == pytest.approx([1.6, 3.2, 0])


async def test_informer_forgets_its_failures_after_a_stream_that_lived() -> None:
    rig = Rig()
    rig.source.watches = [FAILED, FAILED, [5.0, RESET], FAILED]
    await rig.run_for(20)
    assert rig.source.opened_at == pytest.approx([0, 0.8, 2.4, 8.2, 9.8])


@pytest.mark.parametrize(
    ("script", "listed_at"),
    [
        pytest.param([[3.0, RESET], REFUSED], [0, 4.6], id="refused"),
        pytest.param([[3.0, RESET], sources.refusal(503)], [0, 4.6], id="503"),
        pytest.param([[3.0, RESET], RESET], [0, 4.6], id="no-answer"),
        # Its absence fell into the pause.
        pytest.param([[3.0, RESET], STARTING], [0, 5.05], id="starting"),
        pytest.param([[90.0, RESET]], [0, 90.8], id="silent"),
        # The silence is timed where bytes arrive, a moment before a batch is heard of.
        pytest.param([[89.9, SILENT]], [0, 90.7], id="silent-by-the-transport"),
    ],
)
async def test_informer_lists_again_when_the_servers_past_may_be_another_one(
    script: list[list[sources.Step] | errors.ClusterError], listed_at: list[float]
) -> None:
    rig = Rig()
    rig.source.watches = script
    rig.source.pages = [
        client.ListPage([objects.raw("a", "9")], "9", ""),
        client.ListPage([objects.raw("a", "4")], "5", ""),
    ]
    await rig.run_for(99)
    assert rig.source.listed_at == pytest.approx(listed_at)
    assert (rig.source.opened_versions[-1], rig.told[-1].new) == ("5", objects.widget("a", "4"))
    doubted_at, relisted_at = rig.doubts
    assert doubted_at < relisted_at == pytest.approx(listed_at[-1])
    assert (rig.informer.in_doubt, rig.informer.doubt_s) == (False, 0.0)


async def test_each_batch_of_a_watch_is_a_sign_of_the_server() -> None:
    heard: list[float] = []
    rig = Rig(on_heard=lambda: heard.append(sources.now()))
    bookmark = {"metadata": {"resourceVersion": "7"}}
    rig.source.watches = [[30.0, [sources.event("BOOKMARK", bookmark)], 30.0]]
    await rig.run_for(50)
    assert heard == [30.0]


async def test_doubt_lasts_until_the_list_is_in() -> None:
    rig = Rig()
    rig.source.watches = [errors.TransportError("refused", sent=False)]
    listed = client.ListPage([], "1", "")
    rig.source.pages = [listed, *[sources.refusal(500)] * 3, listed]
    await rig.run_for(3)
    assert rig.informer.in_doubt
    assert rig.informer.doubt_s == pytest.approx(3)


async def test_informer_tries_at_once_when_it_is_told_that_the_server_is_back() -> None:
    rig = Rig()
    rig.source.watches = [FAILED] * 6
    loop = asyncio.get_running_loop()
    loop.call_later(30, rig.informer.hurry)
    await rig.run_for(49)
    assert rig.source.opened_at == pytest.approx([0, 0.8, 2.4, 5.6, 12, 24.8, 30])


async def test_informer_is_stuck_only_when_its_own_waits_do_not_end() -> None:
    rig = Rig()
    rig.source.watches = [[4.0, [sources.event("BOOKMARK", {})], 1e9]]
    assert rig.informer.stuck_s == float("-inf")
    await rig.run_for(10)
    assert rig.informer.stuck_s == -84
    # The transport ends a silent watch; this source does not.
    await rig.run_for(100)
    assert rig.informer.stuck_s == 10


class SlowSource(sources.Source):
    """A source that needs ten seconds to open a watch, or to fail to."""

    @contextlib.asynccontextmanager
    async def watch(
        self,
        resource: resource.Resource,
        /,
        **options: Any,  # noqa: ANN401 - forwarded as they come
    ) -> AsyncIterator[AsyncIterator[list[client.WatchEvent]]]:
        await asyncio.sleep(10)
        async with super().watch(resource, **options) as batches:
            yield batches


async def test_informer_does_not_call_a_slow_failure_to_connect_a_stream_that_lived() -> None:
    rig = Rig(SlowSource())
    rig.source.watches = [FAILED, FAILED, FAILED]
    await rig.run_for(50)
    assert rig.source.opened_at == pytest.approx([10, 20.8, 32.4, 45.6])


async def test_informer_waits_as_long_as_the_server_asks_and_keeps_its_version() -> None:
    rig = Rig()
    rig.source.watches = [sources.refusal(429, retry_after="8"), sources.refusal(429)]
    await rig.run_for(30)
    assert rig.source.opened_at == pytest.approx([0, 10, 11.6])
    assert rig.source.opened_versions == ["1", "1", "1"]


@pytest.mark.parametrize("failure", [FUTURE, sources.refusal(504)])
async def test_informer_lists_again_when_its_version_is_called_future_three_times(
    failure: errors.ApiError,
) -> None:
    rig = Rig()
    rig.source.watches = [failure, failure, [failure]]
    await rig.run_for(30)
    assert rig.source.listed_at == pytest.approx([0, 0.8 + 1.6 + 3.2])


async def test_informer_keeps_its_version_when_future_answers_are_not_in_a_row() -> None:
    rig = Rig()
    good: list[sources.Step] = [[sources.event("BOOKMARK", {})], 6.0]
    rig.source.watches = [FUTURE, FUTURE, good, FUTURE, FUTURE]
    await rig.run_for(60)
    assert len(rig.source.lists) == 1


async def test_missing_api_is_told_once_and_changes_nothing_else() -> None:
    rig = Rig()
    rig.source.serve(objects.raw("a"))
    rig.source.watches = [[10.0], sources.refusal(404)]
    rig.source.pages += [sources.refusal(404), sources.refusal(404)]
    await rig.run_for(22)
    assert rig.source.listed_at == [0, 15, 20]
    assert (rig.informer.missing, rig.informer.synced) == (True, True)
    assert (rig.names, len(rig.told)) == (["a"], 1)
    assert rig.states == [(0, True, False), (10, True, True)]


async def test_api_that_is_served_again_is_told_and_listed() -> None:
    rig = Rig()
    rig.source.pages = [sources.refusal(404), client.ListPage([objects.raw("a")], "4", "")]
    await rig.run_for(20)
    assert rig.states == [(0, False, True), (5, False, False), (5, True, False)]
    assert rig.names == ["a"]


async def test_object_that_is_not_found_means_a_missing_api_for_a_collection() -> None:
    rig = Rig()
    rig.source.pages = [errors.map_status({"code": 404, "reason": "NotFound"})]
    await rig.run_for(1)
    assert rig.informer.missing


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

"""When an informer lists all anew, and what it doubts until then."""

import pytest

from tests.unit.runtime import objects, sources
from tests.unit.runtime.informers import FAILED, GONE, REFUSED, RESET, Rig
from workflowexecution.runtime import client, errors

pytestmark = pytest.mark.looptime

SILENT = errors.TransportError("no byte", silent=True)
STARTING = errors.map_status(
    {"kind": "Status", "message": "storage is (re)initializing"}, status=429, retry_after="1"
)
FUTURE = errors.map_status({
    "code": 504,
    "details": {"causes": [{"reason": "ResourceVersionTooLarge"}]},
})


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


async def test_doubt_lasts_until_the_list_is_in() -> None:
    rig = Rig()
    rig.source.watches = [errors.TransportError("refused", sent=False)]
    listed = client.ListPage([], "1", "")
    rig.source.pages = [listed, *[sources.refusal(500)] * 3, listed]
    await rig.run_for(3)
    assert rig.informer.in_doubt
    assert rig.informer.doubt_s == pytest.approx(3)


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

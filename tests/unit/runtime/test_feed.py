from typing import Any

import pytest
import structlog.testing

from tests.unit.runtime import objects, sources
from workflowexecution.runtime import feed, resource, store


class Rig:
    """A feed with its cache, the deltas it delivers and the versions it notes."""

    def __init__(self, *contents: objects.Widget) -> None:
        self.cache: store.StoreWriter[objects.Widget] = store.StoreWriter()
        for item in contents:
            self.cache.apply(item)
        self.told: list[store.Delta[objects.Widget]] = []
        self.noted: list[tuple[str, str, str]] = []
        self.feed = feed.Feed(
            kind=objects.WIDGETS, project=objects.project, cache=self.cache, versions=self
        )
        self.feed.subscribe(self.told.append)

    def seen(
        self, kind: resource.Resource, object_key: resource.ObjectKey, uid: str, version: str, /
    ) -> None:
        self.noted.append((object_key.name, uid, version))

    def relist_begun(self, kind: resource.Resource, /) -> int:
        return 0

    def relisted(self, kind: resource.Resource, number: int, /) -> None:
        pass

    def send(self, kind: str, obj: dict[str, Any]) -> str:
        return self.feed.apply(sources.event(kind, obj))

    def list(self, *items: dict[str, Any]) -> list[store.Delta[objects.Widget]]:
        listing: feed.Listing[objects.Widget] = feed.Listing()
        for item in items:
            self.feed.read(listing, item)
        return self.feed.replace(listing)


Delta = store.Delta


def test_arrival_is_cached_noted_and_told() -> None:
    rig = Rig()
    assert rig.send("ADDED", objects.raw(version="3")) == "3"
    new = objects.widget(version="3")
    assert list(rig.cache) == [new]
    assert rig.told == [Delta(None, new)]
    assert rig.noted == [("one", "uid-one", "3")]


def test_witness_knows_a_whole_list_before_anything_of_it_is_told() -> None:
    rig = Rig(objects.widget("gone"))
    known: list[store.Delta[objects.Widget]] = []
    rig.feed.witness(known.append)
    deltas = rig.list(objects.raw("one"))
    assert [it.old or it.new for it in known] == [objects.widget("gone"), objects.widget("one")]
    assert (known, rig.told) == (deltas, [])
    rig.send("DELETED", objects.raw("one", version="2"))
    assert known[2:] == rig.told == [Delta(objects.widget("one", version="2"), None)]


def test_change_is_told_with_what_was_before() -> None:
    old, new = objects.widget(version="1"), objects.widget(version="2")
    rig = Rig(old)
    rig.send("MODIFIED", objects.raw(version="2"))
    assert rig.told == [Delta(old, new)]


def test_same_version_again_is_no_change() -> None:
    rig = Rig(objects.widget(version="2"))
    assert rig.send("MODIFIED", objects.raw(version="2")) == "2"
    assert (rig.told, rig.noted) == ([], [])


def test_deletion_is_told_with_the_state_it_came_with() -> None:
    rig = Rig(objects.widget(version="1"))
    rig.send("DELETED", objects.raw(version="2"))
    assert rig.told == [Delta(objects.widget(version="2"), None)]
    assert rig.noted == [("one", "uid-one", "")]
    assert len(rig.cache) == 0


def test_deletion_of_what_was_never_seen_is_told() -> None:
    rig = Rig()
    rig.send("DELETED", objects.raw(version="2"))
    assert rig.told == [Delta(objects.widget(version="2"), None)]


def test_deletion_in_an_unreadable_form_is_told_with_what_was_cached() -> None:
    old = objects.widget()
    rig = Rig(old)
    rig.send("DELETED", objects.raw(version="2", color="poison"))
    assert (rig.told, len(rig.cache), rig.feed.poisoned) == ([Delta(old, None)], 0, 0)


def test_deletion_of_an_unreadable_unknown_object_is_not_told() -> None:
    rig = Rig()
    assert rig.send("DELETED", objects.raw(version="2", color="poison")) == "2"
    assert rig.told == []


def test_deletion_of_an_earlier_object_leaves_the_later_one() -> None:
    later = objects.widget(uid="later")
    rig = Rig(later)
    rig.send("DELETED", objects.raw(uid="earlier"))
    assert list(rig.cache) == [later]
    assert rig.noted == [("one", "earlier", "")]


def test_reused_name_is_told_as_disappearance_and_arrival() -> None:
    old, new = objects.widget(uid="old"), objects.widget(uid="new")
    rig = Rig(old)
    rig.send("ADDED", objects.raw(uid="new"))
    assert rig.told == [Delta(old, None), Delta(None, new)]
    assert rig.noted == [("one", "old", ""), ("one", "new", "1")]


def test_bookmark_moves_the_version_only() -> None:
    rig = Rig()
    bookmark = {"kind": "Widget", "metadata": {"resourceVersion": "9"}}
    assert rig.send("BOOKMARK", bookmark) == "9"
    assert (len(rig.cache), rig.told) == (0, [])


def test_event_of_unknown_type_is_logged_and_moves_the_version() -> None:
    rig = Rig()
    with structlog.testing.capture_logs() as logs:
        assert rig.send("EXPLODED", objects.raw(version="4")) == "4"
    assert (rig.told, logs[0]["type"]) == ([], "EXPLODED")


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({}, id="empty"),
        pytest.param({"metadata": None}, id="null"),
        pytest.param({"metadata": {"name": "a", "resourceVersion": 4}}, id="odd-version"),
        pytest.param({"metadata": ["x"]}, id="list"),
    ],
)
def test_event_of_odd_shape_is_survived(odd: dict[str, Any]) -> None:
    rig = Rig()
    assert rig.send("ADDED", odd) == ""
    assert rig.told == []


@pytest.mark.parametrize("error", [ValueError, KeyError, TypeError, AttributeError])
def test_object_that_cannot_be_projected_is_logged_once_and_skipped(
    error: type[Exception],
) -> None:
    def refuse(item: dict[str, Any]) -> objects.Widget:
        raise error

    rig = Rig()
    rig.feed = feed.Feed(kind=objects.WIDGETS, project=refuse, cache=rig.cache, versions=rig)
    with structlog.testing.capture_logs() as logs:
        for version in "123":
            assert rig.send("MODIFIED", objects.raw(version=version)) == version
    assert (len(rig.cache), len(logs), rig.feed.poisoned) == (0, 1, 1)


def test_object_is_cached_again_when_it_can_be_projected_again() -> None:
    rig = Rig()
    rig.send("ADDED", objects.raw(version="1", color="poison"))
    rig.send("MODIFIED", objects.raw(version="2"))
    assert rig.told == [Delta(None, objects.widget(version="2"))]
    assert rig.feed.poisoned == 0


def test_list_is_swapped_in_and_noted_but_told_later() -> None:
    rig = Rig(objects.widget("gone"))
    deltas = rig.list(objects.raw("new"))
    assert deltas == [Delta(objects.widget("gone"), None), Delta(None, objects.widget("new"))]
    assert rig.noted == [("gone", "uid-gone", ""), ("new", "uid-new", "1")]
    assert rig.told == []
    rig.feed.deliver(deltas[0])
    assert rig.told == deltas[:1]


def test_list_keeps_what_is_cached_of_an_object_that_cannot_be_projected() -> None:
    known = objects.widget("known")
    rig = Rig(known)
    deltas = rig.list(
        objects.raw("known", "2", color="poison"), objects.raw("unknown", color="poison")
    )
    assert (deltas, list(rig.cache), rig.feed.poisoned) == ([], [known], 2)


def test_list_forgets_unreadable_objects_that_are_gone() -> None:
    rig = Rig()
    rig.list(objects.raw(color="poison"))
    rig.list()
    assert rig.feed.poisoned == 0


def test_list_skips_an_item_without_a_name() -> None:
    rig = Rig()
    with structlog.testing.capture_logs() as logs:
        assert rig.list({"metadata": {}}) == []
    assert len(logs) == 1

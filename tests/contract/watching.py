"""Contract: watches."""

import pytest

from tests.contract.bed import WIDGETS, Bed
from tests.fake.api import Event, Refused
from tests.fake.statuses import JsonObject

FINALIZER = "contract.test/hold"


def _shape(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.type, event.object["metadata"]["name"]) for event in events]


async def _watched_to_its_end(bed: Bed, name: str) -> tuple[JsonObject, list[Event]]:
    """Create a widget under a short watch; returns it, and what is told until the watch ends."""
    # A bookmark comes 2 s before the end, and only of what has changed since the watch began.
    query = {"allowWatchBookmarks": "true", "timeoutSeconds": "8"}
    version = (await bed.create(f"before-{name}"))["metadata"]["resourceVersion"]
    async with bed.api.watch(WIDGETS, bed.namespace, resourceVersion=version, **query) as watch:
        created = await bed.create(name)
        return created, await watch.take(9)


class WatchContract:
    async def test_watch_tells_all_changes_in_order_when_started_before(self, bed: Bed) -> None:
        version = await bed.version()
        await bed.create("a")
        await bed.create("b")
        await bed.patch("a", {"spec": {"size": 1}})
        await bed.api.delete(WIDGETS, bed.namespace, "b")
        async with bed.api.watch(WIDGETS, bed.namespace, resourceVersion=version) as watch:
            events = await watch.take(4)
        assert _shape(events) == [
            ("ADDED", "a"),
            ("ADDED", "b"),
            ("MODIFIED", "a"),
            ("DELETED", "b"),
        ]
        versions = [int(event.object["metadata"]["resourceVersion"]) for event in events]
        assert versions == sorted(set(versions))

    async def test_watch_tells_changes_as_they_happen_when_open(self, bed: Bed) -> None:
        version = await bed.version()
        async with bed.api.watch(WIDGETS, bed.namespace, resourceVersion=version) as watch:
            created = await bed.create("a")
            assert await watch.take(1) == [Event("ADDED", created)]
            patched = await bed.patch("a", {"status": {"phase": "x"}}, "status")
            assert await watch.take(1) == [Event("MODIFIED", patched)]

    async def test_watch_tells_nothing_when_a_patch_has_no_effect(self, bed: Bed) -> None:
        await bed.create("a")
        version = await bed.version()
        await bed.patch("a", {"spec": {"colour": "red"}})
        await bed.create("b")
        async with bed.api.watch(WIDGETS, bed.namespace, resourceVersion=version) as watch:
            assert _shape(await watch.take(1)) == [("ADDED", "b")]

    async def test_watch_shows_the_last_state_when_an_object_is_deleted(self, bed: Bed) -> None:
        created = await bed.create("a", finalizers=[FINALIZER])
        version = await bed.version()
        await bed.api.delete(WIDGETS, bed.namespace, "a")
        await bed.patch("a", {"metadata": {"finalizers": None, "labels": {"late": "x"}}})
        async with bed.api.watch(WIDGETS, bed.namespace, resourceVersion=version) as watch:
            marked, deleted = await watch.take(2)
        assert (marked.type, deleted.type) == ("MODIFIED", "DELETED")
        assert deleted.object["metadata"]["uid"] == created["metadata"]["uid"]
        assert deleted.object["metadata"]["finalizers"] == [FINALIZER]
        assert "labels" not in deleted.object["metadata"]
        versions = [each.object["metadata"]["resourceVersion"] for each in (marked, deleted)]
        assert int(versions[1]) > int(versions[0])

    @pytest.mark.parametrize("start", ["0", ""], ids=["zero", "none"])
    async def test_watch_tells_the_present_first_when_no_version_is_given(
        self, bed: Bed, start: str
    ) -> None:
        await bed.create("a")
        await bed.create("b")
        await bed.version()
        query = {"resourceVersion": start} if start else {}
        async with bed.api.watch(WIDGETS, bed.namespace, **query) as watch:
            assert _shape(await watch.take(2)) == [("ADDED", "a"), ("ADDED", "b")]
            await bed.create("c")
            assert _shape(await watch.take(1)) == [("ADDED", "c")]

    async def test_watch_covers_all_namespaces_when_none_is_named(self, bed: Bed) -> None:
        version = await bed.version()
        created = await bed.create("a")
        async with bed.api.watch(WIDGETS, resourceVersion=version) as watch:
            assert await watch.take(1) == [Event("ADDED", created)]

    async def test_watch_ends_cleanly_when_its_time_is_up(self, bed: Bed) -> None:
        version = await bed.version()
        query = {"resourceVersion": version, "timeoutSeconds": "1"}
        async with bed.api.watch(WIDGETS, bed.namespace, **query) as watch:
            assert await watch.take(1) == []

    async def test_watch_sends_a_bookmark_when_something_changed_and_the_end_is_near(
        self, bed: Bed
    ) -> None:
        created, (added, *bookmarks) = await _watched_to_its_end(bed, "a")
        for name in ("b", "c"):
            # A server that stalls at that moment sends none.
            if not bookmarks:
                created, (added, *bookmarks) = await _watched_to_its_end(bed, name)
        assert added.type == "ADDED"
        assert {each.type for each in bookmarks} == {"BOOKMARK"}
        bookmark = bookmarks[-1]
        metadata = bookmark.object["metadata"]
        assert metadata.keys() == {"resourceVersion"}
        assert int(metadata["resourceVersion"]) >= int(created["metadata"]["resourceVersion"])
        assert bookmark.object["kind"] == "Widget"
        assert bookmark.object["apiVersion"] == "contract.test/v1"


class SelectiveWatchContract:
    async def test_watch_adds_and_deletes_when_objects_enter_and_leave_the_selection(
        self, bed: Bed
    ) -> None:
        version = await bed.version()
        await bed.create("a")
        await bed.patch("a", {"metadata": {"labels": {"n": "9"}}})
        await bed.patch("a", {"spec": {"size": 1}})
        left = await bed.patch("a", {"metadata": {"labels": {"n": None}}})
        await bed.create("b", labels={"n": "9"})
        query = {"resourceVersion": version, "labelSelector": "n=9"}
        async with bed.api.watch(WIDGETS, bed.namespace, **query) as watch:
            events = await watch.take(4)
        assert _shape(events) == [
            ("ADDED", "a"),
            ("MODIFIED", "a"),
            ("DELETED", "a"),
            ("ADDED", "b"),
        ]
        gone = events[2].object["metadata"]
        assert gone["labels"] == {"n": "9"}
        assert gone["resourceVersion"] == left["metadata"]["resourceVersion"]

    async def test_watch_follows_one_object_when_selected_by_name(self, bed: Bed) -> None:
        version = await bed.version()
        await bed.create("a")
        await bed.create("b")
        query = {"resourceVersion": version, "fieldSelector": "metadata.name=b"}
        async with bed.api.watch(WIDGETS, bed.namespace, **query) as watch:
            assert _shape(await watch.take(1)) == [("ADDED", "b")]

    async def test_watch_follows_a_declared_field_when_selected_by_it(self, bed: Bed) -> None:
        version = await bed.version()
        await bed.create("a")
        await bed.create("b", spec={"colour": "blue"})
        await bed.patch("a", {"spec": {"colour": "blue"}})
        query = {"resourceVersion": version, "fieldSelector": "spec.colour=blue"}
        async with bed.api.watch(WIDGETS, bed.namespace, **query) as watch:
            assert _shape(await watch.take(2)) == [("ADDED", "b"), ("ADDED", "a")]


class WatchRefusalContract:
    async def test_watch_tells_expired_and_ends_when_the_version_is_too_old(self, bed: Bed) -> None:
        async with bed.api.watch(WIDGETS, bed.namespace, resourceVersion="1") as watch:
            events = await watch.take(2)
        assert [event.type for event in events] == ["ERROR"]
        status = events[0].object
        assert status["kind"] == "Status"
        assert (status["code"], status["reason"]) == (410, "Expired")
        assert status["message"].startswith("too old resource version: 1 (")

    async def test_watch_is_refused_when_the_field_is_not_selectable(self, bed: Bed) -> None:
        with pytest.raises(Refused) as caught:
            async with bed.api.watch(WIDGETS, bed.namespace, fieldSelector="spec.nope=1"):
                pass
        assert caught.value.reply.status == 400

    async def test_watch_is_refused_when_the_version_is_no_number(self, bed: Bed) -> None:
        with pytest.raises(Refused) as caught:
            async with bed.api.watch(WIDGETS, bed.namespace, resourceVersion="abc"):
                pass
        assert caught.value.reply.status == 500

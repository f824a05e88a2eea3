"""Contract: delete, finalizers, owners."""

import pytest

from tests.contract.bed import WIDGETS, Bed
from tests.fake.statuses import JsonObject

FINALIZER = "contract.test/hold"


class DeleteContract:
    async def test_delete_answers_success_when_nothing_holds_the_object(self, bed: Bed) -> None:
        created = await bed.create("a")
        reply = await bed.api.delete(WIDGETS, bed.namespace, "a")
        assert reply.status == 200
        assert reply.body == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {
                "name": "a",
                "group": "contract.test",
                "kind": "widgets",
                "uid": created["metadata"]["uid"],
            },
        }
        assert (await bed.read("a")).status == 404

    async def test_delete_answers_not_found_when_the_object_is_missing(self, bed: Bed) -> None:
        reply = await bed.api.delete(WIDGETS, bed.namespace, "a", preconditions={"uid": "x"})
        assert (reply.status, reply.body["reason"]) == (404, "NotFound")

    async def test_delete_is_done_when_the_preconditions_hold(self, bed: Bed) -> None:
        metadata = (await bed.create("a"))["metadata"]
        wanted = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        reply = await bed.api.delete(WIDGETS, bed.namespace, "a", preconditions=wanted)
        assert reply.status == 200

    async def test_delete_answers_conflict_when_the_uid_is_another(self, bed: Bed) -> None:
        uid = (await bed.create("a"))["metadata"]["uid"]
        reply = await bed.api.delete(WIDGETS, bed.namespace, "a", preconditions={"uid": "x"})
        assert (reply.status, reply.body["reason"]) == (409, "Conflict")
        assert reply.body["message"] == (
            'Operation cannot be fulfilled on Widget.contract.test "a": the UID in the '
            f"precondition (x) does not match the UID in record ({uid}). The object might have "
            "been deleted and then recreated"
        )

    async def test_delete_answers_conflict_when_the_version_is_another(self, bed: Bed) -> None:
        version = (await bed.create("a"))["metadata"]["resourceVersion"]
        wanted = {"resourceVersion": "1"}
        reply = await bed.api.delete(WIDGETS, bed.namespace, "a", preconditions=wanted)
        assert (reply.status, reply.body["reason"]) == (409, "Conflict")
        assert (
            f"(1) does not match the ResourceVersion in record ({version})"
            in (reply.body["message"])
        )


class FinalizerContract:
    async def test_delete_marks_the_object_when_a_finalizer_holds_it(self, bed: Bed) -> None:
        created = await bed.create("a", finalizers=[FINALIZER])
        reply = await bed.api.delete(WIDGETS, bed.namespace, "a")
        marked = reply.accept()["metadata"]
        assert marked["deletionTimestamp"]
        assert marked["deletionGracePeriodSeconds"] == 0
        assert marked["finalizers"] == [FINALIZER]
        assert marked["generation"] == 2
        assert marked["uid"] == created["metadata"]["uid"]

    async def test_delete_changes_nothing_when_it_comes_twice(self, bed: Bed) -> None:
        await bed.create("a", finalizers=[FINALIZER])
        first = (await bed.api.delete(WIDGETS, bed.namespace, "a")).accept()
        again = (await bed.api.delete(WIDGETS, bed.namespace, "a")).accept()
        assert again == first

    async def test_object_is_gone_when_its_last_finalizer_is_removed(self, bed: Bed) -> None:
        await bed.create("a", finalizers=[FINALIZER])
        marked = (await bed.api.delete(WIDGETS, bed.namespace, "a")).accept()
        patched = await bed.patch("a", {"metadata": {"finalizers": None}})
        assert "finalizers" not in patched["metadata"]
        version = marked["metadata"]["resourceVersion"]
        assert patched["metadata"]["resourceVersion"] == version
        assert (await bed.read("a")).status == 404

    async def test_object_stays_writable_when_it_is_being_deleted(self, bed: Bed) -> None:
        await bed.create("a", finalizers=[FINALIZER])
        await bed.api.delete(WIDGETS, bed.namespace, "a")
        patched = await bed.patch("a", {"status": {"phase": "ending"}}, "status")
        assert patched["status"] == {"phase": "ending"}

    async def test_new_finalizer_is_refused_when_the_object_is_being_deleted(
        self, bed: Bed
    ) -> None:
        await bed.create("a", finalizers=[FINALIZER])
        await bed.api.delete(WIDGETS, bed.namespace, "a")
        patch = {"metadata": {"finalizers": [FINALIZER, "contract.test/late"]}}
        reply = await bed.api.patch(WIDGETS, bed.namespace, "a", patch)
        assert (reply.status, reply.body["reason"]) == (422, "Invalid")
        assert reply.body["details"]["causes"][0]["reason"] == "FieldValueForbidden"

    async def test_foreground_adds_its_finalizer_when_asked_for(self, bed: Bed) -> None:
        await bed.create("a", finalizers=[FINALIZER])
        reply = await bed.api.delete(WIDGETS, bed.namespace, "a", propagationPolicy="Foreground")
        assert reply.accept()["metadata"]["finalizers"] == [FINALIZER, "foregroundDeletion"]

    async def test_foreground_marks_first_when_nothing_depends_on_the_object(
        self, bed: Bed
    ) -> None:
        await bed.create("a")
        reply = await bed.api.delete(WIDGETS, bed.namespace, "a", propagationPolicy="Foreground")
        assert reply.accept()["metadata"]["finalizers"] == ["foregroundDeletion"]


def _owned_by(owner: JsonObject, *, blocks: bool = True) -> list[JsonObject]:
    return [
        {
            "apiVersion": WIDGETS.api_version,
            "kind": WIDGETS.kind,
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": blocks,
        }
    ]


class OwnerContract:
    """Needs a garbage collector."""

    @pytest.fixture(autouse=True)
    def _collector(self, bed: Bed) -> None:
        if not bed.collects:
            pytest.skip("no garbage collector runs on this server")

    async def _deletions(self, bed: Bed, version: str, count: int) -> list[str]:
        """Return the names of the next objects to go, in their order."""
        gone: list[str] = []
        async with bed.api.watch(WIDGETS, bed.namespace, resourceVersion=version) as watch:
            async for event in watch:
                if event.type == "DELETED":
                    gone.append(event.object["metadata"]["name"])
                if len(gone) == count:
                    break
        return gone

    async def test_dependents_go_first_when_the_owner_is_deleted_in_foreground(
        self, bed: Bed
    ) -> None:
        owner = await bed.create("owner")
        await bed.create("child", ownerReferences=_owned_by(owner))
        version = await bed.version()
        await bed.api.delete(WIDGETS, bed.namespace, "owner", propagationPolicy="Foreground")
        assert await self._deletions(bed, version, 2) == ["child", "owner"]

    async def test_dependents_go_after_when_the_owner_is_deleted_in_background(
        self, bed: Bed
    ) -> None:
        owner = await bed.create("owner")
        await bed.create("child", ownerReferences=_owned_by(owner))
        version = await bed.version()
        await bed.api.delete(WIDGETS, bed.namespace, "owner", propagationPolicy="Background")
        assert await self._deletions(bed, version, 2) == ["owner", "child"]

    async def test_owner_waits_when_a_finalizer_holds_a_blocking_dependent(self, bed: Bed) -> None:
        owner = await bed.create("owner")
        references = _owned_by(owner)
        await bed.create("child", ownerReferences=references, finalizers=[FINALIZER])
        version = await bed.version()
        async with bed.api.watch(WIDGETS, bed.namespace, resourceVersion=version) as watch:
            await bed.api.delete(WIDGETS, bed.namespace, "owner", propagationPolicy="Foreground")
            marked = await watch.take(2)
        names = [event.object["metadata"]["name"] for event in marked]
        assert ([event.type for event in marked], names) == (
            ["MODIFIED", "MODIFIED"],
            ["owner", "child"],
        )
        assert (await bed.read("owner")).status == 200
        version = marked[-1].object["metadata"]["resourceVersion"]
        await bed.patch("child", {"metadata": {"finalizers": None}})
        assert await self._deletions(bed, version, 2) == ["child", "owner"]

    async def test_owner_waits_when_a_finalizer_holds_a_dependent_of_its_dependent(
        self, bed: Bed
    ) -> None:
        owner = await bed.create("owner")
        child = await bed.create("child", ownerReferences=_owned_by(owner))
        references = _owned_by(child)
        await bed.create("grandchild", ownerReferences=references, finalizers=[FINALIZER])
        version = await bed.version()
        async with bed.api.watch(WIDGETS, bed.namespace, resourceVersion=version) as watch:
            await bed.api.delete(WIDGETS, bed.namespace, "owner", propagationPolicy="Foreground")
            marked = await watch.take(3)
        names = [event.object["metadata"]["name"] for event in marked]
        assert ({event.type for event in marked}, names) == (
            {"MODIFIED"},
            ["owner", "child", "grandchild"],
        )
        version = marked[-1].object["metadata"]["resourceVersion"]
        await bed.patch("grandchild", {"metadata": {"finalizers": None}})
        assert await self._deletions(bed, version, 3) == ["grandchild", "child", "owner"]

    async def test_owner_waits_no_more_when_it_is_deleted_again_in_background(
        self, bed: Bed
    ) -> None:
        owner = await bed.create("owner")
        references = _owned_by(owner)
        await bed.create("child", ownerReferences=references, finalizers=[FINALIZER])
        version = await bed.version()
        await bed.api.delete(WIDGETS, bed.namespace, "owner", propagationPolicy="Foreground")
        await bed.api.delete(WIDGETS, bed.namespace, "owner", propagationPolicy="Background")
        assert await self._deletions(bed, version, 1) == ["owner"]
        await bed.patch("child", {"metadata": {"finalizers": None}})

    async def test_object_is_collected_when_its_owner_never_existed(self, bed: Bed) -> None:
        version = await bed.version()
        owner = {"metadata": {"name": "ghost", "uid": "0f6a1b1e-0000-4000-8000-000000000000"}}
        await bed.create("orphan", ownerReferences=_owned_by(owner))
        assert await self._deletions(bed, version, 1) == ["orphan"]

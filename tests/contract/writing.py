"""Contract: create, patch and update."""

import re

from tests.contract.bed import WIDGETS, Bed, widget
from tests.fake import kinds

_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


class CreateContract:
    async def test_create_fills_in_the_system_fields_when_new(self, bed: Bed) -> None:
        reply = await bed.api.create(WIDGETS, bed.namespace, widget("a"))
        metadata = reply.body["metadata"]
        assert reply.status == 201
        assert metadata["namespace"] == bed.namespace
        assert metadata["generation"] == 1
        assert len(metadata["uid"]) == 36
        assert metadata["resourceVersion"].isdecimal()
        assert _TIME.match(metadata["creationTimestamp"])

    async def test_create_drops_the_status_when_it_is_a_subresource(self, bed: Bed) -> None:
        body = widget("a") | {"status": {"phase": "sneaky"}}
        assert "status" not in (await bed.api.create(WIDGETS, bed.namespace, body)).accept()

    async def test_create_ignores_system_fields_when_sent(self, bed: Bed) -> None:
        body = widget("a", uid="mine", generation=7, deletionTimestamp="2020-01-01T00:00:00Z")
        metadata = (await bed.api.create(WIDGETS, bed.namespace, body)).accept()["metadata"]
        assert metadata["uid"] != "mine"
        assert metadata["generation"] == 1
        assert "deletionTimestamp" not in metadata

    async def test_create_omits_empty_maps_when_sent(self, bed: Bed) -> None:
        metadata = (await bed.create("a", labels={}, annotations={}, finalizers=[]))["metadata"]
        assert {"labels", "annotations", "finalizers"}.isdisjoint(metadata)

    async def test_create_answers_already_exists_when_the_name_is_taken(self, bed: Bed) -> None:
        await bed.create("a")
        reply = await bed.api.create(WIDGETS, bed.namespace, widget("a"))
        assert reply.status == 409
        assert reply.body == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": 'widgets.contract.test "a" already exists',
            "reason": "AlreadyExists",
            "details": {"name": "a", "group": "contract.test", "kind": "widgets"},
            "code": 409,
        }

    async def test_create_gives_another_uid_when_the_name_is_used_again(self, bed: Bed) -> None:
        first = await bed.create("a")
        await bed.api.delete(WIDGETS, bed.namespace, "a")
        second = await bed.create("a")
        assert first["metadata"]["uid"] != second["metadata"]["uid"]

    async def test_create_takes_an_event_when_it_names_an_object(self, bed: Bed) -> None:
        body = {
            "metadata": {"name": "a.1", "namespace": bed.namespace},
            "involvedObject": {"kind": "Widget", "name": "a", "namespace": bed.namespace},
            "reason": "Tried",
            "message": "m",
            "type": "Normal",
        }
        reply = await bed.api.create(kinds.EVENTS, bed.namespace, body)
        assert reply.status == 201
        assert reply.body["reason"] == "Tried"


class PatchContract:
    async def test_patch_merges_and_removes_when_given_values_and_nulls(self, bed: Bed) -> None:
        await bed.create("a", spec={"colour": "red", "size": 1, "list": [1, 2], "deep": {"x": 1}})
        patch = {"spec": {"size": None, "list": [3], "deep": {"y": 2}}}
        patched = await bed.patch("a", patch)
        assert patched["spec"] == {"colour": "red", "list": [3], "deep": {"x": 1, "y": 2}}

    async def test_patch_raises_the_version_and_generation_when_the_spec_changes(
        self, bed: Bed
    ) -> None:
        created = (await bed.create("a"))["metadata"]
        patched = (await bed.patch("a", {"spec": {"size": 1}}))["metadata"]
        assert int(patched["resourceVersion"]) > int(created["resourceVersion"])
        assert patched["generation"] == 2

    async def test_patch_keeps_the_generation_when_only_metadata_changes(self, bed: Bed) -> None:
        await bed.create("a")
        patched = await bed.patch("a", {"metadata": {"annotations": {"n": "1"}}})
        assert patched["metadata"]["generation"] == 1
        assert patched["metadata"]["annotations"] == {"n": "1"}

    async def test_patch_changes_nothing_when_it_has_no_effect(self, bed: Bed) -> None:
        created = await bed.create("a")
        assert await bed.patch("a", {"spec": {"colour": "red", "none": None}}) == created

    async def test_patch_ignores_the_status_when_sent_to_the_object(self, bed: Bed) -> None:
        created = await bed.create("a")
        assert await bed.patch("a", {"status": {"phase": "x"}}) == created

    async def test_status_patch_changes_the_status_alone_when_more_is_sent(self, bed: Bed) -> None:
        await bed.create("a", labels={"app": "x"})
        patch = {
            "status": {"phase": "x"},
            "spec": {"colour": "blue"},
            "metadata": {"labels": {"q": "r"}, "finalizers": ["a.b/c"]},
        }
        patched = await bed.patch("a", patch, "status")
        assert patched["status"] == {"phase": "x"}
        assert patched["spec"] == {"colour": "red"}
        assert patched["metadata"]["labels"] == {"app": "x"}
        assert "finalizers" not in patched["metadata"]
        assert patched["metadata"]["generation"] == 1

    async def test_status_patch_changes_nothing_when_it_has_no_effect(self, bed: Bed) -> None:
        await bed.create("a")
        first = await bed.patch("a", {"status": {"phase": "x"}}, "status")
        again = await bed.patch("a", {"status": {"phase": "x"}}, "status")
        assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    async def test_spec_patch_keeps_the_status_when_it_was_set_before(self, bed: Bed) -> None:
        await bed.create("a")
        await bed.patch("a", {"status": {"phase": "x"}}, "status")
        assert (await bed.patch("a", {"spec": {"size": 1}}))["status"] == {"phase": "x"}

    async def test_patch_is_applied_when_the_version_is_the_present_one(self, bed: Bed) -> None:
        version = (await bed.create("a"))["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "spec": {"size": 1}}
        assert (await bed.patch("a", patch))["spec"] == {"colour": "red", "size": 1}

    async def test_patch_answers_conflict_when_the_version_is_an_old_one(self, bed: Bed) -> None:
        version = (await bed.create("a"))["metadata"]["resourceVersion"]
        await bed.patch("a", {"spec": {"size": 1}})
        patch = {"metadata": {"resourceVersion": version}, "status": {"phase": "x"}}
        for subresource in ("", "status"):
            reply = await bed.api.patch(WIDGETS, bed.namespace, "a", patch, subresource=subresource)
            assert reply.status == 409
            assert reply.body["reason"] == "Conflict"
            assert reply.body["details"] == {
                "name": "a",
                "group": "contract.test",
                "kind": "widgets",
            }
            assert reply.body["message"] == (
                'Operation cannot be fulfilled on widgets.contract.test "a": the object has been '
                "modified; please apply your changes to the latest version and try again"
            )

    async def test_patch_answers_invalid_when_the_uid_is_another(self, bed: Bed) -> None:
        await bed.create("a")
        patch = {"metadata": {"uid": "other"}, "spec": {"size": 1}}
        reply = await bed.api.patch(WIDGETS, bed.namespace, "a", patch)
        assert (reply.status, reply.body["reason"]) == (422, "Invalid")
        assert reply.body["details"]["causes"][0]["field"] == "metadata.uid"

    async def test_patch_answers_not_found_when_the_object_is_missing(self, bed: Bed) -> None:
        for subresource in ("", "status"):
            reply = await bed.api.patch(
                WIDGETS, bed.namespace, "none", {"spec": {}}, subresource=subresource
            )
            assert (reply.status, reply.body["reason"]) == (404, "NotFound")

    async def test_lease_patch_answers_conflict_when_the_version_is_an_old_one(
        self, bed: Bed
    ) -> None:
        lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}
        created = (await bed.api.create(kinds.LEASES, bed.namespace, lease)).accept()
        version = created["metadata"]["resourceVersion"]
        for holder, expected in (("b", 200), ("c", 409)):
            patch = {
                "metadata": {"resourceVersion": version},
                "spec": {"holderIdentity": holder, "renewTime": "2026-01-01T00:00:00.000000Z"},
            }
            reply = await bed.api.patch(kinds.LEASES, bed.namespace, "l", patch)
            assert reply.status == expected

    async def test_lease_may_be_held_by_nobody_and_keeps_times_as_written(self, bed: Bed) -> None:
        moment = "2026-01-01T00:00:00.000000Z"
        spec = {
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "acquireTime": moment,
            "renewTime": moment,
            "leaseTransitions": 0,
        }
        body = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}
        (await bed.api.create(kinds.LEASES, bed.namespace, body)).accept()
        reply = await bed.api.patch(kinds.LEASES, bed.namespace, "l", {"spec": spec})
        assert reply.accept()["spec"] == spec


class UpdateContract:
    async def test_update_replaces_all_but_the_status_when_the_version_fits(self, bed: Bed) -> None:
        await bed.create("a", labels={"app": "x"})
        current = await bed.patch("a", {"status": {"phase": "x"}}, "status")
        version = current["metadata"]["resourceVersion"]
        body = {
            "apiVersion": WIDGETS.api_version,
            "kind": WIDGETS.kind,
            "metadata": {"name": "a", "resourceVersion": version},
            "spec": {"size": 2},
        }
        path = WIDGETS.path(bed.namespace, "a")
        updated = (await bed.api.request("PUT", path, body=body)).accept()
        assert updated["spec"] == {"size": 2}
        assert updated["status"] == {"phase": "x"}
        assert "labels" not in updated["metadata"]
        assert updated["metadata"]["uid"] == current["metadata"]["uid"]
        assert (await bed.api.request("PUT", path, body=body)).body["reason"] == "Conflict"

    async def test_update_answers_invalid_when_a_version_is_missing(self, bed: Bed) -> None:
        await bed.create("a")
        body = {"apiVersion": WIDGETS.api_version, "kind": WIDGETS.kind} | widget("a")
        reply = await bed.api.request("PUT", WIDGETS.path(bed.namespace, "a"), body=body)
        assert reply.status == 422
        assert reply.body["details"]["causes"][0]["field"] == "metadata.resourceVersion"

"""Contract: get and list."""

import pytest

from tests.contract.bed import WIDGETS, Bed


class ReadingContract:
    async def test_get_returns_what_was_created_when_present(self, bed: Bed) -> None:
        created = await bed.create("a", labels={"app": "x"})
        assert (await bed.read("a")).accept() == created

    async def test_get_answers_a_status_when_the_object_is_missing(self, bed: Bed) -> None:
        reply = await bed.read("none")
        assert reply.status == 404
        assert reply.content_type == "application/json"
        assert reply.body == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": 'widgets.contract.test "none" not found',
            "reason": "NotFound",
            "details": {"name": "none", "group": "contract.test", "kind": "widgets"},
            "code": 404,
        }

    async def test_answers_carry_a_date_when_read(self, bed: Bed) -> None:
        assert (await bed.read("none")).headers["Date"].endswith("GMT")

    async def test_list_is_an_empty_list_when_the_namespace_is_missing(self, bed: Bed) -> None:
        listed = (await bed.api.list(WIDGETS, "no-such-namespace")).accept()
        assert listed["items"] == []
        assert listed["kind"] == "WidgetList"
        assert listed["metadata"]["continue"] == ""

    async def test_list_is_ordered_by_name_when_created_in_any_order(self, bed: Bed) -> None:
        for name in ("c", "a", "b"):
            await bed.create(name)
        assert await bed.names() == ["a", "b", "c"]

    async def test_list_covers_all_namespaces_when_none_is_named(self, bed: Bed) -> None:
        created = await bed.create("everywhere")
        listed = (await bed.api.list(WIDGETS)).accept()
        assert created["metadata"]["uid"] in [e["metadata"]["uid"] for e in listed["items"]]

    async def test_list_version_is_at_least_that_of_the_last_write(self, bed: Bed) -> None:
        created = await bed.create("a")
        assert int(await bed.version()) >= int(created["metadata"]["resourceVersion"])

    @pytest.mark.parametrize(
        ("selector", "expected"),
        [
            pytest.param("tier=front", ["a"], id="equals"),
            pytest.param("tier==front", ["a"], id="double-equals"),
            pytest.param("tier!=front", ["b", "c"], id="not-equal-or-absent"),
            pytest.param("tier in (front,back)", ["a", "b"], id="in"),
            pytest.param("tier notin (front)", ["b", "c"], id="not-in-or-absent"),
            pytest.param("tier", ["a", "b"], id="exists"),
            pytest.param("!tier", ["c"], id="absent"),
            pytest.param("app,tier=back", ["b"], id="both"),
            pytest.param("tier=", [], id="empty-value"),
            pytest.param("ours.example/app=y", ["c"], id="prefixed-key"),
        ],
    )
    async def test_list_selects_by_label_when_asked(
        self, bed: Bed, selector: str, expected: list[str]
    ) -> None:
        await bed.create("a", labels={"app": "x", "tier": "front"})
        await bed.create("b", labels={"app": "x", "tier": "back"})
        await bed.create("c", labels={"ours.example/app": "y"})
        assert await bed.names(labelSelector=selector) == expected

    @pytest.mark.parametrize(
        ("selector", "expected"),
        [
            pytest.param("metadata.name=b", ["b"], id="name"),
            pytest.param("metadata.name!=b", ["a", "c"], id="other-names"),
            pytest.param("spec.colour=red", ["a", "c"], id="declared-field"),
            pytest.param("spec.colour=red,metadata.name=c", ["c"], id="both"),
        ],
    )
    async def test_list_selects_by_field_when_asked(
        self, bed: Bed, selector: str, expected: list[str]
    ) -> None:
        await bed.create("a")
        await bed.create("b", spec={"colour": "blue"})
        await bed.create("c")
        assert await bed.names(fieldSelector=selector) == expected

    async def test_list_pages_show_one_moment_when_objects_change_between(self, bed: Bed) -> None:
        for name in ("a", "b", "c"):
            await bed.create(name)
        first = (await bed.api.list(WIDGETS, bed.namespace, limit="2")).accept()
        await bed.create("b2")
        await bed.api.delete(WIDGETS, bed.namespace, "c")
        token = first["metadata"]["continue"]
        second = (
            await bed.api.list(WIDGETS, bed.namespace, limit="2", **{"continue": token})
        ).accept()
        assert [e["metadata"]["name"] for e in first["items"]] == ["a", "b"]
        assert first["metadata"]["remainingItemCount"] == 1
        assert [e["metadata"]["name"] for e in second["items"]] == ["c"]
        assert second["metadata"]["continue"] == ""
        versions = [page["metadata"]["resourceVersion"] for page in (first, second)]
        assert versions[0] == versions[1]

    async def test_list_at_version_zero_is_answered_when_asked(self, bed: Bed) -> None:
        await bed.create("a")
        assert await bed.names(resourceVersion=await bed.version()) == ["a"]
        assert (await bed.api.list(WIDGETS, bed.namespace, resourceVersion="0")).status == 200

    async def test_list_answers_a_timeout_when_the_version_lies_ahead(self, bed: Bed) -> None:
        ahead = str(int(await bed.version()) + 1_000_000)
        reply = await bed.api.list(WIDGETS, bed.namespace, resourceVersion=ahead)
        assert reply.status == 504
        assert reply.headers["Retry-After"] == "1"
        assert reply.body["reason"] == "Timeout"
        causes = [cause["reason"] for cause in reply.body["details"]["causes"]]
        assert causes == ["ResourceVersionTooLarge"]

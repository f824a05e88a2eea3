"""Contract: what is refused, and in which words a client may read it."""

import dataclasses

import pytest

from tests.contract.bed import WIDGETS, Bed, define, widget
from tests.fake import definitions, kinds
from tests.fake.api import Api
from tests.fake.resources import ResourceType


def _status(code: int, reason: str, message: str, **details: object) -> dict[str, object]:
    body: dict[str, object] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
    }
    if details:
        body["details"] = details
    return body | {"code": code}


class PathContract:
    @pytest.mark.parametrize(
        "path",
        [
            pytest.param("/apis/nope.test/v1/widgets", id="group"),
            pytest.param("/apis/contract.test/v2/namespaces/default/widgets", id="version"),
            pytest.param("/apis/contract.test/v1/namespaces/default/gadgets/x", id="resource"),
            pytest.param("/nothing", id="root"),
        ],
    )
    async def test_path_answers_plain_text_when_nothing_is_served_there(
        self, bed: Bed, path: str
    ) -> None:
        reply = await bed.api.request("GET", path)
        assert (reply.status, reply.content_type) == (404, "text/plain")
        assert reply.raw == b"404 page not found\n"

    async def test_create_answers_plain_text_when_no_namespace_is_in_the_path(
        self, bed: Bed
    ) -> None:
        reply = await bed.api.create(WIDGETS, "", widget("a"))
        assert (reply.status, reply.content_type) == (404, "text/plain")

    async def test_discovery_lists_the_resource_when_it_is_served(self, bed: Bed) -> None:
        found = (await bed.api.request("GET", "/apis/contract.test/v1")).accept()
        names = [each["name"] for each in found["resources"]]
        assert {"widgets", "widgets/status"} <= set(names)

    async def test_subresource_answers_not_found_when_it_does_not_exist(self, bed: Bed) -> None:
        await bed.create("a")
        reply = await bed.api.patch(WIDGETS, bed.namespace, "a", {}, subresource="scale")
        assert (reply.status, reply.body["reason"]) == (404, "NotFound")

    async def test_any_request_answers_unauthorized_when_the_token_is_unknown(
        self, bed: Bed
    ) -> None:
        stranger = dataclasses.replace(bed.endpoint, token="unknown")
        async with Api(stranger) as api:
            reply = await api.list(WIDGETS, bed.namespace)
        assert reply.body == _status(401, "Unauthorized", "Unauthorized")


class QueryContract:
    async def test_list_answers_bad_request_when_the_field_is_not_selectable(
        self, bed: Bed
    ) -> None:
        reply = await bed.api.list(WIDGETS, bed.namespace, fieldSelector="spec.nope=x")
        message = "field label not supported: spec.nope"
        assert reply.body == _status(400, "BadRequest", message)

    async def test_list_answers_bad_request_when_the_version_is_no_number(self, bed: Bed) -> None:
        reply = await bed.api.list(WIDGETS, bed.namespace, resourceVersion="abc")
        message = (
            'invalid resource version: resourceVersion: Invalid value: "abc": '
            'strconv.ParseUint: parsing "abc": invalid syntax'
        )
        assert reply.body == _status(400, "BadRequest", message)

    @pytest.mark.parametrize(
        "query",
        [
            pytest.param({"labelSelector": "((("}, id="label-selector"),
            pytest.param({"continue": "zzz", "limit": "1"}, id="page-token"),
        ],
    )
    async def test_list_answers_bad_request_when_a_parameter_cannot_be_read(
        self, bed: Bed, query: dict[str, str]
    ) -> None:
        reply = await bed.api.list(WIDGETS, bed.namespace, **query)
        assert (reply.status, reply.body["reason"]) == (400, "BadRequest")


class BodyContract:
    @pytest.mark.parametrize(
        ("metadata", "field", "reason"),
        [
            pytest.param({}, "metadata.name", "FieldValueRequired", id="no-name"),
            pytest.param({"name": "BAD_n"}, "metadata.name", "FieldValueInvalid", id="name"),
            pytest.param(
                {"name": "a", "labels": {"k": "x-"}},
                "metadata.labels",
                "FieldValueInvalid",
                id="label-end",
            ),
            pytest.param(
                {"name": "a", "labels": {"k": "x" * 64}},
                "metadata.labels",
                "FieldValueInvalid",
                id="label-length",
            ),
            pytest.param(
                {"name": "a", "annotations": {"k": "x" * 262144}},
                "metadata.annotations",
                "FieldValueTooLong",
                id="annotations-size",
            ),
        ],
    )
    async def test_create_answers_invalid_when_the_metadata_is_wrong(
        self, bed: Bed, metadata: dict[str, object], field: str, reason: str
    ) -> None:
        body = {"metadata": metadata, "spec": {}}
        reply = await bed.api.create(WIDGETS, bed.namespace, body)
        assert (reply.status, reply.body["reason"]) == (422, "Invalid")
        name = metadata.get("name", "")
        assert reply.body["message"].startswith(
            f'Widget.contract.test "{name}" is invalid: {field}: '
        )
        causes = [(e["field"], e["reason"]) for e in reply.body["details"]["causes"]]
        assert causes == [(field, reason)]

    async def test_create_answers_invalid_when_the_kind_is_another(self, bed: Bed) -> None:
        body = widget("a") | {"kind": "Gadget"}
        reply = await bed.api.create(WIDGETS, bed.namespace, body)
        assert reply.status == 422
        assert reply.body["details"]["causes"][0]["field"] == "kind"

    async def test_create_answers_bad_request_when_the_namespace_is_another(self, bed: Bed) -> None:
        reply = await bed.api.create(WIDGETS, bed.namespace, widget("a", namespace="other"))
        message = (
            "the namespace of the provided object does not match the namespace sent on the request"
        )
        assert reply.body == _status(400, "BadRequest", message)

    async def test_create_answers_not_found_when_the_namespace_is_missing(self, bed: Bed) -> None:
        reply = await bed.api.create(WIDGETS, "missing", widget("a"))
        message = 'namespaces "missing" not found'
        assert reply.body == _status(404, "NotFound", message, name="missing", kind="namespaces")

    async def test_create_answers_forbidden_when_the_namespace_is_terminating(
        self, bed: Bed
    ) -> None:
        await bed.create("a", finalizers=["contract.test/hold"])
        await bed.api.delete(kinds.NAMESPACES, "", bed.namespace)
        reply = await bed.api.create(WIDGETS, bed.namespace, widget("b"))
        await bed.patch("a", {"metadata": {"finalizers": None}})
        assert (reply.status, reply.body["reason"]) == (403, "Forbidden")
        assert reply.body["message"] == (
            'widgets.contract.test "b" is forbidden: unable to create new content in namespace '
            f"{bed.namespace} because it is being terminated"
        )
        assert reply.body["details"]["causes"] == [
            {
                "reason": "NamespaceTerminating",
                "message": f"namespace {bed.namespace} is being terminated",
                "field": "metadata.namespace",
            }
        ]

    async def test_write_answers_bad_request_when_the_body_is_cut_off(self, bed: Bed) -> None:
        await bed.create("a")
        create = await bed.api.request("POST", WIDGETS.path(bed.namespace), body=b'{"spec":')
        patch = await bed.api.request(
            "PATCH",
            WIDGETS.path(bed.namespace, "a"),
            body=b'{"spec":',
            content_type="application/merge-patch+json",
        )
        for reply in (create, patch):
            assert (reply.status, reply.body["reason"]) == (400, "BadRequest")

    async def test_patch_answers_unsupported_when_the_content_type_is_plain_json(
        self, bed: Bed
    ) -> None:
        await bed.create("a")
        path = WIDGETS.path(bed.namespace, "a")
        reply = await bed.api.request("PATCH", path, body={"spec": {}})
        assert (reply.status, reply.body["reason"]) == (415, "UnsupportedMediaType")

    @pytest.mark.parametrize(
        ("size", "code", "reason", "words"),
        [
            pytest.param(1_600_000, 500, None, "request is too large", id="etcd"),
            pytest.param(2_900_000, 500, None, "larger than max", id="grpc"),
            pytest.param(3_200_000, 413, "RequestEntityTooLarge", "3145728", id="server"),
        ],
    )
    async def test_create_is_refused_when_the_object_is_too_large(
        self, bed: Bed, size: int, code: int, reason: str | None, words: str
    ) -> None:
        body = widget("a", spec={"text": "y" * size})
        reply = await bed.api.create(WIDGETS, bed.namespace, body)
        assert (reply.status, reply.body.get("reason")) == (code, reason)
        assert words in reply.body["message"]

    async def test_create_is_accepted_when_the_object_is_large(self, bed: Bed) -> None:
        body = widget("a", spec={"text": "y" * 1_400_000})
        assert (await bed.api.create(WIDGETS, bed.namespace, body)).status == 201

    @pytest.mark.parametrize(
        ("spec", "code"),
        [
            pytest.param({"renewTime": "2026-01-01T00:00:00.000Z"}, 400, id="three-digits"),
            pytest.param({"renewTime": "2026-01-01T00:00:00Z"}, 400, id="no-digits"),
            pytest.param({"leaseDurationSeconds": 0}, 422, id="no-duration"),
            pytest.param({"renewTime": "2026-01-01T00:00:00.000000Z"}, 201, id="six-digits"),
        ],
    )
    async def test_lease_is_checked_when_created(
        self, bed: Bed, spec: dict[str, object], code: int
    ) -> None:
        body = {"metadata": {"name": "l"}, "spec": spec}
        assert (await bed.api.create(kinds.LEASES, bed.namespace, body)).status == code


class DefinitionContract:
    async def test_definition_answers_a_status_when_it_is_missing(self, bed: Bed) -> None:
        reply = await bed.api.get(definitions.DEFINITIONS, "", "nope.contract.test")
        assert (reply.status, reply.body["reason"]) == (404, "NotFound")

    async def test_definition_is_established_when_its_resource_is_served(self, bed: Bed) -> None:
        found = (await bed.api.get(definitions.DEFINITIONS, "", WIDGETS.qualified)).accept()
        states = {each["type"]: each["status"] for each in found["status"]["conditions"]}
        assert states["Established"] == "True"

    async def test_watch_tells_deletions_and_ends_when_the_definition_is_deleted(
        self, bed: Bed
    ) -> None:
        gone = ResourceType("gone.test", "v1", "gadgets", "Gadget", status=True, custom=True)
        await define(bed.api, gone)
        for name in ("a", "b"):
            (await bed.api.create(gone, bed.namespace, widget(name))).accept()
        listed = (await bed.api.list(gone, bed.namespace)).accept()
        version = listed["metadata"]["resourceVersion"]
        async with bed.api.watch(gone, bed.namespace, resourceVersion=version) as watch:
            await bed.api.delete(definitions.DEFINITIONS, "", gone.qualified)
            events = await watch.take(9)
        assert [each.type for each in events] == ["DELETED", "DELETED"]
        assert {each.object["metadata"]["name"] for each in events} == {"a", "b"}

    async def test_path_answers_plain_text_when_the_definition_was_deleted(self, bed: Bed) -> None:
        gone = ResourceType("left.test", "v1", "gadgets", "Gadget", status=True, custom=True)
        await define(bed.api, gone)
        listed = (await bed.api.list(gone)).accept()
        version = listed["metadata"]["resourceVersion"]
        async with bed.api.watch(gone, resourceVersion=version) as watch:
            await bed.api.delete(definitions.DEFINITIONS, "", gone.qualified)
            assert await watch.take(1) == []
        reply = await bed.api.get(gone, bed.namespace, "a")
        assert (reply.status, reply.content_type) == (404, "text/plain")

"""Contract: the program's own client understands what the server says."""

import dataclasses
import pathlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.contract.bed import WIDGETS, Bed, widget
from tests.fake import api, kinds
from tests.fake.statuses import JsonObject
from workflowexecution.runtime import client, connection, errors
from workflowexecution.runtime.client import Client
from workflowexecution.runtime.resource import ObjectKey, Resource

_WIDGETS = Resource(WIDGETS.group, WIDGETS.version, WIDGETS.plural, WIDGETS.kind)
_GADGETS = Resource("nope.test", "v1", "gadgets", "Gadget")
_LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
FINALIZER = "contract.test/hold"


def _body(name: str, **fields: object) -> JsonObject:
    return {"apiVersion": WIDGETS.api_version, "kind": WIDGETS.kind} | widget(name, **fields)


async def _open(bed: Bed, folder: pathlib.Path, token: str) -> Client:
    path = folder / "kubeconfig"
    api.write_kubeconfig(path, dataclasses.replace(bed.endpoint, token=token))
    way = await connection.connect(kubeconfig=str(path), environ={})
    return Client(connection=way, user_agent="contract")


class _ClientCase:
    @pytest_asyncio.fixture
    async def client(self, bed: Bed, tmp_path: pathlib.Path) -> AsyncIterator[Client]:
        opened = await _open(bed, tmp_path, bed.endpoint.token)
        yield opened
        await opened.close()


class ClientWriteContract(_ClientCase):
    async def test_create_returns_the_stored_object_when_new(
        self, bed: Bed, client: Client
    ) -> None:
        created = await client.create(_WIDGETS, bed.namespace, _body("a"))
        assert await client.get(_WIDGETS, ObjectKey(bed.namespace, "a")) == created

    async def test_create_raises_already_exists_when_the_name_is_taken(
        self, bed: Bed, client: Client
    ) -> None:
        await bed.create("a")
        with pytest.raises(errors.AlreadyExists):
            await client.create(_WIDGETS, bed.namespace, _body("a"))

    async def test_create_raises_invalid_with_its_causes_when_the_name_is_wrong(
        self, bed: Bed, client: Client
    ) -> None:
        with pytest.raises(errors.Invalid) as caught:
            await client.create(_WIDGETS, bed.namespace, _body("BAD"))
        assert caught.value.causes == ("FieldValueInvalid",)

    async def test_create_raises_not_found_when_the_namespace_is_missing(
        self, bed: Bed, client: Client
    ) -> None:
        with pytest.raises(errors.NotFound):
            await client.create(_WIDGETS, f"{bed.namespace}-not", _body("a"))

    async def test_create_raises_forbidden_when_the_namespace_is_terminating(
        self, bed: Bed, client: Client
    ) -> None:
        await bed.create("a", finalizers=[FINALIZER])
        await bed.api.delete(kinds.NAMESPACES, "", bed.namespace)
        with pytest.raises(errors.Forbidden) as caught:
            await client.create(_WIDGETS, bed.namespace, _body("b"))
        await bed.patch("a", {"metadata": {"finalizers": None}})
        assert caught.value.namespace_terminating

    @pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
    @pytest.mark.parametrize("size", [1_600_000, 2_900_000, 3_200_000], ids=["etcd", "grpc", "api"])
    async def test_create_raises_too_large_when_the_object_is(
        self, bed: Bed, client: Client, size: int
    ) -> None:
        with pytest.raises(errors.TooLarge):
            await client.create(_WIDGETS, bed.namespace, _body("a", spec={"t": "y" * size}))

    async def test_lease_raises_bad_request_when_its_time_has_three_digits(
        self, bed: Bed, client: Client
    ) -> None:
        spec = {"renewTime": "2026-01-01T00:00:00.000Z"}
        body = {
            "apiVersion": kinds.LEASES.api_version,
            "kind": kinds.LEASES.kind,
            "metadata": {"name": "l"},
            "spec": spec,
        }
        with pytest.raises(errors.BadRequest):
            await client.create(_LEASES, bed.namespace, body)

    @pytest.mark.parametrize("subresource", ["", "status"])
    async def test_patch_raises_conflict_when_the_version_is_an_old_one(
        self, bed: Bed, client: Client, subresource: str
    ) -> None:
        version = (await bed.create("a"))["metadata"]["resourceVersion"]
        await bed.patch("a", {"spec": {"size": 1}})
        patch = {"metadata": {"resourceVersion": version}, "status": {"phase": "x"}}
        with pytest.raises(errors.Conflict):
            await client.merge_patch(
                _WIDGETS, ObjectKey(bed.namespace, "a"), patch, subresource=subresource
            )

    async def test_writes_answer_with_metadata_alone_when_no_more_is_asked_for(
        self, bed: Bed, client: Client
    ) -> None:
        key = ObjectKey(bed.namespace, "a")
        body = _body("a", spec={"size": 1})
        made = await client.create(_WIDGETS, bed.namespace, body, whole=False)
        told = await client.merge_patch(
            _WIDGETS, key, {"status": {"phase": "x"}}, subresource="status", whole=False
        )
        stored = await client.get(_WIDGETS, key)
        assert (made["metadata"]["uid"], "spec" in made) == (stored["metadata"]["uid"], False)
        assert (told["metadata"], "status" in told) == (stored["metadata"], False)
        assert stored["status"] == {"phase": "x"}

    async def test_refusals_are_whole_when_no_more_than_metadata_is_asked_for(
        self, bed: Bed, client: Client
    ) -> None:
        key = ObjectKey(bed.namespace, "none")
        with pytest.raises(errors.NotFound, match="none"):
            await client.merge_patch(_WIDGETS, key, {}, whole=False)

    async def test_delete_raises_conflict_when_the_uid_is_another(
        self, bed: Bed, client: Client
    ) -> None:
        await bed.create("a")
        with pytest.raises(errors.Conflict):
            await client.delete(_WIDGETS, ObjectKey(bed.namespace, "a"), uid="other")

    async def test_delete_returns_the_object_when_it_goes_in_foreground(
        self, bed: Bed, client: Client
    ) -> None:
        uid = (await bed.create("a"))["metadata"]["uid"]
        answer = await client.delete(_WIDGETS, ObjectKey(bed.namespace, "a"), uid=uid)
        assert answer["metadata"]["finalizers"] == ["foregroundDeletion"]

    async def test_delete_raises_not_found_when_the_object_is_gone(
        self, bed: Bed, client: Client
    ) -> None:
        with pytest.raises(errors.NotFound):
            await client.delete(_WIDGETS, ObjectKey(bed.namespace, "a"), uid="x")


class ClientReadContract(_ClientCase):
    async def test_get_raises_not_found_when_the_object_is_missing(
        self, bed: Bed, client: Client
    ) -> None:
        with pytest.raises(errors.NotFound):
            await client.get(_WIDGETS, ObjectKey(bed.namespace, "none"))

    async def test_requests_raise_endpoint_missing_when_the_api_is_not_served(
        self, bed: Bed, client: Client
    ) -> None:
        key = ObjectKey(bed.namespace, "a")
        with pytest.raises(errors.EndpointMissing):
            await client.get(_GADGETS, key)
        with pytest.raises(errors.EndpointMissing):
            await client.list_page(_GADGETS)
        with pytest.raises(errors.EndpointMissing):
            await client.merge_patch(_GADGETS, key, {})

    async def test_get_raises_unauthorized_when_the_token_is_unknown(
        self, bed: Bed, tmp_path: pathlib.Path
    ) -> None:
        stranger = await _open(bed, tmp_path, "unknown")
        with pytest.raises(errors.Unauthorized):
            await stranger.get(_WIDGETS, ObjectKey(bed.namespace, "a"))
        await stranger.close()

    async def test_list_pages_cover_everything_once_when_followed(
        self, bed: Bed, client: Client
    ) -> None:
        for name in ("a", "b", "c"):
            await bed.create(name)
        token = ""
        names: list[str] = []
        while True:
            page = await client.list_page(
                _WIDGETS, namespace=bed.namespace, limit=2, continue_token=token
            )
            names.extend(each["metadata"]["name"] for each in page.items)
            token = page.continue_token
            if not token:
                break
        assert names == ["a", "b", "c"]

    async def test_list_raises_a_server_error_when_the_version_lies_ahead(
        self, bed: Bed, client: Client
    ) -> None:
        ahead = str(int(await bed.version()) + 1_000_000)
        with pytest.raises(errors.ServerError) as caught:
            await client.get_json(
                _WIDGETS.path(namespace=bed.namespace), params={"resourceVersion": ahead}
            )
        assert caught.value.resource_version_too_large
        assert caught.value.retry_after_s == 1.0

    async def test_watch_gives_events_in_order_when_open(self, bed: Bed, client: Client) -> None:
        version = await bed.version()
        await bed.create("a")
        await bed.patch("a", {"spec": {"size": 1}})
        await bed.api.delete(WIDGETS, bed.namespace, "a")
        events = await self._events(client, bed, version, 3)
        assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED"]

    async def test_watch_raises_gone_when_the_version_is_too_old(
        self, bed: Bed, client: Client
    ) -> None:
        with pytest.raises(errors.Gone):
            await self._events(client, bed, "1", 1)

    async def _events(
        self, reader: Client, bed: Bed, version: str, count: int
    ) -> list[client.WatchEvent]:
        found: list[client.WatchEvent] = []
        async with reader.watch(
            _WIDGETS,
            namespace=bed.namespace,
            resource_version=version,
            timeout_s=30,
            idle_s=30,
        ) as batches:
            async for batch in batches:
                found.extend(batch)
                if len(found) >= count:
                    break
        return found

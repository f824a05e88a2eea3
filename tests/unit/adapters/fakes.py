"""A client that answers as told, and a cache to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests import builders
from tests.unit import quiet
from workflowexecution.adapters import begun, gone, place, tekton
from workflowexecution.runtime import client, errors, freshness, resource, store

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = resource.ObjectKey("payment", "restart-payment")


def refusal(kind: type[errors.ApiError]) -> errors.ApiError:
    return kind(errors.Refusal(status=400))


class FakeClient(client.Client):
    """Writes down each call, and answers with `answer`, which may be an error."""

    def __init__(self) -> None:  # it opens no connection
        self.calls: list[tuple[Any, ...]] = []
        self.answer: resource.JsonObject | errors.ClusterError = {}
        self.items: list[resource.JsonObject] = []
        self.text = ""

    def _answer(self, *call: object) -> resource.JsonObject:
        self.calls.append(call)
        if isinstance(self.answer, errors.ClusterError):
            raise self.answer
        return self.answer

    async def get(
        self, resource: resource.Resource, key: resource.ObjectKey, *, deadline_s: float = 10.0
    ) -> resource.JsonObject:
        return self._answer("get", resource, key)

    async def list_page(  # noqa: PLR0913 - the parameters of the API
        self,
        resource: resource.Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        deadline_s: float = 30.0,
    ) -> client.ListPage:
        self._answer("list", resource, namespace, label_selector, field_selector, limit)
        return await self.page(field_selector, continue_token)

    async def page(self, field_selector: str, continue_token: str) -> client.ListPage:
        """What a list answers that is not refused."""
        return client.ListPage(self.items, "9", "")

    async def get_text(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        max_bytes: int,
        deadline_s: float = 10.0,
    ) -> str:
        self._answer("text", path, params, max_bytes)
        return self.text

    async def create(
        self,
        resource: resource.Resource,
        namespace: str,
        body: resource.JsonObject,
        *,
        whole: bool = True,
        deadline_s: float = 15.0,
    ) -> resource.JsonObject:
        return self._answer("create", resource, namespace, body, deadline_s)

    async def merge_patch(
        self,
        resource: resource.Resource,
        key: resource.ObjectKey,
        patch: resource.JsonObject,
        *,
        subresource: str = "",
        whole: bool = True,
        deadline_s: float = 10.0,
    ) -> resource.JsonObject:
        return self._answer("patch", resource, key, patch, subresource)

    async def delete(
        self,
        resource: resource.Resource,
        key: resource.ObjectKey,
        *,
        uid: str,
        deadline_s: float = 10.0,
    ) -> resource.JsonObject:
        return self._answer("delete", resource, key, uid)


class FakeInformer:
    """Says how far it is."""

    def __init__(self, *, missing: bool = False, synced: bool = True) -> None:
        self.missing = missing
        self.synced = synced


class Bed:
    """A client, empty caches, and what knows which keys wait for them."""

    def __init__(self, *, listed: bool = True) -> None:
        self.client = FakeClient()
        self.runs = store.StoreWriter[tekton.Run](tekton.run_indexes())
        self.tasks = store.StoreWriter[tekton.Task](tekton.task_indexes())
        if listed:
            self.tasks.replace(())
        self.executions = store.StoreWriter[tekton.Run]()
        self.freshness = freshness.Freshness(
            stores=lambda kind: self.runs if kind == tekton.PIPELINERUNS else self.executions,
            on_unpark=lambda key, priority: None,
            observer=quiet.Quiet(),
        )
        self.informers = [FakeInformer(), FakeInformer()]
        self.place = place.Place("kubernaut-workflows")
        self.gone = gone.Gone("kubernaut-workflows", owner=lambda uid: None)
        self.begun = begun.Begun(owner=lambda uid: None)
        self.engine = tekton.TektonEngine(
            client=self.client,
            freshness=self.freshness,
            place=self.place,
            runs=self.runs,
            tasks=self.tasks,
            gone=self.gone,
            begun=self.begun,
            informers=self.informers,
        )


def run(name: str = "", **metadata: Any) -> tekton.Run:  # noqa: ANN401 - members of the metadata
    if name:
        metadata["name"] = name
    return tekton.project_run(builders.raw_run(metadata=metadata))

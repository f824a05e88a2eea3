"""The fake cluster as tests use it."""

import asyncio
import datetime
import pathlib
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tests.fake import api, definitions, kinds, objects, server, tektonhook
from tests.fake.collector import Collector
from tests.fake.faults import Ending, Faults
from tests.fake.objects import Objects
from tests.fake.requestlog import RequestLog
from tests.fake.resources import Registry, ResourceType, Validate
from tests.fake.reviews import Reviews
from tests.fake.statuses import JsonObject
from tests.fake.storage import Storage, key_of

if TYPE_CHECKING:
    from aiohttp import web

NAMESPACES = ("default", "kube-system", "kubernaut-system", "kubernaut-workflows")

_HOOKS = {kinds.PIPELINE_RUNS.qualified: (tektonhook.check_run,)}


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.UTC)


class FakeCluster:
    """A kube-apiserver on 127.0.0.1 in this very event loop, real and virtual time alike.

    Everything a client can do over HTTP, a test can do at once through `create`, `patch` and so
    on, without a request; watchers see both. `faults` disturbs, `requests` remembers, `reviews`
    holds users and logs, `collector` is the garbage collector.

    Args:
        now: the server's wall clock, aware and in UTC: creation times and Date headers.
        defined: custom resources that exist from the start.
        hooks: validation by qualified name, like a webhook's; by default what Tekton's refuses.
        bookmark_interval_s: time between bookmarks of a watch.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime.datetime] = _utc_now,
        defined: Iterable[ResourceType] = kinds.DEFINED,
        hooks: Mapping[str, tuple[Validate, ...]] | None = None,
        bookmark_interval_s: float = 60.0,
    ) -> None:
        self.registry = Registry(kinds.BUILT_IN)
        self.storage = Storage(clock=self._loop_time)
        self.objects = Objects(storage=self.storage, now=now)
        self.objects.namespaces = kinds.NAMESPACES
        self.collector = Collector(
            registry=self.registry, storage=self.storage, objects=self.objects
        )
        self.objects.settle = self.collector.run
        self.faults = Faults()
        self.requests = RequestLog()
        self.reviews = Reviews()
        self._defined = tuple(defined)
        self._definitions = definitions.Definitions(
            registry=self.registry, storage=self.storage, hooks=_HOOKS if hooks is None else hooks
        )
        self._server = server.Server(
            parts=server.Parts(
                registry=self.registry,
                storage=self.storage,
                objects=self.objects,
                faults=self.faults,
                requests=self.requests,
                reviews=self.reviews,
                now=now,
            ),
            bookmark_interval_s=bookmark_interval_s,
        )
        self._runner: web.AppRunner | None = None
        self._port = 0

    @staticmethod
    def _loop_time() -> float:
        return asyncio.get_running_loop().time()

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Fill in the namespaces and definitions, then listen."""
        for name in NAMESPACES:
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for resource in self._defined:
            self.create(definitions.build_definition(resource))
        self._runner, self._port = await server.start_server(self._server)

    async def stop(self) -> None:
        """End all watches and held requests, then stop listening."""
        self.faults.heal()
        self.faults.drop_watches(ending=Ending.EOF)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def write_kubeconfig(self, path: pathlib.Path, *, token: str = "any") -> pathlib.Path:
        """Write a kubeconfig for this server and return its path."""
        api.write_kubeconfig(path, api.Endpoint(self.url, token=token))
        return path

    def create(self, item: JsonObject) -> JsonObject:
        """Create an object of a known kind; its metadata names the namespace.

        Raises:
            StatusError: as over HTTP.
        """
        namespace = item["metadata"].get("namespace", "")
        stored = self.objects.create(self._resource_of(item), namespace, objects.copy(item))
        return objects.copy(stored)

    def get(self, resource: ResourceType, namespace: str, name: str) -> JsonObject | None:
        """Return a copy of an object, None when there is none."""
        item = self.storage.get(resource, (namespace, name))
        return None if item is None else objects.copy(item)

    def items(self, resource: ResourceType, namespace: str = "") -> list[JsonObject]:
        """Return copies of the objects of a namespace, or of all."""
        found = self.storage.items(resource)
        return [objects.copy(each) for each in found if namespace in {"", key_of(each)[0]}]

    def patch(
        self,
        resource: ResourceType,
        namespace: str,
        name: str,
        patch: JsonObject,
        *,
        subresource: str = "",
    ) -> JsonObject:
        """Apply a merge patch.

        Raises:
            StatusError: as over HTTP.
        """
        served = self._served(resource)
        patched = self.objects.patch(served, (namespace, name), objects.copy(patch), subresource)
        return objects.copy(patched)

    def delete(
        self, resource: ResourceType, namespace: str, name: str, *, propagation: str = ""
    ) -> None:
        """Delete an object; finalizers hold it as over HTTP.

        Raises:
            StatusError: as over HTTP.
        """
        options = {"propagationPolicy": propagation} if propagation else {}
        self.objects.delete(self._served(resource), (namespace, name), options)

    def compact(self) -> None:
        """Make every version so far too old for watches and page tokens."""
        self.storage.compact()

    def remove_api(self, resource: ResourceType) -> None:
        """Delete a definition: DELETED for every object, end of the watches, then plain 404."""
        self.delete(definitions.DEFINITIONS, "", resource.qualified)

    def restore_api(self, resource: ResourceType) -> None:
        """Create the definition again; the objects do not come back."""
        self.create(definitions.build_definition(resource))

    def _served(self, resource: ResourceType) -> ResourceType:
        """Return the resource with the hooks that it is served with."""
        return self.registry.find(resource.group, resource.version, resource.plural) or resource

    def _resource_of(self, item: JsonObject) -> ResourceType:
        found = self.registry.of_kind(item["apiVersion"], item["kind"])
        if found is None:
            raise KeyError(f"{item['apiVersion']} {item['kind']}")
        return found

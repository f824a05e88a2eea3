"""The place where a contract test runs: a server, a namespace of its own and a custom resource."""

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator

from tests.fake import definitions, kinds
from tests.fake.api import Api, Endpoint, Reply
from tests.fake.resources import ResourceType
from tests.fake.statuses import JsonObject

WIDGETS = ResourceType(
    "contract.test",
    "v1",
    "widgets",
    "Widget",
    status=True,
    custom=True,
    selectable=("spec.colour",),
)

# A definition is served some moments after it was created, and not at all while it is deleted.
_ASK_AGAIN_S = 0.1
_TRIES = 300


@dataclasses.dataclass(frozen=True, slots=True)
class Bed:
    """What a test gets: `collects` tells whether a garbage collector runs."""

    api: Api
    endpoint: Endpoint
    namespace: str
    collects: bool

    async def create(self, name: str, **fields: object) -> JsonObject:
        """Create a widget; fields are its metadata, `spec` apart."""
        reply = await self.api.create(WIDGETS, self.namespace, widget(name, **fields))
        return reply.accept()

    async def patch(self, name: str, patch: JsonObject, subresource: str = "") -> JsonObject:
        """Patch a widget and return it."""
        reply = await self.api.patch(WIDGETS, self.namespace, name, patch, subresource=subresource)
        return reply.accept()

    async def read(self, name: str) -> Reply:
        """Get a widget."""
        return await self.api.get(WIDGETS, self.namespace, name)

    async def names(self, **query: str) -> list[str]:
        """Return the names that a list shows, in its order."""
        listed = (await self.api.list(WIDGETS, self.namespace, **query)).accept()
        return [each["metadata"]["name"] for each in listed["items"]]

    async def version(self) -> str:
        """Return the present resourceVersion of the widgets."""
        listed = (await self.api.list(WIDGETS, self.namespace, limit="1")).accept()
        version: str = listed["metadata"]["resourceVersion"]
        return version


def widget(name: str, **fields: object) -> JsonObject:
    """Return the body of a widget; `spec` is red unless given, the rest is metadata."""
    spec = fields.pop("spec", {"colour": "red"})
    return {"metadata": {"name": name, **fields}, "spec": spec}


async def define(api: Api, resource: ResourceType) -> None:
    """Create a definition unless it is there, and wait until its resource is served.

    Raises:
        TimeoutError: it is not served in time.
    """
    body = definitions.build_definition(resource)
    for _ in range(_TRIES):
        await api.create(definitions.DEFINITIONS, "", body)
        # Version 0 is answered from the watch cache, which watches need as well.
        if (await api.list(resource, resourceVersion="0")).status == 200:
            return
        await asyncio.sleep(_ASK_AGAIN_S)
    raise TimeoutError(resource.qualified)


@contextlib.asynccontextmanager
async def open_bed(endpoint: Endpoint, *, collects: bool) -> AsyncIterator[Bed]:
    """Make a bed on a running server; its namespace is not removed."""
    namespace = f"contract-{uuid.uuid4().hex[:12]}"
    async with Api(endpoint, agent="contract") as api:
        await define(api, WIDGETS)
        reply = await api.create(kinds.NAMESPACES, "", {"metadata": {"name": namespace}})
        reply.accept()
        yield Bed(api=api, endpoint=endpoint, namespace=namespace, collects=collects)

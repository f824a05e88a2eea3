"""WorkflowExecutions at the server: patches of own fields with preconditions, and live reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from workflowexecution.api import names
from workflowexecution.runtime import resource

if TYPE_CHECKING:
    from workflowexecution.runtime import client, freshness
    from workflowexecution.runtime.resource import ObjectKey

# A run says whose it is in labels that anybody may write, and they become part of a path.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")

EXECUTIONS = resource.Resource(
    group=names.GROUP, version=names.VERSION, plural=names.PLURAL, kind=names.KIND
)


class Executions:
    """The `ExecutionWriter` and `ExecutionReader` over the API server.

    After a write the key is parked until the cache has what was written, so the next decision is
    never taken on what this process itself has changed.
    """

    def __init__(self, *, client: client.Client, freshness: freshness.Freshness) -> None:
        """Write through this client, and tell the freshness what was written."""
        self._client = client
        self._freshness = freshness

    async def patch(self, key: ObjectKey, changes: dict[str, Any], *, resource_version: str) -> str:
        """Merge-patch the object but for its status."""
        return await self._patch(key, changes, resource_version, "")

    async def patch_status(
        self, key: ObjectKey, changes: dict[str, Any], *, resource_version: str
    ) -> str:
        """Merge-patch the status."""
        return await self._patch(key, {"status": changes}, resource_version, "status")

    async def read(self, key: ObjectKey) -> dict[str, Any] | None:
        """The execution of that name; None when it is not there, as of a name that cannot be."""
        if not _NAME.fullmatch(key.namespace) or not _NAME.fullmatch(key.name):
            return None
        return await self._client.find(EXECUTIONS, key)

    async def list_target(self, label: str) -> list[dict[str, Any]]:
        """The executions of every namespace that carry the label of a target."""
        page = await self._client.list_page(
            EXECUTIONS, label_selector=f"{names.LABEL_TARGET}={label}"
        )
        return page.items

    async def _patch(
        self, key: ObjectKey, changes: dict[str, Any], resource_version: str, subresource: str
    ) -> str:
        metadata = {**changes.get("metadata", {}), "resourceVersion": resource_version}
        body = {**changes, "metadata": metadata}
        with self._freshness.writing(key, EXECUTIONS, key) as write:
            answer = await self._client.merge_patch(
                EXECUTIONS, key, body, subresource=subresource, whole=False
            )
            write.answered(answer)
        return str(answer["metadata"]["resourceVersion"])

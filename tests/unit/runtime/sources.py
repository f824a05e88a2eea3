"""A source of lists and watches that follows a script, in virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from workflowexecution.runtime import client, errors, resource

Step = float | list[client.WatchEvent] | errors.ClusterError
"""In a watch: seconds that pass, a batch, or an error that ends it."""


def event(kind: str, obj: dict[str, Any]) -> client.WatchEvent:
    return client.WatchEvent(kind, obj)


def refusal(status: int, *, retry_after: str | None = None) -> errors.ApiError:
    return errors.map_response(status, b"", retry_after=retry_after)


def now() -> float:
    return asyncio.get_running_loop().time()


class Source:
    """Serves `pages` in turn, the last one for ever, and plays `watches` in turn, then is silent.

    A watch that is itself an error cannot be opened. What happened is written down with its time.
    """

    def __init__(self) -> None:
        self.pages: list[client.ListPage | errors.ClusterError] = [client.ListPage([], "1", "")]
        self.watches: list[list[Step] | errors.ClusterError] = []
        self.lists: list[tuple[float, dict[str, Any]]] = []
        self.opened: list[tuple[float, dict[str, Any]]] = []

    def serve(self, *objs: dict[str, Any], version: str = "1") -> None:
        self.pages = [client.ListPage(list(objs), version, "")]

    @property
    def listed_at(self) -> list[float]:
        return [at for at, _ in self.lists]

    @property
    def opened_at(self) -> list[float]:
        return [at for at, _ in self.opened]

    @property
    def opened_versions(self) -> list[str]:
        return [options["resource_version"] for _, options in self.opened]

    async def list_page(
        self,
        resource: resource.Resource,
        /,
        **options: Any,  # noqa: ANN401 - written down as they come
    ) -> client.ListPage:
        self.lists.append((now(), options))
        page = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
        if isinstance(page, errors.ClusterError):
            raise page
        return page._replace(items=list(page.items))

    @contextlib.asynccontextmanager
    async def watch(
        self,
        resource: resource.Resource,
        /,
        **options: Any,  # noqa: ANN401 - written down as they come
    ) -> AsyncIterator[AsyncIterator[list[client.WatchEvent]]]:
        self.opened.append((now(), options))
        script: list[Step] | errors.ClusterError = [1e9]
        if self.watches:
            script = self.watches.pop(0)
        if isinstance(script, errors.ClusterError):
            raise script
        async with contextlib.aclosing(self._play(script)) as batches:
            yield batches

    async def _play(self, script: list[Step]) -> AsyncGenerator[list[client.WatchEvent], None]:
        for step in script:
            if isinstance(step, errors.ClusterError):
                raise step
            if isinstance(step, list):
                yield step
            else:
                await asyncio.sleep(step)

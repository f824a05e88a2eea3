"""The namespace of the runs, as far as the answers of the API server tell of it.

The controller's role in it goes with it, and with the role the right to ask: everything in it is
forbidden then, as it is where only the role is missing. Who has rights in all namespaces hears that
it is missing, and of a create alone: to a list it is empty. Nobody asks for the namespace itself,
which would take a further right: what is asked for anyway, again and again, tells enough.

Source: kube-apiserver 1.34: authorization comes first, then the NamespaceLifecycle admission.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from workflowexecution.runtime import clock, errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from workflowexecution.runtime import client, informer
    from workflowexecution.runtime.resource import Resource

REMEMBERED_S = 90.0
"""Longer than any back-off: what is still so has been answered again by then."""

SETTLES_S = 10.0
"""How long API servers may differ on a role that was just given: each hears of it for itself."""

_NEVER = float("-inf")


class Place:
    """Remembers for a while what was refused there as a whole."""

    def __init__(self, namespace: str) -> None:
        """Begin with nothing known, which is no trouble."""
        self.namespace = namespace
        self._absent_at = _NEVER
        self._shut_at = _NEVER
        self._opened_at = _NEVER

    @property
    def trouble(self) -> str:
        """Why nothing can be done there, or the empty text."""
        if _is_recent(self._absent_at):
            return f"Namespace {self.namespace!r} of the runs does not exist"
        if _is_recent(self._shut_at):
            return (
                f"Nothing may be read in namespace {self.namespace!r} of the runs: it does not "
                "exist, or the controller has no role in it"
            )
        return ""

    @property
    def unsettled(self) -> str:
        """Why what was refused there may be allowed in a moment, or the empty text."""
        if clock.loop_time() - self._opened_at >= SETTLES_S:
            return ""
        return f"Namespace {self.namespace!r} of the runs could not be read until a moment ago"

    def absent(self) -> None:
        """Note that a create did not find it."""
        self._absent_at = clock.loop_time()

    def shut(self) -> None:
        """Note that something in it could not even be read."""
        self._shut_at = clock.loop_time()

    def opened(self) -> None:
        """Note that something in it could be read, if there is anything."""
        if self._shut_at != _NEVER:
            self._shut_at, self._opened_at = _NEVER, clock.loop_time()

    def present(self) -> None:
        """Note that something is there for certain."""
        self._absent_at = _NEVER
        self.opened()


class Watched:
    """What the informers of the runs read from: the client, whose refusals are taken note of."""

    def __init__(self, source: informer.Source, place: Place) -> None:
        """Read from this source."""
        self._source = source
        self._place = place

    async def list_page(
        self,
        resource: Resource,
        /,
        *,
        namespace: str = "",
        label_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
    ) -> client.ListPage:
        """Read a page of a list."""
        with self._noted():
            page = await self._source.list_page(
                resource,
                namespace=namespace,
                label_selector=label_selector,
                limit=limit,
                continue_token=continue_token,
            )
        self._place.opened()
        return page

    @contextlib.asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        /,
        *,
        namespace: str = "",
        label_selector: str = "",
        resource_version: str,
        timeout_s: float,
        idle_s: float,
    ) -> AsyncIterator[AsyncIterator[list[client.WatchEvent]]]:
        """Receive changes in batches."""
        with self._noted():
            async with self._source.watch(
                resource,
                namespace=namespace,
                label_selector=label_selector,
                resource_version=resource_version,
                timeout_s=timeout_s,
                idle_s=idle_s,
            ) as batches:
                self._place.opened()
                yield batches

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except errors.Forbidden:
            self._place.shut()
            raise


def _is_recent(at: float) -> bool:
    return clock.loop_time() - at < REMEMBERED_S

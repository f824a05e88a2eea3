"""Events about pods: of one, or what keeps any from starting, read once for all who ask.

The API server holds no events in memory. Whatever a list of them is narrowed to, all of the
namespace are read from etcd; so to ask about one pod costs it as much as to ask about all.
"""

from __future__ import annotations

import asyncio
import functools
import math
from typing import TYPE_CHECKING, Any

import structlog

from workflowexecution.adapters.events import EVENTS
from workflowexecution.api import raw as rawjson
from workflowexecution.runtime import errors, pages

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from workflowexecution.runtime import client, resource

FRESH_S = 2.5
"""How old an answer about warnings may be."""

# Of an image that does not come the kubelet goes on to tell by an event of type Normal.
_WARNINGS = tuple(
    f"involvedObject.kind=Pod,{which}" for which in ("type=Warning", "type=Normal,reason=BackOff")
)
_PAGE_SIZE = 500
_DEADLINE_S = 5.0
# Where many events make the lists slow, the pauses grow with them.
_PAUSE_TO_READING = 10
_PAUSE_AT_MOST_S = 30.0

_log = structlog.get_logger(__name__)


class PodEvents:
    """Reads events about the pods of a namespace."""

    def __init__(
        self, client: client.Client, namespace: str, live: Callable[[], Container[str]]
    ) -> None:
        """Read of this namespace; warnings are kept of pods that are live as they are read."""
        self._client = client
        self._namespace = namespace
        self._live = live
        self._reading = asyncio.Lock()
        self._warnings: Mapping[str, Sequence[Mapping[str, Any]]] | None = None
        self._fresh_until = -math.inf

    async def read(self, pod: str) -> Sequence[Mapping[str, Any]]:
        """All events about a pod, from the server itself.

        Raises:
            ClusterError: they cannot be read.
        """
        selector = f"involvedObject.kind=Pod,involvedObject.name={pod}"
        page = await self._client.list_page(
            EVENTS, namespace=self._namespace, field_selector=selector
        )
        return page.items

    async def warnings(self, pod: str) -> Sequence[Mapping[str, Any]] | None:
        """The warnings about a live pod, some seconds old at most; None while they are unknown."""
        async with self._reading:
            began = asyncio.get_running_loop().time()
            if began >= self._fresh_until:
                self._warnings = await self._read_warnings()
                now = asyncio.get_running_loop().time()
                pause_s = min(_PAUSE_TO_READING * (now - began), _PAUSE_AT_MOST_S)
                self._fresh_until = now + max(FRESH_S, pause_s)
        return None if self._warnings is None else self._warnings.get(pod, ())

    async def _read_warnings(self) -> Mapping[str, Sequence[Mapping[str, Any]]] | None:
        live = self._live()
        found: dict[str, list[resource.JsonObject]] = {}

        def take(event: resource.JsonObject) -> None:
            pod = rawjson.text(rawjson.mapping(event.get("involvedObject")).get("name"))
            if pod in live:
                found.setdefault(pod, []).append(event)

        try:
            for selector in _WARNINGS:
                await pages.read(functools.partial(self._page, selector), take)
        except errors.ClusterError as error:
            _log.info("Events of pods cannot be read", error=str(error))
            return None
        return found

    async def _page(self, selector: str, token: str) -> client.ListPage:
        return await self._client.list_page(
            EVENTS, namespace=self._namespace, field_selector=selector, limit=_PAGE_SIZE,
            continue_token=token, deadline_s=_DEADLINE_S,
        )  # fmt: skip

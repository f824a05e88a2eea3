"""What keeps pods from starting, by their events: read for all of them at once.

The API server holds no events in memory. Whatever a list of them is narrowed to, all of the
namespace are read from etcd; so to ask about one pod costs it as much as to ask about all.
"""

from __future__ import annotations

import asyncio
import functools
import math
from typing import TYPE_CHECKING

import structlog

from workflowexecution.adapters.events import EVENTS
from workflowexecution.api import raw as rawjson
from workflowexecution.domain import podevents
from workflowexecution.runtime import clock, errors, pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from workflowexecution.runtime import client, resource

PAUSE_S = 2.5
"""Between two readings, at least."""

# Of an image that does not come the kubelet goes on to tell by an event of type Normal.
_SELECTORS = tuple(
    f"involvedObject.kind=Pod,{which}" for which in ("type=Warning", "type=Normal,reason=BackOff")
)
_PAGE_SIZE = 500
_DEADLINE_S = 15.0
# Where there are very many events, reading them takes a fifth of the time at most; half of it where
# that fails.
_PAUSE_TO_READING = 4
_ASK_AGAIN_S = 1.0

_log = structlog.get_logger(__name__)


class PodWarnings:
    """What the events of a namespace say against its pods, as it was read last.

    Lock-free: one caller reads, and nobody waits for it.
    """

    def __init__(
        self, client: client.Client, namespace: str, live: Callable[[], Iterable[str]]
    ) -> None:
        """Read of this namespace, about the pods that are live as a reading begins."""
        self._client = client
        self._namespace = namespace
        self._live = live
        self._read: Mapping[str, Sequence[resource.JsonObject]] = {}
        self._is_reading = False
        self._due_at = -math.inf

    @property
    def due_in_s(self) -> float:
        """Seconds until they are to be read again; 0 and less: now."""
        return _ASK_AGAIN_S if self._is_reading else self._due_at - clock.loop_time()

    @property
    def known(self) -> Mapping[str, Sequence[resource.JsonObject]]:
        """The telling events by pod, none where nothing is wrong; what is absent is unknown."""
        return {} if clock.loop_time() >= self._due_at else self._read

    async def renew(self) -> None:
        """Read anew, if that is due; nothing is known for a while where it fails."""
        if self.due_in_s > 0:
            return
        began, pauses = clock.loop_time(), 1
        self._is_reading, self._read = True, {}
        try:
            async with asyncio.timeout(_DEADLINE_S):
                self._read = await self._warnings()
            pauses = _PAUSE_TO_READING
        except (errors.ClusterError, TimeoutError) as error:
            _log.info("Events of pods cannot be read", error=str(error) or "it takes too long")
        finally:
            self._is_reading = False
            self._due_at = clock.loop_time() + max(PAUSE_S, pauses * (clock.loop_time() - began))

    async def _warnings(self) -> Mapping[str, Sequence[resource.JsonObject]]:
        found: dict[str, list[resource.JsonObject]] = {pod: [] for pod in self._live()}

        def take(event: resource.JsonObject) -> None:
            raw = rawjson.mapping(event)
            pod = rawjson.text(rawjson.mapping(raw.get("involvedObject")).get("name"))
            reason = rawjson.text(raw.get("reason"))
            if pod in found and reason in podevents.KEEPS_FROM_STARTING:
                # Who has written which field takes half of the room.
                found[pod].append({**raw, "metadata": _plain(raw.get("metadata"))})

        for selector in _SELECTORS:
            fetch = functools.partial(
                self._client.list_page, EVENTS, namespace=self._namespace, field_selector=selector,
                limit=_PAGE_SIZE,
            )  # fmt: skip
            await pages.read(fetch, take)
        return found


def _plain(metadata: object) -> resource.JsonObject:
    kept = rawjson.mapping(metadata).items()
    return {key: value for key, value in kept if key != "managedFields"}

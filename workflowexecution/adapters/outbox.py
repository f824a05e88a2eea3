"""The outbox: ConfigMaps with the audit events of executions that went before they were kept.

It is bounded, since etcd is no archive, and in parts, since each write to a ConfigMap writes all of
it. Each change carries the resourceVersion that it was decided on, so that whoever adds and whoever
takes off undo nothing of each other.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import structlog
import tenacity

from workflowexecution import ports
from workflowexecution.domain import auditevent
from workflowexecution.runtime import errors, resource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workflowexecution.domain.auditevent import Event
    from workflowexecution.runtime import client

CONFIGMAPS = resource.Resource(group="", version="v1", plural="configmaps", kind="ConfigMap")
NAME = "workflowexecution-audit-outbox"
PARTS = 16
MAX_BYTES = 448 * 1024
"""Of each part: some 250 records. The API server would take twice as much."""

_ATTEMPTS = 5

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Wish:
    """What one caller wants to be kept, whole and in one part.

    Attributes:
        answered: whether it is kept, or never will be by this call, which `error` says why.
    """

    data: dict[str, str]
    answered: bool = False
    error: Exception | None = None

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return _size(self.data)


@dataclass(slots=True)
class _Part:
    """One of the ConfigMaps.

    Attributes:
        has_room: whether it is worth a look; a part that was found full is not, until something
            was taken off, or less than the bound was found.
    """

    key: resource.ObjectKey
    has_room: bool = True
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One write at a time: each would only make the others conflict."""


class ConfigMapOutbox:
    """The `Outbox` in a few ConfigMaps.

    Those who come while a write is under way are kept together by the next one: many deletions at
    once are few writes.
    """

    def __init__(self, *, client: client.Client, namespace: str, style: auditevent.Style) -> None:
        """Keep events in ConfigMaps.

        Args:
            client: reads and writes them.
            namespace: the controller's own.
            style: how what is kept is spelled when it leaves: the one in which it was built may
                have been what the store did not take.
        """
        self._client = client
        self._style = style
        self._namespace = namespace
        self._parts = [_Part(resource.ObjectKey(namespace, name)) for name in part_names()]
        self._filling = asyncio.Lock()
        self._wishes: list[_Wish] = []
        self.filled = asyncio.Event()
        """Set when something was put in."""

    async def put(self, events: Sequence[Event]) -> None:
        """Keep all of these, in one write, which is repeated while others come between."""
        wish = _Wish({event.key: _dump(event) for event in events})
        self._wishes.append(wish)
        try:
            async with self._filling:
                if not wish.answered:
                    await self._fill()
        finally:
            # Also of who was cancelled while it waited: nothing is kept for nobody.
            self._wishes.remove(wish)
        if wish.error is not None:
            raise wish.error
        self.filled.set()

    async def load(self, part: int) -> dict[str, Event | None]:
        """What a part keeps, by key; None stands for an entry that nobody can read.

        Raises:
            ClusterError: it cannot be told.
        """
        place = self._parts[part]
        found = await self._client.find(CONFIGMAPS, place.key)
        kept = {} if found is None else _data(found)
        if _size(kept) < MAX_BYTES:
            # Somebody else, or a removal whose answer was lost, has made room.
            place.has_room = True
        return {key: _load(key, text, self._style) for key, text in kept.items()}

    async def remove(self, part: int, keys: Sequence[str]) -> None:
        """Take entries off a part.

        Raises:
            ClusterError: they are not known to be off.
        """
        place = self._parts[part]
        await self._repeated(place, [], gone=keys)
        place.has_room = True

    async def _fill(self) -> None:
        """Keep what all want who wait by now, in the first parts with room."""
        left: Sequence[_Wish] = [wish for wish in self._wishes if not wish.answered]
        for part in self._parts:
            if part.has_room and left:
                left = await self._fill_part(part, left)
        for wish in left:
            wish.answered = True
            wish.error = ports.OutboxFull(f"outbox {self._namespace}/{NAME} is full")

    async def _fill_part(self, part: _Part, wishes: Sequence[_Wish]) -> Sequence[_Wish]:
        """Keep what fits into a part; returns the others."""
        try:
            await self._repeated(part, wishes)
        except errors.ClusterError as error:
            # Whether they are in it is not known; to put them in again does no harm.
            for wish in wishes:
                wish.answered, wish.error = True, error
            return []
        left = [wish for wish in wishes if not wish.answered]
        part.has_room = not left
        return left

    async def _repeated(
        self, part: _Part, wishes: Sequence[_Wish], gone: Sequence[str] = ()
    ) -> None:
        """Write, again while others come between; wishes that are kept are answered then."""
        # By its keys the change is the same when it is made twice.
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type((
                errors.Conflict,
                errors.AlreadyExists,
                errors.TransportError,
            )),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=1),
            reraise=True,
        )
        async with part.lock:
            taken: Sequence[_Wish] = await retrying(self._try, part, wishes, gone)
        for wish in taken:
            wish.answered = True

    async def _try(
        self, part: _Part, wishes: Sequence[_Wish], gone: Sequence[str]
    ) -> Sequence[_Wish]:
        """Write what fits, and take off what is gone; returns the wishes that are kept now."""
        found = await self._client.find(CONFIGMAPS, part.key)
        present = {} if found is None else _data(found)
        taken = _fitting(wishes, MAX_BYTES - _size(present))
        data: dict[str, str | None] = {key: None for key in gone if key in present}
        for wish in taken:
            data.update(wish.data)
        if not data:
            return taken
        if found is None:
            body = {"metadata": {"name": part.key.name, "namespace": self._namespace}, "data": data}
            head = {"apiVersion": "v1", "kind": "ConfigMap"}
            await self._client.create(CONFIGMAPS, self._namespace, {**head, **body}, whole=False)
            return taken
        version = found["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "data": data}
        await self._client.merge_patch(CONFIGMAPS, part.key, patch, whole=False)
        return taken


def part_names() -> list[str]:
    """The names of the ConfigMaps, in the order in which they are filled."""
    return [NAME, *(f"{NAME}-{number}" for number in range(2, PARTS + 1))]


def _fitting(wishes: Sequence[_Wish], room: int) -> list[_Wish]:
    taken = []
    for wish in wishes:
        if wish.size <= room:
            taken.append(wish)
            room -= wish.size
    return taken


def _size(data: Mapping[str, str]) -> int:
    return sum(len(key) + len(value.encode()) for key, value in data.items())


def _dump(event: Event) -> str:
    entry = {"uid": event.uid, "transition": event.transition, "document": event.document}
    return orjson.dumps(entry).decode()


def _load(key: str, text: str, style: auditevent.Style) -> Event | None:
    try:
        event = auditevent.rebuild(orjson.loads(text)["document"], style)
    except (KeyError, TypeError, ValueError):
        event = None
    if event is None or event.key != key:
        _log.error("Entry of the audit outbox cannot be read and is taken off", entry=text)
        return None
    return event


def _data(found: Mapping[str, Any]) -> dict[str, str]:
    data = found.get("data")
    return dict(data) if isinstance(data, dict) else {}

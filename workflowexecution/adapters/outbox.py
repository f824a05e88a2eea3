"""The outbox: a ConfigMap with the audit events of executions that went before they were kept.

It is bounded, since etcd is no archive. Each change carries the resourceVersion that it was decided
on, so that whoever adds and whoever takes off undo nothing of each other.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from workflowexecution import ports
from workflowexecution.domain.audit import Transition
from workflowexecution.domain.auditevent import Event
from workflowexecution.runtime import backoff, errors, resource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workflowexecution.runtime import client

CONFIGMAPS = resource.Resource(group="", version="v1", plural="configmaps", kind="ConfigMap")
NAME = "workflowexecution-audit-outbox"
MAX_BYTES = 900 * 1024
"""Below what the API server takes, metadata and JSON included."""

_ATTEMPTS = 5
_LOOK_EVERY_S = 600.0
_AGAIN_S = 30.0

_log = structlog.get_logger(__name__)


class ConfigMapOutbox:
    """The `Outbox` in one ConfigMap."""

    def __init__(self, *, client: client.Client, namespace: str) -> None:
        """Keep events in this namespace, which is the controller's own."""
        self._client = client
        self._namespace = namespace
        self._key = resource.ObjectKey(namespace, NAME)
        # One write at a time: each would only make the others conflict.
        self._lock = asyncio.Lock()
        self.filled = asyncio.Event()
        """Set when something was put in."""

    async def put(self, events: Sequence[Event]) -> None:
        """Keep all of these, in one write, which is repeated while others come between."""
        data = {event.key: _dump(event) for event in events}
        async with self._lock:
            await self._change(data)
        self.filled.set()

    async def load(self) -> dict[str, Event | None]:
        """What is kept, by key; None stands for an entry that nobody can read.

        Raises:
            ClusterError: it cannot be told.
        """
        found = await self._read()
        return {} if found is None else {key: _load(it) for key, it in _data(found).items()}

    async def remove(self, keys: Sequence[str]) -> None:
        """Take entries off.

        Raises:
            ClusterError: they are not known to be off.
        """
        async with self._lock:
            await self._change(dict.fromkeys(keys))

    async def _change(self, data: Mapping[str, str | None]) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._try(data)
            except (errors.Conflict, errors.AlreadyExists, errors.TransportError):
                # By its keys the change is the same when it is made twice.
                if attempt == _ATTEMPTS:
                    raise
            else:
                return

    async def _try(self, data: Mapping[str, str | None]) -> None:
        found = await self._read()
        present = {} if found is None else _data(found)
        after = {key: value for key, value in {**present, **data}.items() if value is not None}
        size = sum(len(key) + len(value.encode()) for key, value in after.items())
        if size > MAX_BYTES and any(data.values()):
            message = f"outbox {self._key} is full"
            raise ports.OutboxFull(message)
        if found is None:
            if after:
                body = {"metadata": {"name": NAME, "namespace": self._namespace}, "data": after}
                head = {"apiVersion": "v1", "kind": "ConfigMap"}
                await self._client.create(CONFIGMAPS, self._namespace, {**head, **body})
            return
        version = found["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "data": dict(data)}
        await self._client.merge_patch(CONFIGMAPS, self._key, patch)

    async def _read(self) -> dict[str, Any] | None:
        try:
            return await self._client.get(CONFIGMAPS, self._key)
        except errors.NotFound:
            return None


class Drain:
    """Brings what the outbox holds into the store; the `AuditListener` that waits for it.

    Lock-free: it changes only between awaits.
    """

    def __init__(self, *, outbox: ConfigMapOutbox, trail: ports.AuditTrail) -> None:
        """Drain this outbox into this trail."""
        self._outbox = outbox
        self._trail = trail
        self._offered: set[str] = set()
        self._answered: set[str] = set()
        self._news = outbox.filled
        trail.listen(self)

    def recorded(self, event: Event) -> None:
        """Note that an entry can go."""
        self._answer(event)

    def refused(self, event: Event, why: str) -> None:
        """Note that an entry can go: it is on the log."""
        self._answer(event)

    def shed(self, event: Event) -> None:
        """Note that an entry is to be offered again."""
        self._offered.discard(event.key)

    def room(self) -> None:
        """Offer again what found no room."""
        self._news.set()

    async def run(self) -> None:
        """Drain whenever there is something; never returns."""
        delays = backoff.Backoff(base_s=_AGAIN_S, cap_s=_LOOK_EVERY_S)
        while True:
            self._news.clear()
            wait_s = _LOOK_EVERY_S
            try:
                await self._drain()
            except errors.ClusterError as error:
                wait_s = delays.next_s()
                _log.warning("Audit outbox cannot be drained", error=str(error), retry_s=wait_s)
            else:
                delays.reset()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._news.wait()

    async def _drain(self) -> None:
        """Take off what is answered, offer the rest."""
        kept = await self._outbox.load()
        done = [key for key, event in kept.items() if event is None or key in self._answered]
        if done:
            await self._outbox.remove(done)
            _log.info("Audit events taken off the outbox", events=len(done))
        self._answered.clear()
        self._offered &= kept.keys() - set(done)
        for key, event in kept.items():
            if event is None or key in done or key in self._offered:
                continue
            self._offered.add(key)
            if not self._trail.offer(event, doubtful=True):
                # The trail says when there is room.
                self._offered.discard(key)
                return

    def _answer(self, event: Event) -> None:
        if event.key in self._offered:
            self._offered.discard(event.key)
            self._answered.add(event.key)
            self._news.set()


def _dump(event: Event) -> str:
    entry = {"uid": event.uid, "transition": event.transition, "document": event.document}
    return orjson.dumps(entry).decode()


def _load(text: str) -> Event | None:
    try:
        entry = orjson.loads(text)
        event = Event(str(entry["uid"]), Transition(entry["transition"]), dict(entry["document"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        _log.error("Entry of the audit outbox cannot be read and is taken off", entry=text)
        return None
    return event


def _data(found: Mapping[str, Any]) -> dict[str, str]:
    data = found.get("data")
    return dict(data) if isinstance(data, dict) else {}

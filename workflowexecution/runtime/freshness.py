"""Own writes and the cache: a key waits until the cache has reached what was written under it."""

import asyncio
import dataclasses
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from workflowexecution.runtime import queue, resource, store

# The longest that one write parks; at most twice this by the sweep.
_MAX_PARK_S = 120.0


class LagObserver(Protocol):
    """Sees how far the cache is behind own writes. Calls are synchronous and must be cheap."""

    def caught_up(self, lag_s: float) -> None:
        """Note that a key was parked for so many seconds; 0: the cache was there first."""


@dataclasses.dataclass(slots=True, eq=False)
class _Wait:
    """Until `version` of the object `uid` arrives (empty: until the object goes).

    `before` is what the cache held when the answer came.
    """

    key: resource.ObjectKey
    kind: resource.Resource
    object_key: resource.ObjectKey
    uid: str
    version: str
    before: str
    lists_begun: int
    since: float


class Write:
    """One write in flight: remembers what the cache receives for the object meanwhile.

    Used as a context manager around the call, with `answered` inside it. A write that raises parks
    nothing: what it did is unknown, or nothing.
    """

    __slots__ = ("_freshness", "arrived", "before", "key", "kind", "lists_ended", "object_key")

    def __init__(
        self,
        freshness: "Freshness",
        key: resource.ObjectKey,
        kind: resource.Resource,
        object_key: resource.ObjectKey,
    ) -> None:
        """Use `Freshness.writing` instead."""
        self._freshness = freshness
        self.key = key
        self.kind = kind
        self.object_key = object_key
        self.arrived: set[tuple[str, str]] = set()
        """UID and version of each arrival, the version empty for a disappearance."""
        self.before = ""
        """Version in the cache when the write began."""
        self.lists_ended = 0
        """Number of the last list that was in the cache then."""

    def __enter__(self) -> Self:
        """Begin to remember."""
        self._freshness.open(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop remembering."""
        self._freshness.close(self)

    def answered(self, answer: resource.JsonObject) -> None:
        """Park the key until the cache has reached this answer, unless it has already.

        Args:
            answer: the written object, or the Status of a deletion that took effect at once, which
                waits for the disappearance. An answer without a UID parks nothing.
        """
        metadata = answer.get("metadata") or {}
        uid, version = metadata.get("uid"), metadata.get("resourceVersion", "")
        if answer.get("kind") == "Status":
            uid, version = (answer.get("details") or {}).get("uid"), ""
        if uid:
            self._freshness.wrote(self, uid, version)


class Freshness:
    """Knows which keys have writes that the cache has not reached yet.

    A key is parked from the answer of a write until the informer has delivered exactly the written
    version of that object, or its disappearance. Versions are opaque, so they are compared for
    equality only; therefore what arrives while a write is in flight is remembered (the event can
    come before the answer), and of several writes on an object only the last version counts.
    A write that changed nothing answers with a version that the cache has or will get: it parks
    only in the second case.

    Not every written version arrives: a relist jumps over versions, and a write may take an object
    out of what is watched. So a key is also released by a relist that began after the answer
    (it contains the write), by one that ended after the write began and changed the object (it may
    have jumped over the write), and, whatever happened, by `_MAX_PARK_S`: releasing early costs a
    refused write at worst, since every write carries the version it was decided on. Nothing is
    parked for ever, and nothing is kept of what is released.

    Lock-free: it changes only between awaits.
    """

    def __init__(
        self,
        *,
        stores: Callable[[resource.Resource], store.Store[Any] | None],
        on_unpark: Callable[[resource.ObjectKey, queue.Priority], None],
        observer: LagObserver,
    ) -> None:
        """Start with nothing parked.

        Args:
            stores: the cache that a resource is informed into, None for one that is not watched:
                a write on such a one parks nothing.
            on_unpark: called with a key that was asked for while it was parked, once it is not, and
                with the most urgent class that it was asked for with.
            observer: sees how long keys are parked.
        """
        self._stores = stores
        self._on_unpark = on_unpark
        self._observer = observer
        self._writing: dict[tuple[resource.Resource, resource.ObjectKey], list[Write]] = {}
        self._by_key: dict[resource.ObjectKey, dict[str, _Wait]] = {}
        # The same waits by the UID that ends them.
        self._by_uid: dict[str, list[_Wait]] = {}
        self._asked: dict[resource.ObjectKey, queue.Priority] = {}
        self._lists_begun: dict[resource.Resource, int] = {}
        self._lists_ended: dict[resource.Resource, int] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Count the parked keys."""
        return len(self._by_key)

    def writing(
        self, key: resource.ObjectKey, kind: resource.Resource, object_key: resource.ObjectKey
    ) -> Write:
        """Open a write on an object, made in the reconcile of `key`."""
        return Write(self, key, kind, object_key)

    def parked(
        self, key: resource.ObjectKey, priority: queue.Priority = queue.Priority.NORMAL
    ) -> bool:
        """Tell whether the key must wait; if so, `on_unpark` is called for it when it need not."""
        if key not in self._by_key:
            return False
        self._asked[key] = min(priority, self._asked.get(key, priority))
        return True

    def forget(self, key: resource.ObjectKey) -> None:
        """Drop all waits of a key, as when its object is gone. `on_unpark` is not called."""
        self._asked.pop(key, None)
        for wait in list(self._by_key.get(key, {}).values()):
            self._drop(wait)

    def open(self, write: Write) -> None:
        """Begin a write; done by entering it."""
        # A patch that changes nothing answers with a version that may have been here before.
        cached = self._cached(write)
        if cached is not None:
            write.arrived.add((cached.uid, cached.resource_version))
            write.before = cached.resource_version
        write.lists_ended = self._lists_ended.get(write.kind, 0)
        self._writing.setdefault((write.kind, write.object_key), []).append(write)

    def close(self, write: Write) -> None:
        """End a write; done by leaving it."""
        writes = self._writing[write.kind, write.object_key]
        writes.remove(write)
        if not writes:
            del self._writing[write.kind, write.object_key]

    def wrote(self, write: Write, uid: str, version: str) -> None:
        """Park the key until that version is in the cache, unless it is; done by `answered`."""
        before = self._by_key.get(write.key, {}).get(uid)
        if self._reached(write, uid, version):
            if before is None:
                self._observer.caught_up(0.0)
            else:
                self._release(before)
            return
        if before is not None:
            self._drop(before)
        cached = self._cached(write)
        wait = _Wait(
            key=write.key,
            kind=write.kind,
            object_key=write.object_key,
            uid=uid,
            version=version,
            before="" if cached is None else cached.resource_version,
            lists_begun=self._lists_begun.get(write.kind, 0),
            since=asyncio.get_running_loop().time(),
        )
        self._by_key.setdefault(write.key, {})[uid] = wait
        self._by_uid.setdefault(uid, []).append(wait)
        if self._sweeper is None:
            self._arm()

    def seen(
        self,
        kind: resource.Resource,
        object_key: resource.ObjectKey,
        uid: str,
        resource_version: str,
    ) -> None:
        """Note that the cache holds this version now; empty: that the object is gone from it."""
        for write in self._writing.get((kind, object_key), ()):
            write.arrived.add((uid, resource_version))
        for wait in list(self._by_uid.get(uid, ())):
            if not resource_version or wait.version == resource_version:
                self._release(wait)

    def relist_begun(self, kind: resource.Resource) -> int:
        """Note that a list was begun, and return its number."""
        number = self._lists_begun.get(kind, 0) + 1
        self._lists_begun[kind] = number
        return number

    def relisted(self, kind: resource.Resource, number: int) -> None:
        """Note that the cache now holds the list of that number, and all writes before it."""
        self._lists_ended[kind] = number
        for wait in [wait for waits in self._by_key.values() for wait in waits.values()]:
            if wait.kind == kind and (
                wait.lists_begun < number or self._has_jumped(wait, wait.uid)
            ):
                self._release(wait)

    def _cached(self, place: Write | _Wait) -> store.Cached | None:
        cache = self._stores(place.kind)
        return None if cache is None else cache.get(place.object_key)

    def _has_jumped(self, place: Write | _Wait, uid: str) -> bool:
        """Whether a list that has just come changed the object, so may have jumped over a write."""
        cached = self._cached(place)
        return cached is not None and cached.uid == uid and cached.resource_version != place.before

    def _reached(self, write: Write, uid: str, version: str) -> bool:
        if self._stores(write.kind) is None:
            return True
        relisted = write.lists_ended != self._lists_ended.get(write.kind, 0)
        if relisted and self._has_jumped(write, uid):
            return True
        return not write.arrived.isdisjoint({(uid, version), (uid, "")})

    def _release(self, wait: _Wait) -> None:
        self._drop(wait)
        self._observer.caught_up(asyncio.get_running_loop().time() - wait.since)
        if wait.key not in self._by_key and wait.key in self._asked:
            self._on_unpark(wait.key, self._asked.pop(wait.key))

    def _drop(self, wait: _Wait) -> None:
        waits = self._by_key[wait.key]
        del waits[wait.uid]
        if not waits:
            del self._by_key[wait.key]
        others = self._by_uid[wait.uid]
        others.remove(wait)
        if not others:
            del self._by_uid[wait.uid]

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(_MAX_PARK_S, self._sweep)

    def _sweep(self) -> None:
        """Release what has waited too long; runs only while something waits."""
        self._sweeper = None
        limit = asyncio.get_running_loop().time() - _MAX_PARK_S
        for wait in [wait for waits in self._by_key.values() for wait in waits.values()]:
            if wait.since <= limit:
                self._release(wait)
        if self._by_key:
            self._arm()

"""From raw objects to the cache, and from its changes to those who want to know."""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import structlog

from workflowexecution.runtime import client, resource, store

_log = structlog.get_logger(__name__)

T = TypeVar("T", bound=store.Cached)


# What a projection meets when it reads an object of an unexpected shape.
_POISON = (ValueError, LookupError, TypeError, AttributeError)


class VersionObserver(Protocol):
    """Learns which versions the cache has reached, as `freshness.Freshness` does."""

    def seen(
        self, kind: resource.Resource, object_key: resource.ObjectKey, uid: str, version: str, /
    ) -> None:
        """Note a version that is reached; empty: the object is gone."""

    def relist_begun(self, kind: resource.Resource, /) -> int:
        """Note that a list was begun, and number it."""

    def relisted(self, kind: resource.Resource, number: int, /) -> None:
        """Note that the list of that number is in the cache."""


class Listing(Generic[T]):
    """A list while it is read: what could be projected, and the keys of what could not."""

    __slots__ = ("objects", "poison")

    def __init__(self) -> None:
        """Start with nothing read."""
        self.objects: list[T] = []
        self.poison: set[resource.ObjectKey] = set()


class Feed(Generic[T]):
    """Projects objects into a store and tells subscribers each change.

    An object that cannot be projected is logged once and skipped; what the cache holds of it stays,
    for it does exist. The version observer hears of a change before the subscribers do, and so do
    witnesses: of a whole list at once, so that nobody can act on it before they know.

    Lock-free: it changes only between awaits.
    """

    def __init__(
        self,
        *,
        kind: resource.Resource,
        project: Callable[[resource.JsonObject], T],
        cache: store.StoreWriter[T],
        versions: VersionObserver,
    ) -> None:
        """Put the parts together; the cache has no other writer."""
        self._kind = kind
        self._project = project
        self._cache = cache
        self._versions = versions
        self._subscribers: list[Callable[[store.Delta[T]], None]] = []
        self._witnesses: list[Callable[[store.Delta[T]], None]] = []
        self._poison: set[resource.ObjectKey] = set()

    @property
    def poisoned(self) -> int:
        """How many objects exist that cannot be projected."""
        return len(self._poison)

    def subscribe(self, callback: Callable[[store.Delta[T]], None]) -> None:
        """Call back, synchronously, for each change from now on; the callback must not raise."""
        self._subscribers.append(callback)

    def witness(self, callback: Callable[[store.Delta[T]], None]) -> None:
        """The same, with nothing between the change of the cache and the call."""
        self._witnesses.append(callback)

    def read(self, listing: Listing[T], item: resource.JsonObject) -> None:
        """Add an item to a list; of one that cannot be projected, what the cache holds."""
        key = _key_of(item)
        if key is None:
            _log.warning("Object without a name is skipped", resource=self._kind.plural)
            return
        projected = self._projected(key, item)
        if projected is None:
            listing.poison.add(key)
            projected = self._cache.get(key)
        if projected is not None:
            listing.objects.append(projected)

    def replace(self, listing: Listing[T]) -> list[store.Delta[T]]:
        """Swap in a complete list and return what is to be delivered."""
        self._poison = listing.poison
        deltas = self._cache.replace(listing.objects)
        for delta in deltas:
            self._note(delta)
        return deltas

    def apply(self, event: client.WatchEvent) -> str:
        """Apply an event, deliver its change, and return the version reached ("" if unknown)."""
        key = _key_of(event.object)
        if event.type == "BOOKMARK" or key is None:
            return _version_of(event.object)
        match event.type:
            case "ADDED" | "MODIFIED":
                self._changed(key, event.object)
            case "DELETED":
                self._deleted(key, event.object)
            case _:
                _log.warning("Watch event of unknown type", type=str(event.type)[:32])
        return _version_of(event.object)

    def deliver(self, delta: store.Delta[T]) -> None:
        """Tell the subscribers."""
        for callback in self._subscribers:
            callback(delta)

    def _changed(self, key: resource.ObjectKey, raw: resource.JsonObject) -> None:
        new = self._projected(key, raw)
        if new is None:
            return
        old = self._cache.get(key)
        if old is not None and old.uid != new.uid:
            self._forward(store.Delta(self._cache.remove(key), None))
            old = None
        if old is None or old.resource_version != new.resource_version:
            self._cache.apply(new)
            self._forward(store.Delta(old, new))

    def _deleted(self, key: resource.ObjectKey, raw: resource.JsonObject) -> None:
        last = self._projected(key, raw)
        self._poison.discard(key)
        old = self._cache.get(key)
        if old is not None and (last is None or old.uid == last.uid):
            self._cache.remove(key)
        last = last or old
        if last is not None:
            self._forward(store.Delta(last, None))

    def _projected(self, key: resource.ObjectKey, raw: resource.JsonObject) -> T | None:
        try:
            projected = self._project(raw)
        except _POISON as error:
            if key not in self._poison:
                self._poison.add(key)
                _log.warning(
                    "Object cannot be read and is skipped",
                    resource=self._kind.plural,
                    key=str(key),
                    error=f"{type(error).__name__}: {error}"[:200],
                )
            return None
        self._poison.discard(key)
        return projected

    def _forward(self, delta: store.Delta[T]) -> None:
        self._note(delta)
        self.deliver(delta)

    def _note(self, delta: store.Delta[T]) -> None:
        if delta.new is not None:
            new = delta.new
            self._versions.seen(self._kind, new.key, new.uid, new.resource_version)
        elif delta.old is not None:  # pragma: no branch - one of them is there
            self._versions.seen(self._kind, delta.old.key, delta.old.uid, "")
        for callback in self._witnesses:
            callback(delta)


def _key_of(raw: resource.JsonObject) -> resource.ObjectKey | None:
    try:
        return resource.key_of(raw)
    except (LookupError, TypeError, AttributeError):
        return None


def _version_of(raw: resource.JsonObject) -> str:
    metadata: Any = raw.get("metadata")
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) else ""

"""The cache: the last known state of the watched objects, with indexes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, ValuesView
from typing import Generic, NamedTuple, Protocol, TypeVar

from workflowexecution.runtime import resource


class Cached(Protocol):
    """What an object must tell about itself to be cached. Cached objects never change."""

    @property
    def key(self) -> resource.ObjectKey:
        """Where the object is."""

    @property
    def uid(self) -> str:
        """Which object it is: a name can be reused, a UID cannot."""

    @property
    def resource_version(self) -> str:
        """Opaque version; only equality has a meaning."""


T = TypeVar("T", bound=Cached)

_Bucket = resource.ObjectKey | dict[resource.ObjectKey, None]
"""The keys under one index value: the key itself while it is alone, which most are."""


class Delta(NamedTuple, Generic[T]):
    """One change of the cache: ``old`` None is an arrival, ``new`` None a disappearance.

    With ``new`` None, ``old`` is the last known state. ``old is new`` is a resync without change.
    A name that was reused by another object comes as two deltas, the disappearance first.
    """

    old: T | None
    new: T | None


class _Index(Generic[T]):
    """One index: value to keys."""

    __slots__ = ("_buckets", "_values")

    def __init__(self, values: Callable[[T], Iterable[str]]) -> None:
        self._values = values
        self._buckets: dict[str, _Bucket] = {}

    def keys(self, value: str) -> Iterable[resource.ObjectKey]:
        bucket = self._buckets.get(value, ())
        return bucket if isinstance(bucket, dict) else (bucket,) if bucket else ()

    def change(self, old: T | None, new: T | None) -> None:
        """Move an object from the values it had to those it has."""
        before = () if old is None else tuple(self._values(old))
        after = () if new is None else tuple(self._values(new))
        if before == after:
            return
        if old is not None:
            for value in before:
                self._discard(value, old.key)
        if new is not None:
            for value in after:
                self._add(value, new.key)

    def _add(self, value: str, key: resource.ObjectKey) -> None:
        bucket = self._buckets.get(value)
        if bucket is None:
            self._buckets[value] = key
        elif isinstance(bucket, dict):
            bucket[key] = None
        else:
            self._buckets[value] = {bucket: None, key: None}

    def _discard(self, value: str, key: resource.ObjectKey) -> None:
        bucket = self._buckets.get(value)
        if isinstance(bucket, dict):
            bucket.pop(key, None)
            if not bucket:
                del self._buckets[value]
        elif bucket == key:
            del self._buckets[value]


class Store(Generic[T]):
    """The read view of a cache.

    Lock-free: it changes only between awaits, so what is read without an await in between is one
    consistent state.
    """

    __slots__ = ("_indexes", "_objects", "_synced")

    def __init__(self, indexes: Mapping[str, Callable[[T], Iterable[str]]] | None = None) -> None:
        """Start empty and not synced.

        Args:
            indexes: index name to the function that gives an object's values in that index. It
                must not raise, and depend on the object alone.
        """
        self._objects: dict[resource.ObjectKey, T] = {}
        self._indexes = {name: _Index(values) for name, values in (indexes or {}).items()}
        self._synced = False

    @property
    def synced(self) -> bool:
        """Whether the cache has held a complete list at least once."""
        return self._synced

    def get(self, key: resource.ObjectKey) -> T | None:
        """Return the object, or None when the cache has none."""
        return self._objects.get(key)

    def by_index(self, index_name: str, value: str) -> list[T]:
        """Return the objects that have the value in the index, in order of arrival.

        Raises:
            KeyError: there is no such index.
        """
        objects = self._objects
        return [objects[key] for key in self._indexes[index_name].keys(value)]

    def values(self) -> ValuesView[T]:
        """Return a live view of all objects; no await while it is iterated."""
        return self._objects.values()

    def __iter__(self) -> Iterator[T]:
        """Iterate all objects; no await in between."""
        return iter(self._objects.values())

    def __len__(self) -> int:
        """Count the objects."""
        return len(self._objects)


class StoreWriter(Store[T]):
    """The write side of a cache. Its one user is the informer."""

    __slots__ = ()

    def apply(self, obj: T) -> T | None:
        """Put an object in and return the one it replaces."""
        key = obj.key
        old = self._objects.get(key)
        self._objects[key] = obj
        for index in self._indexes.values():
            index.change(old, obj)
        return old

    def remove(self, key: resource.ObjectKey) -> T | None:
        """Take an object out and return it, None when there was none."""
        old = self._objects.pop(key, None)
        if old is not None:
            for index in self._indexes.values():
                index.change(old, None)
        return old

    def replace(self, objects: Iterable[T]) -> list[Delta[T]]:
        """Swap in a complete list at once, mark the store synced, and return what differs.

        An object with unchanged UID and version stays the very same one. Disappearances come first.
        """
        arrived = {obj.key: obj for obj in objects}
        deltas = [
            Delta(self.remove(key), None)
            for key, old in list(self._objects.items())
            if (new := arrived.get(key)) is None or new.uid != old.uid
        ]
        for key, obj in arrived.items():
            old_obj = self._objects.get(key)
            if old_obj is None or old_obj.resource_version != obj.resource_version:
                self.apply(obj)
                deltas.append(Delta(old_obj, obj))
        self._synced = True
        return deltas

"""Objects with their versions: what etcd and the watch cache are to a kube-apiserver."""

import dataclasses
from collections.abc import Callable

from tests.fake.resources import ResourceType
from tests.fake.statuses import JsonObject

# A real cluster is never at version 1 when a client comes.
FIRST_VERSION = 100

Key = tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One step of the history: `item` is shown to watchers, `old` is the state before.

    `at` is the loop time of the write, in seconds.
    """

    version: int
    type: str
    resource: ResourceType
    item: JsonObject
    old: JsonObject | None
    at: float


def key_of(item: JsonObject) -> Key:
    """Return (namespace, name) of an object."""
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class Storage:
    """All objects of all resources, and every change since the start.

    Stored objects are never changed in place. No locks: it is used from one event loop and never
    awaits.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self.version = FIRST_VERSION
        self.compacted = FIRST_VERSION
        self.changes: list[Change] = []
        self._clock = clock
        self._items: dict[str, dict[Key, JsonObject]] = {}
        self._since: dict[str, int] = {}
        self._listeners: list[Callable[[Change], None]] = []

    def subscribe(self, listener: Callable[[Change], None]) -> None:
        """Call the listener synchronously after each change."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: Callable[[Change], None]) -> None:
        """Stop calling the listener."""
        self._listeners.remove(listener)

    def introduce(self, resource: ResourceType) -> None:
        """Note that the resource exists from the present version on."""
        self._since[resource.qualified] = self.version

    def oldest(self, resource: ResourceType) -> int:
        """Return the oldest version that a watch of the resource can start from."""
        return max(self.compacted, self._since.get(resource.qualified, 0))

    def compact(self) -> None:
        """Forget the past: no watch can start below the present version, no page go on."""
        self.version += 1
        self.compacted = self.version

    def get(self, resource: ResourceType, key: Key) -> JsonObject | None:
        """Return the stored object, if any."""
        return self._items.get(resource.qualified, {}).get(key)

    def items(self, resource: ResourceType, *, version: int | None = None) -> list[JsonObject]:
        """Return the objects in the order of a list, at a past version when one is given."""
        items = self._items.get(resource.qualified, {})
        if version is not None and version < self.version:
            items = self._items_at(resource, version)
        return [items[key] for key in sorted(items)]

    def _items_at(self, resource: ResourceType, version: int) -> dict[Key, JsonObject]:
        items: dict[Key, JsonObject] = {}
        for change in self.changes:
            if change.version > version:
                break
            if change.resource.qualified != resource.qualified:
                continue
            if change.type == "DELETED":
                items.pop(key_of(change.item), None)
            else:
                items[key_of(change.item)] = change.item
        return items

    def put(self, resource: ResourceType, item: JsonObject) -> JsonObject:
        """Store the object under the next version and return it as stored."""
        items = self._items.setdefault(resource.qualified, {})
        old = items.get(key_of(item))
        stored = self._stamp(item)
        items[key_of(item)] = stored
        self._record("ADDED" if old is None else "MODIFIED", resource, stored, old)
        return stored

    def drop(self, resource: ResourceType, key: Key) -> JsonObject:
        """Remove the object; watchers see its last state under the next version."""
        old = self._items[resource.qualified].pop(key)
        last = self._stamp(old)
        self._record("DELETED", resource, last, old)
        return last

    def _stamp(self, item: JsonObject) -> JsonObject:
        self.version += 1
        metadata = item["metadata"] | {"resourceVersion": str(self.version)}
        return item | {"metadata": metadata}

    def _record(
        self, kind: str, resource: ResourceType, item: JsonObject, old: JsonObject | None
    ) -> None:
        change = Change(self.version, kind, resource, item, old, self._clock())
        self.changes.append(change)
        for listener in list(self._listeners):
            listener(change)

"""Garbage collection and the end of namespaces: the part of kube-controller-manager needed here."""

import collections

from tests.fake import objects as rules
from tests.fake.objects import Objects
from tests.fake.resources import Registry, ResourceType
from tests.fake.statuses import JsonObject
from tests.fake.storage import Change, Key, Storage, key_of

_Place = tuple[ResourceType, Key]


class Collector:
    """Deletes dependents whose owners are gone, in the order that the propagation asks for.

    It works off what changed until nothing is left, synchronously after each write, so a test
    sees one order of events. While `paused` it only takes notes, as a stopped controller manager.
    """

    def __init__(self, *, registry: Registry, storage: Storage, objects: Objects) -> None:
        self.paused = False
        self._registry = registry
        self._storage = storage
        self._objects = objects
        self._working = False
        self._places: dict[str, _Place] = {}
        self._dependents: dict[str, set[str]] = collections.defaultdict(set)
        self._dirty: collections.deque[str] = collections.deque()
        storage.subscribe(self._observe)

    def _observe(self, change: Change) -> None:
        uid = change.item["metadata"]["uid"]
        for owner in _owner_uids(change.old):
            self._dependents[owner].discard(uid)
        if change.type == "DELETED":
            self._places.pop(uid, None)
            self._dirty.extend(sorted(self._dependents.get(uid, ())))
            self._dirty.extend(_owner_uids(change.item))
            self._mark_namespace(change.item)
            return
        self._places[uid] = (change.resource, key_of(change.item))
        for owner in _owner_uids(change.item):
            self._dependents[owner].add(uid)
        self._dirty.append(uid)

    def _mark_namespace(self, item: JsonObject) -> None:
        namespaces = self._objects.namespaces
        name = item["metadata"].get("namespace", "")
        owner = self._storage.get(namespaces, ("", name)) if namespaces and name else None
        if owner is not None and "deletionTimestamp" in owner["metadata"]:
            self._dirty.append(owner["metadata"]["uid"])

    def run(self) -> None:
        """Work off all that is due."""
        if self.paused or self._working:
            return
        self._working = True
        try:
            while self._dirty:
                self._process(self._dirty.popleft())
        finally:
            self._working = False

    def resume(self) -> None:
        """End a pause and catch up."""
        self.paused = False
        self.run()

    def _process(self, uid: str) -> None:
        place = self._places.get(uid)
        item = self._storage.get(*place) if place else None
        if place is None or item is None or item["metadata"]["uid"] != uid:
            return
        finalizers = item["metadata"].get("finalizers") or []
        deleting = "deletionTimestamp" in item["metadata"]
        if deleting and rules.FOREGROUND in finalizers:
            self._end_foreground(place, item)
        elif deleting and rules.ORPHAN in finalizers:
            self._orphan(place, item)
        elif deleting and place[0].plural == "namespaces":
            self._end_namespace(place, item)
        elif not deleting and self._is_abandoned(item):
            self._objects.delete(*place, {"propagationPolicy": "Background"})

    def _is_abandoned(self, item: JsonObject) -> bool:
        owners = list(_owner_uids(item))
        return bool(owners) and not any(self._owns(uid, item) for uid in owners)

    def _owns(self, uid: str, dependent: JsonObject) -> bool:
        place = self._places.get(uid)
        if place is None:
            return False
        resource, (namespace, _) = place
        # An owner is looked for in the dependent's own namespace, so one elsewhere is no owner.
        return not resource.namespaced or namespace == dependent["metadata"].get("namespace", "")

    def _end_foreground(self, place: _Place, item: JsonObject) -> None:
        uid = item["metadata"]["uid"]
        blocking = [each for each in self._children(uid) if _blocks(each[1], uid)]
        if not blocking:
            self._remove_finalizer(place, item, rules.FOREGROUND)
            return
        for child_place, child in blocking:
            if "deletionTimestamp" not in child["metadata"]:
                # What has dependents of its own is deleted as its owner is.
                nested = bool(self._dependents.get(child["metadata"]["uid"]))
                policy = "Foreground" if nested else "Background"
                self._objects.delete(*child_place, {"propagationPolicy": policy})

    def _orphan(self, place: _Place, item: JsonObject) -> None:
        uid = item["metadata"]["uid"]
        for child_place, child in self._children(uid):
            kept = [each for each in child["metadata"]["ownerReferences"] if each["uid"] != uid]
            self._objects.patch(*child_place, {"metadata": {"ownerReferences": kept}})
        self._remove_finalizer(place, item, rules.ORPHAN)

    def _children(self, uid: str) -> list[tuple[_Place, JsonObject]]:
        places = [self._places[each] for each in sorted(self._dependents.get(uid, ()))]
        found = [(place, self._storage.get(*place)) for place in places]
        return [(place, child) for place, child in found if child is not None]

    def _remove_finalizer(self, place: _Place, item: JsonObject, finalizer: str) -> None:
        kept = [each for each in item["metadata"]["finalizers"] if each != finalizer]
        self._objects.patch(*place, {"metadata": {"finalizers": kept}})

    def _end_namespace(self, place: _Place, item: JsonObject) -> None:
        name = item["metadata"]["name"]
        left = False
        for resource in self._registry:
            if not resource.namespaced:
                continue
            for each in self._storage.items(resource):
                if each["metadata"]["namespace"] == name:
                    _, gone = self._objects.delete(resource, key_of(each))
                    left = left or not gone
        if not left:
            self._storage.drop(*place)


def _owner_uids(item: JsonObject | None) -> list[str]:
    references = (item or {}).get("metadata", {}).get("ownerReferences") or []
    return [each["uid"] for each in references]


def _blocks(item: JsonObject, owner: str) -> bool:
    references = item["metadata"].get("ownerReferences") or []
    return any(each["uid"] == owner and each.get("blockOwnerDeletion") for each in references)

"""The rules of create, update, patch and delete, as a kube-apiserver applies them."""

import datetime
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from tests.fake import statuses, validation
from tests.fake.resources import ResourceType
from tests.fake.statuses import JsonObject
from tests.fake.storage import Key, Storage

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

_UIDS = uuid.UUID("6f3b1f6e-6d0f-4a5e-9c63-0c2f4ed1d3a7")
# Set by the server alone; what a client sends for them is ignored.
_SYSTEM_FIELDS = (
    "uid",
    "name",
    "namespace",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_EMPTY_IS_ABSENT = ("labels", "annotations", "finalizers", "ownerReferences")
_MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def merge(target: object, patch: object) -> Any:  # noqa: ANN401 (any JSON)
    """Return the RFC 7386 merge of patch into target; neither is changed."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def copy(item: JsonObject) -> JsonObject:
    """Return a deep copy of a JSON object."""
    copied: JsonObject = orjson.loads(orjson.dumps(item))
    return copied


class Objects:
    """Every write of the cluster goes through here, over HTTP or from a test.

    `settle` runs after each write, when the answer is already fixed: the garbage collector.
    `now` gives the server's time, aware and in UTC.
    """

    def __init__(self, *, storage: Storage, now: Callable[[], datetime.datetime]) -> None:
        self._storage = storage
        self._now = now
        self._uids = 0
        self.settle: Callable[[], None] = lambda: None
        self.namespaces: ResourceType | None = None

    def get(self, resource: ResourceType, key: Key) -> JsonObject:
        """Return the stored object.

        Raises:
            StatusError: 404.
        """
        item = self._storage.get(resource, key)
        if item is None:
            raise statuses.not_found(resource.group, resource.plural, key[1])
        return item

    def create(self, resource: ResourceType, namespace: str, body: JsonObject) -> JsonObject:
        """Store a new object and return it.

        Raises:
            StatusError: 400, 403 (terminating namespace), 404 (no namespace), 409, 422.
        """
        item = dict(body)
        metadata = dict(body.get("metadata") or {})
        item["metadata"] = metadata
        self._check_place(resource, namespace, item)
        if resource.namespaced:
            metadata["namespace"] = namespace
        validation.check_metadata(resource, item)
        self._check_namespace(resource, namespace, metadata["name"])
        for validate in resource.validate:
            validate(item, None)
        key = (namespace if resource.namespaced else "", metadata["name"])
        if self._storage.get(resource, key) is not None:
            raise statuses.already_exists(resource.group, resource.plural, metadata["name"])
        if resource.status:
            item.pop("status", None)
        self._fill_in(resource, metadata)
        if resource.plural == "namespaces":
            item["spec"], item["status"] = {"finalizers": ["kubernetes"]}, {"phase": "Active"}
        stored = self._storage.put(resource, _normalise(item))
        self.settle()
        return stored

    def _fill_in(self, resource: ResourceType, metadata: JsonObject) -> None:
        for field in _SYSTEM_FIELDS[3:]:
            metadata.pop(field, None)
        self._uids += 1
        metadata["uid"] = str(uuid.uuid5(_UIDS, str(self._uids)))
        metadata["creationTimestamp"] = self._timestamp()
        if resource.custom:
            metadata["generation"] = 1

    def _check_place(self, resource: ResourceType, namespace: str, item: JsonObject) -> None:
        metadata = item["metadata"]
        if resource.namespaced and metadata.get("namespace", namespace) != namespace:
            raise statuses.bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        kind = item.get("kind", resource.kind)
        if kind != resource.kind:
            text = f'Invalid value: "{kind}": must be {resource.kind}'
            cause = ("FieldValueInvalid", text, "kind")
            raise statuses.invalid(resource.group, kind, metadata.get("name", ""), cause)
        item["apiVersion"], item["kind"] = resource.api_version, resource.kind

    def _check_namespace(self, resource: ResourceType, namespace: str, name: str) -> None:
        if not resource.namespaced or self.namespaces is None:
            return
        owner = self.get(self.namespaces, ("", namespace))
        if "deletionTimestamp" in owner["metadata"]:
            raise statuses.namespace_terminating(resource.group, resource.plural, name, namespace)

    def patch(
        self, resource: ResourceType, key: Key, patch: JsonObject, subresource: str = ""
    ) -> JsonObject:
        """Apply a merge patch and return the result; a patch without effect writes nothing.

        Raises:
            StatusError: 404, 409 (resourceVersion in the patch), 422.
        """
        old = self.get(resource, key)
        merged = merge(old, patch)
        return self._replace(resource, old, merged, subresource)

    def update(
        self, resource: ResourceType, key: Key, body: JsonObject, subresource: str = ""
    ) -> JsonObject:
        """Replace the object by the body and return the result.

        Raises:
            StatusError: 404, 409, 422 (among others: a custom resource without resourceVersion).
        """
        old = self.get(resource, key)
        version = (body.get("metadata") or {}).get("resourceVersion")
        if version is None and resource.custom:
            text = "Invalid value: 0: must be specified for an update"
            cause = ("FieldValueInvalid", text, "metadata.resourceVersion")
            raise statuses.invalid(resource.group, resource.plural, key[1], cause)
        return self._replace(resource, old, body, subresource)

    def _replace(
        self, resource: ResourceType, old: JsonObject, wanted: JsonObject, subresource: str
    ) -> JsonObject:
        name = old["metadata"]["name"]
        version = old["metadata"]["resourceVersion"]
        if (wanted.get("metadata") or {}).get("resourceVersion", version) != version:
            raise statuses.conflict(resource.group, resource.plural, name, _MODIFIED)
        new = _project(resource, old, wanted, subresource)
        validation.check_identity(resource, old, new)
        new = _normalise(_keep_system_fields(old, new))
        validation.check_metadata(resource, new)
        for validate in resource.validate:
            validate(new, old)
        if new == old:
            return old
        if resource.custom and _content(resource, new) != _content(resource, old):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        if "deletionTimestamp" in new["metadata"] and not _held(resource, new):
            self._storage.drop(resource, _key(old))
        else:
            new = self._storage.put(resource, new)
        self.settle()
        return new

    def delete(
        self, resource: ResourceType, key: Key, options: JsonObject | None = None
    ) -> tuple[JsonObject, bool]:
        """Delete the object, or mark it when finalizers hold it.

        Returns:
            The object's last state, and whether it is gone.

        Raises:
            StatusError: 404, or 409 when a precondition does not hold.
        """
        options = options or {}
        old = self.get(resource, key)
        _check_preconditions(resource, old, options.get("preconditions") or {})
        finalizers = _finalizers_for(old, options.get("propagationPolicy", ""))
        if not finalizers and resource.plural != "namespaces":
            self._storage.drop(resource, key)
            self.settle()
            return old, True
        marked = self._mark(resource, old, finalizers)
        self.settle()
        return marked, False

    def _mark(self, resource: ResourceType, old: JsonObject, finalizers: list[str]) -> JsonObject:
        metadata = dict(old["metadata"])
        if "deletionTimestamp" not in metadata:
            metadata["deletionTimestamp"] = self._timestamp()
            metadata["deletionGracePeriodSeconds"] = 0
            if resource.custom:
                metadata["generation"] += 1
        metadata["finalizers"] = finalizers
        new = _normalise(old | {"metadata": metadata})
        if resource.plural == "namespaces":
            new["status"] = {"phase": "Terminating"}
        return old if new == old else self._storage.put(resource, new)

    def _timestamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")


def _key(item: JsonObject) -> Key:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _project(
    resource: ResourceType, old: JsonObject, wanted: JsonObject, subresource: str
) -> JsonObject:
    """Keep of the wanted object what this endpoint may write."""
    if subresource == "status":
        return _with_status(old, wanted)
    new = dict(wanted)
    new["apiVersion"], new["kind"] = old["apiVersion"], old["kind"]
    new["metadata"] = dict(wanted.get("metadata") or {})
    return _with_status(new, old) if resource.status else new


def _with_status(item: JsonObject, source: JsonObject) -> JsonObject:
    result = {name: value for name, value in item.items() if name != "status"}
    result["metadata"] = dict(item["metadata"])
    if "status" in source:
        result["status"] = source["status"]
    return result


def _keep_system_fields(old: JsonObject, new: JsonObject) -> JsonObject:
    metadata = dict(new["metadata"])
    for field in (*_SYSTEM_FIELDS, "resourceVersion"):
        metadata.pop(field, None)
        if field in old["metadata"]:
            metadata[field] = old["metadata"][field]
    return new | {"metadata": metadata}


def _normalise(item: JsonObject) -> JsonObject:
    metadata = dict(item["metadata"])
    for field in _EMPTY_IS_ABSENT:
        if not metadata.get(field):
            metadata.pop(field, None)
    return item | {"metadata": metadata}


def _content(resource: ResourceType, item: JsonObject) -> JsonObject:
    aside = {"metadata", "status"} if resource.status else {"metadata"}
    return {name: value for name, value in item.items() if name not in aside}


def _held(resource: ResourceType, item: JsonObject) -> bool:
    """Tell whether something keeps a deleted object: finalizers, or a namespace's own."""
    return bool(item["metadata"].get("finalizers")) or resource.plural == "namespaces"


def _finalizers_for(old: JsonObject, policy: str) -> list[str]:
    finalizers = list(old["metadata"].get("finalizers") or [])
    if policy in {"Background", "Foreground", "Orphan"}:
        finalizers = [each for each in finalizers if each not in {FOREGROUND, ORPHAN}]
    if policy == "Foreground":
        finalizers.append(FOREGROUND)
    if policy == "Orphan":
        finalizers.append(ORPHAN)
    return finalizers


def _check_preconditions(
    resource: ResourceType, old: JsonObject, wanted: Mapping[str, str]
) -> None:
    metadata = old["metadata"]
    why = ""
    if wanted.get("uid", metadata["uid"]) != metadata["uid"]:
        why = (
            f"the UID in the precondition ({wanted['uid']}) does not match the UID in record "
            f"({metadata['uid']}). The object might have been deleted and then recreated"
        )
    version = metadata["resourceVersion"]
    if not why and wanted.get("resourceVersion", version) != version:
        why = (
            f"the ResourceVersion in the precondition ({wanted['resourceVersion']}) does not "
            f"match the ResourceVersion in record ({version}). The object might have been modified"
        )
    if why:
        raise statuses.conflict(resource.group, resource.kind, metadata["name"], why)

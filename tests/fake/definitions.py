"""CustomResourceDefinitions: creating one serves a resource, deleting it takes it away."""

from collections.abc import Mapping

from tests.fake.resources import Registry, ResourceType, Validate
from tests.fake.statuses import JsonObject
from tests.fake.storage import Change, Storage, key_of

DEFINITIONS = ResourceType(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    namespaced=False,
    status=False,
)


def build_definition(resource: ResourceType) -> JsonObject:
    """Return a CustomResourceDefinition, with an open schema, for the resource."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    spec: JsonObject = dict(anything)
    if resource.selectable:
        spec["properties"] = _selectable_properties(resource.selectable)
    version: JsonObject = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "properties": {"spec": spec, "status": anything},
            }
        },
    }
    if resource.status:
        version["subresources"] = {"status": {}}
    if resource.selectable:
        version["selectableFields"] = [{"jsonPath": f".{each}"} for each in resource.selectable]
    return {
        "apiVersion": DEFINITIONS.api_version,
        "kind": DEFINITIONS.kind,
        "metadata": {"name": resource.qualified},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "names": {
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
            },
            "versions": [version],
        },
    }


def _selectable_properties(fields: tuple[str, ...]) -> JsonObject:
    """Return the schema of selectable fields, which must be declared; the first part is `spec`."""
    properties: JsonObject = {}
    for field in fields:
        level = properties
        *parents, leaf = field.split(".")[1:]
        for part in parents:
            node = level.setdefault(part, {"type": "object", "properties": {}})
            level = node["properties"]
        level[leaf] = {"type": "string"}
    return properties


class Definitions:
    """Keeps the registry in step with the stored definitions.

    `hooks` gives validation to a resource by its qualified name, as an admission webhook would.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        storage: Storage,
        hooks: Mapping[str, tuple[Validate, ...]],
    ) -> None:
        self._registry = registry
        self._storage = storage
        self._hooks = hooks
        storage.subscribe(self._observe)

    def _observe(self, change: Change) -> None:
        if change.resource != DEFINITIONS:
            return
        for resource in self._parse(change.item):
            if change.type == "DELETED":
                self._take_away(resource)
            else:
                self._registry.add(resource)
        if change.type == "ADDED":
            for resource in self._parse(change.item):
                self._storage.introduce(resource)
            self._storage.put(DEFINITIONS, change.item | {"status": _accepted(change.item)})

    def _take_away(self, resource: ResourceType) -> None:
        for item in self._storage.items(resource):
            self._storage.drop(resource, key_of(item))
        self._registry.remove(resource)

    def _parse(self, item: JsonObject) -> list[ResourceType]:
        spec = item["spec"]
        return [
            ResourceType(
                group=spec["group"],
                version=version["name"],
                plural=spec["names"]["plural"],
                kind=spec["names"]["kind"],
                namespaced=spec["scope"] == "Namespaced",
                status="status" in (version.get("subresources") or {}),
                custom=True,
                selectable=tuple(
                    each["jsonPath"].removeprefix(".")
                    for each in version.get("selectableFields") or []
                ),
                validate=self._hooks.get(item["metadata"]["name"], ()),
            )
            for version in spec["versions"]
            if version.get("served", True)
        ]


def _accepted(item: JsonObject) -> JsonObject:
    stamp = item["metadata"]["creationTimestamp"]
    names = {"NamesAccepted": "NoConflicts", "Established": "InitialNamesAccepted"}
    return {
        "conditions": [
            {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": stamp}
            for kind, reason in names.items()
        ],
        "acceptedNames": item["spec"]["names"],
        "storedVersions": [each["name"] for each in item["spec"]["versions"]],
    }

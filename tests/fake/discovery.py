"""What the server says about itself: versions, groups, resources, health."""

from tests.fake.resources import Registry, ResourceType
from tests.fake.statuses import JsonObject

_VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.4", "platform": "linux/amd64"}
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_HEALTH = {"/healthz", "/livez", "/readyz"}


def describe(path: str, registry: Registry) -> JsonObject | str | None:
    """Return the answer for a discovery or health path, None when it is not one."""
    path = path.rstrip("/")
    if path in _HEALTH:
        return "ok"
    if path == "/version":
        return _VERSION
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return _groups(registry)
    found = [each for each in registry if each.root == path]
    return _resources(found) if found else _group(path, registry)


def _groups(registry: Registry) -> JsonObject:
    names = sorted({each.group for each in registry if each.group})
    groups = [_group(f"/apis/{name}", registry) for name in names]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _group(path: str, registry: Registry) -> JsonObject | None:
    found = sorted({each.api_version for each in registry if f"/apis/{each.group}" == path})
    if not found:
        return None
    versions = [{"groupVersion": each, "version": each.split("/")[1]} for each in found]
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": path.removeprefix("/apis/"),
        "versions": versions,
        "preferredVersion": versions[0],
    }


def _resources(found: list[ResourceType]) -> JsonObject:
    listed = [_entry(each, each.plural, _VERBS) for each in found]
    listed += [
        _entry(each, f"{each.plural}/status", ["get", "patch", "update"])
        for each in found
        if each.status
    ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].api_version,
        "resources": listed,
    }


def _entry(resource: ResourceType, name: str, verbs: list[str]) -> JsonObject:
    return {
        "name": name,
        "singularName": resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": verbs,
    }

"""From a request to what it asks for, in the words of the authorisation rules."""

import dataclasses
from collections.abc import Mapping

from tests.fake import statuses
from tests.fake.resources import Registry, ResourceType
from tests.fake.storage import Key

_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_TRUE = {"1", "true", "True"}


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One request, as tests name it: verb, resource (plural), place and who asks.

    `verb` is get, list, watch, create, update, patch or delete; for a path outside the resource
    API it is the method in lower case and `resource` is empty.
    """

    verb: str
    path: str
    agent: str = ""
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Match:
    """Which calls are meant; an empty field means any.

    `verbs` lists verbs, `agent` is a part of the user agent, `path` the start of the path.
    `subresource` None means any, "" the object itself.
    """

    verbs: tuple[str, ...] = ()
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str | None = None
    agent: str = ""
    path: str = ""
    group: str = ""

    def accepts(self, call: Call) -> bool:
        """Tell whether the call is meant."""
        equal = (
            (self.resource, call.resource),
            (self.namespace, call.namespace),
            (self.name, call.name),
            (self.group, call.group),
        )
        return (
            (not self.verbs or call.verb in self.verbs)
            and all(not wanted or wanted == given for wanted, given in equal)
            and (self.subresource is None or self.subresource == call.subresource)
            and self.agent in call.agent
            and call.path.startswith(self.path)
        )


EVERYTHING = Match()
WRITES = Match(verbs=("create", "update", "patch", "delete"))


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """A place of the resource API: a collection when the name is empty."""

    resource: ResourceType
    namespace: str
    name: str
    subresource: str

    @property
    def key(self) -> Key:
        """Where the object is stored."""
        return (self.namespace if self.resource.namespaced else "", self.name)


def parse_path(path: str, registry: Registry) -> Target:
    """Return what a path names.

    Raises:
        UnknownPath: no resource is served there.
    """
    parts = path.strip("/").split("/")
    if len(parts) >= 3 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise statuses.UnknownPath(path)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3 and rest[2] not in {"status", "finalize"}:
        namespace, rest = rest[1], rest[2:]
    resource = registry.find(group, version, rest[0])
    name = rest[1] if len(rest) > 1 else ""
    subresource = "/".join(rest[2:])
    if resource is None or (bool(namespace) and not resource.namespaced):
        raise statuses.UnknownPath(path)
    if resource.namespaced and not namespace and name:
        raise statuses.UnknownPath(path)
    return Target(resource, namespace, name, subresource)


def parse_call(
    method: str, path: str, query: Mapping[str, str], agent: str, target: Target | None
) -> Call:
    """Name what a request does."""
    if target is None:
        return Call(verb=method.lower(), path=path, agent=agent)
    verb = _VERBS.get(method, method.lower())
    if verb == "get" and not target.name:
        verb = "watch" if query.get("watch", "") in _TRUE else "list"
    return Call(
        verb=verb,
        path=path,
        agent=agent,
        group=target.resource.group,
        resource=target.resource.plural,
        namespace=target.namespace,
        name=target.name,
        subresource=target.subresource,
    )

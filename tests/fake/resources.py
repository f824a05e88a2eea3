"""Which API resources the fake cluster serves, and how each of them behaves."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

from tests.fake import statuses
from tests.fake.statuses import JsonObject

Validate = Callable[[JsonObject, JsonObject | None], None]


@dataclasses.dataclass(frozen=True, slots=True)
class ResourceType:
    """One served resource.

    `status`: it has a status subresource. `custom`: it comes from a CustomResourceDefinition, so
    it has a generation and the fake keeps a definition object for it. `selectable`: fields beside
    metadata.name and metadata.namespace that a field selector may name. `validate` sees the new
    object and the old one (None on create) and raises `StatusError` to refuse the write; a tuple
    of such functions, so that a test can add one to a type with `dataclasses.replace`.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    status: bool = False
    custom: bool = False
    selectable: tuple[str, ...] = ()
    validate: tuple[Validate, ...] = ()

    @property
    def api_version(self) -> str:
        """`v1`, or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`plural.group`, the name of its definition."""
        return statuses.qualify(self.group, self.plural)

    @property
    def root(self) -> str:
        """Path of its API group and version."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL path of the collection, of an object or of a subresource."""
        scope = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        tail = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{self.root}{scope}/{self.plural}{tail}"


class Registry:
    """The set of served resources; it can change while the server runs."""

    def __init__(self, types: Iterable[ResourceType] = ()) -> None:
        self._types: dict[tuple[str, str, str], ResourceType] = {}
        for each in types:
            self.add(each)

    def add(self, resource: ResourceType) -> None:
        """Serve the resource, replacing what was served under its name."""
        self._types[resource.group, resource.version, resource.plural] = resource

    def remove(self, resource: ResourceType) -> None:
        """Stop serving the resource; its paths answer plain 404 from now on."""
        self._types.pop((resource.group, resource.version, resource.plural), None)

    def find(self, group: str, version: str, plural: str) -> ResourceType | None:
        """Return the resource at that place of the URL space."""
        return self._types.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> ResourceType | None:
        """Return the resource that an object with these two fields belongs to."""
        for each in self._types.values():
            if each.api_version == api_version and each.kind == kind:
                return each
        return None

    def named(self, plural: str) -> ResourceType:
        """Return the resource of that plural.

        Raises:
            KeyError: none is served.
        """
        for each in self._types.values():
            if each.plural == plural:
                return each
        raise KeyError(plural)

    def __iter__(self) -> Iterator[ResourceType]:
        return iter(list(self._types.values()))

    def __contains__(self, resource: ResourceType) -> bool:
        return self.find(resource.group, resource.version, resource.plural) is not None

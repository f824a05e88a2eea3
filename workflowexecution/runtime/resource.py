"""Identities: which kind of object, and which object of that kind."""

import dataclasses
import re
import urllib.parse
from typing import Any, NamedTuple

_PLAIN = re.compile(r"[A-Za-z0-9_.~:\-]+")

JsonObject = dict[str, Any]
"""A decoded JSON object as it came from, or goes to, the API server."""


class ObjectKey(NamedTuple):
    """Namespace and name of an object; the namespace is empty for cluster-scoped ones."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """``namespace/name``, or ``name`` without a namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def key_of(obj: JsonObject) -> ObjectKey:
    """Read the key from an object's metadata.

    Raises:
        KeyError: the object has no metadata or no name.
    """
    metadata = obj["metadata"]
    return ObjectKey(metadata.get("namespace", ""), metadata["name"])


def _segment(text: str) -> str:
    """Escape one path segment, so that no name can address something else.

    Raises:
        ValueError: the segment is ``.`` or ``..``, which URL handling would resolve away.
    """
    if text in {".", ".."}:
        message = "not usable as a path segment"
        raise ValueError(message, text)
    # Names are plain, but for odd ones; quoting looks at each letter.
    return text if _PLAIN.fullmatch(text) else urllib.parse.quote(text, safe=":")


@dataclasses.dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object and where the API server serves it.

    ``group`` is empty for the core API. ``plural`` is the name in paths, ``kind`` the one in
    manifests.
    """

    group: str
    version: str
    plural: str
    kind: str
    _root: str = dataclasses.field(init=False, repr=False, compare=False)
    _hash: int = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare the part that all paths share, and what each look into a cache asks for."""
        root = f"/apis/{self.group}" if self.group else "/api"
        object.__setattr__(self, "_root", f"{root}/{self.version}")
        object.__setattr__(self, "_hash", hash((self.group, self.version, self.plural)))

    def __hash__(self) -> int:
        """Equal ones have the same group, version and plural."""
        return self._hash

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of manifests: ``v1`` or ``tekton.dev/v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, *, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Build the URL path of the collection, an object, or a subresource of an object.

        An empty namespace addresses the objects of all namespaces (a collection only).

        Raises:
            ValueError: namespace or name cannot stand in a path.
        """
        path = self._root
        if namespace:
            path += f"/namespaces/{_segment(namespace)}"
        path += f"/{self.plural}"
        if name:
            path += f"/{_segment(name)}"
        if subresource:
            path += f"/{subresource}"
        return path

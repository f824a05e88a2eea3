"""Where a bundle is pushed to, and by what a step names its image."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workflowexecution.api import formats, reference
from workflowexecution.bundles import errors

_DIGEST = re.compile(formats.DIGEST)
_LOOPBACK = re.compile(r"(localhost|.+\.localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a bundle is.

    Attributes:
        host: of the registry, with its port if it is given.
        repository: the path in the registry.
        tag: empty if none is given.
        digest: empty if none is given.
    """

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is on this machine, where plain HTTP is spoken by custom."""
        return _LOOPBACK.fullmatch(self.host) is not None

    def pinned(self, digest: str) -> str:
        """The reference as text, with that digest."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.repository}{tag}@{digest}"


def parse(text: str) -> Reference:
    """Read `host/repository:tag`, as it is pushed to.

    Raises:
        BundleError: it is no such reference, or it names no registry.
    """
    found = reference.parse(text)
    if found is None or not found.host or not _is_digest(found.digest):
        message = f"{text!r} is not like registry.example/workflows/restart:1.0.0"
        raise errors.BundleError(message)
    return Reference(*found)


def is_pinned(image: str) -> bool:
    """Whether an image is named by a digest."""
    return re.search(rf"@{formats.DIGEST}$", image) is not None


def tag_of(image: str) -> str:
    """The tag of an image as a step names it; empty if it has none."""
    name = image.partition("@")[0].rpartition("/")[2]
    return name.partition(":")[2]


def _is_digest(text: str) -> bool:
    return not text or _DIGEST.fullmatch(text) is not None

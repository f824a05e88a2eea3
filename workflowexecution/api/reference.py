"""References of images as registries and their clients read them."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# Source: the grammar at the top of reference.go in github.com/distribution/reference.
_COMPONENT: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST: Final = rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_PART: Final = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REGISTRY: Final = re.compile(_HOST)
_REFERENCE: Final = re.compile(
    rf"(?:(?P<host>{_HOST})/)?(?P<repository>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>[^@]+))?"
)


class Parts(NamedTuple):
    """What a reference names.

    Attributes:
        host: of the registry, with its port if it is given; empty if none is named.
        repository: the path in the registry.
        tag: empty if none is given.
        digest: empty if none is given; any text else.
    """

    host: str
    repository: str
    tag: str
    digest: str


def parse(text: str) -> Parts | None:
    """Read `host/repository:tag@digest`; None if it is no such reference.

    A path that climbs, or holds what somebody else replaces, leads elsewhere than it begins.
    """
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return None
    host, repository, tag, digest = (it or "" for it in found.groups())
    if host and not _names_host(host):
        # Its first part is a folder: `library/busybox`.
        host, repository = "", f"{host}/{repository}"
    return Parts(host, repository, tag, digest)


def is_host(text: str) -> bool:
    """Whether a text names a registry where a `/` follows it."""
    return _REGISTRY.fullmatch(text) is not None and _names_host(text)


def is_prefix(text: str) -> bool:
    """Whether there are references that begin with a text, and in which a name ends with it.

    That of a registry does before a `/`. Behind one a name may go on after a separator.
    """
    if is_host(text) or parse(text) is not None:
        return True
    goes_on = "/" in text and not text[-1].isalnum()
    return goes_on and parse(f"{text}a") is not None


def _names_host(text: str) -> bool:
    # Source: splitDockerDomain in normalize.go there; a folder has no upper case.
    return "." in text or ":" in text or text == "localhost" or text != text.lower()

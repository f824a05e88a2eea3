"""Requests as a proxy sees them, and predicates that say which are meant."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.proxy.wire import Head

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A request on its way.

    Attributes:
        agent: its User-Agent.
        raw: its body.
        token: what it is let in by.
    """

    method: str
    path: str
    query: dict[str, str]
    agent: str
    raw: bytes
    token: str = ""

    @cached_property
    def body(self) -> JsonObject:
        """The body as a JSON object, empty when there is none."""
        parsed: JsonObject = orjson.loads(self.raw) if self.raw else {}
        return parsed

    @property
    def is_watch(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.query.get("watch") in {"1", "true"}


def of(head: Head, body: bytes) -> Call:
    """The request with this head and body."""
    method, target, _ = head.first
    path, _, query = target.partition("?")
    agent, token = head.field("user-agent"), head.field("authorization").removeprefix("Bearer ")
    return Call(method, path, dict(urllib.parse.parse_qsl(query)), agent, body, token)


def watches(*plurals: str) -> Callable[[Call], bool]:
    """Watches of these resources, of all without any."""
    return lambda call: call.is_watch and (not plurals or _plural(call.path) in plurals)


def creates(plural: str) -> Callable[[Call], bool]:
    """Creates of a resource."""
    return lambda call: call.method == "POST" and _plural(call.path) == plural


def of_group(group: str) -> Callable[[Call], bool]:
    """Everything of an API group."""
    return lambda call: call.path.startswith(f"/apis/{group}/") or call.path == f"/apis/{group}"


def writes(*plurals: str) -> Callable[[Call], bool]:
    """Whatever would change something of these resources, of all without any."""
    return lambda call: (
        call.method != "GET"
        and (not plurals or any(f"/{plural}" in call.path for plural in plurals))
    )


def is_of_a_lease(call: Call) -> bool:
    """Whether it is about a lease."""
    return "/leases" in call.path


def any_at_all(call: Call) -> bool:
    """Every request there is."""
    return bool(call.path)


def _plural(path: str) -> str:
    """The last part of a collection's path."""
    return path.rstrip("/").rpartition("/")[2]

"""Which execution a log line is about: what a reconcile binds, and every line of its task takes.

One mapping in one context variable; structlog's own context keeps a variable for each key, and
looks through all that there are for each line and each reconcile.
"""

from __future__ import annotations

import contextvars
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from typing import Any

_NOTHING: Mapping[str, str] = MappingProxyType({})

_bound: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar(
    "log-context", default=_NOTHING
)


def bind(values: Mapping[str, str]) -> None:
    """Put these, and nothing else, on every line of this task from now on."""
    _bound.set(values)


def clear() -> None:
    """Put nothing more on the lines of this task."""
    _bound.set(_NOTHING)


def merge(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put what is bound on a line, as a processor of structlog; its own values go first."""
    return {**_bound.get(), **event}

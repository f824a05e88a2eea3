"""Reading raw JSON of the API server: odd or absent values never fail, they count as absent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workflowexecution.api import duration

if TYPE_CHECKING:
    from collections.abc import Mapping

# Letters of a duration: what Go writes has some twenty. A text may be as long as an object.
_MAX_DURATION = 256


def mapping(value: object) -> Mapping[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """A list, or an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """A text, or the empty one."""
    return value if isinstance(value, str) else ""


def seconds(value: object) -> float | None:
    """Seconds of a duration text; None for anything else."""
    if not isinstance(value, str) or len(value) > _MAX_DURATION:
        return None
    try:
        return duration.parse(value)
    except ValueError:
        return None

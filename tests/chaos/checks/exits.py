"""Exits: whoever ended was made to, or had lost the lease and says so in its own log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

KILLED, STOPPED = -9, 0
TERMINATED = -15
"""How one ends that is told to stop before it takes the signal: it has said nothing by then."""
FAILED, ALARMED = 1, -14
"""How a process ends that has lost the lease: by itself, or by the watchdog's thread; by the alarm
of the kernel."""

_TROUBLE = (
    "never retrieved",
    "Unclosed",
    "was destroyed but it is pending",
    "a request of no kind",
)
_TRACEBACK = "Traceback (most recent call last)"
_LOST = f"{errors.LeaseLost.__module__}.{errors.LeaseLost.__qualname__}: "
_WATCHDOG = "Timeout ("
"""With this the watchdog's thread begins when it says what each thread is at."""


@dataclass(frozen=True, slots=True)
class End:
    """How a life ended.

    Attributes:
        code: of the process.
        log: what it has said in that life.
    """

    code: int
    log: Path


def wrong(ends: Iterable[End], *, killed: int, stopped: bool) -> Iterator[str]:
    """Who ended without a reason.

    Args:
        ends: all lives that have ended.
        killed: how many were killed.
        stopped: whether somebody was told to stop.
    """
    for it in ends:
        if it.code == KILLED:
            killed -= 1
            if killed < 0:
                yield f"a controller was killed that nobody killed: {it.log.name}"
        elif it.code == STOPPED or (it.code == TERMINATED and not it.log.read_bytes()):
            if not stopped:
                yield f"a controller ended well that nobody had stopped: {it.log.name}"
        elif not has_lost(it):
            yield f"a controller ended with {it.code}: {it.log.name}: {_last_line(it.log)}"


def has_lost(end: End) -> bool:
    """Whether a life ended since the lease was lost, by the log of that very life."""
    text = end.log.read_text(errors="replace")
    lines = text.splitlines()
    if end.code == ALARMED:
        # The alarm is set by whoever leads, and by nobody else.
        return any(_of_line(it).get("event") == "Leading" for it in lines)
    if end.code != FAILED:
        return False
    if any(it.startswith(_WATCHDOG) for it in lines):
        return True
    failures = [it for it in lines if _of_line(it).get("event") == "Service failed"]
    return bool(failures) and all(map(_tells_of_the_loss, failures))


def troubles(text: str) -> Iterator[str]:
    """What a log says that it never should."""
    yield from (word for word in _TROUBLE if word in text)
    for line in text.splitlines():
        if _TRACEBACK in line and not _tells_of_the_loss(line):
            yield f"a traceback: {line[:400]}"


def _tells_of_the_loss(line: str) -> bool:
    """Whether a service failed with the loss of the lease: the one error that belongs there."""
    said = _of_line(line)
    if said.get("event") != "Service failed":
        return False
    *_, last = [it for it in str(said.get("exception", "")).splitlines() if it] or [""]
    return last.startswith(_LOST)


def _of_line(line: str) -> dict[str, Any]:
    """A line of the program; empty where others have written it, or a death has cut it."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _last_line(log: Path) -> str:
    *_, last = log.read_text(errors="replace").splitlines() or ["nothing"]
    return last[-400:]

"""Kubernetes events that nobody will see, on the log: enough to find the cause, never each one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import structlog

EVERY_S: Final = 60.0

_log = structlog.get_logger(__name__)


class Why(StrEnum):
    """Why an event is dropped: too many wait, the server refuses it, or every attempt failed."""

    FULL = "full"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(slots=True)
class _Untold:
    """What was dropped since the last line: how many, and what is known of the last one."""

    count: int = 0
    last: dict[str, str] = field(default_factory=dict)


class Losses:
    """A line for each reason to drop: at once, then at most once a minute, with their number.

    What it remembers is bounded by the reasons there are.

    Lock-free: it changes only between awaits.
    """

    def __init__(self) -> None:
        """Begin with nothing dropped."""
        self._since: dict[Why, _Untold] = {}
        """By reason, of those that had a line within the last minute."""

    def note(self, why: Why, **last: str) -> None:
        """Note that an event was dropped.

        Args:
            why: the reason.
            last: what the line says of it; the last of several stands for all.
        """
        if why in self._since:
            self._since[why].count += 1
            self._since[why].last = last
        else:
            self._tell(why, _Untold(1, last))

    def close(self) -> None:
        """Tell what no line has told yet."""
        while self._since:
            why, untold = self._since.popitem()
            if untold.count:
                _say(why, untold)

    def _tell(self, why: Why, untold: _Untold) -> None:
        _say(why, untold)
        self._since[why] = _Untold()
        asyncio.get_running_loop().call_later(EVERY_S, self._minute_over, why)

    def _minute_over(self, why: Why) -> None:
        untold = self._since.pop(why, _Untold())
        if untold.count:
            self._tell(why, untold)


def _say(why: Why, untold: _Untold) -> None:
    _log.warning("Events dropped", why=why, events=untold.count, **untold.last)

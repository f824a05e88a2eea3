"""Clocks that stand where a test puts them."""

from __future__ import annotations

import datetime

from tests import builders


class Clock:
    """A clock of seconds."""

    def __init__(self, at: float = 0.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


class WallClock:
    """A clock of the time of day."""

    def __init__(self, time: datetime.datetime = builders.NOW) -> None:
        self.time = time

    def now(self) -> datetime.datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += datetime.timedelta(seconds=seconds)

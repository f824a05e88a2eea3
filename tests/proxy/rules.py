"""What can happen to a request, its answer, or the events of a watch."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.proxy import replies
from tests.proxy.counted import Counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.proxy.calls import Call
    from tests.proxy.mishaps import Breach, Delay, Hole, Recording, Swelling, Tale

CAUGHT_S = 15.0
"""For the request that a test waits for."""


class Point(enum.Enum):
    """Where something happens: before the server has the request, or to its answer."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(eq=False)
class Hold:
    """Holds the first request that fits, or its answer, until it is released or dropped.

    A request that is released goes to the server also when its client has gone away meanwhile, as
    one that was under way for long does.

    Attributes:
        status: what the server has answered, 0 before it has.
    """

    fits: Callable[[Call], bool]
    point: Point
    status: int = 0
    _caught: asyncio.Event = field(default_factory=asyncio.Event)
    _decided: asyncio.Event = field(default_factory=asyncio.Event)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)
    _passes: bool = False

    @property
    def is_free(self) -> bool:
        """Whether it has caught nothing yet."""
        return not self._caught.is_set()

    async def wait(self, *, deadline_s: float = CAUGHT_S) -> None:
        """Wait until a request is held."""
        async with asyncio.timeout(deadline_s):
            await self._caught.wait()

    async def wait_answered(self, *, deadline_s: float = CAUGHT_S) -> int:
        """Wait until the server has answered the released request; returns the status."""
        async with asyncio.timeout(deadline_s):
            await self._answered.wait()
        return self.status

    def release(self) -> None:
        """Let what is held go on its way."""
        self._passes = True
        self._decided.set()

    def drop(self) -> None:
        """Break the connection of what is held; nothing of it goes on."""
        self._decided.set()

    def note(self, status: int) -> None:
        """The server has answered."""
        self.status = status
        self._answered.set()

    async def hold(self) -> bool:
        """Hold what was caught; returns whether it goes on."""
        self._caught.set()
        await self._decided.wait()
        return self._passes


@dataclass(eq=False)
class Answer(Counted):
    """Answers the next requests that fit with a failure, once the server has done the work.

    Attributes:
        status: of the answer; 0 breaks the connection instead.
        point: BEFORE does not even pass the requests on.
        left: how many more requests, None for all.
        reply: what is answered, where a Status with that code is not meant.
    """

    fits: Callable[[Call], bool]
    status: int
    point: Point = Point.AFTER
    left: int | None = 1
    reply: bytes = b""

    @property
    def raw(self) -> bytes:
        """The answer; empty: none, the connection breaks."""
        return self.reply or (replies.trouble(self.status) if self.status else b"")


@dataclass(eq=False)
class Lag:
    """Lets the events of the watches that fit come late, open ones included; order is kept.

    Attributes:
        seconds: from the server's sending to the program's receiving, for what comes from now on.
        met: how many pieces of streams were late.
    """

    fits: Callable[[Call], bool]
    seconds: float
    met: int = 0
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """Deliver what is late, and what comes, at once."""
        self.seconds = 0.0
        self._ended.set()

    async def wait(self, due: float) -> None:
        """Wait until that loop time, or for the end of the lag."""
        self.met += 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await self._ended.wait()


class Rules:
    """What is in force at one proxy; the first that fits counts."""

    def __init__(self) -> None:
        """Nothing happens."""
        self.holds: list[Hold] = []
        self.answers: list[Answer] = []
        self.lags: list[Lag] = []
        self.holes: list[Hole] = []
        self.delays: list[Delay] = []
        self.recordings: list[Recording] = []
        self.breaches: list[Breach] = []
        self.tales: list[Tale] = []
        self.swellings: list[Swelling] = []

    def hold_of(self, call: Call) -> Hold | None:
        """What holds the request."""
        return next((it for it in self.holds if it.is_free and it.fits(call)), None)

    def answer_of(self, call: Call) -> Answer | None:
        """What answers instead of the server."""
        return next((it for it in self.answers if it.take(call)), None)

    def lag_of(self, call: Call) -> Lag | None:
        """What delays the events of a watch."""
        return next((it for it in self.lags if it.seconds > 0 and it.fits(call)), None)

    def hole_of(self, call: Call) -> Hole | None:
        """What swallows the request, its answer, or more of its stream."""
        return next((it for it in self.holes if it.is_open and it.fits(call)), None)

    def delay_of(self, call: Call) -> Delay | None:
        """What lets the answer come late."""
        return next((it for it in self.delays if it.is_open and it.fits(call)), None)

    def recall(self, call: Call) -> bytes | None:
        """The answer of the past that is to be given."""
        found = (it.recall(call) for it in self.recordings)
        return next((it for it in found if it is not None), None)

    def note(self, call: Call, answer: bytes) -> None:
        """Keep an answer for those that will show the past."""
        for recording in self.recordings:
            recording.note(call, answer)

    def breach_of(self, call: Call) -> Breach | None:
        """What ends the answer before its time."""
        return next((it for it in self.breaches if it.take(call)), None)

    def tale_of(self, call: Call) -> Tale | None:
        """What tells of an error in a watch."""
        return next((it for it in self.tales if it.take(call)), None)

    def end(self) -> None:
        """End everything: what is held or swallowed is dropped, what is late comes."""
        for hold in self.holds:
            hold.drop()
        lasting = (self.lags, self.holes, self.delays, self.recordings)
        counted = (self.answers, self.breaches, self.tales, self.swellings)
        for rules in (*lasting, *counted):
            for rule in rules:
                rule.end()

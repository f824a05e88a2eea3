"""What can happen for a while: to requests, their answers, or streams. `catalogue` names them."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from tests.proxy.counted import Counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.proxy.calls import Call

PADDING = "tests.example/padding"


@dataclass(eq=False)
class Hole:
    """Swallows what fits, both ways, and leaves connections open; streams that are open too.

    What was in it is lost: when it ends, the connections that it held break.

    Attributes:
        met: how much it has swallowed.
    """

    fits: Callable[[Call], bool]
    met: int = 0
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_open(self) -> bool:
        """Whether it swallows."""
        return not self._over.is_set()

    def end(self) -> None:
        """Swallow nothing from now on."""
        self._over.set()

    async def wait(self) -> None:
        """Be in it until it has ended."""
        self.met += 1
        await self._over.wait()


@dataclass(eq=False)
class Delay:
    """Lets every answer that fits come late, once the server has done the work.

    Attributes:
        seconds: for what is asked from now on.
        met: how many answers were late.
    """

    fits: Callable[[Call], bool]
    seconds: float
    met: int = 0
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_open(self) -> bool:
        """Whether it delays."""
        return not self._over.is_set()

    def end(self) -> None:
        """Let all that is late come at once."""
        self._over.set()

    async def wait(self) -> None:
        """Wait as long as an answer is to be late."""
        self.met += 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.seconds):
                await self._over.wait()


@dataclass(eq=False)
class Recording:
    """Notes each answer to a read that fits and, once frozen, gives the noted one again.

    What was never asked before is asked of the server.

    Attributes:
        at_once: each read is frozen as soon as it was answered once.
        met: how many reads have shown the past.
    """

    fits: Callable[[Call], bool]
    at_once: bool = False
    met: int = 0
    _noted: dict[str, bytes] = field(default_factory=dict)
    _frozen: bool = False
    _over: bool = False

    def freeze(self) -> None:
        """Show the past from now on."""
        self._frozen = True

    def end(self) -> None:
        """Show the present."""
        self._over = True

    def recall(self, call: Call) -> bytes | None:
        """The answer as it was, for a read that fits."""
        shown = (self._frozen or self.at_once) and self._is_for(call)
        past = self._noted.get(_key(call)) if shown else None
        self.met += past is not None
        return past

    def note(self, call: Call, answer: bytes) -> None:
        """Keep an answer of the server."""
        if not self._frozen and self._is_for(call):
            self._noted[_key(call)] = answer

    def _is_for(self, call: Call) -> bool:
        return not self._over and call.method == "GET" and not call.is_watch and self.fits(call)


def _key(call: Call) -> str:
    return repr((call.path, sorted(call.query.items())))


@dataclass(eq=False)
class Breach(Counted):
    """Ends the next answers that fit before their time, those of watches and others.

    Attributes:
        after_bytes: so much of the content comes before; more than there is means never.
        reset: end by RST, not in order.
        left: how many more answers, None for all.
    """

    fits: Callable[[Call], bool]
    after_bytes: int = 0
    reset: bool = False
    left: int | None = 1


@dataclass(eq=False)
class Tale(Counted):
    """Tells of an error in watches that fit, after so many events, and ends them there.

    Attributes:
        line: the event, with its newline.
        after_events: of a watch, before it.
        left: how many more watches, None for all.
    """

    fits: Callable[[Call], bool]
    line: bytes
    after_events: int = 0
    left: int | None = 1


@dataclass(eq=False)
class Swelling:
    """Makes the next events of watches that fit so long, by an annotation.

    Attributes:
        size: of the padding, in bytes.
        left: how many more events.
        met: how many it has made so.
    """

    fits: Callable[[Call], bool]
    size: int
    left: int = 1
    met: int = 0

    def end(self) -> None:
        """Leave events as they are."""
        self.left = 0

    def swell(self, call: Call, line: bytes) -> bytes:
        """An event as the program is to get it."""
        if self.left == 0 or not self.fits(call):
            return line
        event = orjson.loads(line)
        if event["type"] not in {"ADDED", "MODIFIED"}:
            return line
        self.left -= 1
        self.met += 1
        annotations = event["object"]["metadata"].setdefault("annotations", {})
        annotations[PADDING] = "x" * self.size
        return orjson.dumps(event) + b"\n"

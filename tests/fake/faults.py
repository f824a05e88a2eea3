"""Faults on demand, so that a test can say exactly what goes wrong, where and how often.

A rule pairs a `Match` with an effect and the number of requests it lasts for. For each request the
first rule with a matching, unspent effect decides; delays and holds come first and do not end the
search. Everything is counted in requests and loop time, nothing is random.
"""

import asyncio
import dataclasses
import enum
from collections.abc import Iterable

import orjson

from tests.fake.paths import EVERYTHING, Call, Match
from tests.fake.statuses import StatusError

_BUSY = "Too many requests, please try again later.\n"
_HTML = "<html><head><title>502 Bad Gateway</title></head><body>bad gateway</body></html>\r\n"
_PLAIN = "text/plain; charset=utf-8"


# Below that nothing waits, lest a loop spins at a point of virtual time that never passes.
SHORTEST_PAUSE_S = 0.001


class Ending(enum.Enum):
    """How a stream ends.

    EOF: the chunked body ends as it should. RESET: the connection is reset. MID_LINE: half a line,
    then a proper end of the body. TRUNCATED: half a line, then a reset.
    """

    EOF = "eof"
    RESET = "reset"
    MID_LINE = "mid-line"
    TRUNCATED = "truncated"


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """Answer with this instead of doing anything."""

    status: int
    body: str | bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    after_s: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class ApplyThenDrop:
    """Do the work, then reset the connection instead of answering."""


@dataclasses.dataclass(frozen=True, slots=True)
class Drop:
    """Reset the connection without doing the work."""


@dataclasses.dataclass(frozen=True, slots=True)
class Hang:
    """Keep the connection and never answer; the work is not done."""


@dataclasses.dataclass(frozen=True, slots=True)
class Delay:
    """Do the work, answer `seconds` later."""

    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Stale:
    """Answer a get or a list from a past version."""

    version: int


@dataclasses.dataclass(frozen=True, slots=True)
class CutWatch:
    """End a watch after so many bytes of its body."""

    after_bytes: int
    ending: Ending = Ending.EOF


@dataclasses.dataclass(frozen=True, slots=True)
class DelayEvents:
    """Deliver each event of a watch `seconds` after it happened."""

    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Silence:
    """Open a watch and never send anything on it, not even its end."""


@dataclasses.dataclass(eq=False, slots=True)
class Hold:
    """Stop matching requests before the work until `release` is called."""

    reached: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    _released: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Let all held and later requests go on."""
        self._released.set()

    async def wait(self) -> None:
        """Tell the test that a request has come, then wait for the release."""
        self.reached.set()
        await self._released.wait()


Effect = (
    Answer | ApplyThenDrop | Drop | Hang | Delay | Stale | CutWatch | DelayEvents | Silence | Hold
)


def throttled(retry_after_s: int = 1) -> Answer:
    """429 of Priority and Fairness: plain text, and the connection is closed."""
    headers = (("Retry-After", str(retry_after_s)), ("Connection", "close"))
    return Answer(429, _BUSY, _PLAIN, headers)


def bad_gateway(status: int = 502) -> Answer:
    """The HTML page of a load balancer."""
    return Answer(status, _HTML, "text/html")


def endpoint_missing() -> Answer:
    """404 of an API that is not there: plain text."""
    return Answer(404, "404 page not found\n", _PLAIN)


def refused(error: StatusError) -> Answer:
    """A Status, such as those that `statuses` builds."""
    return Answer(error.code, orjson.dumps(error.body), headers=tuple(error.headers.items()))


@dataclasses.dataclass(eq=False, slots=True)
class Rule:
    """An effect for the next `left` matching requests; None means until healed."""

    match: Match
    effect: Effect
    left: int | None

    def take(self, call: Call) -> bool:
        """Tell whether the rule applies to the call, and count it if so."""
        if self.left == 0 or not self.match.accepts(call):
            return False
        if self.left is not None:
            self.left -= 1
        return True


class OpenStream:
    """The handle by which faults reach one running watch."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.ending: Ending | None = None
        self.silent = False
        self.delay_s = 0.0
        self.cut: CutWatch | None = None
        self.injected: list[bytes] = []
        self._wake = asyncio.Event()

    def apply(self, effect: Effect) -> None:
        """Take over an effect that concerns watches; others are not for a stream."""
        match effect:
            case CutWatch():
                self.cut = effect
            case DelayEvents(seconds):
                self.delay_s = seconds
            case Silence():
                self.silent = True
            case _:
                return
        self.notify()

    def notify(self) -> None:
        """Make the stream look at its state again."""
        self._wake.set()

    async def wait(self, timeout_s: float | None) -> None:
        """Sleep until notified, at most about `timeout_s` seconds."""
        # A timer may fire a rounding error early, and virtual time stands still for a shorter one.
        pause_s = None if timeout_s is None else max(timeout_s, SHORTEST_PAUSE_S)
        try:
            async with asyncio.timeout(pause_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()


class Faults:
    """The rules in force and the watches that are open."""

    def __init__(self) -> None:
        self.streams: list[OpenStream] = []
        self._rules: list[Rule] = []

    def add(self, effect: Effect, match: Match = EVERYTHING, *, times: int | None = 1) -> Rule:
        """Put a rule into force for the next `times` matching requests."""
        rule = Rule(match, effect, times)
        self._rules.append(rule)
        return rule

    def hold(self, match: Match) -> Hold:
        """Hold matching requests before their work until the result is released."""
        effect = Hold()
        self.add(effect, match, times=None)
        return effect

    def heal(self) -> None:
        """End all rules, release what is held, and let silent streams speak."""
        for rule in self._rules:
            if isinstance(rule.effect, Hold):
                rule.effect.release()
        self._rules.clear()
        for stream in self.streams:
            stream.silent, stream.delay_s, stream.cut = False, 0.0, None
            stream.notify()

    def take(self, call: Call) -> list[Effect]:
        """Return the effects for a request: any waiting ones, then at most one of the others."""
        found: list[Effect] = []
        for rule in self._rules:
            waits = isinstance(rule.effect, Delay | Hold | DelayEvents)
            if rule.take(call):
                found.append(rule.effect)
                if not waits:
                    break
        return found

    def open_streams(self, match: Match = EVERYTHING) -> list[OpenStream]:
        """Return the watches that are open now."""
        return [stream for stream in self.streams if match.accepts(stream.call)]

    def drop_watches(self, match: Match = EVERYTHING, ending: Ending = Ending.EOF) -> int:
        """End the open watches and return how many there were."""
        found = self.open_streams(match)
        for stream in found:
            stream.ending = ending
            stream.notify()
        return len(found)

    def silence_watches(self, match: Match = EVERYTHING) -> int:
        """Let the open watches hang, connected and without a byte, until healed."""
        found = self.open_streams(match)
        for stream in found:
            stream.apply(Silence())
        return len(found)

    def inject(self, lines: Iterable[bytes], match: Match = EVERYTHING) -> int:
        """Write raw lines into the open watches."""
        raw = b"".join(line + b"\n" for line in lines)
        found = self.open_streams(match)
        for stream in found:
            stream.injected.append(raw)
            stream.notify()
        return len(found)

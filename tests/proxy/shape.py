"""A watch's stream as a program gets it, where a rule changes what the server sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.proxy import replies, wire

if TYPE_CHECKING:
    from tests.proxy.calls import Call
    from tests.proxy.mishaps import Breach, Tale
    from tests.proxy.rules import Rules


class Shape:
    """Turns the server's pieces of one stream into those of the program; as they are by default.

    Attributes:
        over: what ends the stream here, once it is known.
    """

    def __init__(self, in_force: Rules, call: Call) -> None:
        self._rules = in_force
        self._call = call
        self._breach: Breach | None = None
        self._tale: Tale | None = None
        self._look()
        self._sent = 0
        self._events = 0
        self._rest = b""
        self.over: Breach | Tale | None = None

    @property
    def is_over(self) -> bool:
        """Whether the stream has been ended here."""
        return self.over is not None

    def begin(self) -> list[bytes]:
        """What comes before anything the server sends."""
        breach = self._breach
        if breach is not None and breach.after_bytes == 0 and not breach.reset:
            self.over = breach
            return [replies.LAST_CHUNK]
        return self._tell()

    def feed(self, piece: bytes) -> list[bytes]:
        """What comes for a piece of the server's; nothing comes once it is over."""
        self._look()
        swells = any(it.left for it in self._rules.swellings)
        if self._breach is None and self._tale is None and not swells and not self._rest:
            return [piece]
        if piece == replies.LAST_CHUNK:
            return [piece]
        content = wire.chunk_content(piece)
        return self._cut(content) if self._breach is not None else self._by_lines(content)

    def _look(self) -> None:
        """Take what is to happen; in a stream that is open already it counts from here on."""
        if self._breach is None and self._tale is None:
            self._breach = self._rules.breach_of(self._call)
        if self._breach is None and self._tale is None:
            self._tale = self._rules.tale_of(self._call)

    def _cut(self, content: bytes) -> list[bytes]:
        assert self._breach is not None
        left = self._breach.after_bytes - self._sent
        self._sent += len(content)
        if len(content) <= left:
            return [replies.chunk(content)]
        self.over = self._breach
        if self._breach.reset:
            # In the middle of a chunk: its size promises more.
            return [replies.chunk(content)[: left + len(b"%x\r\n" % len(content))]]
        return [replies.chunk(content[:left]) if left else b"", replies.LAST_CHUNK]

    def _by_lines(self, content: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + content).split(b"\n")
        made: list[bytes] = []
        for line in lines:
            for rule in self._rules.swellings:
                line = rule.swell(self._call, line + b"\n").rstrip(b"\n")
            made.append(replies.chunk(line + b"\n"))
            self._events += 1
            made += self._tell()
            if self.over is not None:
                break
        return made

    def _tell(self) -> list[bytes]:
        tale = self._tale
        if tale is None or self._events < tale.after_events:
            return []
        self.over = tale
        return [replies.chunk(tale.line), replies.LAST_CHUNK]

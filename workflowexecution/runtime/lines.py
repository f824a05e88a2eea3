"""Splitting a byte stream into lines of bounded length."""


class LineSplitter:
    """Gives the complete lines of a stream that arrives in arbitrary chunks.

    Empty lines are dropped. A line longer than the cap is skipped and counted, without its bytes
    being kept, and the stream goes on. What stands after the last newline is an incomplete line:
    it stays inside, and is lost with the splitter.
    """

    __slots__ = ("_max_bytes", "_parts", "_size", "skipped")

    def __init__(self, max_bytes: int) -> None:
        """Begin a stream.

        Args:
            max_bytes: the longest line that is given, its newline not counted.
        """
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self.skipped = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes and return the lines that they complete."""
        first, *others = chunk.split(b"\n")
        self._keep(first)
        if not others:
            return []
        rest = others.pop()
        lines = [self._finish(), *others]
        if len(chunk) > self._max_bytes:
            lines = [line for line in lines if self._fits(line)]
        self._keep(rest)
        return [line for line in lines if line]

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._max_bytes:
            self._parts.clear()
        elif part:
            self._parts.append(part)

    def _finish(self) -> bytes:
        line = b"".join(self._parts)
        if self._size > self._max_bytes:
            self.skipped += 1
        self._parts.clear()
        self._size = 0
        return line

    def _fits(self, line: bytes) -> bool:
        if len(line) <= self._max_bytes:
            return True
        self.skipped += 1
        return False

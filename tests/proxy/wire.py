"""HTTP/1.1 on a byte stream, as far as a proxy has to understand it.

Source: RFC 9112.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

MAX_HEAD_BYTES = 1 << 20
_PIECE_BYTES = 1 << 16
_WITHOUT_BODY = frozenset({204, 304})


class Malformed(Exception):
    """What came is not HTTP, or ended in the middle of a message."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of a message and its header fields, as they came."""

    raw: bytes

    @property
    def first(self) -> list[str]:
        """The three parts of the first line."""
        return self.raw.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)

    @property
    def status(self) -> int:
        """The status code of an answer."""
        return int(self.first[1])

    def field(self, name: str) -> str:
        """A header field's value; the empty text when it is not there."""
        for line in self.raw.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.decode("latin-1").lower() == name.lower():
                return value.strip().decode("latin-1")
        return ""

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return self.field("transfer-encoding").lower() == "chunked"


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next message's head, None at the end of the connection.

    Raises:
        Malformed: it ended in the middle, or is too long.
    """
    raw = b""
    while not raw.endswith(b"\r\n\r\n"):
        line = await reader.readline()
        if not line:
            if raw:
                raise Malformed("the connection ended within a head")
            return None
        raw += line
        if len(raw) > MAX_HEAD_BYTES:
            raise Malformed("the head is too long")
    return Head(raw)


async def pieces(
    reader: asyncio.StreamReader, head: Head, *, answers: str = ""
) -> AsyncIterator[bytes]:
    """The body of a message as it comes, with the framing of chunks.

    Args:
        reader: behind the head.
        head: of this message.
        answers: method of the request that this is the answer to; empty for a request.

    Raises:
        Malformed: the connection ended within the body.
    """
    if answers and (answers == "HEAD" or head.status in _WITHOUT_BODY):
        return
    if head.is_chunked:
        async for piece in _chunks(reader):
            yield piece
    elif length := head.field("content-length"):
        left = int(length)
        while left > 0:
            piece = await reader.read(min(left, _PIECE_BYTES))
            if not piece:
                raise Malformed("the connection ended within a body")
            left -= len(piece)
            yield piece
    elif answers:
        while piece := await reader.read(_PIECE_BYTES):
            yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        size = await reader.readline()
        if not size.endswith(b"\r\n"):
            raise Malformed("the connection ended within a body")
        length = int(size.partition(b";")[0], 16)
        if length == 0:
            break
        yield size + await reader.readexactly(length + 2)
    # Fields may follow the last chunk, then an empty line.
    last = size
    while last != b"\r\n":
        last = await reader.readline()
        if not last:
            raise Malformed("the connection ended within a body")
        size += last
    yield size


def chunk_content(piece: bytes) -> bytes:
    """What is in one chunk."""
    size, _, rest = piece.partition(b"\r\n")
    return rest[: int(size.partition(b";")[0], 16)]


def content(body: bytes, head: Head) -> bytes:
    """A whole body without the framing of chunks."""
    if not head.is_chunked:
        return body
    found = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if length == 0:
            return found
        found, body = found + body[:length], body[length + 2 :]

"""The file of the API server's audit log, a JSON event a line, read while the server writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def lines(path: Path, since: int = 0) -> list[bytes]:
    """The complete lines that begin at a byte or after it.

    The size of the file is no safe beginning of a line: a long line gets there in parts, so what
    was the end of the file once may be in the midst of one. The rest of that line is left out.
    """
    with path.open("rb") as file:
        file.seek(max(since - 1, 0))
        content = file.read()
    begin = content.find(b"\n") + 1 if since else 0
    return content[begin : content.rfind(b"\n") + 1].splitlines()

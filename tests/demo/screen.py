"""What a person sees: lines with the seconds since the start, and tables."""

from __future__ import annotations

import sys
import textwrap
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 100


class Screen:
    """Prints to standard output, each line at once."""

    def __init__(self) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def title(self, text: str) -> None:
        """A line that stands out."""
        self._put(f"\n== {text}")

    def say(self, text: str) -> None:
        """A line with its time."""
        self._put(f"{self.elapsed_s:7.2f}s  {text}")

    def paragraph(self, text: str) -> None:
        """A text of several sentences, indented."""
        indent = " " * 10
        self._put(textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent))

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Columns as kubectl prints them."""
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self._put("   ".join(cells).rstrip())

    def _put(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

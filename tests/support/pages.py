"""The blocks of the documents that somebody may type or apply, and where each is shown to work.

A comment right above a block says what becomes of it:

    <!-- block: stack NAME=restart-payment-api -->

| mark | of | what a test does with it |
| --- | --- | --- |
| `offline` | commands | runs them, without a cluster |
| `stack` | commands | runs them against the real cluster, page by page, in their order |
| `installation` | commands | as `stack`, on a cluster of its own that has nothing yet |
| `bare` | commands | as `stack`, on a cluster of its own that has Tekton and nothing else |
| `helm` | commands | as `bare`, for those who install with Helm |
| `needs ...` | commands | nothing: the text above the block tells the reader what it needs |
| `object` | YAML | lets the API server check it, by a dry run |
| `settings` | YAML | reads it as the controller's configuration |
| `part of ...` | YAML | reads it as YAML |

Further words: `NAME=value` puts a value where the block has a word in capitals, `exit 1` expects
that exit code of commands, `stays running` leaves a command running for the blocks below it,
`file NAME` writes YAML to that file for them.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMMANDS = frozenset({"sh", "bash", "console", "shell"})
DATA = frozenset({"yaml", "yml"})
OUTPUT = frozenset({"text", "json", "python", "promql"})
RUN = ("offline", "stack", "installation", "bare", "helm")
# Not for users: developers try these themselves.
LEFT_OUT = ("docs/adr/", "CONTRIBUTING.md", "benchmarks/", "tests/", "changes/")

_BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- block: (?P<mark>[^\n]*?) -->\n *)?```(?P<language>\w*)[^\n]*\n"
    r"(?P<content>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_VALUE = re.compile(r"\b([A-Z][A-Z_]+)=([^\s,]+)")
_EXIT = re.compile(r"\bexit (\d+)")
_FILE = re.compile(r"\bfile (\S+)")


class MarkError(Exception):
    """A block says nothing of use about itself."""


@dataclass(frozen=True)
class Block:
    """One block.

    Attributes:
        page: the document, from the root of the project.
        line: of its first line.
        before: the text above it, up to an empty line.
    """

    page: str
    line: int
    language: str
    mark: str
    content: str
    before: str

    @property
    def place(self) -> str:
        """Where it is."""
        return f"{self.page}:{self.line}"

    @property
    def kind(self) -> str:
        """The first word of the mark, or two of it."""
        return "needs" if self.mark.startswith("needs") else self.mark.split(" ")[0].rstrip(",")

    @property
    def values(self) -> dict[str, str]:
        """What stands for its words in capitals."""
        return dict(_VALUE.findall(self.mark))

    @property
    def exit_code(self) -> int:
        """What its commands end with."""
        found = _EXIT.search(self.mark)
        return int(found[1]) if found else 0

    @property
    def stays_running(self) -> bool:
        """Whether its last command goes on while the next blocks are run."""
        return "stays running" in self.mark

    @property
    def file(self) -> str:
        """Where a reader keeps it; empty if nowhere."""
        found = _FILE.search(self.mark)
        return found[1] if found else ""

    @property
    def text(self) -> str:
        """What is typed, or applied: the content with its values."""
        made = self.content
        for name, value in self.values.items():
            made = re.sub(rf"(?<![\w$]){name}(?!\w)", value, made)
        return made

    def documents(self) -> list[Any]:
        """The YAML in it."""
        return [it for it in yaml.safe_load_all(self.text) if it is not None]

    def check_mark(self) -> None:
        """See that the mark says what becomes of the block.

        Raises:
            MarkError: it does not.
        """
        if self.language in COMMANDS:
            if self.kind == "needs" and self.mark not in " ".join(self.before.lower().split()):
                message = f"{self.place}: the reader is not told that it {self.mark}"
                raise MarkError(message)
            wanted: tuple[str, ...] = (*RUN, "needs")
        elif self.language in DATA:
            wanted = ("object", "settings", "part")
        elif self.language in OUTPUT:
            return
        else:
            message = f"{self.place}: a block of {self.language or 'no language'}"
            raise MarkError(message)
        if self.kind not in wanted:
            message = f"{self.place}: {self.mark or 'no mark'}, wanted {', '.join(wanted)}"
            raise MarkError(message)


@dataclass
class Page:
    """A document with its blocks."""

    name: str
    blocks: list[Block] = field(default_factory=list)

    def of(self, *kinds: str) -> list[Block]:
        """Its blocks of these kinds."""
        return [it for it in self.blocks if it.kind in kinds]


@functools.cache
def pages() -> tuple[Page, ...]:
    """Every document for users, in the order of their names."""
    found = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")]
    names = sorted(str(path.relative_to(ROOT)) for path in found)
    return tuple(read(name) for name in names if not name.startswith(LEFT_OUT))


def read(name: str) -> Page:
    """The blocks of a document."""
    text = (ROOT / name).read_text("utf-8")
    return Page(name, list(blocks(text, name)))


def blocks(text: str, name: str) -> list[Block]:
    """The blocks of a text."""
    made = []
    for found in _BLOCK.finditer(text):
        indent, head = len(found["indent"]), text[: found.start()]
        content = "".join(line[indent:] for line in found["content"].splitlines(keepends=True))
        above = head.rstrip("\n").rpartition("\n\n")[2]
        line = text.count("\n", 0, found.start("content"))
        made.append(Block(name, line, found["language"], found["mark"] or "", content, above))
    return made

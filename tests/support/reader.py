"""A reader who does what a page says, block by block, in one shell and one folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.pages import Block

BLOCK_S = 600
# It names registries and images that a reader replaces.
EXAMPLES = "examples"
END_S = 40


@dataclass
class Reader:
    """One reader.

    Attributes:
        folder: a clone of the project; what is written stays in it.
        environment: of the shell.
        words: what the reader reads where a page has something that is only an example.
    """

    folder: Path
    environment: dict[str, str]
    words: Mapping[str, str] = field(default_factory=dict)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def follow(self, block: Block) -> str:
        """Do what a block says; returns what was printed.

        Raises:
            AssertionError: it did not end as the page says.
        """
        text = self._read(block.text)
        if block.file:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            return ""
        if block.stays_running:
            self._leave_running(block, text)
            return ""
        # The shell of the next block is where this one has left off.
        script = f"{self._resume()}\nset -eu -o pipefail\n{text}\n{self._keep()}\n"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=self.environment, timeout=BLOCK_S,
            capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        said = f"{block.place} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert done.returncode == block.exit_code, said
        return done.stdout

    def make_own(self, name: str) -> None:
        """Put this reader's registries and images into the YAML of a folder."""
        for path in (self.folder / name).rglob("*.yaml"):
            path.write_text(self._read(path.read_text("utf-8")), "utf-8")

    def end(self) -> None:
        """End what was left running."""
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(END_S)

    def _read(self, text: str) -> str:
        for word, meaning in self.words.items():
            text = text.replace(word, meaning)
        return text

    def _leave_running(self, block: Block, text: str) -> None:
        log = self.folder / f"line-{block.line}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                ["bash", "-c", f"{self._resume()}\nset -eu\n{text}"], cwd=self.folder,
                env=self.environment, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        self.running.append(process)

    def _resume(self) -> str:
        state = self.folder / ".state"
        return f"test ! -e {state} || . {state}"

    def _keep(self) -> str:
        state = self.folder / ".state"
        return f'{{ export -p; printf "cd %q\\n" "$PWD"; }} > {state}'


@contextlib.contextmanager
def reading(
    folder: Path, *, environment: Mapping[str, str], words: Mapping[str, str]
) -> Iterator[Reader]:
    """A reader in a clone of the project."""
    _clone(folder)
    given = {**os.environ, **environment}
    given["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{given['PATH']}"
    reader = Reader(folder, given, words)
    reader.make_own(EXAMPLES)
    try:
        yield reader
    finally:
        reader.end()


def _clone(folder: Path) -> None:
    """What a clone of the project has, as it is now, and the virtual environment."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=pages.ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    for name in listed.stdout.split("\0"):
        source = pages.ROOT / name
        if name and source.is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            # With its times, by which make tells that there is nothing to do.
            shutil.copy2(source, target)
    environment = pages.ROOT / ".venv"
    if environment.exists():
        (folder / ".venv").symlink_to(environment)

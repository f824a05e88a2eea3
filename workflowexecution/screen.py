"""What stands between a command and the person at the screen, who may leave at any time."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# As a shell reports a program that SIGINT has ended.
EXIT_INTERRUPTED = 130


def run(work: Callable[[], int]) -> int:
    """Do the work of the program; returns its exit code, also when it is interrupted."""
    try:
        return work()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def ask(question: str) -> bool:
    """Ask the person at the terminal; where nobody can answer, the answer is no.

    Raises:
        KeyboardInterrupt: the person interrupts instead.
    """
    with _interruptible():
        try:
            return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
        except EOFError:
            return False


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGINT raise at once: the event loop's handler only asks a task that waits to end."""
    former = signal.getsignal(signal.SIGINT)
    if not callable(former):
        # It is ignored, as in the background of a script, and stays so.
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)

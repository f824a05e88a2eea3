"""What stands between a command and the person at the screen, who may leave at any time."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

EXIT_UNHEARD = 74
"""Standard output did not take all that was said; as EX_IOERR of sysexits.h."""
EXIT_INTERRUPTED = 130
"""As a shell reports a program that SIGINT has ended."""


class _Heeded:
    """A stream that remembers that it failed, which no other way tells for sure.

    What fails is unknown to whom the error reaches, and a stream without a buffer keeps no trace.
    After a failure all that is written goes nowhere: the interpreter's own flush at the end, too.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the stream has it
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._heeding():
            return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        with self._heeding():
            self._stream.writelines(lines)

    def flush(self) -> None:
        with self._heeding():
            self._stream.flush()

    @contextlib.contextmanager
    def _heeding(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = error
            with contextlib.suppress(OSError), open(os.devnull, "wb") as sink:  # noqa: PTH123
                os.dup2(sink.fileno(), self._stream.fileno())
            raise


def run(work: Callable[[], int]) -> int:
    """Do the work of the program, whatever becomes of its output; returns its exit code."""
    former = sys.stdout, sys.stderr
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal without letters for the name of a file still gets what is said of it.
        sys.stdout.reconfigure(errors="backslashreplace")
    # A process that was started without a stream has None. What is said on standard output then
    # fails as on any other that takes nothing; standard error is where that would be told.
    out = _Heeded(former[0] or _opened(os.O_RDONLY))
    err = _Heeded(former[1] or _opened(os.O_WRONLY))
    sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
    try:
        return _run(work, out, err)
    finally:
        sys.stdout, sys.stderr = former


def _run(work: Callable[[], int], out: _Heeded, err: _Heeded) -> int:
    try:
        try:
            code = work()
        finally:
            with contextlib.suppress(OSError):
                out.flush()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OSError:
        if out.failure is None and err.failure is None:
            raise
        code = EXIT_UNHEARD
    except SystemExit:
        if out.failure is None:
            raise
        code = EXIT_UNHEARD
    if out.failure is None:
        return code
    # Who closes a pipe has read enough.
    if out.failure.errno != errno.EPIPE:
        why = f"standard output cannot be written: {out.failure.strerror}"
        with contextlib.suppress(OSError):
            err.write(f"workflowexecution: {why}\n")
    return EXIT_UNHEARD


class Person:
    """Who is told and asked, and may not be there any more."""

    def __init__(self) -> None:
        """Begin with somebody who listens."""
        self._has_left = False

    def tell(self, line: str) -> None:
        """Print a line at once, if anybody takes it."""
        try:
            print(line, flush=True)  # noqa: T201 - a person asked
        except OSError:
            self._has_left = True

    def ask(self, question: str) -> bool:
        """Ask the person at the terminal; where nobody can answer, the answer is no.

        Raises:
            KeyboardInterrupt: the person interrupts instead.
        """
        if self._has_left or sys.stdin is None:
            return False
        with _interruptible():
            try:
                return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
            except EOFError:
                return False


def _opened(flags: int) -> TextIO:
    """A stream to nowhere; it takes something only where the flags let it."""
    return io.TextIOWrapper(io.FileIO(os.open(os.devnull, flags), "w"), "utf-8", write_through=True)


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

"""What stands between a command and the person at the screen, who may leave at any time."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_T = TypeVar("_T")

EXIT_UNHEARD = 74
"""Standard output did not take all that was said; as EX_IOERR of sysexits.h."""
EXIT_INTERRUPTED = 130
"""As a shell reports a program that SIGINT has ended."""


class _Heeded:
    """A stream that remembers that it failed, which no other way tells for sure.

    What fails is unknown to whom the error reaches, and a stream without a buffer keeps no trace.
    What is written after that is tried all the same: a disk may have room again.
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
            raise


def run(work: Callable[[], _T]) -> _T | int:
    """Do the work of a command, whatever becomes of its output.

    Returns:
        What the work does; an exit code where it was interrupted, or not all that it said was
        taken.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal without letters for the name of a file still gets what is said of it.
        sys.stdout.reconfigure(errors="backslashreplace")
    with _streams() as streams:
        out, err = map(_Heeded, streams)
        sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
        return _run(work, out, err)


def serve(work: Callable[[], int]) -> int:
    """Do the work of a service, whose output nobody waits for; returns its exit code.

    What it cannot write is for whoever writes it to judge, and is no end of it.
    """
    with _streams() as (sys.stdout, sys.stderr):
        try:
            return work()
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED


@contextlib.contextmanager
def _streams() -> Iterator[tuple[TextIO, TextIO]]:
    """Standard output and error, there in any case; at the end they stand as they stood before.

    A process that was started without a stream has None. What is said on standard output then
    fails as on any other that takes nothing; standard error is where that would be told.
    """
    former = sys.stdout, sys.stderr
    streams = former[0] or _opened(os.O_RDONLY), former[1] or _opened(os.O_WRONLY)
    try:
        yield streams
    finally:
        sys.stdout, sys.stderr = former
        for stream, given in zip(streams, former, strict=True):
            if given is not None:
                _let_go(stream)
            else:
                stream.close()


def _let_go(stream: TextIO) -> None:
    """Drop what a stream does not take: the interpreter's own flush at the end would fail of it."""
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError), open(os.devnull, "wb") as sink:  # noqa: PTH123
            os.dup2(sink.fileno(), stream.fileno())
    except ValueError:
        # It was closed meanwhile.
        pass


def _run(work: Callable[[], _T], out: _Heeded, err: _Heeded) -> _T | int:
    code: _T | int
    try:
        try:
            code = work()
        except OSError as error:
            if error is not out.failure and error is not err.failure:
                raise
            code = EXIT_UNHEARD
        finally:
            with contextlib.suppress(OSError):
                out.flush()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
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

"""The program itself, where nobody takes what it says."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from workflowexecution import screen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FULL = "workflowexecution: standard output cannot be written: No space left on device\n"
CLOSED = "workflowexecution: standard output cannot be written: Bad file descriptor\n"
ASKED = ("lint", "--explain", "WB001")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    ("redirected", "code", "said"),
    [
        pytest.param(">/dev/full", 74, FULL, id="full"),
        pytest.param(">&-", 74, CLOSED, id="closed"),
        pytest.param(">&LEFT", 74, "", id="left"),
        pytest.param(">&LEFT 2>&1", 74, "", id="both-left"),
        pytest.param("2>&- >/dev/full", 74, "", id="nowhere-to-complain"),
        pytest.param(">/dev/full 2>&1", 74, "", id="both-full"),
        pytest.param("2>&- >/dev/null", 0, "", id="quiet"),
        pytest.param(">/dev/null", 0, "", id="taken"),
    ],
)
def test_program_whose_output_is_not_taken_ends_without_a_traceback(
    redirected: str, code: int, said: str, unbuffered: str
) -> None:
    reader, left = os.pipe()
    os.close(reader)
    command = f'"$@" {redirected.replace("LEFT", str(left))}'
    done = subprocess.run(
        ["bash", "-c", command, "sh", sys.executable, "-m", "workflowexecution", *ASKED],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered}, pass_fds=[left],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    os.close(left)
    assert (done.returncode, done.stderr) == (code, said)


@pytest.mark.timeout(60)
def test_help_that_nobody_takes_is_no_success() -> None:
    command = [sys.executable, "-m", "workflowexecution", "--help"]
    with pathlib.Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (74, FULL)


class Choked:
    """Standard error as a pipe that is full, until somebody reads."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        self.stream = os.fdopen(writer, "w", 1)

    def read(self) -> str:
        return os.read(self.reader, 1 << 20).decode().lstrip("x")


@contextlib.contextmanager
def choked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Choked]:
    made = Choked()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", made.stream)
        yield made
    made.stream.close()
    os.close(made.reader)


@pytest.mark.parametrize("doing", [screen.run, screen.serve])
def test_what_is_said_after_a_failure_is_heard_again(
    doing: Callable[[Callable[[], int]], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with choked(monkeypatch) as pipe:

        def work() -> int:
            with pytest.raises(BlockingIOError):
                sys.stderr.write("first\n")
            assert not pipe.read()
            sys.stderr.write("second\n")
            assert pipe.read().endswith("second\n")
            return 3

        assert doing(work) == 3


def test_error_of_something_else_after_one_of_the_output_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing() -> int:
        with pytest.raises(BlockingIOError):
            sys.stderr.write("first\n")
        raise ConnectionResetError

    with choked(monkeypatch), pytest.raises(ConnectionResetError):
        screen.run(failing)


@pytest.mark.parametrize("doing", [screen.run, screen.serve])
def test_what_is_not_taken_at_the_end_is_dropped(
    doing: Callable[[Callable[[], int]], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with choked(monkeypatch) as pipe:
        assert doing(lambda: sys.stderr.write("x")) == 1
        pipe.stream.flush()


def test_service_whose_output_was_closed_ends_as_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> int:
        sys.stderr.close()
        return 3

    with choked(monkeypatch):
        assert screen.serve(work) == 3


def test_service_that_was_started_without_standard_error_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert screen.serve(lambda: sys.stderr.write("four")) == 4


def test_service_that_a_person_interrupts_ends_so() -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert screen.serve(interrupted) == screen.EXIT_INTERRUPTED


def test_error_that_is_not_of_the_output_is_not_hidden() -> None:
    def failing() -> int:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        screen.run(failing)

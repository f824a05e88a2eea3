"""The program itself, where nobody takes what it says."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from workflowexecution import screen

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


def test_error_that_is_not_of_the_output_is_not_hidden() -> None:
    def failing() -> int:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        screen.run(failing)

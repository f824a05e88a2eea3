"""The watchdog in processes of its own, since it ends them; the times are real."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest

HEAD = """
import os, signal, sys, time
from workflowexecution.runtime import watchdog
dog = watchdog.Watchdog(spare_s=float(sys.argv[1]))
"""

PUT_OFF = """
dog.arm(2.5)
dog.arm(600)
time.sleep(3.0)
"""
CALLED_OFF = """
dog.arm(2.5)
dog.disarm()
time.sleep(3.0)
"""
HANGS = """
def the_culprit():
    time.sleep(60)
dog.arm(2.5)
the_culprit()
"""
STOPS = """
dog.arm(2.5)
os.kill(os.getpid(), signal.SIGSTOP)
os.write(1, b"still alive")
"""


def run(script: str, *, spare_s: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", HEAD + script, str(spare_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("script", [PUT_OFF, CALLED_OFF], ids=["put-off", "called-off"])
def test_process_lives_when_its_end_is_put_off_or_called_off(script: str) -> None:
    process = run(script, spare_s=0.1)
    process.communicate()
    assert process.returncode == 0


def test_process_that_hangs_ends_and_says_where() -> None:
    process = run(HANGS, spare_s=60)
    _, said = process.communicate()
    assert process.returncode == 1
    assert b"the_culprit" in said


def test_kernel_ends_what_the_thread_does_not() -> None:
    process = run(HANGS, spare_s=-2.0)
    process.communicate()
    assert process.returncode == -signal.SIGALRM


def test_stopped_process_does_nothing_more_when_it_is_continued() -> None:
    process = run(STOPS, spare_s=0.05)
    while state(process.pid) not in {"T", "Z"}:
        time.sleep(0.01)
    time.sleep(3.0)
    process.send_signal(signal.SIGCONT)
    output, _ = process.communicate()
    assert process.returncode == -signal.SIGALRM
    assert output == b""


def state(pid: int) -> str:
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

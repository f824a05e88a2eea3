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
dog.arm(float(sys.argv[2]))
dog.arm(600)
time.sleep(3.0)
"""
CALLED_OFF = """
dog.arm(float(sys.argv[2]))
dog.disarm()
time.sleep(3.0)
"""
HANGS = """
def the_culprit():
    time.sleep(60)
dog.arm(float(sys.argv[2]))
the_culprit()
"""
STOPS = """
dog.arm(float(sys.argv[2]))
os.kill(os.getpid(), signal.SIGSTOP)
os.write(1, b"still alive")
"""
BY_THE_THREAD = 1
BY_THE_KERNEL = -signal.SIGALRM


def run(script: str, *, spare_s: float, in_s: float = 2.5) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", HEAD + script, str(spare_s), str(in_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("script", [PUT_OFF, CALLED_OFF], ids=["put-off", "called-off"])
def test_process_lives_when_its_end_is_put_off_or_called_off(script: str) -> None:
    process = run(script, spare_s=0.1)
    process.communicate()
    assert process.returncode == 0


def test_process_that_hangs_ends_and_says_where() -> None:
    process = run(HANGS, spare_s=60)
    _, said = process.communicate()
    assert process.returncode == BY_THE_THREAD
    assert b"the_culprit" in said


def test_kernel_ends_what_the_thread_does_not() -> None:
    process = run(HANGS, spare_s=-2.0)
    process.communicate()
    assert process.returncode == BY_THE_KERNEL


@pytest.mark.parametrize(
    ("in_s", "spare_s", "ends"),
    [
        pytest.param(600.0, -597.5, {BY_THE_KERNEL}, id="the-alarm-is-due"),
        pytest.param(2.5, 0.05, {BY_THE_KERNEL, BY_THE_THREAD}, id="both-are-due"),
    ],
)
def test_stopped_process_does_nothing_more_when_it_is_continued(
    in_s: float, spare_s: float, ends: set[int]
) -> None:
    process = run(STOPS, spare_s=spare_s, in_s=in_s)
    while not (ended := state(process.pid) == "Z") and not alarm_is_pending(process.pid):
        time.sleep(0.01)
    assert not ended
    process.send_signal(signal.SIGCONT)
    output, _ = process.communicate()
    assert process.returncode in ends
    assert output == b""


def state(pid: int) -> str:
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def alarm_is_pending(pid: int) -> bool:
    """Whether the alarm waits for a process that is stopped; proc_pid_status(5), ShdPnd."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    pending = next(line.split()[1] for line in lines if line.startswith("ShdPnd"))
    return bool(int(pending, 16) >> (signal.SIGALRM - 1) & 1)

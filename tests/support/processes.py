"""Starting and ending the processes of a measurement."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

_GRACE_S = 20.0
_TICK_S = 0.02
_TAIL_LINES = 20


class Failed(Exception):
    """A process ended, or was not ready in time; the message has its last lines."""


class Process:
    """One running process."""

    def __init__(self, popen: subprocess.Popen[bytes], *, name: str, log: Path) -> None:
        self._popen = popen
        self._name = name
        self._log = log
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._popen.pid

    def check(self) -> None:
        """Make sure that it still runs.

        Raises:
            Failed: it ended.
        """
        if self._popen.poll() is not None:
            raise Failed(f"{self._name} ended with {self._popen.returncode}\n{self._tail()}")

    def wait_until(self, ready: Callable[[], bool], *, deadline_s: float) -> float:
        """Wait until it is ready and return the seconds since its start.

        Raises:
            Failed: it ended, or the deadline passed.
        """
        while not ready():
            self.check()
            if time.monotonic() - self.started > deadline_s:
                raise Failed(f"{self._name} not ready after {deadline_s:.0f} s\n{self._tail()}")
            time.sleep(_TICK_S)
        return time.monotonic() - self.started

    def wait_ready_line(self, *, deadline_s: float) -> None:
        """Wait for the line `ready` on its output.

        Raises:
            Failed: it ended, or the deadline passed.
        """
        self.wait_until(lambda: b"ready\n" in self._log.read_bytes(), deadline_s=deadline_s)

    def stop(self) -> None:
        """End it: first gently, then by force."""
        self._popen.terminate()
        try:
            self._popen.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait(_GRACE_S)

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join([f"last lines of {self._log}:", *lines])


@contextlib.contextmanager
def running(
    name: str, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str]
) -> Iterator[Process]:
    """Run a Python module with arguments until the block ends; its output goes to the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        popen = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the benchmark, which ends its processes in order.
            start_new_session=True,
        )
    process = Process(popen, name=name, log=log)
    try:
        yield process
    finally:
        process.stop()

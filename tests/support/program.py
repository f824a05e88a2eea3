"""The program under test, started as a user starts it: `python -m workflowexecution`."""

from __future__ import annotations

import atexit
import collections
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY_S = 30.0
PROGRAM = "workflowexecution"
STOP_S = 40.0
LOOK_EVERY_S = 0.05
# How long a program may take to answer on a machine that has much to do.
PROBE_S = 10.0
# More than one test asks for before what it starts listens.
_KEPT = 64
_kept: collections.deque[socket.socket] = collections.deque()


@dataclass
class Program:
    """A running controller.

    Attributes:
        log: its standard error.
        health_port: where its probes answer.
    """

    process: subprocess.Popen[bytes]
    log: Path
    health_port: int
    environment: dict[str, str] = field(default_factory=dict)

    def is_called(self, identity: str) -> bool:
        """Whether this is what it calls itself; outside a pod that ends with the process id."""
        return identity.endswith(f"-{self.process.pid}")

    def probe(self, path: str) -> tuple[int, str]:
        """Status and body of a probe; 0 while nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.health_port, timeout=PROBE_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def wait_probe(self, path: str, status: int, *, deadline_s: float = READY_S) -> str:
        """Wait until a probe answers with a status; returns its body."""
        deadline = time.monotonic() + deadline_s
        while True:
            got, body = self.probe(path)
            if got == status:
                return body
            assert self.process.poll() is None, f"the program ended: {self.tail()}"
            assert time.monotonic() < deadline, f"{path} still {got} {body}: {self.tail()}"
            time.sleep(LOOK_EVERY_S)

    def wait_line(self, text: str, *, deadline_s: float = READY_S) -> None:
        """Wait until its log says something."""
        deadline = time.monotonic() + deadline_s
        while text not in self.log.read_text():
            assert time.monotonic() < deadline, f"{text!r} is not in: {self.tail()}"
            time.sleep(LOOK_EVERY_S)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-4000:]

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Stop it where it is, as a machine does that is suspended."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """Ask it to end and wait for that; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


@contextlib.contextmanager
def running(
    folder: Path,
    kubeconfig: Path,
    *,
    ready: bool = True,
    module: str = PROGRAM,
    **sections: dict[str, Any],
) -> Iterator[Program]:
    """Run the controller with these sections of configuration, and end it.

    Args:
        folder: for its configuration and log.
        kubeconfig: the cluster.
        ready: wait until it says it is ready.
        module: what is run; another one that wraps the program.
        **sections: of the configuration file.
    """
    port = free_port()
    controller = sections.setdefault("controller", {})
    controller.setdefault("healthProbeAddr", f"127.0.0.1:{port}")
    controller.setdefault("metricsAddr", "127.0.0.1:0")
    settings = folder / f"config-{port}.yaml"
    settings.write_text(yaml.safe_dump(sections))
    log = folder / f"controller-{port}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [
                sys.executable, "-m", module,
                "--config", str(settings), "--kubeconfig", str(kubeconfig),
            ],
            stderr=stream,
            env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        )  # fmt: skip
    program = Program(process, log, port)
    try:
        if ready:
            program.wait_probe("/readyz", 200)
        yield program
    finally:
        if process.poll() is None:
            program.thaw()
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                program.kill()


@atexit.register
def _let_go() -> None:
    """Close what is kept, which Python would complain of at its end."""
    while _kept:
        _kept.popleft().close()


def free_port() -> int:
    """A port of the loopback interface that nobody listens on, and nobody else is given.

    It stays bound, without a listener, until many others were asked for: meanwhile the kernel gives
    it to no other process, and a server that reuses addresses, as servers do, can listen on it.
    """
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    _kept.append(kept)
    while len(_kept) > _KEPT:
        _kept.popleft().close()
    port: int = kept.getsockname()[1]
    return port

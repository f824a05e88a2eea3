"""The controllers side by side: started, killed, asked, and started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.chaos import controller
from tests.chaos.checks import exits
from tests.support.program import Program, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.proxy.proxy import Proxy

REPO = Path(__file__).parents[2]
STOP_S = 5.0
READY_S = 120.0
_LOOK_EVERY_S = 0.02
# Of the process that plays the first one; the others are elsewhere.
_ZONES = ("UTC", "America/New_York", "Asia/Kolkata")


@dataclass(frozen=True, slots=True)
class Rest:
    """What a process holds: counted by the kernel, its tasks by itself.

    Attributes:
        role: leader or standby.
        files: open descriptors that are no sockets.
        tasks: by what they run.
    """

    role: str
    sockets: int
    files: int
    threads: int
    children: int
    tasks: dict[str, int]

    def beyond(self, level: Rest) -> list[str]:
        """What there is more than there was."""
        numbers = ("sockets", "files", "threads", "children")
        found = [
            f"{name}: {getattr(self, name)}, was {getattr(level, name)}"
            for name in numbers
            if getattr(self, name) > getattr(level, name)
        ]
        more = {
            name: (count, level.tasks.get(name, 0))
            for name, count in self.tasks.items()
            if count > level.tasks.get(name, 0)
        }
        return found + ([f"tasks: {more}"] if more else [])


@dataclass
class Replica:
    """One of them, in its lives one after the other.

    Attributes:
        number: from 0.
        ends: of lives that ended since they were last asked for.
        pids: of all lives.
        rounds: how many its present life has seen to their ends.
    """

    number: int
    folder: Path
    kubeconfig: Path
    sections: dict[str, dict[str, Any]]
    ends: list[exits.End] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)
    rounds: int = 0
    _program: Program | None = None
    # How far each log was read for troubles.
    _logs: dict[Path, int] = field(default_factory=dict)

    @property
    def program(self) -> Program:
        """Its present life."""
        assert self._program is not None
        return self._program

    def start(self) -> None:
        """Begin a life."""
        port = free_port()
        sections = {**self.sections}
        sections["controller"] = {
            **sections["controller"],
            "healthProbeAddr": f"127.0.0.1:{port}",
            "metricsAddr": "127.0.0.1:0",
        }
        settings = self.folder / f"config-{self.number}.yaml"
        settings.write_text(yaml.safe_dump(sections))
        # Of those that had other settings the logs stay.
        before = len(list(self.folder.glob(f"replica-{self.number}-*.log")))
        log = self.folder / f"replica-{self.number}-{before}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [
                    sys.executable, "-m", "tests.chaos.controller", "--folder", str(self.folder),
                    "--", "--config", str(settings), "--kubeconfig", str(self.kubeconfig),
                ],
                stderr=stream,
                cwd=REPO,
                env={**os.environ, "TZ": _ZONES[self.number]},
            )  # fmt: skip
        self._program = Program(process, log, port)
        self.pids.append(process.pid)
        self.rounds = 0
        self._logs[log] = 0

    def look(self) -> bool:
        """Whether it is alive; who is not gets another life, as a Deployment gives it."""
        code = self.program.process.poll()
        if code is None:
            return True
        self.ends.append(exits.End(code, self.program.log))
        self.start()
        return False

    async def ready(self) -> None:
        """Wait until it says so; it may begin anew meanwhile."""
        deadline = time.monotonic() + READY_S
        while (await asyncio.to_thread(self.program.probe, "/readyz"))[0] != 200:
            self.look()
            assert time.monotonic() < deadline, self.program.tail()
            await asyncio.sleep(_LOOK_EVERY_S * 5)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it is there."""
        with contextlib.suppress(ProcessLookupError):
            self.program.process.send_signal(number)

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after the grace."""
        process = self.program.process
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    async def obey(self, **order: float) -> None:
        """Have it block its loop, or move its clock, as soon as a signal does not kill it."""
        pid = await self._listening()
        controller.orders(self.folder, pid).write_text(json.dumps(order))
        self.signal(signal.SIGUSR2)

    async def rest(self, *, leads: bool) -> Rest:
        """What it holds now, or as soon as a signal does not kill it."""
        pid = await self._listening()
        place = controller.census(self.folder, pid)
        place.unlink(missing_ok=True)
        self.signal(signal.SIGUSR1)
        async with asyncio.timeout(5):
            while not place.exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(_LOOK_EVERY_S)
        return _rest(pid, "leader" if leads else "standby", json.loads(place.read_text()))

    async def _listening(self) -> int:
        """Its process, once that takes signals: those of this suite would end it before."""
        while not controller.listening(self.folder, self.program.process.pid).exists():
            self.look()
            await asyncio.sleep(_LOOK_EVERY_S)
        return self.program.process.pid

    def troubles(self) -> Iterator[str]:
        """What its logs say that they never should, and have not said when last asked."""
        for log, since in self._logs.items():
            # A line that is being written is for the next time.
            raw = log.read_bytes()[since:]
            raw = raw[: raw.rfind(b"\n") + 1]
            self._logs[log] = since + len(raw)
            found = exits.troubles(raw.decode(errors="replace"))
            yield from (f"{log.name}: {each}" for each in found)


def _rest(pid: int, role: str, tasks: dict[str, int]) -> Rest:
    sockets, files = _descriptors(pid)
    own = Path(f"/proc/{pid}/task")
    children = (own / str(pid) / "children").read_text().split()
    threads = len(list(own.iterdir()))
    return Rest(role, sockets, files, threads, len(children), tasks)


def _descriptors(pid: int) -> tuple[int, int]:
    """How many sockets and how many others a process has open."""
    sockets = others = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            name = str(entry.readlink())
        except OSError:
            continue
        if name.startswith("socket:"):
            sockets += 1
        else:
            others += 1
    return sockets, others


def kubeconfig_of(proxy: Proxy, folder: Path) -> Path:
    """The way of one controller."""
    return proxy.write_kubeconfig(folder)

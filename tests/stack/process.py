"""Starting, watching and ending the stack's processes across separate runs of this program.

Each process has a record in the run folder: its pid and its start time in clock ticks, which
together name one process until the machine restarts. No signal is sent to a pid whose start time
differs, so a reused pid is never hit. The environment marker finds what a record cannot: a
process started just before a crash, and the shims that containerd leaves behind.
"""

import contextlib
import dataclasses
import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from tests.stack import errors

LOG = logging.getLogger(__name__)

MARKER = "WFE_STACK_RUN_DIR"
_TICK_S = 0.05
_TAIL_LINES = 25
_FIELDS_BEFORE_THREADS = 17
_FIELDS_BEFORE_START = 19


@dataclasses.dataclass(frozen=True)
class Spec:
    """How to start one process and how to know that it is ready.

    Attributes:
        missing: Returns what is still missing, or None when the process is ready.
        deadline_s: How long it may take to become ready.
    """

    name: str
    argv: tuple[str, ...]
    missing: Callable[[], str | None]
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    deadline_s: float = 60.0


class Table:
    """The processes of one run folder."""

    def __init__(self, *, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._records = run_dir / "pids"
        self._logs = run_dir / "logs"

    def log_path(self, name: str) -> Path:
        """Return the file that holds what the process prints."""
        return self._logs / f"{name}.log"

    def pid(self, name: str) -> int | None:
        """Return the process id of `name` if that very process still runs."""
        try:
            record = json.loads((self._records / f"{name}.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        alive = _start_ticks(record["pid"]) == record["startTicks"]
        return int(record["pid"]) if alive else None

    def names(self) -> list[str]:
        """Return the names of all processes that were started and not ended on purpose."""
        return sorted(path.stem for path in self._records.glob("*.json"))

    def start(self, spec: Spec) -> None:
        """Start a process unless it runs already; does not wait for it to be ready."""
        if self.pid(spec.name) is not None:
            return
        self._records.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        # containerd looks for runc in the system folders, which not every PATH has.
        search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        own = {"PATH": search, MARKER: str(self._run_dir)}
        environment = {**os.environ, **spec.env, **own}
        with self.log_path(spec.name).open("ab") as log:
            process = subprocess.Popen(
                spec.argv,
                cwd=self._run_dir,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # The record and /proc take over from here; without this, Popen warns when collected.
        process.returncode = 0
        record = {"pid": process.pid, "startTicks": _start_ticks(process.pid), "argv": spec.argv}
        partial = self._records / f".{spec.name}.partial"
        partial.write_text(json.dumps(record))
        partial.replace(self._records / f"{spec.name}.json")

    def wait_ready(self, specs: Iterable[Spec]) -> None:
        """Wait until each process is ready.

        Raises:
            NotReady: One ended, or was not ready by its deadline; the message has its last lines.
        """
        started = time.monotonic()
        for spec in specs:
            while (missing := spec.missing()) is not None:
                if self.pid(spec.name) is None:
                    raise errors.NotReady(f"{spec.name} ended\n{self.tail(spec.name)}")
                if time.monotonic() - started > spec.deadline_s:
                    raise errors.NotReady(
                        f"{spec.name} is not ready after {spec.deadline_s:.0f} s: {missing}\n"
                        f"{self.tail(spec.name)}"
                    )
                time.sleep(_TICK_S)
            LOG.info("%s is ready", spec.name)

    def stop(self, name: str, *, sig: signal.Signals, grace_s: float) -> None:
        """Send `sig`, wait up to `grace_s` for the end, then kill; forgets the process."""
        pid = self.pid(name)
        if pid is not None:
            end([pid], sig=sig, grace_s=grace_s)
        (self._records / f"{name}.json").unlink(missing_ok=True)

    def marked(self) -> list[int]:
        """Return the ids of all processes that carry this run folder in their environment."""
        wanted = f"{MARKER}={self._run_dir}".encode()
        found = []
        for pid in process_ids():
            try:
                environment = Path(f"/proc/{pid}/environ").read_bytes()
            except OSError:
                continue
            if wanted in environment.split(b"\0") and pid != os.getpid():
                found.append(pid)
        return found

    def tail(self, name: str) -> str:
        """Return the last lines of a process's log under a line that names the file."""
        path = self.log_path(name)
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return "\n".join([f"last lines of {path}:", *lines[-_TAIL_LINES:]])


def process_ids() -> Iterator[int]:
    """Yield the id of each process on this machine."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def end(pids: Iterable[int], *, sig: signal.Signals, grace_s: float) -> None:
    """Signal processes and wait for their end, then kill those that are left."""
    waiting = {pid: ticks for pid in pids if (ticks := _start_ticks(pid)) is not None}
    for this_sig, wait_s in ((sig, grace_s), (signal.SIGKILL, 10.0)):
        for pid in waiting:
            send(pid, this_sig)
        deadline = time.monotonic() + wait_s
        while waiting and time.monotonic() < deadline:
            waiting = {pid: ticks for pid, ticks in waiting.items() if _start_ticks(pid) == ticks}
            time.sleep(0.02 if waiting else 0)
        if not waiting:
            return
    raise errors.StackError(f"processes {sorted(waiting)} do not end, even when killed")


def send(pid: int, sig: signal.Signals) -> None:
    """Send a signal; a process that has ended meanwhile is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)


def _start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot, or None if it has ended."""
    with contextlib.suppress(ChildProcessError):
        # A child of this very process stays a zombie until it is waited for.
        os.waitpid(pid, os.WNOHANG)
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, in parentheses, may hold spaces; the fields after it do not.
    fields = text.rpartition(")")[2].split()
    # While other threads of a killed process still end, it holds on to its ports.
    ended = fields[0] in {"Z", "X"} and int(fields[_FIELDS_BEFORE_THREADS]) <= 1
    return None if ended else int(fields[_FIELDS_BEFORE_START])

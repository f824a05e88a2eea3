"""Where the controller's CPU time and memory go: stacks of it, summed up as text."""

import collections
import contextlib
import dataclasses
import enum
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import memray

FOLDER = Path(__file__).parents[2] / "benchmarks" / "profiles"

_RATE = 500
_ROWS = 70
_MEGA = 1_000_000
_GRACE_S = 60.0
# A sampler that comes just when the loop wakes up sees it wait.
_IDLE = ("EpollSelector.select (", "select (selectors.py)")
_ROOT = f"{Path(__file__).parents[2]}/"


class Kind(enum.Enum):
    """What a profile is of; each value is also its name on the command line."""

    TIME = "time"
    MEMORY = "memory"


@dataclasses.dataclass(frozen=True)
class Profile:
    """A profile to be taken; it makes everything slower.

    Attributes:
        output: file for the text.
        title: its first line.
    """

    kind: Kind
    output: Path
    title: str

    def write(self, text: str) -> None:
        """Write what was found."""
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self.output.write_text(f"{self.title}\n\n{text}\n")


@dataclasses.dataclass(frozen=True)
class Stack:
    """One stack, outermost frame first, and how often it was seen, or how many bytes it holds."""

    frames: tuple[str, ...]
    count: int


@contextlib.contextmanager
def sampled(pid: int, profile: Profile) -> Iterator[None]:
    """Sample a process while the block runs, and write a summary of where it was."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "stacks.txt"
        command = [_py_spy(), "record", "--pid", str(pid), "--rate", str(_RATE)]
        command += ["--format", "raw", "--nolineno", "--output", str(raw)]
        sampler = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            yield
        finally:
            sampler.send_signal(signal.SIGINT)
            sampler.wait(_GRACE_S)
        found = stacks(raw.read_text())
    total = sum(each.count for each in found)
    about = f"{total} samples at {_RATE} a second of CPU and wall time alike, idle ones left out"
    profile.write(f"{about}\n\n{summary(found)}")


@contextlib.contextmanager
def tracked(profile: Profile) -> Iterator[Sequence[str]]:
    """Give the arguments that track a module which ends with the block; write what it held.

    The module and its own arguments belong behind these.
    """
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "allocations.bin"
        yield [
            "memray", "run", "--quiet", "--aggregate", "--trace-python-allocators",
            "--output", str(raw), "-m",
        ]  # fmt: skip
        with memray.FileReader(raw) as reader:
            records = reader.get_high_watermark_allocation_records(merge_threads=True)
            found = [Stack(_frames(each), each.size) for each in records]
    total = sum(each.count for each in found) / _MEGA
    about = f"{total:.1f} MB allocated when it was most, the interpreter's own start included"
    profile.write(f"{about}\n\n{summary(found)}")


def _frames(record: memray.AllocationRecord) -> tuple[str, ...]:
    frames = [_short(f"{name} ({file})") for name, file, _ in reversed(record.stack_trace())]
    return tuple(frames) or ("outside of Python",)


def stacks(raw: str) -> list[Stack]:
    """Read collapsed stacks: frames with semicolons between them, a space, the count."""
    found = []
    for line in raw.splitlines():
        text, _, count = line.rpartition(" ")
        frames = tuple(_short(each) for each in text.split(";"))
        if not frames[-1].startswith(_IDLE):
            found.append(Stack(frames, int(count)))
    return found


def summary(found: Sequence[Stack]) -> str:
    """Return which functions it was in, and which were on the stack, as shares of all."""
    total = sum(each.count for each in found)
    own: collections.Counter[str] = collections.Counter()
    within: collections.Counter[str] = collections.Counter()
    for each in found:
        own[each.frames[-1]] += each.count
        for frame in set(each.frames):
            within[frame] += each.count
    rows = ["share  within a function and what it calls", *_table(within, total)]
    rows += ["", "share  in a function itself", *_table(own, total)]
    return "\n".join(rows)


def _table(counts: collections.Counter[str], total: int) -> Iterable[str]:
    for frame, count in counts.most_common(_ROWS):
        yield f"{100 * count / total:5.1f}  {frame}"


def _short(frame: str) -> str:
    """Take out of a frame what is of this machine."""
    for prefix in (_ROOT, f"{sys.prefix}/lib/", f"{sys.base_prefix}/lib/"):
        frame = frame.replace(prefix, "")
    return frame.replace(f"python3.{sys.version_info.minor}/site-packages/", "")


def _py_spy() -> str:
    found = Path(sys.executable).with_name("py-spy")
    return str(found) if found.exists() else shutil.which("py-spy") or "py-spy"

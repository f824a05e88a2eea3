"""CPU and memory of a process from /proc."""

import dataclasses
import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_USER_FIELD = 11
_SYSTEM_FIELD = 12
_RESET_PEAK = "5"
_KIB = 1024


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a process has used: seconds of CPU since its start, bytes of memory now and at peak."""

    cpu_s: float
    rss_bytes: int
    peak_bytes: int


def read(pid: int) -> Usage:
    """Read the usage of a process, all its threads included."""
    # The name, in parentheses, may hold spaces; the fields after it do not.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[_USER_FIELD]) + int(fields[_SYSTEM_FIELD])
    memory = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return Usage(
        cpu_s=ticks / _TICKS_PER_S,
        rss_bytes=_bytes(memory["VmRSS"]),
        peak_bytes=_bytes(memory["VmHWM"]),
    )


def reset_peak(pid: int) -> None:
    """Let the peak of a process's memory begin anew at what it holds now."""
    Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)


def _bytes(kibibytes: str) -> int:
    return int(kibibytes.split()[0]) * _KIB

"""On what it was measured, and what was measured."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.benchmark import cluster
from tests.stack.cluster import Stack

_PACKAGES = ("workflowexecution", "aiohttp", "orjson", "pydantic", "uvloop")
_PROGRAMS = ("kube-apiserver", "etcd")
_TIMEOUT_S = 30
_KIB_PER_GIB = 1 << 20
_ROOT = Path(__file__).parents[2]
_UNKNOWN = "unknown"


def facts() -> dict[str, str]:
    """Return the facts of machine and versions that results are kept with."""
    stack = Stack(name=cluster.NAME)
    programs = {
        name: _output([str(stack.program(name)), "--version"]).split("\n")[0].split()[-1]
        for name in _PROGRAMS
    }
    packages = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {
        "cpu": _first("/proc/cpuinfo", "model name"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(_first('/proc/meminfo', 'MemTotal').split()[0]) / _KIB_PER_GIB:.0f} GiB",
        "kernel": minor(platform.release()),
        "python": platform.python_version(),
        "load average at start": f"{os.getloadavg()[0]:.2f}",
        "commit": commit(),
        **programs,
        **packages,
    }


def minor(version: str) -> str:
    """The first two numbers of a version: the rest says who has built it."""
    return ".".join(version.split(".")[:2])


def commit(root: Path = _ROOT) -> str:
    """The commit of a checkout, and whether the program was changed since."""
    found = _said(["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"])
    changes = _said(["git", "-C", str(root), "status", "--porcelain", "--", "workflowexecution"])
    return f"{found} with changes" if changes else found or _UNKNOWN


def _first(path: str, key: str) -> str:
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return _UNKNOWN


def _output(command: Sequence[str]) -> str:
    return _said(command) or _UNKNOWN


def _said(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    return done.stdout.strip()

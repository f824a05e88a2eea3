"""What a node changes or leaves in the kernel: cgroups, mounts, sysctls."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.stack import debian, errors, paths, process, settings
from tests.stack.settings import Settings

_CGROUPS = Path("/sys/fs/cgroup")
_DEADLINE_S = 20.0
_RETRY_S = 0.1
# The kubelet sets these for the whole machine when it starts.
_SYSCTLS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
_CAP_SYS_RESOURCE = 24
_DEVICES = Path("/var/lib/kubelet/device-plugins")


def may_lower_oom_score() -> bool:
    """Tell whether this process has CAP_SYS_RESOURCE, which lowering an OOM score needs."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return False


def create_cgroups(stack: Settings) -> None:
    """Make the cgroup of a stack in each hierarchy; the kubelet does not make its root."""
    if _is_unified():
        # A cgroup has only those controllers that its parent hands on.
        for controller in (_CGROUPS / "cgroup.controllers").read_text().split():
            with contextlib.suppress(OSError):
                (_CGROUPS / "cgroup.subtree_control").write_text(f"+{controller}")
    for hierarchy in _hierarchies():
        (hierarchy / stack.label).mkdir(exist_ok=True)


def remove_cgroups(stack: Settings) -> None:
    """End every process in the stack's cgroups and remove them.

    Raises:
        StackError: A process or a cgroup stays.
    """
    roots = [root for hierarchy in _hierarchies() if (root := hierarchy / stack.label).is_dir()]
    deadline = time.monotonic() + _DEADLINE_S
    while left := [root for root in roots if not _remove_tree(root)]:
        if time.monotonic() > deadline:
            raise errors.StackError(f"cgroups stay: {', '.join(map(str, left))}")
        time.sleep(_RETRY_S)


def unmount_below(folder: Path) -> None:
    """Unmount everything below a folder, the deepest first."""
    # The newest mount comes last, so the order holds for mounts on top of each other, too.
    for point in reversed(_mount_points()):
        if point.is_relative_to(folder):
            command = [debian.find("umount"), "--lazy", str(point)]
            subprocess.run(command, capture_output=True, timeout=30, check=False)
    if left := [str(point) for point in _mount_points() if point.is_relative_to(folder)]:
        raise errors.StackError(f"mounts stay: {', '.join(left)}")


def remember_sysctls() -> None:
    """Keep the values that the first node on this machine is about to change."""
    with paths.file_lock(paths.run_root() / "settle.lock", wait_s=30):
        if not _remembered().exists():
            values = {name: _sysctl(name).read_text().strip() for name in _SYSCTLS}
            _remembered().write_text(json.dumps(values))


def restore(stack: Settings) -> None:
    """Put back what all nodes of this machine share, when the last of them ends."""
    with paths.file_lock(paths.run_root() / "settle.lock", wait_s=30):
        others = [other for other in settings.all_stacks() if other.name != stack.name]
        if any(other.real_node for other in others) or not _remembered().exists():
            return
        for name, value in json.loads(_remembered().read_text()).items():
            if _sysctl(name).read_text().strip() != value:
                _sysctl(name).write_text(value)
        _remembered().unlink()
        # The kubelet's folder for devices is always here; more in it is another kubelet's.
        if _DEVICES.is_dir() and [entry.name for entry in _DEVICES.parent.iterdir()] == [
            "device-plugins"
        ]:
            shutil.rmtree(_DEVICES.parent)


def _remembered() -> Path:
    return paths.run_root() / "sysctls.json"


def _sysctl(name: str) -> Path:
    return Path("/proc/sys") / name


def _is_unified() -> bool:
    return (_CGROUPS / "cgroup.controllers").exists()


def _hierarchies() -> list[Path]:
    if _is_unified():
        return [_CGROUPS]
    # In version 1 each controller has a hierarchy; a link is a second name of one.
    return [path for path in _CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]


def _remove_tree(root: Path) -> bool:
    """Kill what runs in a cgroup and below, remove what is empty, tell whether all is gone."""
    for folder, _, _ in os.walk(root, topdown=False):
        for pid in _members(Path(folder)):
            process.send(pid, signal.SIGKILL)
        try:
            Path(folder).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def _members(cgroup: Path) -> list[int]:
    try:
        return [int(line) for line in (cgroup / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _mount_points() -> list[Path]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    # Blanks are written as octal numbers.
    return [Path(line.split()[4].encode().decode("unicode_escape")) for line in lines]

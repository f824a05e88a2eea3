"""Where the stack keeps things: built files in the cache, one run folder for each stack.

Both follow the XDG base directories, so that checkouts of one user share the built files.
"""

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from tests.stack import errors

LOG = logging.getLogger(__name__)

MODULES = Path(__file__).parent / "modules"
# A unix socket's path holds 107 characters; kubelet and containerd add up to 40 to the run folder.
MAX_RUN_DIR = 66


def cache_root() -> Path:
    """Return the folder of everything that can be made again: binaries, images, YAML."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "workflowexecution"


def run_root() -> Path:
    """Return the folder that holds one run folder for each stack."""
    state = os.environ.get("XDG_STATE_HOME")
    return Path(state) / "workflowexecution" / "run" if state else cache_root() / "run"


def run_dir(name: str) -> Path:
    """Return the run folder of the stack `name`.

    Raises:
        StackError: The path would be too long for the sockets in it.
    """
    folder = run_root() / name
    if len(str(folder)) > MAX_RUN_DIR:
        raise errors.StackError(
            f"run folder {folder} is longer than {MAX_RUN_DIR} characters, too long for the unix "
            "sockets in it: choose a shorter name, or set XDG_STATE_HOME to a shorter folder"
        )
    return folder


@contextlib.contextmanager
def file_lock(path: Path, wait_s: float) -> Iterator[None]:
    """Hold an exclusive lock on `path`, which ends with the process that holds it.

    Raises:
        StackError: Another process held the lock for all of `wait_s`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        deadline = time.monotonic() + wait_s
        told = False
        while not _try_lock(file.fileno()):
            if time.monotonic() > deadline:
                raise errors.StackError(f"another process has held {path} for {wait_s:.0f} s")
            if not told:
                LOG.info("waiting for another process, which holds %s", path)
                told = True
            time.sleep(0.2)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

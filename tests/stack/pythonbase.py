"""Images with the Python that runs the tests, to build upon where nothing can be pulled.

They hold the interpreter, its standard library, what both load, and no shell. The one to build in
has pip too.
"""

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pip

from tests.stack import images

BUILD = f"{images.PREFIX}/python-build:test"
RUN = f"{images.PREFIX}/python:test"

_VERSION = sysconfig.get_python_version()
_LIBRARY = f"/usr/local/lib/python{_VERSION}"
_NOT_NEEDED = frozenset({
    "__pycache__", "ensurepip", "idlelib", "lib2to3", "site-packages", "dist-packages", "test",
    "tests", "tkinter", "turtledemo",
})  # fmt: skip
# Their libraries would bring half a desktop.
_NO_EXTENSIONS = ("_tkinter", "_curses", "readline", "_test", "_xx", "_dbm", "_gdbm")
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# What wheels with compiled parts expect of every system.
_RUNTIME = (
    "libdl.so.2", "libgcc_s.so.1", "libpthread.so.0", "librt.so.1", "libstdc++.so.6",
    "libutil.so.1",
)  # fmt: skip


def build_image() -> images.Image:
    """The image to build in."""
    base = _python(BUILD)
    folder = Path(pip.__file__).parent
    files = {f"{_LIBRARY}/pip/{path.relative_to(folder)}": path for path in _tree(folder)}
    return images.Image(BUILD, {**base.files, **files}, base.links, base.entrypoint)


def run_image() -> images.Image:
    """The image to run in."""
    return _python(RUN)


def _python(name: str) -> images.Image:
    """The interpreter finds its library beside itself, wherever both are on this machine."""
    interpreter = Path(sys.base_prefix, "bin", f"python{_VERSION}").resolve()
    library = Path(sysconfig.get_path("stdlib"))
    kept = {f"{_LIBRARY}/{path.relative_to(library)}": path for path in _tree(library)}
    compiled = [path for path in kept.values() if path.suffix == ".so"]
    shared = _loaded_by([interpreter, *compiled])
    (home,) = {path.parent for path in shared if path.name.startswith("libc.so")}
    shared |= {path for name in _RUNTIME if (path := home / name).exists()}
    files = {
        f"/usr/local/bin/python{_VERSION}": interpreter,
        **kept,
        **{
            str(path if path.is_relative_to("/lib64") else home / path.name): path
            for path in shared
        },
        str(_CERTIFICATES): _CERTIFICATES,
    }
    links = {"/usr/bin/python3": f"/usr/local/bin/python{_VERSION}"}
    return images.Image(name, dict(sorted(files.items())), links, ("/usr/bin/python3",))


def _tree(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _NOT_NEEDED or path.name.startswith(_NO_EXTENSIONS):
            continue
        if path.is_dir() and not path.name.startswith("config-"):
            yield from _tree(path)
        elif path.is_file():
            yield path


def _loaded_by(binaries: list[Path]) -> set[Path]:
    """The shared libraries of programs, the loader included."""
    done = subprocess.run(
        ["ldd", *map(str, binaries)], capture_output=True, text=True, timeout=60, check=False
    )
    words = (word for line in done.stdout.splitlines() for word in line.split())
    return {Path(word) for word in words if word.startswith("/") and not word.endswith(":")}

"""The programs that come from Debian packages, found, or installed where that is allowed."""

import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.stack import errors, paths

LOG = logging.getLogger(__name__)

CNI_PLUGINS = Path("/usr/lib/cni")

# What is looked for, and the package that brings it.
NODE: Mapping[str, str] = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "iptables": "iptables",
    "umount": "mount",
    str(CNI_PLUGINS / "bridge"): "containernetworking-plugins",
    "/bin/busybox": "busybox-static",
}
REGISTRY: Mapping[str, str] = {"docker-registry": "docker-registry"}
BUILDER: Mapping[str, str] = {"buildah": "buildah"}

_POLICY = Path("/usr/sbin/policy-rc.d")
_INSTALL_DEADLINE_S = 600


def ensure(programs: Mapping[str, str]) -> None:
    """Make sure that all programs are there, installing their packages as root on Debian.

    Raises:
        MissingTools: Some are missing and cannot be installed from here.
    """
    missing = [program for program in programs if not _find(program)]
    if not missing:
        return
    packages = sorted({programs[program] for program in missing})
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise errors.MissingTools(
            f"missing: {', '.join(missing)}; on Debian: apt-get install {' '.join(packages)}"
        )
    with paths.file_lock(paths.cache_root() / "install.lock", wait_s=_INSTALL_DEADLINE_S):
        LOG.info("installing %s", " ".join(packages))
        _install(packages)
    still_missing = [program for program in programs if not _find(program)]
    if still_missing:
        raise errors.MissingTools(f"still missing after the installation: {still_missing}")


def find(program: str) -> str:
    """Return the path of a program that `ensure` has found.

    Raises:
        MissingTools: It is not there.
    """
    path = _find(program)
    if path is None:
        raise errors.MissingTools(f"{program} is missing")
    return path


def unpack(package: str) -> Path:
    """Return a folder with the files of a package, which is not installed.

    So it brings no other packages and starts no service; that takes no root either.

    Raises:
        MissingTools: It cannot be had from here.
    """
    folder = paths.cache_root() / "debian" / package
    with paths.file_lock(paths.cache_root() / "install.lock", wait_s=_INSTALL_DEADLINE_S):
        if not folder.exists():
            if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
                raise errors.MissingTools(f"missing: {package}; it comes with Debian's apt-get")
            LOG.info("fetching %s", package)
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as place:
                _fetch(package, Path(place)).rename(folder)
    return folder


def _fetch(package: str, place: Path) -> Path:
    """Download a package and unpack it, both within `place`."""
    done = _run(["apt-get", "download", package], cwd=place)
    if done.returncode != 0 and os.geteuid() == 0:
        # The package lists may be missing or old.
        _run(["apt-get", "update"])
        done = _run(["apt-get", "download", package], cwd=place)
    archive = next(place.glob("*.deb"), None)
    if archive is None:
        raise errors.MissingTools(f"apt-get download {package} failed:\n{done.stderr.strip()}")
    unpacked = place / "files"
    done = _run(["dpkg", "-x", str(archive), str(unpacked)])
    if done.returncode != 0:
        raise errors.MissingTools(f"dpkg -x {archive.name} failed:\n{done.stderr.strip()}")
    return unpacked


def _find(program: str) -> str | None:
    # The system folders are not on the PATH of every user, nor of every service.
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _install(packages: list[str]) -> None:
    install = ["apt-get", "install", "--yes", "--no-install-recommends"]
    install += ["-o", "DPkg::Lock::Timeout=300", *packages]
    with _no_services():
        if _run(install).returncode == 0:
            return
        # The package lists may be missing or old.
        _run(["apt-get", "update"])
        done = _run(install)
    if done.returncode != 0:
        raise errors.MissingTools(f"{' '.join(install)} failed:\n{done.stderr.strip()}")


def _run(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_INSTALL_DEADLINE_S,
        check=False,
    )


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep the packages from starting services of their own, by Debian's policy file."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)

"""The controller's image, built from the Dockerfile by Debian's buildah, on images made here.

Nothing is pulled from a registry of images. The dependencies are fetched by pip once, by their
hashes; the build itself has no index.
"""

import dataclasses
import hashlib
import json
import logging
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from tests.stack import debian, errors, images, paths, pythonbase

LOG = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
NAME = "ghcr.io/kubernaut/workflowexecution-controller"
_LOCKS = ("requirements/build.txt", "requirements/tracing.txt")
_CONTEXT = ("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE", *_LOCKS)
_DEADLINE_S = 900
# A day on which nothing happened: what an image is must not depend on when it was made.
_TIMESTAMP = "1000000000"


@dataclasses.dataclass(frozen=True)
class Built:
    """An image as an archive, which containerd imports.

    Attributes:
        name: with its tag.
        archive: in Docker's format.
        digest: of its configuration, which names the content of every layer.
    """

    name: str
    archive: Path
    digest: str
    layers: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all layers, unpacked."""
        return self.archive.stat().st_size


def build(tag: str, *, version: str = "0.0.0", revision: str = "", anew: bool = False) -> Built:
    """Build the image, unless this very one is in the cache.

    Args:
        tag: what it is called.
        version: of the program.
        revision: commit that it is made of.
        anew: forget what is in the cache.

    Raises:
        MissingTools: buildah cannot be had.
        BuildFailed: a step failed.
    """
    debian.ensure(debian.BUILDER)
    bases = [pythonbase.build_image(), pythonbase.run_image()]
    archives = [images.archive([base]) for base in bases]
    key = _key(tag, version, revision, *(path.name for path in archives))
    target = paths.cache_root() / "images" / f"controller-{key}.tar"
    with paths.file_lock(target.with_suffix(".lock"), wait_s=_DEADLINE_S):
        if anew or not target.exists():
            started = time.monotonic()
            arguments = {"VERSION": version, "REVISION": revision}
            _build(target, f"{NAME}:{tag}", arguments, archives)
            LOG.info("built %s in %.0f s", NAME, time.monotonic() - started)
    return _read(f"{NAME}:{tag}", target)


def _build(target: Path, name: str, arguments: dict[str, str], bases: list[Path]) -> None:
    found = wheels()
    store = target.with_suffix(".store")
    shutil.rmtree(store, ignore_errors=True)
    try:
        own = Buildah(store)
        for role, archive in zip(("BASE_IMAGE", "RUNTIME_IMAGE"), bases, strict=True):
            pulled = own("pull", "--quiet", f"oci-archive:{archive}").strip().splitlines()[-1]
            arguments[role] = f"{images.PREFIX}/{role.lower()}:test"
            own("tag", pulled, arguments[role])
        arguments |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
        given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        own(
            "build", "--isolation=chroot", "--pull-never",
            f"--timestamp={_TIMESTAMP}", f"--volume={found}:/wheels:ro", f"--tag={name}",
            *given, str(ROOT),
        )  # fmt: skip
        partial = target.with_name(f".{target.name}.partial")
        partial.unlink(missing_ok=True)
        own("push", "--quiet", name, f"docker-archive:{partial}:{name}")
        partial.replace(target)
    finally:
        shutil.rmtree(store, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class Buildah:
    """buildah over images of its own, which no other process sees."""

    store: Path

    def __call__(self, *arguments: str) -> str:
        """Run a command and return what it printed.

        Raises:
            BuildFailed: it failed; the message has the end of what it said.
        """
        command = [
            debian.find("buildah"), "--storage-driver=vfs",
            f"--root={self.store / 'root'}", f"--runroot={self.store / 'run'}", *arguments,
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_DEADLINE_S, check=False
        )
        if done.returncode != 0:
            said = f"{done.stdout}\n{done.stderr}"[-3000:]
            raise errors.BuildFailed(f"buildah {arguments[0]} failed:\n{said}")
        return done.stdout


def wheels() -> Path:
    """A folder with all that is locked, for this Python.

    Raises:
        BuildFailed: pip could not fetch it.
    """
    locks = [ROOT / lock for lock in _LOCKS]
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks) + sys.version.encode())
    folder = paths.cache_root() / "wheels" / digest.hexdigest()[:16]
    if not folder.exists():
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        for lock in locks:
            command = [
                sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes",
                f"--dest={partial}", f"--requirement={lock}",
            ]  # fmt: skip
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_DEADLINE_S, check=False
            )
            if done.returncode != 0:
                raise errors.BuildFailed(f"pip download failed:\n{done.stderr[-3000:]}")
        partial.rename(folder)
    return folder


def _key(*parts: str) -> str:
    digest = hashlib.sha256("\n".join(parts).encode())
    package = sorted((ROOT / "workflowexecution").rglob("*"))
    for path in [*(ROOT / name for name in _CONTEXT), *package]:
        if path.is_file() and path.suffix != ".pyc":
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _read(name: str, archive: Path) -> Built:
    with tarfile.open(archive) as opened:
        member = opened.extractfile("manifest.json")
        assert member is not None
        (manifest,) = json.load(member)
    return Built(name, archive, manifest["Config"], tuple(manifest["Layers"]))

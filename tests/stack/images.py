"""OCI images made from single files, for nodes that pull nothing.

Each image has one layer. An archive holds several images in the OCI layout, which containerd
imports in one go; it is kept in the cache under a key of what went into it.
"""

import dataclasses
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.stack import paths

PREFIX = "localhost/workflowexecution"
PAUSE = f"{PREFIX}/pause:test"
STEP = f"{PREFIX}/step:test"
KUBECTL = f"{PREFIX}/kubectl:test"
ENTRYPOINT = f"{PREFIX}/tekton-entrypoint:test"
NOP = f"{PREFIX}/tekton-nop:test"
WORKINGDIRINIT = f"{PREFIX}/tekton-workingdirinit:test"

_BUSYBOX = Path("/bin/busybox")
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


@dataclasses.dataclass(frozen=True)
class Image:
    """What goes into an image.

    Attributes:
        files: The absolute path in the image, and the file whose content and mode it gets.
        links: The absolute path in the image, and what the symbolic link points to.
        entrypoint: The command; a step always names its own.
    """

    name: str
    files: Mapping[str, Path]
    links: Mapping[str, str] = dataclasses.field(default_factory=dict)
    entrypoint: Sequence[str] = ()


def node_images() -> list[Image]:
    """Return the images of every real node: pause, and a step image that is busybox."""
    return [
        dataclasses.replace(_busybox(PAUSE), entrypoint=("/bin/busybox", "sleep", "2147483647")),
        _busybox(STEP),
    ]


def kubectl_image(kubectl: Path) -> Image:
    """Return a step image with busybox and kubectl."""
    base = _busybox(KUBECTL)
    return dataclasses.replace(base, files={**base.files, "/bin/kubectl": kubectl})


def tekton_images(programs: Mapping[str, Path]) -> list[Image]:
    """Return the images that Tekton's controller adds to its pods.

    Source: `pkg/pod/entrypoint.go` and `workingdir_init.go` of tektoncd/pipeline for the paths.
    """
    found = []
    for name in (ENTRYPOINT, NOP, WORKINGDIRINIT):
        program = name.removeprefix(f"{PREFIX}/tekton-").removesuffix(":test")
        inside = f"/ko-app/{program}"
        files = {inside: programs[f"tekton-{program}"]}
        found.append(Image(name=name, files=files, entrypoint=(inside,)))
    return found


def archive(images: Sequence[Image]) -> Path:
    """Return the path of an OCI archive with these images, making it if it is not cached."""
    target = paths.cache_root() / "images" / f"{_key(images)}.tar"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with paths.file_lock(target.parent / "archive.lock", wait_s=300):
            partial = target.with_name(f".{target.name}.partial")
            _write_archive(partial, images)
            partial.replace(target)
    return target


def _busybox(name: str) -> Image:
    listing = subprocess.run(
        [str(_BUSYBOX), "--list"], capture_output=True, text=True, timeout=10, check=True
    )
    applets = [applet for applet in listing.stdout.split() if applet != "busybox"]
    links = {f"/bin/{applet}": "busybox" for applet in applets}
    return Image(name=name, files={"/bin/busybox": _BUSYBOX}, links=links, entrypoint=("/bin/sh",))


def _key(images: Sequence[Image]) -> str:
    parts: list[object] = []
    for image in images:
        stats = {path: (file.stat(), str(file)) for path, file in image.files.items()}
        files = {
            path: [stat.st_size, stat.st_mtime_ns, file] for path, (stat, file) in stats.items()
        }
        parts.append([image.name, files, dict(image.links), list(image.entrypoint)])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


def _write_archive(path: Path, images: Sequence[Image]) -> None:
    with tarfile.open(path, "w") as output:
        manifests = []
        for image in images:
            descriptor = _write_image(output, image)
            annotations = {
                "io.containerd.image.name": image.name,
                "org.opencontainers.image.ref.name": image.name.rpartition(":")[2],
            }
            manifests.append({**descriptor, "annotations": annotations})
        index = {"schemaVersion": 2, "manifests": manifests}
        _add(output, "index.json", json.dumps(index).encode())
        _add(output, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())


def _write_image(output: tarfile.TarFile, image: Image) -> dict[str, object]:
    layer = _layer(image)
    config = {
        "architecture": _architecture(),
        "os": "linux",
        "config": {"Entrypoint": list(image.entrypoint), "Env": ["PATH=/bin:/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_TYPE,
        "config": _write_blob(output, _CONFIG_TYPE, json.dumps(config).encode()),
        "layers": [_write_blob(output, _LAYER_TYPE, layer)],
    }
    return _write_blob(output, _MANIFEST_TYPE, json.dumps(manifest).encode())


def _write_blob(output: tarfile.TarFile, media_type: str, content: bytes) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    name = f"blobs/sha256/{digest}"
    if name not in output.getnames():
        _add(output, name, content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def _architecture() -> str:
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _layer(image: Image) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        folders = {"/tmp": 0o1777, "/root": 0o700, "/etc": 0o755}
        for path in [*image.files, *image.links]:
            folders.setdefault(str(Path(path).parent), 0o755)
        for path, mode in sorted(folders.items()):
            entry = _entry(path, tarfile.DIRTYPE)
            entry.mode = mode
            layer.addfile(entry)
        for path, source in image.files.items():
            entry = _entry(path, tarfile.REGTYPE)
            content = source.read_bytes()
            entry.mode, entry.size = source.stat().st_mode & 0o777, len(content)
            layer.addfile(entry, io.BytesIO(content))
        for path, target in image.links.items():
            entry = _entry(path, tarfile.SYMTYPE)
            entry.linkname = target
            layer.addfile(entry)
    return buffer.getvalue()


def _entry(path: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.type = kind
    return entry


def _add(output: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    output.addfile(entry, io.BytesIO(content))

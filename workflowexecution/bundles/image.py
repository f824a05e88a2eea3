"""A bundle as an OCI image in Tekton's layout; the same objects always make the same digest.

Source: `docs/tekton-bundle-contracts.md` of tektoncd/pipeline: one layer for each object, a tar
with one file, named by three annotations of the layer.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from workflowexecution.bundles import errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
MAX_OBJECTS = 20
ANNOTATION = "dev.tekton.image"


@dataclass(frozen=True, slots=True)
class Image:
    """What is pushed.

    Attributes:
        manifest: its bytes, which the digest is of.
        blobs: the bytes of config and layers, by digest.
    """

    manifest: bytes
    blobs: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """The digest of the manifest, like `sha256:...`: what an execution pins."""
        return digest_of(self.manifest)


def build(objects: Sequence[Mapping[str, Any]]) -> Image:
    """Pack objects.

    Raises:
        BundleError: there are none or more than Tekton reads, two are the same, or one has no name.
    """
    if not 0 < len(objects) <= MAX_OBJECTS:
        message = f"a bundle holds 1 to {MAX_OBJECTS} objects, not {len(objects)}"
        raise errors.BundleError(message)
    blobs: dict[str, bytes] = {}
    layers: list[dict[str, Any]] = []
    diff_ids: list[str] = []
    for manifest in objects:
        names = _annotations(manifest)
        if any(layer["annotations"] == names for layer in layers):
            message = f"two objects are called {manifest['kind']} {manifest['metadata']['name']}"
            raise errors.BundleError(message)
        content = _tar(manifest)
        diff_ids.append(digest_of(content))
        packed = gzip.compress(content, mtime=0)
        layers.append({**_descriptor(blobs, LAYER_TYPE, packed), "annotations": names})
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config = _json({"architecture": "", "os": "", "config": {}, "rootfs": rootfs})
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _descriptor(blobs, CONFIG_TYPE, config),
        "layers": layers,
    }
    return Image(_json(manifest), blobs)


def digest_of(content: bytes) -> str:
    """The digest of bytes, as registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _annotations(manifest: Mapping[str, Any]) -> dict[str, str]:
    metadata = manifest.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    kind, version = manifest.get("kind"), manifest.get("apiVersion")
    if not (_is_word(name) and _is_word(kind) and _is_word(version)):
        message = "an object has no apiVersion, no kind or no metadata.name"
        raise errors.BundleError(message)
    return {
        f"{ANNOTATION}.name": name,
        f"{ANNOTATION}.kind": kind.lower(),
        f"{ANNOTATION}.apiVersion": version.rpartition("/")[2],
    }


def _is_word(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value)


def _tar(manifest: Mapping[str, Any]) -> bytes:
    content = _json(manifest)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(manifest["metadata"]["name"])
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _descriptor(blobs: dict[str, bytes], media_type: str, content: bytes) -> dict[str, Any]:
    digest = digest_of(content)
    blobs[digest] = content
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

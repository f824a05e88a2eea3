"""Pushing Tekton bundles to a registry that speaks plain HTTP.

Source: `docs/tekton-bundle-contracts.md` of tektoncd/pipeline: one layer an object, each a tar
with one file, named by three annotations of the layer.
"""

import gzip
import hashlib
import http.client
import io
import json
import tarfile
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from tests.stack import errors

_ANNOTATION = "dev.tekton.image"
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_TIMEOUT_S = 30.0
_MAX_OBJECTS = 20


def push_bundle(
    registry: str, repository: str, tag: str, objects: Sequence[Mapping[str, Any]]
) -> str:
    """Push objects as one bundle; the same objects always make the same digest.

    Args:
        registry: Host and port, as in an image reference.

    Returns:
        The digest of the manifest, like `sha256:...`.

    Raises:
        StackError: The registry refused a part, or there are more objects than Tekton reads.
        OSError: The registry cannot be reached.
    """
    if len(objects) > _MAX_OBJECTS:
        raise errors.StackError(f"a bundle holds at most {_MAX_OBJECTS} objects")
    layers, diff_ids = [], []
    for manifest in objects:
        content = _tar(manifest)
        diff_ids.append(_digest(content))
        packed = gzip.compress(content, mtime=0)
        layer = _push_blob(registry, repository, _LAYER_TYPE, packed)
        layers.append({**layer, "annotations": _annotations(manifest)})
    config = {
        "architecture": "",
        "os": "",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_TYPE,
        "config": _push_blob(registry, repository, _CONFIG_TYPE, _json(config)),
        "layers": layers,
    }
    content = _json(manifest)
    _request(registry, "PUT", f"/v2/{repository}/manifests/{tag}", content, _MANIFEST_TYPE)
    return _digest(content)


def _annotations(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{_ANNOTATION}.name": manifest["metadata"]["name"],
        f"{_ANNOTATION}.kind": manifest["kind"].lower(),
        f"{_ANNOTATION}.apiVersion": manifest["apiVersion"].rpartition("/")[2],
    }


def _tar(manifest: Mapping[str, Any]) -> bytes:
    content = _json(manifest)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(manifest["metadata"]["name"])
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _push_blob(registry: str, repository: str, media_type: str, content: bytes) -> dict[str, Any]:
    digest = _digest(content)
    answer = _request(registry, "POST", f"/v2/{repository}/blobs/uploads/", b"", None)
    location = urllib.parse.urlsplit(answer["Location"])
    separator = "&" if location.query else ""
    query = f"{location.query}{separator}{urllib.parse.urlencode({'digest': digest})}"
    path = f"{location.path}?{query}"
    _request(registry, "PUT", path, content, "application/octet-stream")
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _request(
    registry: str, method: str, path: str, content: bytes, content_type: str | None
) -> http.client.HTTPMessage:
    connection = http.client.HTTPConnection(registry, timeout=_TIMEOUT_S)
    try:
        connection.request(
            method, path, content, {"Content-Type": content_type} if content_type else {}
        )
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()
    if answer.status >= http.client.BAD_REQUEST:
        raise errors.StackError(f"{method} {path} answered {answer.status}: {text[:500]}")
    return answer.headers


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

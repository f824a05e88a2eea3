"""Signing Pipelines for Tekton's trusted resources.

The annotation `tekton.dev/signature` is a signature over the checksum of the Pipeline: of its name,
labels, annotations and spec, as Tekton's own version of Kubernetes' structs writes them. A policy
of the run's namespace, a VerificationPolicy, has the public key.

Source: `pkg/trustedresources` and `pkg/apis/pipeline/internal/checksum` of tektoncd/pipeline.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from cryptography import exceptions
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from workflowexecution.api import names
from workflowexecution.bundles import errors, gojson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Added by others on the way, so no part of what is signed.
_NOT_SIGNED: Final = frozenset({
    names.ANNOTATION_SIGNATURE,
    "kubectl-client-side-apply",
    "kubectl.kubernetes.io/last-applied-configuration",
})
# Up to Tekton 1.9 the absent time of creation is written as null. What is signed for one side of
# this border fails verification on the other.
_LAST_WITH_NULL: Final = (1, 9)

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def load(path: Path) -> PrivateKey:
    """Return the private key of a PEM file, without a password.

    Raises:
        BundleError: There is none, or one of a kind that Tekton does not verify with.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, exceptions.UnsupportedAlgorithm) as error:
        message = (
            f"{path}: {error}: openssl ecparam -genkey -name prime256v1 -noout makes such a key"
        )
        raise errors.BundleError(message) from error
    if isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        return key
    message = f"{path}: a key on an elliptic curve or of ed25519 is wanted"
    raise errors.BundleError(message)


def sign(pipeline: Mapping[str, Any], key: PrivateKey, *, tekton: str) -> dict[str, Any]:
    """Return a Pipeline with its signature, for a bundle.

    Args:
        pipeline: Of tekton.dev/v1; a signature that it has already is replaced.
        key: On an elliptic curve, or ed25519. The policy's hashAlgorithm is sha256.
        tekton: The version that will verify it, like v1.9.6.

    Raises:
        BundleError: It cannot be signed; the message names the field.
    """
    digest = checksum(pipeline, tekton=tekton)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(digest)
    else:
        signature = key.sign(digest, ec.ECDSA(hashes.SHA256()))
    signed = copy.deepcopy(dict(pipeline))
    annotations = dict(signed["metadata"].get("annotations") or {})
    annotations[names.ANNOTATION_SIGNATURE] = base64.b64encode(signature).decode()
    signed["metadata"]["annotations"] = annotations
    return signed


def checksum(pipeline: Mapping[str, Any], *, tekton: str) -> bytes:
    """Return the checksum that a version of Tekton makes of a Pipeline.

    Raises:
        BundleError: It is no Pipeline that can be signed; the message names the field.
    """
    version = names.TEKTON_API_VERSION
    if (pipeline.get("apiVersion"), pipeline.get("kind")) != (version, "Pipeline"):
        message = f"only a Pipeline of {version} can be signed"
        raise errors.BundleError(message)
    given = pipeline.get("metadata")
    if not isinstance(given, dict):
        message = "a Pipeline without metadata cannot be signed"
        raise errors.BundleError(message)
    # What it says of a field that is wrong must not depend on the defaults, which take its form
    # for granted.
    gojson.write("v1.PipelineSpec", pipeline.get("spec"))
    spec = copy.deepcopy(dict(pipeline["spec"]))
    _set_defaults(spec)
    metadata = _metadata(given, tekton)
    written = gojson.write("v1.PipelineSpec", spec)
    head = f'"kind":"Pipeline","apiVersion":"{version}"'
    whole = f'{{{head},"metadata":{metadata},"spec":{written}}}'
    return hashlib.sha256(whole.encode()).digest()


def _metadata(metadata: Mapping[str, Any], tekton: str) -> str:
    """Return the part of the metadata that is signed; the rest is the cluster's."""
    naming = ("name", "generateName", "namespace")
    before = gojson.write("v1.ObjectMeta", {key: metadata.get(key) for key in naming})
    annotations = metadata.get("annotations") or {}
    gojson.write("v1.ObjectMeta", {"annotations": annotations})
    own = {key: value for key, value in annotations.items() if key not in _NOT_SIGNED}
    after = gojson.write("v1.ObjectMeta", {"labels": metadata.get("labels"), "annotations": own})
    null = '"creationTimestamp":null' if _minor(tekton) <= _LAST_WITH_NULL else ""
    members = (before[1:-1], null, after[1:-1])
    return "{" + ",".join(member for member in members if member) + "}"


def _minor(version: str) -> tuple[int, int]:
    found = re.match(r"v?([0-9]+)\.([0-9]+)", version)
    if found is None:
        message = f"{version!r} is no version of Tekton, such as 1.9"
        raise errors.BundleError(message)
    return int(found[1]), int(found[2])


def _set_defaults(spec: dict[str, Any]) -> None:
    """Fill in what Tekton fills in before it verifies.

    Source: `SetDefaults` of PipelineSpec, PipelineTask, TaskSpec, ParamSpec and TaskResult.
    """
    for param in spec.get("params") or ():
        _default_param(param)
    for task in (*(spec.get("tasks") or ()), *(spec.get("finally") or ())):
        reference, inside = task.get("taskRef"), task.get("taskSpec")
        if reference is not None:
            if not reference.get("name") and not reference.get("resolver"):
                message = f"task {task.get('name')}: taskRef needs name or resolver"
                raise errors.BundleError(message)
            if not reference.get("kind") and not reference.get("resolver"):
                reference["kind"] = "Task"
        if inside is not None:
            for param in inside.get("params") or ():
                _default_param(param)
            for result in inside.get("results") or ():
                _default_result(result)


def _default_param(param: dict[str, Any]) -> None:
    if not param.get("type"):
        default = param.get("default")
        is_object = param.get("properties") is not None or isinstance(default, dict)
        by_default = "array" if isinstance(default, list) else "string"
        param["type"] = "object" if is_object else by_default
    _default_properties(param)


def _default_result(result: dict[str, Any]) -> None:
    if not result.get("type"):
        result["type"] = "object" if result.get("properties") is not None else "string"
    _default_properties(result)


def _default_properties(owner: dict[str, Any]) -> None:
    for member in (owner.get("properties") or {}).values():
        if not member.get("type"):
            member["type"] = "string"

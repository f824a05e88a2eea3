"""Pushing Tekton bundles to a registry that speaks plain HTTP."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.stack import errors
from workflowexecution.bundles import errors as bundle_errors
from workflowexecution.bundles import image, registry
from workflowexecution.bundles.reference import Reference


def push_bundle(
    registry_host: str, repository: str, tag: str, objects: Sequence[Mapping[str, Any]]
) -> str:
    """Push objects as one bundle; the same objects always make the same digest.

    Args:
        registry_host: Host and port, as in an image reference.

    Returns:
        The digest of the manifest, like `sha256:...`.

    Raises:
        StackError: The registry cannot be reached or refused a part, or the objects make no bundle.
    """
    where = Reference(registry_host, repository, tag)
    try:
        packed = image.build(objects)
        registry.Registry(where, registry.Access(plain_http=True)).push(packed)
    except bundle_errors.BundleError as error:
        raise errors.StackError(str(error)) from error
    return packed.digest

"""Signatures of Pipelines, as `workflowexecution bundle push --sign-key` makes them."""

from workflowexecution.bundles.signing import (
    ANNOTATION,
    API_VERSION,
    PrivateKey,
    checksum,
    generate_key,
    public_pem,
    sign,
)

__all__ = [
    "ANNOTATION",
    "API_VERSION",
    "PrivateKey",
    "checksum",
    "generate_key",
    "public_pem",
    "sign",
]

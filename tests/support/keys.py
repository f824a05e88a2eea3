"""Keys that Pipelines are signed with, of the kind that cosign and Tekton's own tools make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from workflowexecution.bundles import signing


def generate() -> ec.EllipticCurvePrivateKey:
    """Make one."""
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: signing.PrivateKey) -> str:
    """The key as `--sign-key` reads it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def public_pem(key: signing.PrivateKey) -> str:
    """Its public side as a VerificationPolicy wants it."""
    return (
        key
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )

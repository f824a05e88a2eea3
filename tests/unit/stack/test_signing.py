"""The checksums of `tests/unit/bundles` are of the versions of Tekton that the stack runs."""

from __future__ import annotations

from tests.stack import binaries
from tests.unit.bundles import test_signing


def test_checksums_are_of_the_versions_of_the_stack() -> None:
    versions = [binaries.module_version(module) for module in binaries.TEKTONS]
    assert versions == [test_signing.LTS, test_signing.NEWEST]

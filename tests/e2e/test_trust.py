"""What an execution says of its bundle's signature, and of a success that is to be doubted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.stack import binaries
from tests.support import executions, keys, place, workflows
from workflowexecution.bundles import signing

if TYPE_CHECKING:
    from tests.support.kubectl import JsonObject

pytestmark = pytest.mark.usefixtures("controller")

FINE = {"name": "work", "taskSpec": {"steps": [{"script": "echo done"}]}}
EATS = {
    "name": "proxy",
    "script": "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo done",
    "computeResources": {"limits": {"memory": "24Mi"}},
}
OOM = {"name": "work", "taskSpec": {"sidecars": [EATS], "steps": [{"script": "sleep 8"}]}}
VERSION = binaries.module_version(binaries.TEKTON)


@pytest.fixture(scope="module")
def key(where: place.Place) -> signing.PrivateKey:
    """The key that a policy wants for bundles of this module."""
    if "WFE_TEST_KUBECONFIG" in os.environ:
        pytest.skip("a signature is for one version of Tekton, and that of a cluster is not known")
    made = keys.generate()
    authority = {"data": keys.public_pem(made), "hashAlgorithm": "sha256"}
    where.kubectl.apply({
        "apiVersion": "tekton.dev/v1alpha1",
        "kind": "VerificationPolicy",
        "metadata": {"name": "trust", "namespace": place.NAMESPACE},
        "spec": {
            "resources": [{"pattern": ".*/workflows/trust-.*"}],
            "authorities": [{"name": "key", "key": authority}],
        },
    })
    return made


def ended(where: place.Place, name: str, phase: str, made: JsonObject) -> Any:  # noqa: ANN401 - raw status
    bundle = workflows.push_pipeline(where, name, made)
    where.kubectl.apply(workflows.execution(name, bundle))
    where.kubectl.wait(f"wfe/{name}", place.TEAM, ".status.phase", phase)
    return where.kubectl.get("wfe", name, place.TEAM)["status"]


def said(status: JsonObject, kind: str) -> tuple[str, str] | None:
    found = executions.condition_in(status, kind)
    return (found["status"], found["reason"]) if found else None


def test_bundle_that_is_signed_as_the_policy_wants_runs_and_is_told_to_be_verified(
    where: place.Place, key: signing.PrivateKey
) -> None:
    made = signing.sign(workflows.pipeline(where, FINE), key, tekton=VERSION)
    status = ended(where, "trust-signed", "Completed", made)
    assert said(status, "TrustedResourcesVerified") == ("True", "SignatureVerified")
    assert said(status, "ResultConsistent") is None


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    ("name", "signed", "wrong"),
    [
        pytest.param("trust-none", False, "the pipeline has none", id="unsigned"),
        pytest.param("trust-other", True, "made with another key", id="other-key"),
    ],
)
def test_bundle_that_the_policy_refuses_is_told_with_what_is_wrong(
    where: place.Place, name: str, signed: bool, wrong: str
) -> None:
    made = workflows.pipeline(where, FINE)
    if signed:
        made = signing.sign(made, keys.generate(), tekton=VERSION)
    status = ended(where, name, "Failed", made)
    assert said(status, "TrustedResourcesVerified") == ("False", "SignatureNotVerified")
    details = status["failureDetails"]
    assert (details["reason"], details["wasExecutionFailure"]) == ("ConfigurationError", False)
    assert wrong in details["naturalLanguageSummary"]


def test_success_with_a_sidecar_that_ran_out_of_memory_is_in_doubt(where: place.Place) -> None:
    status = ended(where, "doubtful", "Completed", workflows.pipeline(where, OOM))
    assert status["outcome"] == "Success"
    assert said(status, "ResultConsistent") == ("False", "Disrupted")
    assert said(status, "TrustedResourcesVerified") is None

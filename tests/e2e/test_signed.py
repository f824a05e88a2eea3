"""Signed bundles: what a policy of Tekton lets through, and what an execution says of the rest."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.stack import binaries
from tests.support import executions, installation, keys, place, workflows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.kubectl import JsonObject
    from workflowexecution.bundles import signing

pytestmark = pytest.mark.usefixtures("controller")

POLICY = "require-signed-bundles"
TEKTON = binaries.module_version(binaries.TEKTON)


def policy(pattern: str, key: signing.PrivateKey) -> JsonObject:
    """The policy of the overlay, for another registry and another key."""
    made = yaml.safe_load(
        (installation.MANIFESTS / "overlays/signed-bundles/policy.yaml").read_text("utf-8")
    )
    made["spec"]["resources"] = [{"pattern": pattern}]
    made["spec"]["authorities"] = [{"name": "key", "key": {"data": keys.public_pem(key)}}]
    assert isinstance(made, dict)
    return made


@pytest.fixture(scope="module")
def key() -> signing.PrivateKey:
    return keys.generate()


@pytest.fixture
def enforced(where: place.Place, key: signing.PrivateKey) -> Iterator[None]:
    """Bundles below signed/ have to be signed by the key."""
    where.kubectl.apply(policy(f"^{re.escape(where.registry)}/signed/.*$", key))
    yield
    where.kubectl("delete", f"verificationpolicy/{POLICY}", "-n", place.NAMESPACE)


def push(where: place.Place, folder: Path, name: str, key: signing.PrivateKey | None) -> str:
    """Push a workflow that does nothing, with `bundle push`; returns its reference."""
    step = {"name": "run", "image": where.step_image, "imagePullPolicy": where.pull_policy}
    step |= {"script": "#!/bin/sh\nset -e\ntrue\n"}
    spec = {"tasks": [{"name": "work", "taskSpec": {"steps": [step]}}]}
    pipeline = folder / "pipeline.yaml"
    pipeline.write_text(
        yaml.safe_dump({
            "apiVersion": "tekton.dev/v1",
            "kind": "Pipeline",
            "metadata": {"name": "workflow"},
            "spec": workflows.complete(where, spec),
        })
    )
    reference = f"{where.registry}/signed/{name}:v1"
    command = [sys.executable, "-m", "workflowexecution", "bundle", "push", reference]
    command += ["--file", str(pipeline)]
    if key is not None:
        (folder / "key.pem").write_text(keys.private_pem(key))
        command += ["--sign-key", str(folder / "key.pem"), "--tekton", TEKTON]
    subprocess.run(command, check=True, timeout=60)
    return reference


def ended(where: place.Place, name: str, reference: str) -> Any:  # noqa: ANN401 - raw status
    where.kubectl.apply(workflows.execution(name, reference))
    where.kubectl(
        "wait", f"wfe/{name}", "-n", place.TEAM, "--for=jsonpath={.status.completionTime}",
        "--timeout=120s",
    )  # fmt: skip
    return where.kubectl.get("wfe", name, place.TEAM)["status"]


def refused(status: Any) -> str:  # noqa: ANN401 - raw status
    """What a refused one says; nothing of it ran, and another attempt is safe."""
    details = status["failureDetails"]
    assert (status["phase"], details["reason"]) == ("Failed", "ConfigurationError")
    assert details["wasExecutionFailure"] is False
    assert "taskRuns" not in status
    message: str = details["message"]
    return message


@pytest.mark.requirement(
    "WE-SIGNED", "To require signed OCI bundles, deploy a Tekton VerificationPolicy"
)
@pytest.mark.usefixtures("enforced")
def test_signed_bundle_runs(where: place.Place, tmp_path: Path, key: signing.PrivateKey) -> None:
    status = ended(where, "signed", push(where, tmp_path, "signed", key))
    assert status["phase"] == "Completed", status
    run = where.kubectl.get("pipelinerun", status["pipelineRunRef"]["name"], place.NAMESPACE)
    assert executions.answer(run, "TrustedResourcesVerified") == "True"


@pytest.mark.requirement(
    "WE-SIGNED", "To require signed OCI bundles, deploy a Tekton VerificationPolicy"
)
@pytest.mark.usefixtures("enforced")
def test_unsigned_bundle_is_refused(where: place.Place, tmp_path: Path) -> None:
    said = refused(ended(where, "unsigned", push(where, tmp_path, "unsigned", None)))
    assert "resource verification failed" in said


@pytest.mark.usefixtures("enforced")
def test_bundle_signed_by_another_key_is_refused(where: place.Place, tmp_path: Path) -> None:
    reference = push(where, tmp_path, "other-key", keys.generate())
    assert "resource verification failed" in refused(ended(where, "other-key", reference))


@pytest.mark.parametrize(
    ("name", "namespace", "pattern"),
    [
        ("file-name", place.NAMESPACE, "{}/signed/*"),
        ("no-end", place.NAMESPACE, "^{}/signed/"),
        ("elsewhere", installation.SYSTEM, "^{}/signed/.*$"),
    ],
)
def test_policy_guards_nothing_elsewhere_than_the_runs_or_for_a_part_of_the_repository(
    where: place.Place,
    tmp_path: Path,
    key: signing.PrivateKey,
    name: str,
    namespace: str,
    pattern: str,
) -> None:
    made = policy(pattern.format(re.escape(where.registry)), key)
    made["metadata"]["namespace"] = namespace
    where.kubectl.apply(made)
    try:
        reference = push(where, tmp_path, name, None)
        assert ended(where, name, reference)["phase"] == "Completed"
    finally:
        where.kubectl("delete", f"verificationpolicy/{POLICY}", "-n", namespace)


def test_pattern_of_the_overlay_matches_whole_repositories() -> None:
    made = yaml.safe_load(
        (installation.MANIFESTS / "overlays/signed-bundles/policy.yaml").read_text("utf-8")
    )
    (resource,) = made["spec"]["resources"]
    # Tekton puts both ends to a pattern that lacks one, so it has to fit the whole repository.
    assert re.fullmatch(resource["pattern"], "ghcr.io/kubernaut/workflows/restart-deployment")
    assert not re.fullmatch(resource["pattern"], "evil.example/ghcr.io/kubernaut/workflows/x")
    assert not re.fullmatch(resource["pattern"], "ghcrXio/kubernaut/workflows/x")

"""The workflow of docs/workflow-authoring.md does what it says, under the rights that it gives."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.stack import bundles, images
from tests.support import place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kubectl import JsonObject

pytestmark = pytest.mark.usefixtures("controller")

GUIDE = Path(__file__).parents[2] / "docs" / "workflow-authoring.md"
IMAGE = os.environ.get("WFE_TEST_KUBECTL_IMAGE", images.KUBECTL)


def of_kind(kind: str) -> JsonObject:
    """The document of that kind in the guide."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    found = (document for block in blocks for document in yaml.safe_load_all(block))
    (wanted,) = (document for document in found if document["kind"] == kind)
    assert isinstance(wanted, dict)
    return wanted


@pytest.fixture
def target(where: place.Place) -> Iterator[str]:
    """The deployment that the guide scales, and the guide's rights; its name."""
    kind, name = "deployment", "payment-api"
    where.kubectl("create", kind, name, "-n", place.TEAM, f"--image={where.step_image}")
    rights = of_kind("ClusterRole"), of_kind("ClusterRoleBinding")
    where.kubectl.apply(*rights)
    yield f"{kind}/{name}"
    where.kubectl("delete", kind, name, "-n", place.TEAM)
    for made in rights:
        where.kubectl("delete", made["kind"], made["metadata"]["name"])


@pytest.mark.requirement("WE-NAMESPACE", "Single ServiceAccount with cluster-wide permissions")
@pytest.mark.requirement("WE-NAMESPACE", "ClusterRole with cross-namespace remediation permissions")
def test_workflow_of_the_guide_scales_its_target(where: place.Place, target: str) -> None:
    pipeline = of_kind("Pipeline")
    step = pipeline["spec"]["tasks"][0]["taskSpec"]["steps"][0]
    step.update(image=IMAGE, imagePullPolicy=where.pull_policy)
    execution = of_kind("WorkflowExecution")
    digest = bundles.push_bundle(where.registry, "workflows/scale", "1.0.0", [pipeline])
    execution["spec"]["workflowRef"].update(
        containerImage=f"{where.registry}/workflows/scale:1.0.0", containerDigest=digest
    )
    where.kubectl.apply(execution)
    name = f"wfe/{execution['metadata']['name']}"
    where.kubectl.wait(name, place.TEAM, ".status.phase", "Completed")
    where.kubectl.wait(target, place.TEAM, ".spec.replicas", "5")

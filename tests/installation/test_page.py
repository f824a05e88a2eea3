"""From nothing to a finished WorkflowExecution, and back to nothing, by the pages word for word."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.stack import binaries, imagebuild, images
from tests.stack.cluster import Parts, Stack
from tests.support import pages, reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        "WFE_TEST_KUBECONFIG" in os.environ, reason="the page raises a cluster of its own"
    ),
]

INSTALLATION, UNINSTALLING = "docs/installation.md", "docs/uninstall.md"
UPGRADING = "docs/upgrade.md"
IMAGE = "registry.example/kubernaut/workflowexecution-controller"


def do(somebody: reader.Reader, command: str) -> str:
    """What no page says."""
    (block,) = pages.blocks(f"```sh\n{command}\n```\n", "nowhere")
    return somebody.follow(block)


def test_stranger_gets_from_nothing_to_a_finished_execution(tmp_path: Path) -> None:
    *steps, last = pages.read(INSTALLATION).of("installation")
    assert "tests.stack down" in last.text
    with reader.reading(tmp_path, environment={}, words={}) as somebody:
        try:
            seen = "".join(somebody.follow(block) for block in steps)
            assert re.search(r"^restart-deployment +Completed ", seen, re.MULTILINE)
            assert 'deployment "workflowexecution-controller" successfully rolled out' in seen
            *removing, emptying = pages.read(UNINSTALLING).of("installation")
            assert "kubectl delete namespace" in emptying.text
            do(somebody, "kubectl create configmap of-somebody-else -n kubernaut-system")
            gone = "".join(somebody.follow(it) for it in removing)
            assert "1 freed, 0 failed" in gone
            do(somebody, "kubectl get configmap of-somebody-else -n kubernaut-system")
            somebody.follow(emptying)
        finally:
            somebody.follow(last)


@contextlib.contextmanager
def bare(folder: Path) -> Iterator[reader.Reader]:
    """A reader before a cluster that has Tekton and the image, and nothing else."""
    with Stack(name="bare", parts=Parts.FULL) as stack:
        stack.import_archive(imagebuild.build("v0.1.0", version="0.1.0").archive)
        programs = [stack.program("kubectl"), binaries.ensure(["helm"])["helm"]]
        path = os.pathsep.join([*(str(it.parent) for it in programs), os.environ["PATH"]])
        words = {
            IMAGE: imagebuild.NAME,
            "registry.example/tools/workflow-tools:1.0.0": images.KUBECTL,
            "registry.k8s.io/pause:3.10": images.PAUSE,
            r"registry\.example": re.escape(stack.registry),
            "registry.example": stack.registry,
        }
        environment = {"KUBECONFIG": str(stack.kubeconfig), "PATH": path}
        with reader.reading(folder, environment=environment, words=words) as somebody:
            yield somebody


def follow(somebody: reader.Reader, page: str, kind: str) -> str:
    """Every block of a kind, with the files that a reader keeps."""
    blocks = [it for it in pages.read(page).blocks if it.kind == kind or it.file]
    return "".join(somebody.follow(it) for it in blocks)


def test_owner_of_a_cluster_gets_to_a_finished_execution_and_a_newer_version(
    tmp_path: Path,
) -> None:
    with bare(tmp_path) as somebody:
        seen = follow(somebody, INSTALLATION, "bare")
        assert re.search(r"^restart-deployment +Completed ", seen, re.MULTILINE)
        assert "successfully rolled out" in follow(somebody, UPGRADING, "bare")


def test_owner_of_a_cluster_installs_with_helm_and_takes_it_away(tmp_path: Path) -> None:
    with bare(tmp_path) as somebody:
        assert "successfully rolled out" in follow(somebody, INSTALLATION, "helm")
        steps = [it for it in pages.read(INSTALLATION).of("bare") if "payment" in it.text]
        seen = "".join(somebody.follow(it) for it in steps)
        assert re.search(r"^restart-deployment +Completed ", seen, re.MULTILINE)
        follow(somebody, UPGRADING, "helm")
        text = (pages.ROOT / UNINSTALLING).read_text("utf-8")
        assert "`helm uninstall workflowexecution -n kubernaut-system`" in text
        do(somebody, "helm uninstall workflowexecution -n kubernaut-system --wait")
        do(somebody, "kubectl get pipelineruns -n kubernaut-workflows -o name | grep .")

"""What pages have people write in overlays of their own, as kustomize reads it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.stack import binaries
from tests.support import installation, pages
from tests.unit import test_installation as manifests

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.pages import Block


def rendered(folder: Path) -> list[dict[str, Any]]:
    program = str(binaries.ensure(["kubectl"])["kubectl"])
    done = subprocess.run(
        [program, "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def overlays() -> list[Block]:
    return [it for page in pages.pages() for it in page.of("part") if "overlay" in it.mark]


class Cluster:
    """A folder beside the manifests, with the files that a page has people write."""

    def __init__(self, block: Block, folder: Path) -> None:
        shutil.copytree(installation.MANIFESTS, folder / "manifests")
        self.folder = folder / "cluster"
        self.folder.mkdir()
        for it in pages.read(block.page).blocks:
            if it.file:
                (folder / it.file).write_text(it.text, "utf-8")
        (self.said,) = block.documents()
        # A block without a base goes with the one that its page has spoken of.
        base = "monitoring" if "ServiceMonitor" in block.text else "default"
        self.said.setdefault("resources", [f"../manifests/{base}"])

    def made_of(self, *keys: str) -> list[dict[str, Any]]:
        """What kustomize makes of these fields of the block, or of all."""
        said = {key: it for key, it in self.said.items() if not keys or key in keys}
        (self.folder / "kustomization.yaml").write_text(yaml.safe_dump(said), "utf-8")
        return rendered(self.folder)


@pytest.mark.parametrize("block", overlays(), ids=lambda it: it.place)
def test_overlay_of_a_page_finds_what_it_changes(block: Block, tmp_path: Path) -> None:
    cluster = Cluster(block, tmp_path)
    assert cluster.made_of() != cluster.made_of("resources")


def test_service_monitor_asks_with_tls_when_it_is_told_to(tmp_path: Path) -> None:
    (block,) = (it for it in overlays() if "/spec/endpoints/0/scheme" in it.text)
    made = Cluster(block, tmp_path).made_of()
    (monitor,) = installation.of_kind(made, "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    assert (endpoint["scheme"], set(endpoint["tlsConfig"])) == ("https", {"serverName", "ca"})
    assert "authorization" in endpoint


def test_single_replica_is_replaced_by_one_that_begins_after_its_end(tmp_path: Path) -> None:
    """Beside `Recreate` the API server refuses what the base says of a rolling update."""
    (block,) = (it for it in overlays() if "Recreate" in it.text)
    made = Cluster(block, tmp_path).made_of()
    (deployment,) = installation.of_kind(made, "Deployment")
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert deployment["spec"]["replicas"] == 1


@pytest.mark.parametrize("folder", sorted({it for _, it in manifests.deletions()}))
def test_what_is_deleted_is_what_the_unit_tests_look_at(folder: str) -> None:
    """They read the kustomizations by themselves, since they have no kubectl."""
    found = {manifests.name(it) for it in rendered(pages.ROOT / folder)}
    assert found == {manifests.name(it) for it in manifests.objects(folder)}

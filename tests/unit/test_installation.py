"""What the documents have people apply and delete, held against the manifests they name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support import installation, pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = pages.ROOT
PAGES = [ROOT / page.name for page in pages.pages()]
TEKTON = r"https://(\S+)/tekton-releases/pipeline/previous/"
_DELETED = re.compile(r"kubectl delete -k ([\w/.-]+)")


def objects(folder: str) -> Iterator[dict[str, Any]]:
    """What a kustomization of the manifests has, those that it takes in included."""
    path = (ROOT / folder).resolve()
    made = yaml.safe_load((path / "kustomization.yaml").read_text("utf-8"))
    for resource in made["resources"]:
        if (path / resource).is_dir():
            yield from objects(str(path / resource))
        else:
            yield from yaml.safe_load_all((path / resource).read_text("utf-8"))


def test_release_of_tekton_comes_from_where_its_project_keeps_them() -> None:
    named = {
        path.name: re.findall(TEKTON, path.read_text("utf-8"))
        for path in (*PAGES, ROOT / "hack" / "kind.sh")
    }
    found = {name: hosts for name, hosts in named.items() if hosts}
    assert found == {"installation.md": ["infra.tekton.dev"], "kind.sh": ["infra.tekton.dev"]}


def deletions() -> list[tuple[str, str]]:
    found = [(it, folder) for it in PAGES for folder in _DELETED.findall(it.read_text("utf-8"))]
    return [(path.name, folder) for path, folder in found]


@pytest.mark.parametrize(("page", "folder"), deletions())
def test_nobody_is_told_to_delete_a_namespace_by_the_way(page: str, folder: str) -> None:
    assert page == "uninstall.md"
    assert [it for it in objects(folder) if it["kind"] == "Namespace"] == []


def test_uninstalling_removes_all_but_the_namespaces() -> None:
    deleted = {name(it) for _, folder in deletions() for it in objects(folder)}
    kept = {name(it) for it in objects("manifests/default")} - deleted
    assert kept == {f"Namespace/{it}" for it in (installation.SYSTEM, installation.WORKFLOWS)}
    text = (ROOT / "docs" / "uninstall.md").read_text("utf-8")
    assert f"kubectl delete namespace {installation.WORKFLOWS}" in text
    assert f"kubectl delete namespace {installation.SYSTEM}" in text


@pytest.mark.parametrize("path", PAGES, ids=lambda it: it.name)
def test_nobody_is_told_to_apply_roles_past_an_overlay(path: Path) -> None:
    """It may have taken rights from the runner, which they would give back."""
    text = path.read_text("utf-8")
    assert re.findall(r"apply -k [^\n]*manifests/rbac", text) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda it: it.name)
def test_nobody_is_told_to_install_a_package_that_no_index_has(path: Path) -> None:
    assert re.findall(r"pip install '?workflowexecution", path.read_text("utf-8")) == []


@pytest.mark.parametrize("page", ["installation.md", "upgrade.md", "uninstall.md"])
def test_page_speaks_of_what_is_applied_beside_the_rest(page: str) -> None:
    assert "manifests/flowcontrol" in (ROOT / "docs" / page).read_text("utf-8")


def name(made: dict[str, Any]) -> str:
    return f"{made['kind']}/{made['metadata']['name']}"

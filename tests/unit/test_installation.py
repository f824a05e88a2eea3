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
_DELETED = re.compile(r"kubectl\s+delete\s+(?:-k|--kustomize)[\s=]+([\w/.-]+)")
_APPLIED = re.compile(r"kubectl\s+apply\s+(?:-k|--kustomize)[\s=]+(manifests/[\w/.-]+)")
# What takes all of its kind along when it goes.
TAKE_ALONG = {"Namespace", "CustomResourceDefinition"}
# The step of uninstalling that means it.
MEANT = ("manifests/crd", "5. Only then delete the CRD")


def objects(folder: str) -> Iterator[dict[str, Any]]:
    """What a kustomization of the manifests has, those that it takes in included."""
    path = (ROOT / folder).resolve()
    made = yaml.safe_load((path / "kustomization.yaml").read_text("utf-8"))
    for resource in (*made.get("resources", ()), *made.get("components", ())):
        if (path / resource).is_dir():
            yield from objects(str(path / resource))
        else:
            yield from yaml.safe_load_all((path / resource).read_text("utf-8"))
    for it in made.get("configMapGenerator", ()):
        yield {"kind": "ConfigMap", "metadata": {"name": it["name"]}}


def test_release_of_tekton_comes_from_where_its_project_keeps_them() -> None:
    named = {
        path.name: re.findall(TEKTON, path.read_text("utf-8"))
        for path in (*PAGES, ROOT / "hack" / "kind.sh")
    }
    found = {name: hosts for name, hosts in named.items() if hosts}
    assert found == {"installation.md": ["infra.tekton.dev"], "kind.sh": ["infra.tekton.dev"]}


def told(command: re.Pattern[str]) -> list[tuple[str, str]]:
    """The folders that a command of a page is about, with the name of the page."""
    found = [(it, folder) for it in PAGES for folder in command.findall(it.read_text("utf-8"))]
    return sorted({(path.name, folder) for path, folder in found})


def deletions() -> list[tuple[str, str]]:
    return told(_DELETED)


def beside() -> list[str]:
    """The folders that pages have people apply, and that have nothing of the installation."""
    whole = {name(it) for it in objects("manifests/default")}
    named = {folder for _, folder in told(_APPLIED)}
    return sorted(it for it in named if not whole & {name(made) for made in objects(it)})


@pytest.mark.parametrize(("page", "folder"), deletions())
def test_nobody_is_told_to_delete_a_namespace_by_the_way(page: str, folder: str) -> None:
    assert page == "uninstall.md"
    found = {it["kind"] for it in objects(folder)} & TAKE_ALONG
    assert found == ({"CustomResourceDefinition"} if folder == MEANT[0] else set())


def test_definition_goes_in_the_step_that_means_it() -> None:
    text = (ROOT / "docs" / "uninstall.md").read_text("utf-8")
    step = next(it for it in re.split(r"^(?=\d\. )", text, flags=re.MULTILINE) if MEANT[0] in it)
    assert step.startswith(MEANT[1])


def test_what_is_applied_is_the_installation_or_apart_from_it() -> None:
    """Whoever applies more of it by the way has its defaults in place of the own settings."""
    made = yaml.safe_load((ROOT / "manifests/default/kustomization.yaml").read_text("utf-8"))
    whole = {"manifests/default", *(f"manifests/{it[3:]}" for it in made["resources"])}
    assert {folder for _, folder in told(_APPLIED)} - whole == set(beside())
    assert beside() == ["manifests/flowcontrol", "manifests/monitoring"]


def test_what_is_applied_beside_the_rest_is_taken_off_by_itself() -> None:
    assert set(beside()) <= {folder for _, folder in deletions()}


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
    text = (ROOT / "docs" / page).read_text("utf-8")
    assert [it for it in beside() if it not in text] == []


def name(made: dict[str, Any]) -> str:
    return f"{made['kind']}/{made['metadata']['name']}"

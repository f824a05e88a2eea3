"""The examples as files: right by every rule, complete, listed; `tests/e2e` runs them."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support import examples, linterpage, pages
from workflowexecution.api.workflowexecution import WorkflowExecution
from workflowexecution.bundles import documents, lint

if TYPE_CHECKING:
    from pathlib import Path

TOOLS = f"registry.example/tools:1.0.0@sha256:{'0' * 64}"
PAGES = ("README.md", "execution.yaml", "pipeline.yaml")


def test_page_of_the_linter_is_current() -> None:
    assert linterpage.PAGE.read_text("utf-8") == linterpage.text(), "run `make docs`"


def test_examples_are_all_listed() -> None:
    listed = (examples.FOLDER / "README.md").read_text("utf-8")
    assert len(examples.names()) == 10
    assert [it for it in examples.names() if f"[{it}]({it}/README.md)" not in listed] == []


@pytest.mark.parametrize("name", examples.names())
def test_example_is_complete(name: str) -> None:
    files = {path.name for path in (examples.FOLDER / name).iterdir()} - {"account.yaml"}
    assert files == set(PAGES)


@pytest.mark.parametrize("name", examples.names())
def test_example_breaks_no_rule(name: str) -> None:
    path = examples.FOLDER / name / "pipeline.yaml"
    text = path.read_text("utf-8").replace(f"image: {examples.TOOLS}\n", f"image: {TOOLS}\n")
    assert lint.check(list(documents.parse(text, path.name))) == []


@pytest.mark.parametrize("name", examples.names())
def test_execution_asks_for_its_example(name: str) -> None:
    (raw,) = examples.documents(name, "execution.yaml")
    made = WorkflowExecution.model_validate(raw)
    assert made.spec.workflow_ref.workflow_id == name
    (pipeline,) = examples.documents(name, "pipeline.yaml")
    declared = {it["name"]: "default" in it for it in pipeline["spec"]["params"]}
    given = set(raw["spec"].get("parameters", {})) | {"TARGET_RESOURCE"}
    assert given <= set(declared)
    assert {it for it, has_default in declared.items() if not has_default} <= given


@pytest.mark.parametrize("name", examples.names())
def test_example_with_an_account_names_it_everywhere(name: str) -> None:
    (raw,) = examples.documents(name, "execution.yaml")
    named = raw["spec"]["executionConfig"].get("serviceAccountName")
    made = examples.documents(name, "account.yaml")
    assert bool(named) == bool(made)
    assert {it["metadata"]["name"] for it in made} <= {f"workflow-{name}"}
    page = (examples.FOLDER / name / "README.md").read_text("utf-8")
    assert (f"`{named}`" in page) == bool(named)


@pytest.mark.parametrize("name", examples.names())
def test_scripts_of_an_example_are_shell(name: str) -> None:
    shell = shutil.which("sh")
    assert shell is not None
    (pipeline,) = examples.documents(name, "pipeline.yaml")
    for task in pipeline["spec"]["tasks"]:
        for step in task["taskSpec"]["steps"]:
            done = subprocess.run(
                [shell, "-n"], input=step["script"], text=True, capture_output=True, check=False
            )
            assert (done.returncode, done.stderr) == (0, ""), yaml.safe_dump(step)


def scaled(script: str, replicas: str, folder: Path) -> tuple[int, str]:
    """Exit code of the script, and what kubectl was asked for."""
    asked = folder / "asked"
    asked.write_text("")
    program = folder / "kubectl"
    program.write_text(f'#!/bin/sh\necho "$@" > {asked}\n')
    program.chmod(0o755)
    environment = {
        "PATH": f"{folder}:/usr/bin:/bin", "TARGET": "payment/deployment/payment-api",
        "REPLICAS": replicas,
    }  # fmt: skip
    done = subprocess.run(
        ["sh"], input=script, env=environment, text=True, capture_output=True, check=False
    )
    return done.returncode, asked.read_text()


def scripts_that_scale() -> list[str]:
    """Of the page that people begin with, and of the example."""
    (block,) = (
        it for it in pages.read("docs/workflow-authoring.md").of("object") if "pipeline" in it.mark
    )
    both = [*block.documents(), *examples.documents("scale-deployment", "pipeline.yaml")]
    return [it["spec"]["tasks"][0]["taskSpec"]["steps"][0]["script"] for it in both]


@pytest.mark.parametrize("script", scripts_that_scale(), ids=["page", "example"])
def test_value_of_a_parameter_does_not_become_a_patch_of_its_own(
    script: str, tmp_path: Path
) -> None:
    code, asked = scaled(script, "3", tmp_path)
    assert (code, '"replicas": 3' in asked.replace('":3', '": 3')) == (0, True)
    for wrong in ('1}, "paused": true, "x": {', "-1", "51", "", "1 2"):
        assert scaled(script, wrong, tmp_path) == (64, "")

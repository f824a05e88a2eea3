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
    for task in (*pipeline["spec"]["tasks"], *pipeline["spec"].get("finally", ())):
        for step in task["taskSpec"]["steps"]:
            done = subprocess.run(
                [shell, "-n"], input=step["script"], text=True, capture_output=True, check=False
            )
            assert (done.returncode, done.stderr) == (0, ""), yaml.safe_dump(step)


def ran(script: str, folder: Path, *, job: str = "", **variables: str) -> tuple[int, str]:
    """Exit code of the script, and what kubectl was asked for.

    Args:
        script: of a step.
        folder: where the kubectl is that it finds, and a sleep that takes no time.
        job: what kubectl answers about a job; about pods it answers that there are none.
        variables: of the script's environment.
    """
    asked = folder / "asked"
    asked.write_text("")
    answers = f"case \"$*\" in *'get job'*) echo '{job}' ;; esac"
    says = f"printf '%s\\n' \"$*\" >> {asked}"
    for name, does in (("kubectl", f"{says}\n{answers}"), ("sleep", "")):
        program = folder / name
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
    environment = {"PATH": f"{folder}:/usr/bin:/bin", **variables}
    done = subprocess.run(
        ["sh"],
        input=script,
        env=environment,
        text=True,
        capture_output=True,
        timeout=5,
        check=False,
    )
    return done.returncode, asked.read_text()


def script_of(name: str, task: str = "") -> str:
    """The first step of a task of an example; of its first task, unless one is named."""
    (pipeline,) = examples.documents(name, "pipeline.yaml")
    tasks = [*pipeline["spec"]["tasks"], *pipeline["spec"].get("finally", ())]
    found = next(it for it in tasks if task in ("", it["name"]))
    return str(found["taskSpec"]["steps"][0]["script"])


@pytest.mark.parametrize("name", examples.names())
def test_example_refuses_a_target_that_is_none_of_its_own(name: str, tmp_path: Path) -> None:
    """A kind and a name are what is in no namespace, which `payment/deployment` must not be."""
    (raw,) = examples.documents(name, "execution.yaml")
    *namespace, kind, target = raw["spec"]["targetResource"].split("/")
    others = [f"payment/{kind}", f"{kind}/{target}", f"payment/other/{target}"]
    if not namespace:
        others = [f"{kind}/payment/{target}", f"payment/{kind}/{target}", f"other/{target}"]
    for other in others:
        assert ran(script_of(name), tmp_path, TARGET=other) == (64, ""), other


JOB = {"TARGET": "payment/Job/settle-accounts"}
OURS = "kubernaut.ai/suspended-by"


def test_restart_of_a_job_ends_with_the_job_as_it_was(tmp_path: Path) -> None:
    code, asked = ran(script_of("restart-job"), tmp_path, job="false==", **JOB)
    _, first, pods, second = asked.splitlines()
    assert (code, "get pods" in pods) == (0, True)
    assert f'{{"{OURS}":"restart-job"}}}},"spec":{{"suspend":true}}' in first
    assert f'{{"{OURS}":null}}}},"spec":{{"suspend":false}}' in second


@pytest.mark.parametrize("job", ["true==Suspended", "false==Complete", "true=restart-job=Failed"])
def test_restart_leaves_a_job_alone_that_does_not_hang(tmp_path: Path, job: str) -> None:
    code, asked = ran(script_of("restart-job"), tmp_path, job=job, **JOB)
    assert (code, len(asked.splitlines())) == (65, 1)


def test_restart_takes_up_a_job_that_it_has_left_suspended(tmp_path: Path) -> None:
    job = "true=restart-job=Suspended"
    code, asked = ran(script_of("restart-job"), tmp_path, job=job, **JOB)
    assert (code, "patch job" in asked) == (0, True)


@pytest.mark.parametrize(("job", "resumed"), [("restart-job", True), ("", False)])
def test_job_is_resumed_in_the_end_where_this_workflow_has_suspended_it(
    tmp_path: Path, job: str, resumed: bool
) -> None:
    """Whatever became of the restart: pods that do not end, a timeout, a cancellation."""
    code, asked = ran(script_of("restart-job", "resume"), tmp_path, job=job, **JOB)
    assert (code, '"suspend":false' in asked) == (0, resumed)


def test_nothing_is_resumed_when_the_target_is_no_job(tmp_path: Path) -> None:
    script = script_of("restart-job", "resume")
    assert ran(script, tmp_path, TARGET="payment/deployment/settle-accounts") == (0, "")


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
    target = {"TARGET": "payment/deployment/payment-api"}
    code, asked = ran(script, tmp_path, REPLICAS="3", **target)
    assert (code, '"replicas": 3' in asked.replace('":3', '": 3')) == (0, True)
    for wrong in ('1}, "paused": true, "x": {', "-1", "51", "", "1 2"):
        assert ran(script, tmp_path, REPLICAS=wrong, **target) == (64, "")

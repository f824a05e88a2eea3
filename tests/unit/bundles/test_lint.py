"""Each rule finds its wrong example and nothing else, and nothing in the right one."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from workflowexecution.bundles import catalogue, checks, documents, lint, parts

if TYPE_CHECKING:
    from workflowexecution.bundles.catalogue import Rule

DIGEST = "0" * 64
STEP = {
    "name": "run",
    "image": f"registry.example/tools:1@sha256:{DIGEST}",
    "script": "#!/bin/sh\nset -eu\ntrue\n",
    "securityContext": {"runAsNonRoot": True},
    "computeResources": {"limits": {"memory": "64Mi"}},
}
PARAMS = [{"name": "TARGET_RESOURCE", "type": "string"}, {"name": "REPLICAS", "type": "string"}]


def task(step: Any = None) -> dict[str, Any]:  # noqa: ANN401 - raw YAML
    return {"name": "mend", "timeout": "5m", "taskSpec": {"steps": [step or STEP]}}


def pipeline(**spec: Any) -> dict[str, Any]:  # noqa: ANN401 - raw YAML
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "Pipeline",
        "metadata": {"name": "workflow"},
        "spec": {"params": PARAMS, "tasks": [task()], **spec},
    }


def whole(rule: Rule, example: str) -> str:
    """The example of a rule in a workflow that is right but for it."""
    known = {"$DIGEST": DIGEST, "$STEP": yaml.safe_dump(STEP, default_flow_style=True).strip()}
    known["$TASK"] = yaml.safe_dump(task(), default_flow_style=True).strip()
    known["$SPEC"] = yaml.safe_dump(pipeline()["spec"], default_flow_style=True).strip()
    for word, meaning in known.items():
        example = example.replace(word, meaning)
    match rule.part:
        case "step":
            made: Any = pipeline(tasks=[task({**STEP, **yaml.safe_load(example)})])
        case "task":
            made = pipeline(tasks=[yaml.safe_load(example)])
        case "spec":
            made = pipeline(**yaml.safe_load(example))
        case _:
            return example
    return yaml.safe_dump(made)


def found_in(text: str) -> list[lint.Finding]:
    return lint.check(list(documents.parse(text, "pipeline.yaml")))


@pytest.mark.parametrize("rule", catalogue.RULES, ids=lambda rule: rule.name)
def test_rule_finds_its_wrong_example_and_no_other_rule_does(rule: Rule) -> None:
    found = found_in(whole(rule, rule.wrong))
    assert {it.rule for it in found} == {rule.id}
    assert {it.severity for it in found} == {rule.severity.value}


@pytest.mark.parametrize("rule", catalogue.RULES, ids=lambda rule: rule.name)
def test_no_rule_finds_anything_in_a_right_example(rule: Rule) -> None:
    assert found_in(whole(rule, rule.right)) == []


def test_rules_are_told_apart() -> None:
    assert [it.id for it in catalogue.RULES] == [f"WB{n:03}" for n in range(1, 16)]
    assert len({it.name for it in catalogue.RULES}) == len(catalogue.RULES)
    assert all(re.fullmatch(r"[a-z-]+", it.name) for it in catalogue.RULES)


def ids_of(**spec: Any) -> list[str]:  # noqa: ANN401 - raw YAML
    return [it.rule for it in found_in(yaml.safe_dump(pipeline(**spec)))]


def ids_of_step(**fields: Any) -> list[str]:  # noqa: ANN401 - raw YAML
    return ids_of(tasks=[task({**STEP, **fields})])


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"script": "echo $(tasks.look.results.name)"}, id="result"),
        pytest.param({"script": 'echo $(params["REPLICAS"])'}, id="bracket"),
        pytest.param({"script": "", "command": ["sh", "-c", "echo $(params.REPLICAS)"]}, id="c"),
        pytest.param(
            {"script": "", "command": ["/bin/bash"], "args": ["-c", "echo $(params.REPLICAS)"]},
            id="args",
        ),
    ],
)
def test_parameter_in_script_is_found_in_whatever_a_shell_reads(fields: dict[str, Any]) -> None:
    assert ids_of_step(**fields) == ["WB001"]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"script": "echo $(workspaces.notes.path)"}, id="tekton's own"),
        pytest.param({"script": "echo $(date) $(cat params.txt)"}, id="shell"),
        pytest.param({"script": "", "command": ["scale", "$(params.REPLICAS)"]}, id="no shell"),
        pytest.param({"script": "", "command": ["sh", "-c", "echo $1", "$(params.REPLICAS)"]},
                     id="argument"),
        pytest.param({"script": "", "command": ["sh", "-c"]}, id="nothing to run"),
    ],
)  # fmt: skip
def test_parameter_in_script_is_not_found_where_no_shell_reads(fields: dict[str, Any]) -> None:
    assert ids_of_step(**fields) == []


@pytest.mark.parametrize(
    ("script", "found"),
    [
        pytest.param("#!/usr/bin/env bash\ntrue", ["WB014"], id="env"),
        pytest.param("#!/bin/bash -eu\ntrue", [], id="in the first line"),
        pytest.param("#!/bin/sh\nset -o errexit\ntrue", [], id="errexit"),
        pytest.param("#!/bin/sh\n\n \tset -u -o  errexit\r\ntrue", [], id="indented"),
        pytest.param("#!/bin/sh\nset\n-e\ntrue", ["WB014"], id="in another line"),
        pytest.param("#!/usr/bin/python3\nprint()", [], id="python"),
        pytest.param("true\nfalse", [], id="no interpreter"),
    ],
)
def test_script_goes_on_unless_it_is_told_to_stop(script: str, found: list[str]) -> None:
    assert ids_of_step(script=script) == found


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param("\n" * 2**15, id="empty lines"),
        pytest.param(f"set{' ' * 2**15}", id="a gap"),
        pytest.param("set a -o\n" * 2**15, id="lines"),
        pytest.param(f"set {'-o  ' * 2**15}", id="options"),
        pytest.param(f"set -{'w' * 2**15}", id="letters"),
    ],
)
def test_script_is_looked_through_in_proportion_to_its_length(odd: str) -> None:
    def found(script: str) -> list[object]:
        return list(
            checks.goes_on(parts.Step((0,), {"script": f"#!/bin/sh\n{script}"}, {}, "mend"))
        )

    begun = time.process_time()
    assert len(found(odd)) == 1
    assert found(f"{odd}\n  set -e") == []
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    ("context", "found"),
    [
        ({"runAsUser": 65532}, []),
        ({"runAsUser": 0}, ["WB009"]),
        ({"runAsNonRoot": False}, ["WB009"]),
        ({"runAsNonRoot": True, "allowPrivilegeEscalation": True}, ["WB009"]),
    ],
)
def test_root_is_found(context: dict[str, Any], found: list[str]) -> None:
    assert ids_of_step(securityContext=context) == found


def test_step_inherits_what_its_template_says() -> None:
    bare = {key: STEP[key] for key in ("name", "script")}
    inner = {
        "stepTemplate": {key: STEP[key] for key in STEP if key not in bare},
        "steps": [bare],
        "sidecars": [{**STEP, "name": "proxy", "image": "proxy"}],
    }
    assert ids_of(tasks=[{**task(), "taskSpec": inner}]) == ["WB003"]


def test_folder_of_the_node_is_found() -> None:
    made = task()
    made["taskSpec"]["volumes"] = [{"name": "root", "hostPath": {"path": "/"}}]
    assert ids_of(tasks=[made]) == ["WB009"]


@pytest.mark.parametrize(
    ("part", "found"),
    [
        pytest.param({"taskRef": {"resolver": "git"}}, ["WB010"], id="git"),
        pytest.param({}, ["WB010"], id="nothing"),
        pytest.param({"taskRef": {"resolver": "bundles", "params": [
            {"name": "bundle", "value": f"r.example/t@sha256:{DIGEST}"}]}}, [], id="pinned"),
        pytest.param({"taskRef": {"resolver": "bundles", "params": [
            {"name": "bundle", "value": "r.example/t:1"}]}}, ["WB010"], id="tag"),
    ],
)  # fmt: skip
def test_task_from_elsewhere_is_found(part: dict[str, Any], found: list[str]) -> None:
    assert ids_of(tasks=[{"name": "mend", "timeout": "1m", **part}]) == found


def test_step_from_elsewhere_is_found() -> None:
    assert ids_of(tasks=[task({"name": "run", "ref": {"name": "notify"}})]) == ["WB010"]


def test_finally_is_looked_at_too() -> None:
    assert ids_of(**{"finally": [{**task({**STEP, "image": "tools"})}]}) == ["WB003"]


def test_task_of_the_bundle_has_its_own_parameters() -> None:
    inner = {"params": [{"name": "POD"}], "steps": [{**STEP, "args": ["$(params.POD)"]}]}
    own = {"apiVersion": "tekton.dev/v1", "kind": "Task", "metadata": {"name": "t"}, "spec": inner}
    assert found_in(yaml.safe_dump_all([pipeline(), own])) == []


def test_parameter_with_a_list_as_default_is_no_string() -> None:
    assert ids_of(params=[*PARAMS, {"name": "PODS", "default": ["a"]}]) == ["WB006"]


def test_bundle_of_too_many_objects_is_found() -> None:
    found = found_in(yaml.safe_dump_all([pipeline()] * 21))
    assert [it.rule for it in found] == ["WB015"]


def test_nothing_is_wrong_with_nothing() -> None:
    assert lint.check([]) == []


def test_finding_names_file_line_and_field() -> None:
    text = yaml.safe_dump(pipeline(tasks=[task({**STEP, "image": "tools:latest"})]))
    (found,) = found_in(text)
    assert (found.file, found.path) == (
        "pipeline.yaml", "spec.tasks[0].taskSpec.steps[0].image",
    )  # fmt: skip
    assert text.splitlines()[found.line - 1].strip() == "image: tools:latest"
    assert found.as_dict()["message"] == "step run of task mend runs tools:latest"


# Whatever stands in a file, the linter says something about it or nothing; it never breaks down.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("$()params.X ", max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "image", "script", "command", "args", "params", "steps",
                             "securityContext", "runAsUser", "taskSpec", "taskRef", "value"]),
            inner, max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@given(spec=JSON, tasks=JSON, steps=JSON, step=JSON)
def test_linter_has_an_answer_to_whatever_is_in_a_file(
    spec: Any,  # noqa: ANN401 - any JSON
    tasks: Any,  # noqa: ANN401 - any JSON
    steps: Any,  # noqa: ANN401 - any JSON
    step: Any,  # noqa: ANN401 - any JSON
) -> None:
    several = [
        {**pipeline(), "spec": spec},
        pipeline(tasks=tasks),
        pipeline(tasks=[{"taskSpec": {"steps": steps}}]),
        pipeline(tasks=[task(step or {})]),
    ]
    assert found_in(yaml.safe_dump_all(several)) is not None

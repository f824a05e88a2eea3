"""The CRD's file is what the models say, and what an apiserver can take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support import apipage
from workflowexecution import crd
from workflowexecution.api import workflowexecution as api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Refused in a structural schema, or of no meaning there.
# Source: apiextensions.k8s.io/v1 JSONSchemaProps; KEP-1111 (structural schemas).
FORBIDDEN = {"$ref", "$defs", "title", "anyOf", "allOf", "exclusiveMinimum", "exclusiveMaximum"}


def schema() -> dict[str, Any]:
    """The schema of the only version."""
    made: dict[str, Any] = crd.build()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return made


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside a schema, with its place."""
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in node:
            yield from nodes(node[name], f"{path}[]")


def rules(name: str) -> list[str]:
    """The rules on spec that answer for one of its fields."""
    found = schema()["properties"]["spec"]["x-kubernetes-validations"]
    return [rule["rule"] for rule in found if rule["fieldPath"] == f".{name}"]


def test_file_is_current() -> None:
    assert crd.main(["--check"]) == 0


def test_check_fails_and_changes_nothing_when_the_file_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "crd.yaml"
    path.write_text("old")
    assert crd.main(["--check", "--path", str(path)]) == 1
    assert path.read_text() == "old"
    assert "run `make crd`" in capsys.readouterr().err


def test_check_fails_when_there_is_no_file(tmp_path: Path) -> None:
    assert crd.main(["--check", "--path", str(tmp_path / "crd.yaml")]) == 1


def test_command_writes_the_file_when_it_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "crd.yaml"
    assert crd.main(["--path", str(path)]) == 0
    assert yaml.safe_load(path.read_text()) == crd.build()


def test_schema_has_nothing_that_an_apiserver_refuses() -> None:
    for path, node in nodes(schema()):
        assert not FORBIDDEN & node.keys(), path
        assert node["type"] in {"object", "array", "string", "integer", "number", "boolean"}, path
        assert node.get("default", "") is not None, path


def test_schema_bounds_every_text_and_list() -> None:
    for path, node in nodes(schema()["properties"]["spec"]):
        if node["type"] == "string":
            assert "maxLength" in node or "enum" in node, path
        if node["type"] == "array":
            assert "maxItems" in node, path


def test_schema_requires_what_the_model_requires() -> None:
    spec = schema()["properties"]["spec"]
    assert spec["required"] == ["remediationRequestRef", "workflowRef", "targetResource"]
    assert spec["properties"]["remediationRequestRef"]["required"] == ["name"]
    workflow = spec["properties"]["workflowRef"]
    assert workflow["required"] == ["workflowId", "version", "containerImage"]
    assert workflow["properties"]["engine"] == {
        "type": "string", "enum": ["tekton"], "default": "tekton", "description": "What runs it.",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["remediationRequestRef", "workflowRef", "targetResource"])
def test_required_field_is_compared_when_the_spec_changes(name: str) -> None:
    assert rules(name) == [f"self.{name} == oldSelf.{name}"]


@pytest.mark.parametrize("name", ["parameters", "confidence", "rationale", "executionConfig"])
def test_optional_field_is_compared_also_when_one_side_lacks_it(name: str) -> None:
    assert rules(name) == [
        f"has(self.{name}) == has(oldSelf.{name}) && "
        f"(!has(self.{name}) || self.{name} == oldSelf.{name})"
    ]


def test_every_field_of_the_spec_has_exactly_one_rule() -> None:
    fields = [field.alias or name for name, field in api.Spec.model_fields.items()]
    assert [len(rules(name)) for name in fields] == [1] * len(fields)


@pytest.mark.parametrize("name", ["failedTaskIndex", "failedTaskName"])
def test_record_of_a_failure_must_name_its_place(name: str) -> None:
    assert name in schema()["properties"]["status"]["properties"]["failureDetails"]["required"]


def test_conditions_are_a_map_by_type() -> None:
    conditions = schema()["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_status_is_a_subresource() -> None:
    assert crd.build()["spec"]["versions"][0]["subresources"] == {"status": {}}


def test_every_field_says_what_it_means() -> None:
    schema = crd.build()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    silent = {path for path, field in crd.field_paths(schema) if "description" not in field}
    assert silent == {"apiVersion", "kind", "metadata"}


def test_page_of_the_api_is_current() -> None:
    assert apipage.PAGE.read_text("utf-8") == apipage.text(), "run `make docs`"

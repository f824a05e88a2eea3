"""Generates the CRD from the models: `python -m workflowexecution.crd [--check]`.

The schema is what an apiserver takes: `$ref` inlined, `T | None` an optional T, no titles, no null
defaults. Immutability is CEL on `spec` itself: a transition rule on a field does not run when one
side is absent, so optional fields could be added and removed behind it.

Source: apiextensions.k8s.io/v1; KEP-2876 (CEL), KEP-4358 (selectable fields).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from workflowexecution import crdtext
from workflowexecution.api import names
from workflowexecution.api.workflowexecution import Spec, WorkflowExecution

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH: Final = Path("manifests/crd/workflowexecutions.kubernaut.ai.yaml")
# Not for CEL, which takes any number: with more, the server is busy for seconds with each write.
_PARAMETERS: Final = 4096
# More than the controller takes in all: its own refusal says in the status what is too large.
_PARAMETER_CHARACTERS: Final = 1048576
# Room for every field that the models leave open; the code's own byte budgets are smaller.
_TEXT_CHARACTERS: Final = 32768
_LIST_ITEMS: Final = 256
_ALWAYS_TOLD: Final = ("failedTaskIndex", "failedTaskName")
_DROPPED: Final = frozenset({"title", "default", "$defs", "additionalProperties"})
_COLUMNS: Final = (
    ("Phase", "string", ".status.phase", 0),
    ("Workflow", "string", ".spec.workflowRef.workflowId", 0),
    ("Target", "string", ".spec.targetResource", 0),
    ("Progress", "string", ".status.progress", 0),
    ("Duration", "string", ".status.duration", 0),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 1),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)
_MARK: Final = "# Generated from the models by `make crd`; a test checks that it is current.\n"


def build() -> dict[str, Any]:
    """The CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": "workflowexecution",
                "shortNames": ["wfe"],
                "categories": ["kubernaut"],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "selectableFields": [
                        {"jsonPath": ".spec.targetResource"},
                        {"jsonPath": ".spec.remediationRequestRef.name"},
                    ],
                    "additionalPrinterColumns": [_column(*column) for column in _COLUMNS],
                    "schema": {"openAPIV3Schema": _schema()},
                }
            ],
        },
    }


def render() -> str:
    """The file's text."""
    text: str = yaml.safe_dump(build(), sort_keys=False, width=100, allow_unicode=True)
    return _MARK + text


def main(argv: list[str] | None = None) -> int:
    """Write the file, or with --check tell whether it is current."""
    parser = argparse.ArgumentParser(prog="python -m workflowexecution.crd")
    parser.add_argument("--check", action="store_true", help="change nothing; 1 when it differs")
    parser.add_argument("--path", type=Path, default=PATH)
    arguments = parser.parse_args(argv)
    text = render()
    if arguments.check:
        current = arguments.path.read_text("utf-8") if arguments.path.exists() else ""
        if current != text:
            print(f"{arguments.path} is not current: run `make crd`", file=sys.stderr)  # noqa: T201
        return int(current != text)
    arguments.path.parent.mkdir(parents=True, exist_ok=True)
    arguments.path.write_text(text, "utf-8")
    return 0


def _column(name: str, kind: str, path: str, priority: int) -> dict[str, Any]:
    column = {"name": name, "type": kind, "jsonPath": path}
    return {**column, "priority": priority} if priority else column


def _schema() -> dict[str, Any]:
    raw = WorkflowExecution.model_json_schema(by_alias=True)
    schema = _inlined(raw, raw["$defs"])
    properties = schema["properties"]
    properties["metadata"] = {"type": "object"}
    properties = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, **properties}
    spec, status = properties["spec"], properties["status"]
    spec["x-kubernetes-validations"] = _immutable()
    spec["properties"]["parameters"].update(
        maxProperties=_PARAMETERS,
        additionalProperties={"type": "string", "maxLength": _PARAMETER_CHARACTERS},
    )
    remediation = spec["properties"]["remediationRequestRef"]
    remediation["required"] = ["name"]
    remediation["properties"]["name"]["minLength"] = 1
    spec["properties"]["workflowRef"]["properties"]["engine"]["default"] = "tekton"
    details = status["properties"]["failureDetails"]
    # The models read a record without them; none is written so.
    details["required"] = [*_ALWAYS_TOLD, *details["required"]]
    conditions = status["properties"]["conditions"]
    conditions["x-kubernetes-list-type"] = "map"
    conditions["x-kubernetes-list-map-keys"] = ["type"]
    made = {**schema, "properties": properties, "required": ["spec"]}
    for path, text in crdtext.FIELDS.items():
        field_of(made, path)["description"] = text
    return made


def field_of(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """The schema of a field, by a path such as `status.taskRuns[].name`.

    Raises:
        KeyError: there is no such field.
    """
    found = schema
    for part in path.split("."):
        name, bracket, _ = part.partition("[")
        found = found["properties"][name]
        found = found["items"] if bracket else found
    return found


def field_paths(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of a schema with its path, what it holds after itself."""
    for name, inner in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, inner
        yield from field_paths(inner, f"{path}.")
        yield from field_paths(inner.get("items", {}), f"{path}[].")


def _immutable() -> list[dict[str, str]]:
    required = set(_wire_names(required=True))
    rules = []
    for name in _wire_names(required=None):
        if name == "cancel":
            rule = "!has(oldSelf.cancel) || (has(self.cancel) && self.cancel == oldSelf.cancel)"
            message = "cancel can be set once and then neither changed nor removed"
        elif name in required:
            rule = f"self.{name} == oldSelf.{name}"
            message = f"{name} cannot change after creation"
        else:
            rule = (
                f"has(self.{name}) == has(oldSelf.{name}) && "
                f"(!has(self.{name}) || self.{name} == oldSelf.{name})"
            )
            message = f"{name} cannot change after creation"
        rules.append({"rule": rule, "fieldPath": f".{name}", "message": message})
    return rules


def _wire_names(*, required: bool | None) -> list[str]:
    return [
        field.alias or name
        for name, field in Spec.model_fields.items()
        if required is None or field.is_required() == required
    ]


def _inlined(node: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON schema
    """The schema without references, optional wrappers and what an apiserver refuses."""
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    if "anyOf" in node:
        (only,) = [option for option in node["anyOf"] if option.get("type") != "null"]
        outer = {key: value for key, value in node.items() if key != "anyOf"}
        return _inlined({**only, **outer}, definitions)
    made = {
        key: {name: _inlined(inner, definitions) for name, inner in value.items()}
        if key == "properties"
        else _inlined(value, definitions)
        for key, value in node.items()
        if key not in _DROPPED
    }
    return _bounded(made)


def _bounded(node: dict[str, Any]) -> dict[str, Any]:
    """Every text and list has a bound: CEL's cost is reckoned by them."""
    if node.get("type") == "string" and "enum" not in node and "format" not in node:
        node.setdefault("maxLength", _TEXT_CHARACTERS)
    if node.get("type") == "array":
        node.setdefault("maxItems", _LIST_ITEMS)
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
    return node


if __name__ == "__main__":
    raise SystemExit(main())

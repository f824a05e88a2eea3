"""Writes docs/api.md from the CRD, and so from the models: `python -m tests.support.apipage`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workflowexecution import crd

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = Path(__file__).parents[2] / "docs" / "api.md"
_HEAD: Final = Path(__file__).with_name("apipage.txt")
# What a bound of the CRD is when the models say nothing; it is no news.
_DEFAULT_BOUNDS: Final = {"maxLength": 32768, "maxItems": 256}


def text() -> str:
    """The page."""
    version = crd.build()["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    parts = [_HEAD.read_text("utf-8")]
    for section in ("spec", "status"):
        inner = schema["properties"][section]
        parts.append(f"## {section}\n\n{inner['description']}\n\n{_table(inner, section)}")
    rules = schema["properties"]["spec"]["x-kubernetes-validations"]
    parts.append(_rules([(f"spec{it['fieldPath']}", it) for it in rules], version))
    return "\n".join(parts)


def _table(schema: dict[str, Any], section: str) -> str:
    required = set(_required(schema, f"{section}."))
    rows = [
        f"| `{path}` | {_kind(field)} | {'yes' if path in required else ''} | {_meaning(field)} |"
        for path, field in crd.field_paths(schema, f"{section}.")
    ]
    head = "| field | type | required | meaning |\n| --- | --- | --- | --- |\n"
    return head + "\n".join(rows) + "\n"


def _required(schema: dict[str, Any], prefix: str) -> Iterator[str]:
    """The fields that must be there when what they stand in is."""
    for name, inner in schema.get("properties", {}).items():
        if name in schema.get("required", ()):
            yield prefix + name
        yield from _required(inner, f"{prefix}{name}.")
        yield from _required(inner.get("items", {}), f"{prefix}{name}[].")


def _kind(field: dict[str, Any]) -> str:
    if field.get("format") == "date-time":
        return "time"
    if field.get("type") == "array":
        return f"list of {field['items'].get('type')}s"
    if "additionalProperties" in field:
        return f"map of {field['additionalProperties']['type']}s"
    return str(field.get("type"))


def _meaning(field: dict[str, Any]) -> str:
    said = [str(field.get("description", ""))]
    if "enum" in field:
        said.append("One of " + ", ".join(f"`{it}`" for it in field["enum"]) + ".")
    if "default" in field:
        said.append(f"Default: `{field['default']}`.")
    for key, words in (
        ("pattern", "Fits `{}`."),
        ("minimum", "At least {}."),
        ("maximum", "At most {}."),
        ("maxLength", "At most {} characters."),
        ("maxItems", "At most {}."),
        ("maxProperties", "At most {}."),
    ):
        if key in field and _DEFAULT_BOUNDS.get(key) != field[key]:
            said.append(words.format(str(field[key]).replace("|", "\\|")))
    said += [_sentence(it["message"]) for it in field.get("x-kubernetes-validations", ())]
    return " ".join(it for it in said if it)


def _sentence(message: str) -> str:
    return f"{message[0].upper()}{message[1:]}."


def _rules(rules: list[tuple[str, dict[str, Any]]], version: dict[str, Any]) -> str:
    lines = ["## Rules that the API server checks\n", "| field | rule |", "| --- | --- |"]
    lines += [f"| `{path}` | {_sentence(rule['message'])} |" for path, rule in rules]
    lines += ["\n## Columns and selectors\n", "| column | from |", "| --- | --- |"]
    for column in version["additionalPrinterColumns"]:
        wide = " (with `-o wide`)" if column.get("priority") else ""
        path = column["jsonPath"].replace("|", "\\|")
        lines.append(f"| {column['name']}{wide} | `{path}` |")
    selectable = ", ".join(f"`{it['jsonPath'][1:]}`" for it in version["selectableFields"])
    lines.append(f"\n`--field-selector` takes {selectable}, beside the name and the namespace.\n")
    return "\n".join(lines)


def main() -> int:
    """Write the page."""
    PAGE.write_text(text(), "utf-8")
    sys.stdout.write(f"{PAGE.name} is written\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

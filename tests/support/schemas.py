"""JSON schemas of all kinds that an API server serves, for kubeconform, made from its OpenAPI."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.stack import binaries

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stack.cluster import Stack

JsonObject = dict[str, Any]

_KIND: Final = "x-kubernetes-group-version-kind"
_OPEN: Final = "x-kubernetes-preserve-unknown-fields"
_NAME: Final = "{{.ResourceKind}}{{.KindSuffix}}.json"
_DEADLINE_S: Final = 60


@dataclass(frozen=True)
class Checker:
    """kubeconform over the schemas of one server."""

    folder: Path

    @classmethod
    def of(cls, stack: Stack, folder: Path) -> Checker:
        """Write the schemas of a server into a folder."""
        index = json.loads(stack.kubectl("get", "--raw", "/openapi/v3"))["paths"]
        for path, entry in index.items():
            if path.startswith(("api/", "apis/")):
                document = stack.kubectl("get", "--raw", entry["serverRelativeURL"])
                _write(json.loads(document), folder)
        return cls(folder)

    def check(self, manifests: str, *, skip: str = "") -> JsonObject:
        """What kubeconform finds in YAML documents; a kind without schema is an error."""
        program = binaries.ensure(["kubeconform"])["kubeconform"]
        done = subprocess.run(
            [
                str(program), "-strict", "-summary", "-output", "json", "-skip", skip,
                "-schema-location", f"{self.folder}/{_NAME}", "-",
            ],
            input=manifests,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )  # fmt: skip
        found: JsonObject = json.loads(done.stdout)
        return found


def _write(document: JsonObject, folder: Path) -> None:
    components = document.get("components", {})
    for schema in components.get("schemas", {}).values():
        _close(schema)
    for name, schema in components.get("schemas", {}).items():
        for kind in schema.get(_KIND, ()):
            group = kind["group"].partition(".")[0]
            parts = (kind["kind"].lower(), group, kind["version"])
            file = f"{'-'.join(part for part in parts if part)}.json"
            whole = {"$ref": f"#/components/schemas/{name}", "components": components}
            (folder / file).write_text(json.dumps(whole))


def _close(schema: Any) -> None:  # noqa: ANN401 - raw JSON
    """Let no object have members that its schema does not name."""
    if isinstance(schema, list):
        for each in schema:
            _close(each)
    if not isinstance(schema, dict):
        return
    for each in schema.values():
        _close(each)
    if isinstance(schema.get("properties"), dict) and not schema.get(_OPEN):
        schema.setdefault("additionalProperties", False)

"""The Helm chart, written from the manifests so that both install the same.

`python -m tests.support.chart` writes it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from tests.support import installation
from workflowexecution import settingkeys

if TYPE_CHECKING:
    from pathlib import Path

CHART: Final = installation.MANIFESTS / "helm"
SCHEMA: Final = "values.schema.json"
# In the order of manifests/default.
_FOLDERS: Final = ("namespaces", "policies", "rbac", "controller")
IMAGE: Final = "ghcr.io/kubernaut/workflowexecution-controller"
_WRITTEN: Final = "# Written by `make chart`"
_HEAD: Final = f"{_WRITTEN} from manifests/{{}}: change it there.\n"
# What is a value in the Deployment: the text of the manifest, and what Helm puts there.
_VALUES: Final = (
    ("replicas: 2", "replicas: {{ .Values.replicas }}"),
    (
        f"image: {IMAGE}",
        "image: {{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}",
    ),
    (
        "terminationGracePeriodSeconds: 40",
        "terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}",
    ),
)
# Likewise for maps, whose lines are all that is further in, and what a list goes on with.
_MAPS: Final = ("resources", "podSecurityContext")
_LISTS: Final = (("env", "env"), ("volumeMounts", "extraVolumeMounts"), ("volumes", "extraVolumes"))
_PORTS: Final = """\
        {{- range .Values.apiServerPorts }}
        - {protocol: TCP, port: {{ . }}}
        {{- end }}
"""
_LEADS: Final = """\
  {{- $elects := dig "leaderElection" false (default dict (get $config "controller")) }}
  {{- if $elects }}
"""
# The pods read them only once: what is left of the settings without those that are reloaded.
_LASTING: Final = """\
  {{{{- $config := default dict .Values.config }}}}
  {{{{- $lasting := fromJson (toJson $config) }}}}
  {{{{- range list {keys} }}}}
  {{{{- $place := splitList "." . }}}}
  {{{{- $section := default dict (get $lasting (first $place)) }}}}
  {{{{- $_ := unset $section (last $place) }}}}
  {{{{- if not $section }}}}{{{{- $_ := unset $lasting (first $place) }}}}{{{{- end }}}}
  {{{{- end }}}}
"""
# Each one acts without an election: the old one has to be gone.
_ALONE: Final = """\
  {{- else }}
  strategy: {type: Recreate}
  {{- end }}
"""
# A name that a tag can follow, or that ends in @sha256; a colon is the port of its registry alone.
_REPOSITORY: Final = r"^[A-Za-z0-9._/@-]+(:[0-9]+/[A-Za-z0-9._/@-]+)?$"
_TAG: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(@sha256:[0-9a-f]{64})?$"
# With it the pods are replaced when a setting changes that takes a restart. Who began without an
# election would otherwise act beside the one that is elected.
_MARK: Final = """\
        workflowexecution.kubernaut.ai/settings: {{ toJson $lasting | sha256sum | quote }}
"""
_OPTIONAL: Final = ("imagePullSecrets", "nodeSelector", "tolerations", "affinity")


def files() -> dict[str, str]:
    """Every written file of the chart, by its path in it."""
    made = {SCHEMA: _schema()}
    for folder in _FOLDERS:
        for path in sorted((installation.MANIFESTS / folder).glob("*.yaml")):
            if path.name != "kustomization.yaml":
                name = f"templates/{folder}-{path.name}"
                made[name] = _template(f"{folder}/{path.name}", path.read_text("utf-8"))
    for path in sorted((installation.MANIFESTS / "crd").glob("*.kubernaut.ai.yaml")):
        made[f"crds/{path.name}"] = path.read_text("utf-8")
    return made


def _template(source: str, text: str) -> str:
    match source:
        case "controller/deployment.yaml":
            text = _deployment(text)
        case "controller/network.yaml":
            before, mark, policy = text.partition("workflowexecution-controller-api-server")
            (ports,) = re.findall(r"(?:^ +- {protocol: TCP, port: \d+}\n)+", policy, re.MULTILINE)
            text = before + mark + _replaced(policy, ports, _PORTS)
        case "controller/config.yaml":
            before, mark, _ = text.partition("  config.yaml: |\n")
            text = (
                f"{before}{mark}    {{{{- toYaml (default dict .Values.config) | nindent 4 }}}}\n"
            )
        case "namespaces/system.yaml" | "namespaces/workflows.yaml":
            which = source.removeprefix("namespaces/").removesuffix(".yaml")
            # Others may live in them, and whoever takes the release away does not mean those.
            kept = "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n"
            text = _replaced(text, "metadata:\n", kept)
            text = f"{{{{- if .Values.createNamespaces.{which} }}}}\n{text}{{{{- end }}}}\n"
        case _:
            # What a policy says in braces is not Helm's.
            text = text.replace("{{", '{{ "{{" }}')
    return _HEAD.format(source) + text


def _deployment(text: str) -> str:
    for old, new in _VALUES:
        text = _replaced(text, old, new)
    before, indent, lines, after = _block(text, "strategy")
    keys = " ".join(f'"{it}"' for it in sorted(settingkeys.RELOADED))
    leads = _LASTING.format(keys=keys) + _LEADS
    text = f"{before}{leads}{indent}strategy:\n{lines}{_ALONE}{after}"
    before, indent, lines, after = _block(text, "annotations")
    text = f"{before}{indent}annotations:\n{lines}{_MARK}{after}"
    # The first one is the pod's, the other one the container's.
    text = text.replace("\n      securityContext:\n", "\n      podSecurityContext:\n")
    for key in _MAPS:
        before, indent, _, after = _block(text, key)
        value = f"{{{{- toYaml .Values.{key} | nindent {len(indent) + 2} }}}}"
        text = f"{before}{indent}{key}: {value}\n{after}"
    text = _replaced(text, "      podSecurityContext:", "      securityContext:")
    for key, value in _LISTS:
        before, indent, lines, after = _block(text, key)
        more = f"{{{{- with .Values.{value} }}}}\n{{{{- toYaml . | nindent {len(indent) + 2} }}}}\n"
        text = f"{before}{indent}{key}:\n{lines}{indent}  {more}{indent}  {{{{- end }}}}\n{after}"
    optional = "".join(
        f"      {{{{- with .Values.{key} }}}}\n      {key}: {{{{- toYaml . | nindent 8 }}}}\n"
        "      {{- end }}\n"
        for key in _OPTIONAL
    )
    return _replaced(text, "      containers:\n", f"{optional}      containers:\n")


def _block(text: str, key: str) -> tuple[str, str, str, str]:
    """What stands before a key, how far it is in, the lines below it, and what follows."""
    found = re.findall(rf"^( *){key}:\n", text, re.MULTILINE)
    if len(found) != 1:
        message = f"{key!r} is there {len(found)} times"
        raise ValueError(message)
    (indent,) = found
    before, _, rest = text.partition(f"{indent}{key}:\n")
    lines = re.match(rf"(?:{indent}  [^\n]*\n)*", rest)
    assert lines is not None
    return before, indent, lines[0], rest[lines.end() :]


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        message = f"{old!r} is there {text.count(old)} times"
        raise ValueError(message)
    return text.replace(old, new)


def _schema() -> str:
    """The form of the values; the settings by their names, whose values the program checks."""
    text, whole, some = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "object"}
    objects = {"type": "array", "items": some}
    yes_or_no = {"type": "boolean"}
    named = {
        "type": "object", "required": ["name"], "properties": {"name": {**text, "minLength": 1}},
    }  # fmt: skip
    port = {"type": "integer", "minimum": 1, "maximum": 65535}
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        # What is null is absent, and no ports would be every port.
        "required": ["image", "createNamespaces", "podSecurityContext", "apiServerPorts"],
        **_closed({
            "image": _closed(
                {
                    "repository": {**text, "pattern": _REPOSITORY},
                    # Without one it is the version that the chart is for.
                    "tag": {"type": ["string", "null"], "pattern": _TAG},
                },
                "repository",
            ),
            "replicas": whole,
            "resources": some,
            "terminationGracePeriodSeconds": whole,
            "podSecurityContext": some,
            "createNamespaces": _closed({"system": yes_or_no, "workflows": yes_or_no}),
            "env": {"type": "array", "items": named},
            "apiServerPorts": {"type": "array", "items": port, "minItems": 1},
            "extraVolumes": objects,
            "extraVolumeMounts": objects,
            "imagePullSecrets": objects,
            "nodeSelector": some,
            "tolerations": objects,
            "affinity": some,
            # Helm's own, which it adds.
            "global": some,
            "config": _section(_settings()),
        }),
    }
    return json.dumps(schema, indent=2) + "\n"


def _settings() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, field in settingkeys.known_keys():
        *sections, last = key.split(".")
        place = found
        for section in sections:
            place = place.setdefault(section, _section({}))["properties"]
        # A text is true to Helm, whatever it says to the program.
        place[last] = {"type": "boolean"} if field.annotation is bool else {}
    return found


def _section(properties: dict[str, Any]) -> dict[str, Any]:
    """A section of the settings, which may have nothing in it."""
    return {**_closed(properties), "type": ["object", "null"]}


def _closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    made = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**made, "required": list(required)} if required else made


def written(folder: Path = CHART) -> dict[str, str]:
    """What a folder has of that, or of what was so once."""
    paths = (*folder.glob("templates/*"), *folder.glob("crds/*"), *folder.glob(SCHEMA))
    found = {str(path.relative_to(folder)): path.read_text("utf-8") for path in paths}
    return {
        name: text
        for name, text in found.items()
        if not name.startswith("templates/") or text.startswith(_WRITTEN)
    }


def write(folder: Path = CHART) -> None:
    """Write the chart, but for what is written by hand: Chart.yaml, values.yaml and the checks."""
    for name in written(folder):
        (folder / name).unlink()
    for name, text in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    write()

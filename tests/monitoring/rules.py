"""The rule file: its alerts, what its expressions name, and the operator's object made of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "manifests" / "monitoring"
RULES = FOLDER / "rules.yaml"
OBJECT = FOLDER / "prometheusrule.yaml"
DASHBOARD = FOLDER / "dashboard.json"

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(?!\w*\s*\()")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"(\d+)"')
_RANGE = re.compile(r"\[[^\]]*\]")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})
_HEADER = """\
# Made from rules.yaml by `make monitoring`; do not edit.
"""


class Selector(NamedTuple):
    """What an expression asks for: a name, and its labels with operator and value."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]


def groups() -> list[dict[str, Any]]:
    """The groups of the rule file."""
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return found


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by their names."""
    rules = (rule for group in groups() for rule in group["rules"])
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


def records() -> dict[str, str]:
    """Expressions of the recording rules, by their names."""
    rules = (rule for group in groups() for rule in group["rules"])
    return {rule["record"]: rule["expr"] for rule in rules if "record" in rule}


def expressions() -> list[str]:
    """Every expression of the rule file."""
    return [rule["expr"] for group in groups() for rule in group["rules"]]


def selectors(expression: str) -> list[Selector]:
    """Everything that an expression reads."""
    # Strings may hold anything, so a number stands in for each.
    texts: list[str] = []

    def stand_in(text: re.Match[str]) -> str:
        texts.append(text[0][1:-1])
        return f'"{len(texts) - 1}"'

    bare = _STRING.sub(stand_in, expression)
    bare = _RANGE.sub("", _GROUPING.sub(" ", bare))
    found = []
    for name, labels in _SELECTOR.findall(_outside(bare)):
        if name.lower() in _WORDS:
            continue
        matchers = tuple(
            (label, operator, texts[int(index)])
            for label, operator, index in _MATCHER.findall(labels)
        )
        found.append(Selector(name, matchers))
    return found


def grouped_labels(expression: str) -> set[str]:
    """Labels that an expression groups or joins by."""
    lists = (inner for _, inner in _GROUPING.findall(_STRING.sub('""', expression)))
    return {label.strip() for inner in lists for label in inner.split(",") if label.strip()}


def metrics() -> set[str]:
    """Names of the program's metrics that the rules read."""
    made = records()
    read = {it.name for each in expressions() for it in selectors(each)}
    return {name for name in read if name not in made}


def build_object() -> str:
    """The PrometheusRule that holds the same rules."""
    body = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "workflowexecution-controller",
            "namespace": "kubernaut-system",
            "labels": {
                "app.kubernetes.io/name": "workflowexecution-controller",
                "app.kubernetes.io/part-of": "kubernaut",
            },
        },
        "spec": {"groups": groups()},
    }
    return _HEADER + yaml.safe_dump(body, sort_keys=False, width=110, allow_unicode=True)


def _outside(expression: str) -> str:
    """The expression without functions and numbers, its selectors whole."""
    return re.sub(r"\b[a-z_0-9]+\s*\(|(?<![\w:\"])\d[\d.]*\b", " ", expression)

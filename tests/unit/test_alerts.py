"""The alerts say what a person needs, and name only what the program shows."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import pytest

from tests.monitoring import rules
from tests.monitoring.rules import Selector
from tests.monitoring.series import notation
from tests.unit.test_docs import anchors
from tests.unit.wiring.test_metrics import everything

DOCUMENT = rules.ROOT / "docs" / "alerts.md"
UNITS = {"percentunit", "short", "s", "bytes", "ops", "reqps"}
FROM_OUTSIDE = {"job", "instance", "namespace"}
ALERTS = rules.alerts()
EXPRESSIONS = [pytest.param(it, id=str(number)) for number, it in enumerate(rules.expressions())]


@functools.cache
def shown() -> dict[str, set[str]]:
    """Every name that Prometheus reads of the program, with its labels."""
    found: dict[str, set[str]] = {}
    for family in everything().families:
        labels = {*family.labels, *FROM_OUTSIDE}
        found[family.name] = labels
        if family.kind == "histogram":
            found[f"{family.name}_bucket"] = {*labels, "le"}
            found |= {f"{family.name}_{part}": labels for part in ("sum", "count")}
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_names_only_what_the_program_shows(expression: str) -> None:
    known = shown() | dict.fromkeys(rules.records(), FROM_OUTSIDE)
    read = rules.selectors(expression)
    assert read
    labels: set[str] = set()
    for selector in read:
        assert selector.name in known
        assert {label for label, _, _ in selector.matchers} <= known[selector.name]
        labels |= known[selector.name]
    assert rules.grouped_labels(expression) <= labels


@pytest.mark.parametrize(("name", "alert"), ALERTS.items(), ids=ALERTS)
def test_alert_says_what_a_person_needs(name: str, alert: dict[str, Any]) -> None:
    said = alert["annotations"]
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(said) == {"summary", "description", "runbook_url"}
    assert not said["summary"].endswith(".")
    assert said["description"].endswith(".")
    assert said["runbook_url"] == f"docs/alerts.md#{name.lower()}"
    assert name.lower() in set(anchors(DOCUMENT))


@pytest.mark.parametrize("name", ALERTS)
def test_runbook_says_what_it_means_what_to_look_at_and_what_is_safe(name: str) -> None:
    sections = re.split(r"^#+ ", DOCUMENT.read_text("utf-8"), flags=re.MULTILINE)
    (text,) = [it for it in sections if it.startswith(f"{name}\n")]
    meaning, _, advice = text.partition("\n- **Look at** ")
    assert len(meaning.split()) > 8
    assert "\n- **Safe to do:** " in advice


def test_selectors_are_found_in_an_expression() -> None:
    text = 'sum by (a, b) (rate(x_total{c="1 {2}",d=~"e|f"}[5m]) and on (g) y) > (14.4 * 0.02)'
    assert rules.selectors(text) == [
        Selector("x_total", (("c", "=", "1 {2}"), ("d", "=~", "e|f"))),
        Selector("y", ()),
    ]
    assert rules.grouped_labels(text) == {"a", "b", "g"}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ("1 1 1 2", "1+0x2 2"),
        ("_ _ 3 6 9 stale _", "_x2 3+3x2 stale _x1"),
        ("0.5 0.5 7 Inf Inf", "0.5x1 7 Inf Inf"),
        ("5 3 1 0", "5-2x2 0"),
    ],
)
def test_values_are_kept_as_promtool_reads_them(values: str, text: str) -> None:
    assert notation(values.split()) == text


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard()["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(rules.DASHBOARD.read_text("utf-8"))
    return found


def test_dashboard_has_a_data_source_to_choose_and_workflows_to_narrow_to() -> None:
    whole = dashboard()
    assert whole["schemaVersion"] >= 36
    variables = {it["name"]: it for it in whole["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == (
        "datasource",
        "prometheus",
    )
    asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variables["workflow"]["definition"])
    assert asked is not None
    assert asked[2] in shown()[asked[1]]
    every = [it["id"] for it in whole["panels"]]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("panel", [pytest.param(it, id=it["title"]) for it in panels()])
def test_panel_says_what_it_shows_in_which_unit(panel: dict[str, Any]) -> None:
    assert len(panel["description"].split()) >= 3
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    place = panel["gridPos"]
    assert place["x"] + place["w"] <= 24
    sources = [panel, *panel["targets"]]
    assert {it["datasource"]["uid"] for it in sources} == {"${datasource}"}
    letters = [it["refId"] for it in panel["targets"]]
    assert letters == sorted(set(letters))
    assert all(it["legendFormat"] for it in panel["targets"])


@pytest.mark.parametrize("panel", [pytest.param(it, id=it["title"]) for it in panels()])
def test_panel_asks_only_for_what_the_program_shows(panel: dict[str, Any]) -> None:
    known = shown()
    for target in panel["targets"]:
        read = rules.selectors(target["expr"])
        assert read
        for selector in read:
            assert {label for label, _, _ in selector.matchers} <= known[selector.name]
        labels = set().union(*(known[it.name] for it in read))
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert rules.grouped_labels(target["expr"]) | named <= labels


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        across = range(place["x"], place["x"] + place["w"])
        down = range(place["y"], place["y"] + place["h"])
        cells = {(x, y) for x in across for y in down}
        assert not cells & taken
        taken |= cells

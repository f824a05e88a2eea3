"""Every row of docs/rules.md names the tests that show it, and they exist."""

from __future__ import annotations

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
_NAME = re.compile(r"`(test_\w+)`")


def rows() -> list[str]:
    """The rows of all tables, without their heads."""
    lines = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8").splitlines()
    table = [line.startswith("|") for line in lines]
    return [
        line
        for number, line in enumerate(lines)
        if table[number] and not line.startswith("| ---") and table[number - 1]
    ]


def known() -> set[str]:
    """The tests of the two suites that need no cluster."""
    files = [
        file for suite in ("unit", "component") for file in (ROOT / "tests" / suite).rglob("*.py")
    ]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return set(re.findall(r"^ *(?:async )?def (test_\w+)", text, re.MULTILINE))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split("|")[1].strip()[:40])
def test_rule_is_shown_by_tests_that_exist(row: str) -> None:
    shown = _NAME.findall(row.split("|")[-2])
    assert shown
    assert set(shown) <= known()


def test_rules_are_all_there() -> None:
    assert len(rows()) >= 20

"""Every row of docs/faults.md names the tests that show it, and they exist."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_NAME = re.compile(r"`(test_\w+)`")


def rows() -> list[str]:
    """The rows of all tables, without their heads."""
    lines = (ROOT / "docs" / "faults.md").read_text("utf-8").splitlines()
    table = [line.startswith("|") for line in lines]
    return [
        line
        for number, line in enumerate(lines)
        if table[number] and not line.startswith("| ---") and table[number - 1]
    ]


@functools.cache
def known() -> frozenset[str]:
    """Every test there is."""
    text = "\n".join(it.read_text("utf-8") for it in (ROOT / "tests").rglob("test_*.py"))
    return frozenset(re.findall(r"^ *(?:async )?def (test_\w+)", text, re.MULTILINE))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split("|")[1].strip()[:40])
def test_fault_is_shown_by_tests_that_exist(row: str) -> None:
    shown = _NAME.findall(row.split("|")[-2])
    assert shown
    assert set(shown) - known() == set()


def test_faults_are_all_there() -> None:
    assert len(rows()) >= 50

"""What the caches keep for each object, which docs/performance.md states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.benchmark import size

MANY = 10_000

pytestmark = pytest.mark.timeout(180)
DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"


@pytest.fixture(scope="module")
def slopes() -> dict[str, float]:
    return size.slopes(MANY)


@pytest.mark.parametrize("kind", ["ended_execution", "live_execution", "run"])
def test_an_object_takes_no_more_memory_than_is_documented(
    slopes: dict[str, float], kind: str
) -> None:
    words = {"ended_execution": "An execution that has ended", "live_execution": "A live execution"}
    row = rf"\| {words.get(kind, 'A run')} \| ([0-9,]+) bytes"
    stated = re.search(row, DOCUMENT.read_text("utf-8"))
    assert stated is not None
    assert slopes[f"{kind}_bytes"] <= int(stated[1].replace(",", ""))

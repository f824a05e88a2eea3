"""How the suites are shared out when several processes of pytest run them side by side."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest

_LONGEST_FIRST = (
    "tests/e2e/",
    # One test, of minutes: whoever has it last has all others wait.
    "tests/component/test_safety_model.py",
    "tests/integration/",
    "tests/component/",
    "tests/",
)


class Shares(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Keeps each file in one process, and all that needs the one real node."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "e2e" if file.startswith("tests/e2e/") else file


def worker() -> str:
    """What tells this process from the others; empty where there is one alone."""
    return os.environ.get("PYTEST_XDIST_WORKER", "")


def sort(items: list[pytest.Item]) -> None:
    """Put the longest first: nothing is left to wait for at the end then but short files."""
    items.sort(key=lambda item: _rank(item.nodeid))


def _rank(node_id: str) -> int:
    return next(rank for rank, folder in enumerate(_LONGEST_FIRST) if node_id.startswith(folder))

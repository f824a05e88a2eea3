"""Writes docs/linter.md from the rules: `python -m tests.support.linterpage`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workflowexecution.bundles import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workflowexecution.bundles.catalogue import Rule

PAGE: Final = Path(__file__).parents[2] / "docs" / "linter.md"
_HEAD: Final = Path(__file__).with_name("linterpage.txt")


def text() -> str:
    """The page."""
    rows = (
        f"| [{it.id}](#{it.id.lower()}-{it.name}) | {it.name} | {it.severity.value} |"
        for it in catalogue.RULES
    )
    parts = (line for rule in catalogue.RULES for line in _part(rule))
    return _HEAD.read_text("utf-8") + "\n".join([*rows, *parts]) + "\n"


def _part(rule: Rule) -> Iterator[str]:
    yield f"\n## {rule.id} {rule.name}\n"
    yield rule.reason
    for title, example in (("Wrong", rule.wrong), ("Right", rule.right)):
        yield f"\n{title}:\n\n<!-- block: part of a workflow -->\n```yaml\n{_shown(example)}```"


def _shown(example: str) -> str:
    known = {
        "$STEP": "{name: run, image: ..., script: ...}",
        "$TASK": "{name: mend, timeout: 5m, taskSpec: ...}",
        "$SPEC": "{params: [...], tasks: [...]}",
        "$DIGEST": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    for word, meaning in known.items():
        example = example.replace(word, meaning)
    return example


def main() -> int:
    """Write the page."""
    PAGE.write_text(text(), "utf-8")
    sys.stdout.write(f"{PAGE.name} is written\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Writes docs/failures.md from the golden files: `python -m tests.golden.document`."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.golden import case as cases
from tests.golden import reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.golden.reading import Record

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "failures.md"
_WIDTH: Final = 104
_HEAD: Final = """\
<!-- Written by `make docs` from the golden files in tests/golden; a test checks it. -->
# Failures, as they look

What the controller makes of runs that really failed: each case was run on a real cluster with
Tekton 1.9.6, recorded, and read again from the recording. **Ran** is `wasExecutionFailure`: unless
it says no, the target may have been changed, so look at it before anything is tried again. An exit
code is told only where it is the step's own.

Of a failure the reports of containers, pods and Tekton count before words in messages, which are
asked only where nothing else tells; none outweighs an exit code
([ADR 0018](adr/0018-recorded-failures.md)). [CONTRIBUTING](../CONTRIBUTING.md) says how a case is
recorded.

**Live** are those of which something is still at work, or could be, when Tekton calls the run
failed: such an execution stays Running until that has ended.

| case | outcome | reason | task / step | exit code | ran | live |
| --- | --- | --- | --- | --- | --- | --- |
"""


def text() -> str:
    """The document."""
    known = {
        name: (definition.about, reading.classify(reading.load(name)))
        for name, definition in sorted(cases.load().items())
    }
    rows = [_row(name, record) for name, (_, record) in known.items()]
    parts = [line for name, it in known.items() for line in _part(name, *it)]
    return _HEAD + "\n".join([*rows, "", "## What the summaries say", *parts]) + "\n"


def _row(name: str, record: Record) -> str:
    details = record.details
    if details is None:
        return f"| {name} | {record.outcome} | - | - | - | yes | no |"
    place = " / ".join(it for it in (details.failed_task_name, details.failed_step_name) if it)
    code = "-" if details.exit_code is None else str(details.exit_code)
    if details.signal is not None:
        code += f" (signal {details.signal})"
    ran = "yes" if details.was_execution_failure else "no"
    live = "yes" if record.live else "no"
    cells = [name, record.outcome, details.reason, place or "-", code, ran, live]
    return f"| {' | '.join(cells)} |"


def _part(name: str, about: str, record: Record) -> Iterator[str]:
    yield from ("", f"### {name}", "")
    yield from textwrap.wrap(about, _WIDTH)
    if record.details is not None:
        yield ""
        summary = record.details.natural_language_summary
        yield from (
            f"    {line}"
            for line in textwrap.wrap(
                summary, _WIDTH - 4, break_long_words=False, break_on_hyphens=False
            )
        )


def main() -> int:
    """Write the document."""
    DOCUMENT.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())

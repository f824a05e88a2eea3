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
Tekton 1.9.6, recorded, and read again from the recording; 1.15.1 brings about the same
([ADR 0026](adr/0026-newest-tekton.md)). **Ran** is `wasExecutionFailure`: unless
it says no, the target may have been changed, so look at it before anything is tried again. An exit
code is told only where it is the step's own.

Of a failure the reports of containers, pods and Tekton count before words in messages, which are
asked only where nothing else tells; none outweighs an exit code
([ADR 0018](adr/0018-recorded-failures.md)). [CONTRIBUTING](../CONTRIBUTING.md) says how a case is
recorded.

**Live** are those of which something is still at work, or could be, when Tekton calls the run
failed: such an execution stays Running until that has ended, and a run that is still there a
minute later is deleted. Right before, its pods are looked at: such a run has not **ran** where no
container of a step or sidecar was made, and Tekton has not let the first step begin, which it
never does once the task is over. **Signed** is what Tekton says of the signature, where a policy
made it ask (condition TrustedResourcesVerified). A success is **in doubt** when something of it
was ended from outside while it worked (condition ResultConsistent).

The end of the failing step's log (`failureDetails.logTail`) and the events of its pod
(`podEvents`) are read when the task is first seen failed, since Tekton deletes the pods of tasks
that it ends, and again at the end. The log of the step at work is also read four seconds before its
task's or its run's time is over, and stands where nothing can be read after that: then the last
words are missing. Until the end all this is in memory alone: a restart of the controller can lose
it. A log that has not come within 3 seconds is not waited for, and when three in a row have not
come, as from a node whose kubelet is silent, none is asked for up to 5 seconds, also of pods on
other nodes: `logTail` then says so, and `kubectl logs` may still have it. Then one at a time is
asked for until one comes. Of a log the last 4 KiB of its last 500 lines are kept, and
`logTailTruncated` says whether there was more. Events of nodes (`SystemOOM`, `OOMKilling`) are
none of the evidence: they are in the namespace `default`, which the controller may not read
([ADR 0033](adr/0033-least-role.md)). That a container was killed for memory is told by its own end.

Every text of a status has a bound in bytes, as JSON writes it, and what is cut ends in `…[cut]`: so
the whole status stays within 64 KiB, whatever a task or a bundle may have written. Of control
characters newline and tab stay, the others become `?`, and the colours of a log go. `taskRuns` has
the first 50.

| case | outcome | reason | task / step | exit code | ran | live | signed |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


def text() -> str:
    """The document."""
    known = {
        name: (definition.about, reading.classify(reading.load(name)))
        for name, definition in sorted(cases.load(reading.VERSIONS[0]).items())
    }
    rows = [_row(name, record) for name, (_, record) in known.items()]
    parts = [line for name, it in known.items() for line in _part(name, *it)]
    return _HEAD + "\n".join([*rows, "", "## What the summaries say", *parts]) + "\n"


def _row(name: str, record: Record) -> str:
    details = record.details
    if details is None:
        outcome = f"{record.outcome}, in doubt" if record.doubt else record.outcome
        cells = [name, outcome, "-", "-", "-", "yes", "no", _answer(record.signed)]
        return f"| {' | '.join(cells)} |"
    place = " / ".join(it for it in (details.failed_task_name, details.failed_step_name) if it)
    code = "-" if details.exit_code is None else str(details.exit_code)
    if details.signal is not None:
        code += f" (signal {details.signal})"
    ran = "yes" if details.was_execution_failure else "no"
    live = "yes" if record.live else "no"
    signed = _answer(record.signed)
    cells = [name, record.outcome, details.reason, place or "-", code, ran, live, signed]
    return f"| {' | '.join(cells)} |"


def _answer(value: bool | None) -> str:
    return "-" if value is None else ("yes" if value else "no")


def _part(name: str, about: str, record: Record) -> Iterator[str]:
    yield from ("", f"### {name}", "")
    yield from textwrap.wrap(about, _WIDTH)
    told = record.details.natural_language_summary if record.details else record.doubt
    if told:
        yield ""
        yield from (
            f"    {line}"
            for line in textwrap.wrap(
                told, _WIDTH - 4, break_long_words=False, break_on_hyphens=False
            )
        )


def main() -> int:
    """Write the document."""
    DOCUMENT.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())

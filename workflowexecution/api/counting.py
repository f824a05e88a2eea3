"""What Tekton counts of a run's tasks, in the words of the run's condition.

Source: Tekton Pipelines 1.9, `pkg/reconciler/pipelinerun/resources/pipelinerunstate.go`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# "Tasks Completed: 2 (Failed: 1, Cancelled 0), Skipped: 1"; "Incomplete" stands while it runs,
# "(Ignored: 1)" after a count of failures of which some do not matter.
_COUNTS = re.compile(
    r"Tasks Completed: (?P<completed>\d{1,9}) "
    r"\(Failed: (?P<failed>\d{1,9})(?: \(Ignored: (?P<ignored>\d{1,9})\))?,"
    r" Cancelled:? (?P<cancelled>\d{1,9})\)"
    r"(?:, Incomplete: \d+)?, Skipped: (?P<skipped>\d{1,9})"
)


@dataclass(frozen=True, slots=True)
class Counts:
    """What Tekton counts of a run's tasks, of whatever kind; a matrix is one of them.

    Attributes:
        done: how many have ended, or were skipped.
        failed: how many of them failed so that it matters.
        cancelled: how many were ended from outside.
    """

    done: int
    failed: int
    cancelled: int


def read(message: str) -> Counts | None:
    """The counts in a message; None where it has none."""
    found = _COUNTS.search(message)
    if found is None:
        return None
    number = {key: int(value or 0) for key, value in found.groupdict().items()}
    return Counts(
        done=number["completed"] + number["skipped"],
        failed=number["failed"] - number["ignored"],
        cancelled=number["cancelled"],
    )

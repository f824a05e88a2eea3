"""Records: one in the store for each transition that an execution made, and for no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.checks.evidence import ENDS
from tests.datastorage.table import transitions

if TYPE_CHECKING:
    import collections
    from collections.abc import Iterator

    from tests.chaos.checks.evidence import Evidence, JsonObject

Record = tuple[str, str]

_ENDS_OF_RUNS = ("completed", "failed")


def wrong(found: Evidence, *, overlap: bool) -> Iterator[str]:
    """What is wrong with the trail.

    Args:
        found: with the rows of the store.
        overlap: whether two leaders may both have sent what there is twice.
    """
    there, wanted = transitions(found.rows), set[Record]()
    for name in found.targets:
        due = set(_by_status(found.status(name)))
        if found.runs_of(name):
            # The log knows that it ran, whatever its status came to say.
            due |= {"created", "started", _end_of_run(name, due, there)}
        wanted |= {(name, it) for it in due}
    yield from (f"no record of {it}" for it in sorted(wanted - there.keys()))
    yield from (f"a record of what never was: {it}" for it in sorted(there.keys() - wanted))
    if not overlap:
        yield from (f"{there[it]} records of {it}" for it in _doubles(there))


def doubles(found: Evidence) -> int:
    """How many records there are more than once."""
    return len(_doubles(transitions(found.rows)))


def _doubles(there: collections.Counter[Record]) -> list[Record]:
    return sorted(it for it, count in there.items() if count > 1)


def _by_status(status: JsonObject) -> Iterator[str]:
    if not status.get("phase"):
        return
    yield "created"
    if status.get("startTime"):
        yield "started"
    if status["phase"] in ENDS:
        yield ENDS[status["phase"]]
    if status.get("clearanceRecordedAt"):
        yield "cleared"


def _end_of_run(name: str, due: set[str], there: collections.Counter[Record]) -> str:
    """The end of one that ran: as its status says, else as is recorded, else any."""
    said = (it for it in _ENDS_OF_RUNS if it in due)
    recorded = (it for it in _ENDS_OF_RUNS if (name, it) in there)
    return next(said, None) or next(recorded, None) or "end of its run"

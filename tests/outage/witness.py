"""The API server's audit log as the witness: which transitions were written, and when what was."""

from __future__ import annotations

import collections
import datetime
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from tests.support import auditfile, executions, numbered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Window = tuple[float, float]
"""From when to when, in seconds since the epoch."""
Transitions = collections.Counter[tuple[str, str]]
"""How often each transition of an execution was seen, by name and last word of its event type."""

_AGENT = "workflowexecution/"
_ENDS = {"Completed": "completed", "Failed": "failed", "Skipped": "skipped"}


@dataclass
class Witness:
    """What the log has of one run; times in seconds since the epoch.

    Attributes:
        transitions: what the statuses say that were written.
        possible: the same of writes whose outcome the server itself did not know (5xx).
        created: when an execution was there, by name.
        started: when its run was, by name of the run.
        done: when the run ended, by name of the run.
        ended: when the execution did, by name.
        refused: requests of the controllers that were refused, by verb, resource and status.
    """

    transitions: Transitions = field(default_factory=collections.Counter)
    possible: Transitions = field(default_factory=collections.Counter)
    created: dict[str, float] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    done: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    refused: collections.Counter[str] = field(default_factory=collections.Counter)

    def starts(self, size: int, but: Sequence[Window] = ()) -> list[float]:
        """Seconds from each execution to its run, but those created in one of these windows."""
        spans = [
            (self.created[name], self.started[run])
            for name, run in _names(size)
            if name in self.created and run in self.started
        ]
        return _lasting(spans, but)

    def ends(self, size: int, but: Sequence[Window] = ()) -> list[float]:
        """Seconds from the end of each run to that of its execution, but those in a window."""
        spans = [
            (self.done[run], self.ended[name])
            for name, run in _names(size)
            if run in self.done and name in self.ended
        ]
        return _lasting(spans, but)


def read(path: Path) -> Witness:
    """Read the log of a run."""
    found = Witness()
    for line in auditfile.lines(path):
        event = orjson.loads(line)
        if event["stage"] in {"ResponseComplete", "Panic"}:
            _note(found, event)
    for seen in (found.transitions, found.possible):
        for name in {name for name, _ in seen}:
            seen[name, "created"] = 1
    return found


def _note(found: Witness, event: dict[str, Any]) -> None:
    about, verb = event.get("objectRef", {}), event["verb"]
    resource = about.get("resource", "")
    kind = f"{verb} {resource}{'/status' if about.get('subresource') == 'status' else ''}"
    name, code = about.get("name", ""), event.get("responseStatus", {}).get("code", 0)
    own = event.get("userAgent", "").startswith(_AGENT)
    if code >= 400:
        if own:
            found.refused[f"{kind} {code}"] += 1
        if own and code >= 500 and kind == "patch workflowexecutions/status":
            found.possible.update(_made(name, event["requestObject"]["status"]))
        return
    at = datetime.datetime.fromisoformat(event["stageTimestamp"]).timestamp()
    if kind == "create workflowexecutions":
        found.created[name] = at
    elif kind == "create pipelineruns":
        found.started[name] = at
    elif kind == "patch pipelineruns/status":
        if executions.is_final(event["requestObject"]):
            found.done.setdefault(name, at)
    elif kind == "patch workflowexecutions/status" and own:
        said = event["requestObject"]["status"]
        found.transitions.update(_made(name, said))
        if said.get("phase") in _ENDS:
            found.ended[name] = at


def _made(name: str, said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The transitions in a merge patch: what does not change is not in it."""
    if said.get("startTime"):
        yield name, "started"
    if said.get("phase") in _ENDS:
        yield name, _ENDS[said["phase"]]


def _names(size: int) -> Iterator[tuple[str, str]]:
    return ((numbered.name(number), numbered.run_name(number)) for number in range(size))


def _lasting(spans: Sequence[tuple[float, float]], but: Sequence[Window]) -> list[float]:
    return [
        max(0.0, end - begin)
        for begin, end in spans
        if not any(first <= begin <= last for first, last in but)
    ]

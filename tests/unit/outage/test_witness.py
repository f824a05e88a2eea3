"""What the witness reads in the API server's audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from tests.outage import witness
from tests.support import numbered

if TYPE_CHECKING:
    from pathlib import Path

AGENT = "workflowexecution/1 (me)"
NAME, RUN = numbered.name(0), numbered.run_name(0)


def line(
    verb: str,
    resource: str,
    second: int,
    said: dict[str, Any] | None = None,
    *,
    code: int = 200,
) -> dict[str, Any]:
    """A line of the log; of a status, with its patch."""
    kind, _, subresource = resource.partition("/")
    name = RUN if kind == "pipelineruns" else NAME
    return {
        "stage": "ResponseComplete",
        "verb": verb,
        "userAgent": AGENT,
        "objectRef": {"resource": kind, "subresource": subresource, "name": name},
        "responseStatus": {"code": code},
        "stageTimestamp": f"2026-01-01T00:00:{second:02d}.000000Z",
        "requestObject": {"status": said or {}},
    }


def read(tmp_path: Path, *lines: dict[str, Any]) -> witness.Witness:
    file = tmp_path / "audit.log"
    file.write_bytes(b"".join(orjson.dumps(it) + b"\n" for it in lines))
    return witness.read(file)


DONE = {"conditions": [{"type": "Succeeded", "status": "True"}]}
GOING = {"conditions": [{"type": "Succeeded", "status": "Unknown"}]}


def test_transitions_and_latencies_are_those_of_the_log(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        line("create", "workflowexecutions", 1, code=201),
        line("create", "pipelineruns", 3, code=201),
        line("patch", "workflowexecutions/status", 4, {"phase": "Running", "startTime": "x"}),
        line("patch", "pipelineruns/status", 5, GOING),
        line("patch", "pipelineruns/status", 6, DONE),
        line("patch", "workflowexecutions/status", 10, {"phase": "Completed"}),
        line("patch", "workflowexecutions/status", 11, {"auditedTransitions": ["created"]}),
    )
    assert found.transitions == {
        (NAME, "created"): 1,
        (NAME, "started"): 1,
        (NAME, "completed"): 1,
    }
    assert (found.starts(1), found.ends(1)) == ([2.0], [4.0])
    killed = found.done[RUN]
    assert found.ends(1, [(killed - 1, killed + 1)]) == []


def test_a_refused_write_is_none_and_one_of_unknown_outcome_may_be_one(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        line("patch", "workflowexecutions/status", 1, {"phase": "Skipped"}, code=409),
        line("patch", "workflowexecutions/status", 2, {"phase": "Failed"}, code=504),
    )
    assert not found.transitions
    assert found.possible == {(NAME, "created"): 1, (NAME, "failed"): 1}

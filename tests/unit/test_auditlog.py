"""The reader of the API server's audit log, which other tests believe."""

from __future__ import annotations

import datetime
import threading
from typing import TYPE_CHECKING, Any

import orjson

from tests.integration import audit

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


# Of a request that does not hang, however slow the test is.
FRESH_S = -60.0


def line(stage: str, ident: str, *, age_s: float = 0.0, verb: str = "patch") -> bytes:
    at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=age_s)
    event: dict[str, Any] = {
        "auditID": ident,
        "stage": stage,
        "verb": verb,
        "requestURI": f"/{ident}",
        "requestReceivedTimestamp": at.isoformat(),
        "stageTimestamp": at.isoformat(),
    }
    return orjson.dumps(event) + b"\n"


def add(path: Path, *lines: bytes) -> None:
    with path.open("ab") as file:
        file.write(b"".join(lines))


def opened(folder: Path) -> tuple[audit.AuditLog, Path]:
    path = folder / "audit.log"
    path.write_bytes(line("ResponseComplete", "before"))
    return audit.AuditLog(path), path


def asked(log: audit.AuditLog) -> list[str]:
    return [it.resource for it in log.requests()]


def test_requests_are_told_in_the_order_of_their_answers(tmp_path: Path) -> None:
    log, path = opened(tmp_path)
    add(path, line("RequestReceived", "a"), line("RequestReceived", "b"))
    add(path, line("ResponseComplete", "b"), line("Panic", "a"), b'{"half')
    assert asked(log) == ["/b", "/a"]


def test_line_that_is_half_written_at_the_beginning_is_no_request_of_then(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    whole = line("ResponseComplete", "before") + line("ResponseComplete", "begun")
    path.write_bytes(whole[:-20])
    log = audit.AuditLog(path)
    assert asked(log) == []
    add(path, whole[-20:])
    assert asked(log) == []
    add(path, line("ResponseComplete", "after"))
    assert asked(log) == ["/after"]


def test_log_that_is_empty_yet_is_told_from_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.touch()
    log = audit.AuditLog(path)
    add(path, line("ResponseComplete", "first"))
    assert asked(log) == ["/first"]


def test_request_that_has_arrived_is_waited_for(tmp_path: Path) -> None:
    log, path = opened(tmp_path)
    add(path, line("RequestReceived", "a", age_s=FRESH_S))
    ends = threading.Timer(0.1, add, (path, line("ResponseComplete", "a")))
    ends.start()
    assert asked(log) == ["/a"]
    ends.join()


def test_request_that_arrives_meanwhile_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, path = opened(tmp_path)
    add(path, line("RequestReceived", "a", age_s=FRESH_S))

    def pause(_: float) -> None:
        add(path, line("ResponseComplete", "a"), line("RequestReceived", "b"))

    monkeypatch.setattr("tests.integration.audit.time.sleep", pause)
    assert asked(log) == ["/a"]


def test_request_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    log, path = opened(tmp_path)
    add(path, line("RequestReceived", "hangs", age_s=audit.HANGS_S + 1))
    add(path, line("ResponseStarted", "watch", verb="watch"))
    assert asked(log) == []


def create(owner: str, name: str, **other: Any) -> audit.Request:  # noqa: ANN401 - any field
    now = datetime.datetime.now(datetime.UTC)
    given: dict[str, Any] = {
        "verb": "create",
        "resource": "pipelineruns",
        "namespace": "runs",
        "code": 201,
        **other,
    }
    return audit.Request(agent="me", name=name, at=now, answered=now, owner=owner, **given)


def test_runs_made_are_counted_by_their_execution_be_they_gone_by_now() -> None:
    made = [
        create("a", "run-a"),
        create("a", "run-a"),
        create("b", "run-b"),
        create("b", "run-b", code=409),
        create("b", "run-b", code=500),
        create("b", "run-b", verb="delete"),
        create("b", "run-b", namespace="others"),
        create("b", "run-b", resource="taskruns"),
    ]
    assert audit.runs_made(made, "runs") == {"a": 2, "b": 1}

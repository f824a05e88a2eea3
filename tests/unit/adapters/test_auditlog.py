"""Audit events on the log."""

import importlib
from collections.abc import Iterator

import orjson
import pytest
import structlog

from tests.unit.adapters import audits
from workflowexecution import logs
from workflowexecution.adapters import auditlog

LEVELS = ["debug", "info", "warning", "error"]


@pytest.fixture
def configured(logging_as_it_was: None) -> Iterator[None]:
    """Loggers that have not spoken yet, since one that has keeps where it writes to."""
    importlib.reload(auditlog)
    yield
    importlib.reload(auditlog)


@pytest.fixture
def lines() -> Iterator[list[structlog.typing.EventDict]]:
    with structlog.testing.capture_logs() as heard:
        yield heard


def test_an_event_is_one_line_and_recorded(lines: list[structlog.typing.EventDict]) -> None:
    trail, listener = auditlog.LogTrail(), audits.Listener()
    trail.listen(listener)
    event = audits.event("a")
    assert trail.has_room()
    assert trail.offer(event, doubtful=True)
    assert lines == [{"event": auditlog.MESSAGE, "log_level": "info", "audit": event}]
    assert listener.heard == ["recorded a"]


def test_an_event_that_could_not_be_stored_says_why(
    lines: list[structlog.typing.EventDict],
) -> None:
    auditlog.write(audits.event("a"), why="400")
    assert lines[0]["not_stored"] == "400"


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("level", LEVELS)
def test_an_event_is_written_as_json_at_every_level(
    level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(level=level, form="json", identity="pod-1")
    event = audits.event("a")
    auditlog.write(event)
    logs.set_level("error")
    auditlog.write(event, why="400")
    first, second = map(orjson.loads, capsys.readouterr().err.splitlines())
    assert first["audit"] == second["audit"] == event.document
    assert (first["event"], first["level"]) == (auditlog.MESSAGE, "info")
    assert second["not_stored"] == "400"


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("level", LEVELS)
def test_an_event_is_written_among_lines_for_people_at_every_level(
    level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(level=level, form="console", identity="pod-1")
    event = audits.event("a")
    auditlog.write(event)
    logs.set_level("error")
    auditlog.write(event)
    # As JSON even among lines for people, so that it can be sent from there.
    written = [orjson.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(it["event"], it["audit"]) for it in written] == [
        (auditlog.MESSAGE, event.document)
    ] * 2


@pytest.mark.usefixtures("configured")
def test_another_line_has_no_way_past_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="error", form="json", identity="pod-1")
    structlog.get_logger().warning("Audit batch failed", audit={"event_type": "x"})
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("form", ["json", "console"])
def test_an_event_is_written_whole(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="info", form=form, identity="pod-1")
    workflow = {"workflowId": "w", "version": "1", "containerImage": "rotate-secret:main"}
    auditlog.write(audits.event("a", workflowRef=workflow), why="400 for password=hunter2")
    written = capsys.readouterr().err
    assert "rotate-secret:main" in written
    assert "hunter2" not in written

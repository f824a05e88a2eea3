"""Audit events on the log."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.unit.adapters import audits
from workflowexecution.adapters import auditlog


@pytest.fixture
def lines() -> Iterator[list[structlog.typing.EventDict]]:
    """What is logged where only errors are wanted."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with structlog.testing.capture_logs() as heard:
        yield heard
    structlog.reset_defaults()


def test_an_event_is_one_line_and_recorded_at_every_level(
    lines: list[structlog.typing.EventDict],
) -> None:
    trail, listener = auditlog.LogTrail(), audits.Listener()
    trail.listen(listener)
    event = audits.event("a")
    assert trail.has_room()
    assert trail.offer(event, doubtful=True)
    assert lines == [{"event": auditlog.MESSAGE, "log_level": "info", "audit": event.document}]
    assert listener.heard == ["recorded a"]


def test_an_event_that_could_not_be_stored_says_why(
    lines: list[structlog.typing.EventDict],
) -> None:
    auditlog.write(audits.event("a"), why="400")
    assert lines[0]["not_stored"] == "400"

"""The audit commands, as far as they need no cluster."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import pytest

from tests.unit.adapters import audits
from workflowexecution import auditcommands, settings
from workflowexecution.domain import auditcheck

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "hour"),
    [("2026-03-01", 0), ("2026-03-01T12:00:00", 12), ("2026-03-01T13:00:00+01:00", 12)],
)
def test_a_moment_without_a_zone_is_utc(text: str, hour: int) -> None:
    wanted = datetime.datetime(2026, 3, 1, hour, tzinfo=datetime.UTC)
    assert auditcommands.moment(text) == wanted


def test_an_export_holds_rows_or_lines_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_text(
        '\n{"event_type": "a"}\n{"audit": {"event_type": "b"}, "event": "Audit event"}\n'
        '{"event": "Starting"}\n[]\n{"audit": 5}\n'
    )
    assert [row["event_type"] for row in auditcommands.read_export(path)] == ["a", "b"]


def test_an_export_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "export"
    with pytest.raises(auditcommands.CommandError, match="cannot read"):
        list(auditcommands.read_export(path))
    path.write_text("{}\n{")
    with pytest.raises(auditcommands.CommandError, match="line 2"):
        list(auditcommands.read_export(path))


def test_a_replay_needs_somewhere_to_send(capsys: pytest.CaptureFixture[str]) -> None:
    wish = auditcommands.Wish(since=auditcommands.moment("2026-03-01"))
    assert auditcommands.run(settings.Settings(), wish, kubeconfig=None) == auditcommands.EXIT_USAGE
    assert "set datastorage.url" in capsys.readouterr().err


def test_names_of_what_is_wrong_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    one, two = audits.event("one"), audits.event("two")
    report = auditcheck.compare([one, two], [one.document, one.document])
    assert auditcommands.tell(report) == auditcommands.EXIT_FOUND
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("missing payment/two workflowexecution.workflow.created")
    assert said[1].endswith(": 2 times")
    assert said[2].startswith("1 there, 1 missing, 1 doubled, 0 of")
    assert auditcommands.tell(auditcheck.compare([], [])) == auditcommands.EXIT_OK

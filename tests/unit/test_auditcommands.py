"""The audit commands, as far as they need no cluster."""

from __future__ import annotations

import asyncio
import datetime
import io
import json
import sys
from pathlib import Path

import pytest

from tests import builders
from tests.unit.adapters import audits, fakes
from tests.unit.adapters.audittrails import SETTLE_S, Bed
from workflowexecution import auditcommands, logs, settings
from workflowexecution.adapters import auditclient
from workflowexecution.api import names
from workflowexecution.domain import auditcheck, auditevent
from workflowexecution.domain.audit import Transition
from workflowexecution.runtime import client


@pytest.mark.parametrize(
    ("text", "hour"),
    [("2026-03-01", 0), ("2026-03-01T12:00:00", 12), ("2026-03-01T13:00:00+01:00", 12)],
)
def test_a_moment_without_a_zone_is_utc(text: str, hour: int) -> None:
    wanted = datetime.datetime(2026, 3, 1, hour, tzinfo=datetime.UTC)
    assert auditcommands.moment(text) == wanted


class Cluster(fakes.FakeClient):
    """Has executions, one a page; a selector selects as the API server's does."""

    def __init__(self, *labels: dict[str, str] | None) -> None:
        super().__init__()
        self.raws = [
            builders.raw_execution(f"e-{number}", metadata={"labels": it} if it else {})
            for number, it in enumerate(labels)
        ]

    async def page(self, field_selector: str, continue_token: str) -> client.ListPage:
        *_, label_selector, _, _ = self.calls[-1]
        number = int(continue_token or 0)
        raw = self.raws[number]
        key, _, value = label_selector.partition("=")
        there = not key or raw["metadata"].get("labels", {}).get(key) == value
        following = str(number + 1) if number + 1 < len(self.raws) else ""
        return client.ListPage([raw] if there else [], "1", following)


@pytest.mark.parametrize(("instance", "names_of"), [("", ["e-0", "e-1"]), ("blue", ["e-2"])])
async def test_the_executions_of_an_instance_are_those_that_it_serves(
    instance: str, names_of: list[str]
) -> None:
    label = names.LABEL_INSTANCE
    cluster = Cluster(None, {label: ""}, {label: "blue"}, {label: "green"})
    wished = settings.Settings(controller=settings.Controller(instance=instance))
    found = await auditcommands.served(cluster, wished)
    assert [it.metadata.name for it in found] == names_of


def exported(path: Path) -> list[str]:
    lines = auditcommands.read_lines("--export", path)
    return [row["event_type"] for row in auditcommands.exported(lines)]


def unsent(path: Path) -> list[auditevent.Event]:
    lines = auditcommands.read_lines("--log", path)
    return list(auditcommands.unsent(lines, auditevent.Style()))


TORN = (
    b'nt_type": "cut"}, "event": "Audit event"}',
    b"Traceback (most recent call last):",
    b'  File "x.py", line 1, in <module>',
    b"Fatal Python error: Segmentation fault",
    b"\x00\x00\xff",
)


def test_an_export_holds_rows_or_lines_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_text(
        '\n{"event_type": "a"}\n{"audit": {"event_type": "b"}, "event": "Audit event"}\n'
        '{"event": "Starting"}\n[]\n{"audit": 5}\n'
    )
    assert exported(path) == ["a", "b"]
    assert auditcommands.read_lines("--export", path).warning() == ""


ROWS = [{"event_type": "a"}, {"audit": {"event_type": "b"}}, 5]
PAGE = {"data": ROWS, "pagination": {"total": 2, "has_more": False}}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("document", [ROWS, PAGE, {"data": ROWS}], ids=["array", "page", "data"])
def test_an_export_may_be_what_the_store_answers(
    tmp_path: Path, document: object, indent: int | None
) -> None:
    path = tmp_path / "export"
    path.write_text(json.dumps(document, indent=indent))
    assert exported(path) == ["a", "b"]
    assert auditcommands.read_lines("--export", path).torn == ()


def test_an_export_may_be_several_answers_of_the_store(tmp_path: Path) -> None:
    path = tmp_path / "export"
    first = {"data": [{"event_type": "a"}], "pagination": {"total": 2, "has_more": True}}
    last = {"data": [{"event_type": "b"}], "pagination": {"total": 2, "has_more": False}}
    path.write_text(f"{json.dumps(first)}\n{json.dumps(last)}\n")
    assert exported(path) == ["a", "b"]


def test_a_page_that_is_not_the_last_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_text(json.dumps({**PAGE, "pagination": {"total": 900, "has_more": True}}))
    with pytest.raises(auditcommands.CommandError, match=r"has 2 of 900 rows: .* every page"):
        exported(path)


@pytest.mark.parametrize("text", ['{"rows": [{"event_type": "a"}]}', "[]", "{}", '{\n"a": 1\n}'])
def test_an_export_without_a_record_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "export"
    path.write_text(text)
    lines = auditcommands.read_lines("--export", path)
    assert exported(path) == []
    assert auditcommands.no_record(lines, []) == f"no record is in {path}"
    assert auditcommands.no_record(lines, [{}]) == ""


def test_lines_of_an_export_that_are_not_json_are_passed_over_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_bytes(
        b"\n".join((TORN[0], b'{"event_type": "a"}', *TORN[1:], b'{"event_type": "b"}'))
    )
    assert exported(path) == ["a", "b"]
    warning = auditcommands.read_lines("--export", path).warning()
    assert warning == f"5 lines of {path} passed over, not JSON, the first is line 1"


@pytest.mark.parametrize("flag", ["--export", "--log"])
def test_a_file_of_which_nothing_can_be_read_is_told(tmp_path: Path, flag: str) -> None:
    path = tmp_path / "file"
    with pytest.raises(auditcommands.CommandError, match=f"{flag}: cannot read"):
        auditcommands.read_lines(flag, path)
    path.write_bytes(b"\n".join(TORN))
    with pytest.raises(auditcommands.CommandError, match=rf"{flag}: no line of .* is"):
        auditcommands.read_lines(flag, path)
    path.write_text("\n")
    assert auditcommands.read_lines(flag, path).entries == ()


def test_a_log_gives_each_record_that_is_on_it_alone_once(tmp_path: Path) -> None:
    one, two = audits.event("one"), audits.event("two")
    lines: list[dict[str, object]] = [
        {"event": "Starting"},
        {"audit": one.document, "not_stored": "the outbox did not take it: full"},
        {"audit": one.document, "not_stored": "400 bad"},
        {"audit": two.document},
        {"audit": two.document, "not_stored": auditevent.NO_WORD},
    ]
    path = tmp_path / "log"
    path.write_text("cut\n" + "".join(f"{json.dumps(line)}\nTraceback\n" for line in lines))
    assert unsent(path) == [one]


@pytest.mark.parametrize(
    "prefix", ["[pod/we-0/manager] ", "2026-03-01T12:00:00.000000001Z ", "2026-03-01 stderr F "]
)
def test_what_a_tool_puts_before_a_line_of_the_log_is_passed_over(
    tmp_path: Path, prefix: str
) -> None:
    event = audits.event("one")
    line = logs.render_json(None, "info", {"audit": event, "not_stored": "400"})
    path = tmp_path / "log"
    path.write_text(f"{prefix}{line}\n{prefix}Traceback\n{prefix}x={{'a': 1}}\n")
    assert unsent(path) == [event]
    assert auditcommands.read_lines("--log", path).torn == (2, 3)


def test_a_log_may_be_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    event = audits.event("one")
    line = logs.render_json(None, "info", {"audit": event, "not_stored": "400"})
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line.encode())))
    assert unsent(Path("-")) == [event]


@pytest.mark.parametrize("data", ["", ', "event_data": {"event_key": "u.created"}'])
def test_a_record_that_nobody_can_tell_is_told(tmp_path: Path, data: str) -> None:
    path = tmp_path / "log"
    path.write_text(f'{{"audit": {{"event_type": "a"{data}}}, "not_stored": "x"}}')
    with pytest.raises(auditcommands.CommandError, match=r"line 1 of .* has no record of this"):
        unsent(path)


def test_a_record_that_the_store_refused_is_sent_as_the_settings_are_now(tmp_path: Path) -> None:
    path = tmp_path / "log"
    style = auditevent.Style("current", "workflow")
    started = auditevent.build(builders.execution(), Transition.STARTED, style)
    created = audits.event("one")
    lines = [{"audit": it.document, "not_stored": "400"} for it in (started, created)]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    read = auditcommands.read_lines("--log", path)
    mended = auditevent.Style("current", "workflowexecution")
    # For the other there is no word, so it stays on the log.
    wanted = auditevent.build(builders.execution(), Transition.STARTED, mended)
    assert list(auditcommands.unsent(read, mended)) == [wanted]


def test_a_record_on_the_log_is_sent_as_it_was_built(tmp_path: Path) -> None:
    workflow = {"workflowId": "w", "version": "1", "containerImage": "rotate-secret:main"}
    event = audits.event("one", workflowRef=workflow)
    path = tmp_path / "log"
    line: dict[str, object] = {"audit": event, "event": "Audit event", "not_stored": "400"}
    path.write_text(logs.render_json(None, "info", line))
    assert unsent(path) == [event]


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


def test_lines_that_were_passed_over_are_told_beside_the_findings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = auditcommands.Lines(Path("export"), (), (4,))
    report = auditcheck.compare([], [])
    assert auditcommands.tell(report, lines.warning()) == auditcommands.EXIT_OK
    assert capsys.readouterr().err == (
        "workflowexecution audit: 1 line of export passed over, not JSON, the first is line 4: "
        "a record there counts as missing, and one too many is not seen\n"
    )


def test_a_replay_counts_the_lines_that_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    path.write_text('rn": 1}\n{"event": "Starting"}\n')
    wished = settings.Settings(datastorage=settings.DataStorage(url="http://127.0.0.1:1"))
    wish = auditcommands.Wish(log=path)
    assert auditcommands.run(wished, wish, kubeconfig=None) == auditcommands.EXIT_OK
    said = capsys.readouterr()
    assert "1 line of" in said.err
    assert said.out.startswith("0 records")


@pytest.mark.looptime
@pytest.mark.parametrize("asked", [False, True], ids=["sendings", "questions"])
async def test_a_replay_ends_though_the_store_fails_of_a_record(
    capsys: pytest.CaptureFixture[str], *, asked: bool
) -> None:
    bed = Bed()
    bed.store.poison = set() if asked else {"b"}
    bed.store.unaskable = {"b": auditclient.Failing("query: 2000 rows")} if asked else {}
    events = [audits.event(name) for name in "abc"]
    async with bed.running(), asyncio.timeout(300):
        await auditcommands._offer_all(bed.trail, events)
    # What the log says.
    capsys.readouterr()
    assert auditcommands._told(bed.trail, 3) == auditcommands.EXIT_FOUND
    said = capsys.readouterr().out
    assert said == "3 records: 0 were there, 2 sent, 0 refused, 1 left\n"


@pytest.mark.looptime
async def test_a_replay_tries_again_what_the_store_fails_of_for_a_while() -> None:
    bed = Bed()
    bed.store.poison = {"b"}
    events = [audits.event(name) for name in "abc"]
    async with bed.running():
        replay = asyncio.create_task(auditcommands._offer_all(bed.trail, events))
        await asyncio.sleep(SETTLE_S + 10)
        assert bed.store.batches.count(["b"]) > 2
        bed.store.poison.clear()
        await asyncio.wait_for(replay, 300)
    assert auditcommands._told(bed.trail, 3) == auditcommands.EXIT_OK

import collections
import datetime
import enum
import errno
import io
import logging
import sys
import types
from typing import Any

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from workflowexecution import logcontext, logs
from workflowexecution.domain import audit, auditevent, redaction

pytestmark = pytest.mark.usefixtures("logging_as_it_was")


class Colour(enum.StrEnum):
    RED = "red"


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [orjson.loads(line) for line in captured.err.splitlines()]


def configure(level: str = "info", form: str = "json") -> None:
    logs.configure(level=level, form=form, identity="pod-1")


def test_a_json_line_tells_what_when_who_and_about_what(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure()
    logcontext.bind({"namespace": "payment", "name": "x"})
    structlog.get_logger().info("PipelineRun created", run_uid="u", colour=Colour.RED, number=3)
    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "PipelineRun created",
        "level": "info",
        "identity": "pod-1",
        "namespace": "payment",
        "name": "x",
        "run_uid": "u",
        "colour": "red",
        "number": 3,
    }


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_a_level_silences_those_below(
    level: str, heard: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    configure(level)
    for name in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), name)("spoken")
    assert [line["level"] for line in lines(capsys)] == heard


class Odd:
    def __str__(self) -> str:
        return "token=abc"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("token=abc", f"token={redaction.BLANK}", id="text"),
        pytest.param(["a", "token=abc"], ["a", f"token={redaction.BLANK}"], id="list"),
        pytest.param(("token=abc",), [f"token={redaction.BLANK}"], id="tuple"),
        pytest.param({"b": {"password": "x"}}, {"b": {"password": redaction.BLANK}}, id="mapping"),
        pytest.param({1: None}, {"1": None}, id="number-as-a-key"),
        pytest.param(Odd(), f"token={redaction.BLANK}", id="object"),
        pytest.param(ValueError("token=abc"), f"token={redaction.BLANK}", id="exception"),
        pytest.param(1.5, 1.5, id="number"),
        pytest.param(True, True, id="boolean"),
    ],
)
def test_a_secret_is_blanked_wherever_it_stands(
    value: object, written: object, capsys: pytest.CaptureFixture[str]
) -> None:
    configure()
    structlog.get_logger().info("said", value=value, api_key="k")
    (line,) = lines(capsys)
    assert line["value"] == written
    assert line["api_key"] == redaction.BLANK


_TEXTS = st.text(max_size=12) | st.sampled_from([
    "token=abc", '"event_key":"token=abc"', '"event_key":', "PASSWORD: x", "key " + "A" * 32,
    "pa\u017f\u017fword=x", "harmless", "wfe-0123456789abcdef.created",
])  # fmt: skip
_KEYS = st.sampled_from(["event_key", "api_key", "key", "name", "password", "keys"]) | _TEXTS
_LEAVES = _TEXTS | st.none() | st.booleans() | st.integers(-(2**53), 2**53)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_a_line_that_is_searched_as_a_whole_is_the_one_taken_apart(event: dict[str, Any]) -> None:
    apart = orjson.dumps(logs.redact(None, "info", dict(event)))
    assert orjson.loads(logs.render_json(None, "info", dict(event))) == orjson.loads(apart)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param(types.MappingProxyType({"a": 1}), {"a": 1}, id="mapping-proxy"),
        pytest.param(frozenset({"a"}), ["a"], id="set"),
        pytest.param(collections.deque("a"), "deque(['a'])", id="object"),
        pytest.param(
            datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
            "2026-01-02 00:00:00+00:00",
            id="time",
        ),
        pytest.param({1: "a"}, {"1": "a"}, id="number-as-a-key"),
    ],
)
def test_a_line_without_a_secret_says_the_same(
    value: object, written: object, capsys: pytest.CaptureFixture[str]
) -> None:
    configure()
    structlog.get_logger().info("said", value=value)
    (line,) = lines(capsys)
    assert line["value"] == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("a\udcff", "a\\udcff", id="half-a-character"),
        pytest.param({"\udcff": 1}, {"\\udcff": 1}, id="half-a-character-as-a-key"),
        pytest.param(2**70, hex(2**70), id="number-above-64-bits"),
        pytest.param(-(2**63) - 1, hex(-(2**63) - 1), id="number-below-64-bits"),
        pytest.param([{"a": 2**64, "b": 2**64 - 1}], [{"a": hex(2**64), "b": 2**64 - 1}],
                     id="deep-in"),
        pytest.param(10**5000, hex(10**5000), id="number-of-too-many-decimals"),
        pytest.param(float("nan"), None, id="no-number"),
        pytest.param("token=abc \udcff", f"token={redaction.BLANK} \\udcff", id="with-a-secret"),
    ],
)  # fmt: skip
def test_what_json_has_not_is_written_in_words(value: object, written: object) -> None:
    line = orjson.loads(logs.render_json(None, "info", {"event": "said", "value": value}))
    assert line == {"event": "said", "value": written}


def test_a_record_with_what_json_has_not_is_written_all_the_same() -> None:
    document = {"event_type": "t\udcff", "token": "kept"}
    record = auditevent.Event("uid", audit.Transition.CREATED, document)
    line = orjson.loads(logs.render_json(None, "info", {"event": "said", "audit": record}))
    assert line == {"audit": {"event_type": "t\\udcff", "token": "kept"}, "event": "said"}


def test_a_record_that_cannot_be_written_is_not_taken_for_written() -> None:
    record = auditevent.Event("uid", audit.Transition.CREATED, {"event_type": object()})
    with pytest.raises(TypeError):
        logs.render_json(None, "info", {"event": "said", "audit": record})


class Unspeakable:
    def __str__(self) -> str:
        raise LookupError("password=hunter2")


def knot() -> list[object]:
    found: list[object] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    ("value", "error"),
    [
        pytest.param(Unspeakable(), "LookupError", id="text-raises"),
        pytest.param(knot(), "RecursionError", id="holds-itself"),
    ],
)
@pytest.mark.parametrize(
    ("event", "about"),
    [
        pytest.param("token=abc", f"token={redaction.BLANK}", id="text"),
        pytest.param(3, None, id="no-text"),
    ],
)
def test_a_line_that_cannot_be_written_says_what_it_was_about(
    value: object, error: str, event: object, about: object
) -> None:
    which = {"timestamp": "2026-03-01T12:00:00Z", "identity": "one"}
    said = {"event": event, "value": value, **which}
    line = orjson.loads(logs.render_json(None, "info", said))
    assert line == {
        **which,
        "event": "Log line cannot be written",
        "level": "info",
        "about": about,
        "error": error,
    }


def log_an_error() -> None:
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        structlog.get_logger().exception("Failed")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_is_written_and_redacted(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(form=form)
    log_an_error()
    text = capsys.readouterr().err
    assert "Traceback (most recent call last)" in text
    assert "ValueError: password=" in text
    assert "hunter2" not in text


def test_console_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure(form="console")
    structlog.get_logger().info("Starting", server="https://x")
    text = capsys.readouterr().err
    assert "Starting" in text
    assert "server=https://x" in text
    assert "identity=pod-1" in text


def test_what_libraries_log_takes_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    logging.getLogger("aiohttp.server").error("Bad %s", "token=abc")
    (line,) = lines(capsys)
    del line["timestamp"]
    assert line == {
        "event": f"Bad token={redaction.BLANK}",
        "level": "error",
        "logger": "aiohttp.server",
        "identity": "pod-1",
    }


@pytest.mark.parametrize("own_level", [logging.NOTSET, logging.DEBUG, logging.INFO])
def test_what_libraries_log_below_a_warning_is_left_out(
    own_level: int, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("aiohttp").setLevel(own_level)
    configure("debug")
    library = logging.getLogger("aiohttp.access")
    library.debug("response body: secret")
    library.info("GET /healthz")
    assert lines(capsys) == []
    library.warning("careful")
    assert [line["event"] for line in lines(capsys)] == ["careful"]


@pytest.mark.parametrize(
    ("said", "arguments", "about", "error"),
    [
        pytest.param("%d of %s", ("hunter2", 1), "%d of %s", "TypeError", id="arguments"),
        pytest.param("token=abc %d", ("x",), f"token={redaction.BLANK} %d", "TypeError", id="text"),
        pytest.param(Unspeakable(), (), None, "LookupError", id="no-text"),
    ],
)
@pytest.mark.parametrize("form", ["json", "console"])
def test_a_broken_call_of_a_library_is_told_in_one_line_without_its_arguments(
    said: Any,  # noqa: ANN401 - as a library may log it
    arguments: tuple[object, ...],
    about: str | None,
    error: str,
    form: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure(form=form)
    logging.getLogger("aiohttp").warning(said, *arguments)
    written = capsys.readouterr().err
    assert "hunter2" not in written
    assert written.count("\n") == 1
    if form == "console":
        assert "Log line cannot be written" in written
        return
    line = orjson.loads(written)
    del line["timestamp"]
    assert line == {
        "event": "Log line cannot be written",
        "logger": "aiohttp",
        "about": about,
        "error": error,
        "level": "warning",
        "identity": "pod-1",
    }


class Closed(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_nothing_is_raised_when_standard_error_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Closed())
    configure()
    logging.getLogger("aiohttp").warning("said")


class Failing(io.StringIO):
    """Fails as many times as it is told to, after the first letters of a line."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.to_come = list(errors)

    def write(self, text: str) -> int:
        if not self.to_come:
            return super().write(text)
        super().write(text[:9])
        raise self.to_come.pop(0)


NOT_WRITTEN = pytest.mark.parametrize(
    "error",
    [
        pytest.param(OSError(errno.ENOSPC, "No space left on device"), id="full"),
        pytest.param(BrokenPipeError(), id="left"),
        pytest.param(BlockingIOError(), id="slow"),
        pytest.param(ValueError("I/O operation on closed file"), id="closed"),
    ],
)


@NOT_WRITTEN
@pytest.mark.parametrize("form", ["json", "console"])
def test_who_logs_goes_on_when_a_line_cannot_be_written(
    form: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Failing(error, error)
    monkeypatch.setattr(sys, "stderr", stream)
    configure(form=form)
    for number in range(4):
        structlog.get_logger().warning("said", number=number)
    # What was cut off stands on lines of its own.
    *torn, third, fourth = stream.getvalue().splitlines()
    assert len(torn) == 2
    assert all("said" in line and "said" not in "".join(torn) for line in (third, fourth))


@NOT_WRITTEN
def test_who_writes_a_record_down_is_told_that_it_cannot_be_written(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Failing(error)
    monkeypatch.setattr(sys, "stderr", stream)
    configure("error", "console")
    record = auditevent.Event("uid", audit.Transition.CREATED, {"event_type": "t"})
    with pytest.raises(OSError):  # noqa: PT011 - of any kind
        structlog.get_logger().info("said", audit=record)
    structlog.get_logger().info("said", audit=record)
    _, line = stream.getvalue().splitlines()
    assert orjson.loads(line)["audit"] == {"event_type": "t"}


def test_errors_alone_are_written_when_that_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    configure("error")
    logging.getLogger("asyncio").warning("careful")
    logging.getLogger("asyncio").error("wrong")
    assert [line["event"] for line in lines(capsys)] == ["wrong"]


def test_level_changes_for_loggers_that_have_spoken(capsys: pytest.CaptureFixture[str]) -> None:
    configure("error")
    logger = structlog.get_logger()
    logger.info("first")
    logs.set_level("debug")
    logger.debug("second")
    logging.getLogger("aiohttp").warning("third")
    logging.getLogger("aiohttp").info("with a token in it")
    logs.set_level("error")
    logger.warning("fourth")
    logging.getLogger("aiohttp").warning("fifth")
    assert [line["event"] for line in lines(capsys)] == ["second", "third"]

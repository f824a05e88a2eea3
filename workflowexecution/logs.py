"""What the program writes to standard error: one structured line an event.

Set up once by `cli`. Modules log through `structlog.get_logger()`; the execution that a line is
about comes from the context that the reconciler binds. What libraries log by the standard library
takes the same form.

A level says what is chatter. An audit record is none: where the log is the store, its line is the
acknowledgement, and it is written whatever the level; that it cannot be written is raised, as of no
other line. It is written as it was built, too, since it may be sent from there: texts and
parameters are redacted where it is built, and names stay whole.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

import orjson
import structlog

from workflowexecution import logcontext
from workflowexecution.domain import auditevent, redaction

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

RECORD = "audit"
"""Under this key a line carries an audit record; it is written at every level, and whole."""

_WHICH = "timestamp", "identity"
"""What tells a line from others, and holds nothing of anybody's."""

_UNWRITABLE = "Log line cannot be written"

_AS_TEXT = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS

# Of the numbers that orjson writes.
_LEAST, _MOST = -(2**63), 2**64 - 1

# Of the methods of a logger.
_LEVELS_OF = {**_LEVELS, "exception": logging.ERROR, "critical": logging.CRITICAL}


class _Threshold:
    """Below which level nothing is written; loggers are kept, so it stands apart from them."""

    value = logging.INFO


def set_level(level: str) -> None:
    """Write what is of this level or above from now on: debug, info, warning or error."""
    _Threshold.value = _LEVELS[level]
    for handler in logging.getLogger().handlers:
        handler.setLevel(_of_libraries())


def configure(*, level: str, form: str, identity: str) -> None:
    """Send structured lines to standard error.

    Args:
        level: debug, info, warning or error.
        form: json or console.
        identity: which process speaks; stands on every line.
    """
    _Threshold.value = _LEVELS[level]
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )

    def render_for_people(logger: WrappedLogger, method: str, event: EventDict) -> str:
        # A record may be sent from here: `audit replay` reads JSON.
        if isinstance(event.get(RECORD), auditevent.Event):
            return render_json(logger, method, event)
        return console(logger, method, redact(logger, method, event))

    def stamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["identity"] = identity
        return event

    render = render_json if form == "json" else render_for_people
    chain: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        stamp,
        # Before redaction: a traceback quotes values as well.
        structlog.processors.format_exc_info,
    ]
    _configure_libraries([*chain, render])
    structlog.configure(
        processors=[_pass_over, logcontext.merge, *chain, _addressed(render)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=_Factory(_Writer(sys.stderr)),
        cache_logger_on_first_use=True,
    )


class _Writer:
    """Writes lines to a stream, which may take none for a while.

    Who logs is in the middle of something that matters more than a line that cannot be written.
    Who writes down a record is told: nothing else says whether it is there.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_torn = False

    def write(self, line: str, *, is_record: bool = False) -> None:
        """Write a line.

        Raises:
            OSError: it carries a record, and may not have been written.
        """
        # A part of the last line may stand there, which would spoil this one.
        begin = "\n" if self._is_torn else ""
        self._is_torn = True
        try:
            self._stream.write(f"{begin}{line}\n")
            self._stream.flush()
        except ValueError as error:
            if is_record:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from error
        except OSError:
            if is_record:
                raise
        else:
            self._is_torn = False

    debug = info = warning = error = exception = critical = msg = write


class _Factory:
    """Gives all loggers the one writer."""

    def __init__(self, writer: _Writer) -> None:
        self._writer = writer

    def __call__(self, *_: object) -> _Writer:
        return self._writer


def _addressed(render: structlog.typing.Processor) -> structlog.typing.Processor:
    """The last processor: the line of an event, and for the writer whether it carries a record."""

    def address(
        logger: WrappedLogger, method: str, event: EventDict
    ) -> tuple[tuple[object], dict[str, bool]]:
        is_record = isinstance(event.get(RECORD), auditevent.Event)
        return (render(logger, method, event),), {"is_record": is_record}

    return address


def _pass_over(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Drop what is below the threshold of the moment, and is no audit record.

    Raises:
        structlog.DropEvent: it is.
    """
    is_record = isinstance(event.get(RECORD), auditevent.Event)
    if _LEVELS_OF[method] < _Threshold.value and not is_record:
        raise structlog.DropEvent
    return event


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Blank what looks like a secret in every text of a line, however deep."""
    for key, value in event.items():
        event[key] = _redacted(key, value)
    return event


def _redacted(key: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(inner): _redacted(str(inner), it) for inner, it in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(key, it) for it in value]
    return redaction.redact_value(key, str(value))


def _of_libraries() -> int:
    """Below a warning, libraries print headers and bodies, with tokens and Secrets in them."""
    return max(_Threshold.value, logging.WARNING)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes what libraries log, and of a call that went wrong no more than whose it was."""

    def __init__(self, stream: TextIO, chain: list[structlog.typing.Processor]) -> None:
        super().__init__(stream)
        self._chain = chain

    def handleError(self, record: logging.LogRecord) -> None:
        """Say it in one line of the usual form; the arguments may be anything, secrets as well."""
        error, level = sys.exc_info()[0], record.levelname.lower()
        line: Any = {
            "event": _UNWRITABLE,
            "logger": record.name,
            "about": record.msg if isinstance(record.msg, str) else None,
            "error": error.__name__ if error else None,
        }
        try:
            for processor in self._chain:
                line = processor(None, level, line)
            self.stream.write(f"{line}{self.terminator}")
            self.flush()
        except Exception:  # noqa: BLE001 - nothing can be written, so this neither
            pass


def _configure_libraries(chain: list[structlog.typing.Processor]) -> None:
    handler = _Handler(sys.stderr, chain)
    formatter = structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        formatter(
            processors=[
                structlog.stdlib.add_logger_name, formatter.remove_processors_meta, *chain
            ]
        )
    )  # fmt: skip
    # The handler stops what is below: a library's own level passes the root's by.
    handler.setLevel(_of_libraries())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def render_json(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """Write a line as JSON, redacted but for the audit record on it; no value makes it raise.

    But for one in a record, whose line is its acknowledgement: it is written whole or not at all.
    """
    record = event.get(RECORD)
    if not isinstance(record, auditevent.Event):
        return _line(logger, method, event)
    rest = _line(logger, method, {key: it for key, it in event.items() if key != RECORD})
    # The rest has its level at least.
    return f'{{"{RECORD}":{_json(record.document)},{rest[1:]}'


def _line(logger: WrappedLogger, method: str, event: EventDict) -> str:
    about = event.get("event")
    try:
        return _render(logger, method, event)
    except Exception as error:  # noqa: BLE001 - a value of any kind, whose text may raise anything
        # Who logs is in the middle of something that matters more than the line.
        about = redaction.redact_value("event", about) if isinstance(about, str) else None
        failed = type(error).__name__
    which = {key: event[key] for key in _WHICH if isinstance(event.get(key), str)}
    said = {"event": _UNWRITABLE, "level": method, "about": about, "error": failed}
    return _json({**which, **said})


def _render(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """Write a line as JSON, redacted.

    The whole line is searched at once for what might be a secret; only one that has such a thing is
    taken apart.
    """
    try:
        line = orjson.dumps(event, default=_plain, option=_AS_TEXT).decode()
    except TypeError:
        # A key that is no text, or a number that JSON has not.
        line = ""
    if line and not redaction.may_hold_secret(line):
        return line
    return _json(redact(logger, method, event))


def _json(value: Mapping[str, object]) -> str:
    """JSON of what is made of JSON's kinds."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return orjson.dumps(_sound(value)).decode()


def _sound(value: object) -> object:
    """The same with words for what the library refuses: half characters, numbers above 64 bits."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_sound(str(key)): _sound(it) for key, it in value.items()}
    if isinstance(value, list):
        return [_sound(it) for it in value]
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        # Its decimals may be too many for Python itself.
        return hex(value)
    return value


def _plain(value: object) -> object:
    """What JSON has no form for, as `redact` makes it."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, set | frozenset) else str(value)

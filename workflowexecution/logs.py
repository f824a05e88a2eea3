"""What the program writes to standard error: one structured line an event.

Set up once by `cli`. Modules log through `structlog.get_logger()`; the execution that a line is
about comes from the context that the reconciler binds. What libraries log by the standard library
takes the same form.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import orjson
import structlog

from workflowexecution.domain import redaction

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(*, level: str, form: str, identity: str) -> None:
    """Send structured lines to standard error.

    Args:
        level: debug, info, warning or error.
        form: json or console.
        identity: which process speaks; stands on every JSON line.
    """
    threshold = _LEVELS[level]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(_dumps)
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )

    def stamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["identity"] = identity
        return event

    chain: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([stamp] if form == "json" else []),
        # Before redaction: a traceback quotes values as well.
        structlog.processors.format_exc_info,
        redact,
        renderer,
    ]
    _configure_libraries(threshold, chain)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *chain],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


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


def _configure_libraries(threshold: int, chain: list[structlog.typing.Processor]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        formatter(
            processors=[
                structlog.stdlib.add_logger_name, formatter.remove_processors_meta, *chain
            ]
        )
    )  # fmt: skip
    # Below a warning, libraries print headers and bodies, with tokens and Secrets in them. The
    # handler stops them: a library's own level passes the root's by.
    handler.setLevel(max(threshold, logging.WARNING))
    logging.basicConfig(handlers=[handler], level=handler.level, force=True)


def _dumps(event: EventDict, **_: object) -> str:
    return orjson.dumps(event).decode()

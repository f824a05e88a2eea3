"""What the program writes to standard error: one structured line an event.

Set up once by `cli`. Modules log through `structlog.get_logger()`; the execution that a line is
about comes from the context that the reconciler binds.
"""

from __future__ import annotations

import logging
import sys
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
# These print headers and bodies at debug level, tokens and Secrets among them.
_TALKATIVE = ("kubernetes_asyncio", "client", "asyncio", "aiohttp", "urllib3")


def configure(*, level: str, form: str, identity: str) -> None:
    """Send structured lines to standard error.

    Args:
        level: debug, info, warning or error.
        form: json or console.
        identity: which process speaks; stands on every JSON line.
    """
    threshold = _LEVELS[level]
    logging.basicConfig(stream=sys.stderr, level=max(threshold, logging.WARNING), force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(threshold, logging.INFO))
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(_dumps)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )

    def stamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["identity"] = identity
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([stamp] if form == "json" else []),
            # Before redaction: a traceback quotes values as well.
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Blank what looks like a secret in every text of a line."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redaction.redact_value(key, value)
    return event


def _dumps(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=str).decode()

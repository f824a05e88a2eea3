"""The catalogue of faults by their codes: what each does, and how it begins at a proxy.

What is started here goes on until its `end`, or until it has met as many requests as it says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tests.proxy import calls, replies
from tests.proxy.rules import Point

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.proxy.calls import Call
    from tests.proxy.proxy import Proxy

    Fits = Callable[[Call], bool]

LONG_LINE_BYTES = 5 << 20
GONE, EXPIRED = 410, "Expired"


class Begun(Protocol):
    """A fault that goes on."""

    @property
    def met(self) -> int:
        """How many requests, answers or pieces of a stream it was done to by now."""
        ...

    def end(self) -> None:
        """Let things be as they should."""
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the catalogue.

    Attributes:
        code: by which it is known.
        what: it does, in words.
        begin: at a proxy, for the requests that fit, as it is drawn by chance.
    """

    code: str
    what: str
    begin: Callable[[Proxy, Fits], Begun]


def reset(proxy: Proxy, fits: Fits, *, after_bytes: int = 10) -> Begun:
    """F2."""
    return proxy.cut(fits, after_bytes=after_bytes, reset=True, times=2)


def instant_end(proxy: Proxy, fits: Fits) -> Begun:
    """F3."""
    return proxy.cut(_watching(fits), times=None)


def torn_line(proxy: Proxy, fits: Fits, *, after_bytes: int = 100) -> Begun:
    """F4."""
    return proxy.cut(_watching(fits), after_bytes=after_bytes, times=2)


def error_event(
    proxy: Proxy, fits: Fits, *, code: int = GONE, reason: str = EXPIRED, after_events: int = 0
) -> Begun:
    """F5."""
    line = replies.error_event(code, reason)
    return proxy.tell(_watching(fits), line, after_events=after_events, times=2)


def throttle(proxy: Proxy, fits: Fits, *, seconds: int = 1) -> Begun:
    """F6."""
    reply = replies.throttled(seconds)
    return proxy.fail(fits, 429, Point.BEFORE, times=None, reply=reply)


def page(proxy: Proxy, fits: Fits, *, code: int = 502) -> Begun:
    """F7."""
    return proxy.fail(fits, code, Point.BEFORE, times=None, reply=replies.page(code))


def apply_then_drop(proxy: Proxy, fits: Fits, *, times: int = 2) -> Begun:
    """F8."""
    return proxy.fail(lambda call: call.method != "GET" and fits(call), times=times)


def late_answers(proxy: Proxy, fits: Fits, *, seconds: float = 0.5) -> Begun:
    """F9."""
    return proxy.delay(fits, seconds)


def stale_reads(proxy: Proxy, fits: Fits) -> Begun:
    """F10: what is read once from now on is read like that until the end."""
    made = proxy.record(fits)
    made.at_once = True
    return made


def late_events(proxy: Proxy, fits: Fits, *, seconds: float = 1.0) -> Begun:
    """F11."""
    return proxy.lag(fits, seconds)


def old_token(proxy: Proxy, fits: Fits, *, token: str = "") -> Begun:
    """F12: of this token, of any without one."""

    def is_old(call: Call) -> bool:
        return fits(call) and token in {"", call.token}

    return proxy.fail(is_old, 401, Point.BEFORE, times=None, reply=replies.unauthorized())


def group_missing(proxy: Proxy, fits: Fits, *, group: str = "tekton.dev") -> Begun:
    """F13."""
    of_group = calls.of_group(group)
    reply = replies.not_served()
    return proxy.fail(
        lambda call: fits(call) and of_group(call), 404, Point.BEFORE, times=None, reply=reply
    )


def long_line(proxy: Proxy, fits: Fits, *, size: int = LONG_LINE_BYTES) -> Begun:
    """F14."""
    return proxy.swell(fits, size)


CATALOGUE = {
    fault.code: fault
    for fault in (
        Fault("F1", "black hole: nothing passes, nothing breaks", lambda at, it: at.swallow(it)),
        Fault("F2", "RST in the middle of a chunk or a body", reset),
        Fault("F3", "watches begin and end at once, in order", instant_end),
        Fault("F4", "a watch ends in order, in the middle of a line", torn_line),
        Fault("F5", "an ERROR event in a watch: 410, 429, 500, 504, with or without", error_event),
        Fault("F6", "429 in plain text, Retry-After, the connection closes", throttle),
        Fault("F7", "502, 503 or 504 with a page of HTML", page),
        Fault("F8", "a write is done, its answer is lost", apply_then_drop),
        Fault("F9", "answers come late", late_answers),
        Fault("F10", "reads show the past", stale_reads),
        Fault("F11", "events of watches come late, writes are in time", late_events),
        Fault("F12", "401 from a moment on, for one token", old_token),
        Fault("F13", "404 page not found, for one API group", group_missing),
        Fault("F14", "an event of 5 MiB", long_line),
    )
}


def _watching(fits: Fits) -> Fits:
    return lambda call: call.is_watch and fits(call)

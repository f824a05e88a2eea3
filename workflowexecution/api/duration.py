"""Go's duration text: `90s`, `5m`, `1h30m`, `2m30.5s`.

Source: Go, package time, ParseDuration and Duration.String.
"""

from __future__ import annotations

import re
from typing import Final

# Go takes both the micro sign and the Greek letter.
_UNITS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "\u00b5s": 1e-6,
    "\u03bcs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_WHOLE = re.compile(rf"\+?(?:{_PART.pattern})+")
_ZERO: Final = frozenset({"0", "+0", "-0"})
# Go counts nanoseconds in 63 bits.
_MAX_S: Final = 2**63 * 1e-9


def parse(value: str) -> float:
    """Seconds of a duration text.

    Raises:
        ValueError: it is none, or negative, or more than Go holds (292 years); the message quotes
            it.
    """
    if value in _ZERO:
        return 0.0
    if not _WHOLE.fullmatch(value):
        msg = f"{value!r} is not a duration such as 90s, 5m or 1h30m"
        raise ValueError(msg)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
    if seconds >= _MAX_S:
        msg = f"{value!r} is longer than any duration can be"
        raise ValueError(msg)
    return seconds


def seconds_of(value: object) -> float:
    """Seconds of a duration text, or of a number that is meant as seconds already.

    Raises:
        ValueError: it is neither, or a number that is longer than any duration can be.
    """
    if isinstance(value, str):
        return parse(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            # The number itself is left out: it has hundreds of digits.
            msg = "it is longer than any duration can be"
            raise ValueError(msg) from error
    msg = f"{value!r} is not a duration such as 90s, 5m or 1h30m"
    raise ValueError(msg)


def format_seconds(seconds: float) -> str:
    """Go's text of a duration: `1h30m0s`, `2m30s`, `1.5s`, `250ms`, `0s`; to the millisecond.

    Args:
        seconds: not negative.
    """
    milliseconds = round(seconds * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text

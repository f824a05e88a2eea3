"""The redacted end of a log.

No more of it is looked through than the end that is kept has need of. What begins before that and
ends in it is blanked: a private key, or a value of many lines that begins not too far before.
"""

from __future__ import annotations

import re

from workflowexecution.domain import redaction, secretnames, secretvalues

# A name, and what stands between it and a value that may be long. In lower case: with regard to
# case the search for it is many times faster.
_QUOTE, _ASSIGNS = secretvalues.QUOTE, secretvalues.ASSIGNS
_OPENING = re.compile(
    r"(?:pass|pwd|key|connection|database|auth|token|secret|credential)[a-z0-9_.\-]{0,64}+"
    rf"(?:(?:(?:{_QUOTE})?[\s,;]{{1,16}}(?:{_QUOTE})?value)?(?:{_QUOTE})?\]?{_ASSIGNS}"
    rf"|(?P<gap>{secretvalues.FLAG_GAP}))"
    r"(?=(?:[bru]{0,2}|\$)\\{0,8}[\"']|[\[{]|[|>][+\-0-9]{0,2}[ \t]{0,8}[\r\n\\]"
    r"|(?:[a-z]{4,9}\s{1,8})?[^\s,;&\"']{512})"
)
_FLAG = re.compile(r"(?<![\w\-])-[\w.\-]*\Z")
_NAME = re.compile(secretnames.PATTERN, re.IGNORECASE)
_VALUE = re.compile(secretvalues.VALUE, re.IGNORECASE)
_KEY = re.compile(
    r"-----(?:(?P<begin>BEGIN [A-Z0-9 ]{0,64}?PRIVATE KEY)"
    r"|END [A-Z0-9 ]{0,64}?PRIVATE KEY[A-Z ]{0,16}-----)"
)
# A cut is at the beginning of a line, or of a word where a line is long.
_GAPS = (re.compile(r"\n"), re.compile(r"\s"))
# Letters of a name before what it is searched by (`encryption_key`), and of what tells that a value
# is long.
_MAX_BEFORE = 64
_MAX_HEAD = 1024
# How far before the end a value may begin that goes on in it; a private key may anywhere.
_MAX_VALUE = 64 * 1024


def redacted(log: str) -> tuple[str, bool]:
    """The end of a log without its secrets, and whether it is not all of it."""
    at = len(log) - redaction.MAX_TEXT
    if at <= 0:
        return redaction.redact(log), False
    gap = next(filter(None, (it.search(log, at - 1, at + redaction.AROUND) for it in _GAPS)), None)
    begins = gap.end() if gap is not None else at
    ends = _behind_secrets(log, begins)
    rest = redaction.redact(log[ends:])
    return (rest if ends == begins else f"{redaction.BLANK}{rest}"), True


def _behind_secrets(log: str, at: int) -> int:
    """Where nothing is open any more that begins before a place in a log."""
    at = _behind_key(log, at)
    if not redaction.may_hold_secret(log[max(0, at - _MAX_VALUE) : at + redaction.AROUND]):
        return at
    at = _behind_value(log, at)
    # Where one ends, another may be open.
    for _ in range(2):
        _, at = redaction.parted(log, at)
    return at


def _behind_key(log: str, at: int) -> int:
    """Where a private key ends that begins before this place; the place where none does."""
    is_open = False
    for found in _KEY.finditer(log, 0, at + _MAX_HEAD):
        if found.start() >= at:
            break
        is_open = found["begin"] is not None
    if not is_open:
        return at
    end = secretvalues.END_OF_KEY.search(log, at)
    return end.end() if end is not None else len(log)


def _behind_value(log: str, at: int) -> int:
    """Where the value of a secret ends that begins before this place; the place where none does."""
    floor = max(0, at - _MAX_VALUE)
    near, here, position = log[floor:], at - floor, 0
    lowered = redaction.folded(near[: here + _MAX_HEAD])
    while (found := _OPENING.search(lowered, position)) and found.start() < here:
        position = found.end()
        value = _VALUE.match(near, position) if _is_named(near, found) else None
        position = value.end() if value is not None else position
        if position > here and value is not None:
            return floor + position
    return at


def _is_named(log: str, opening: re.Match[str]) -> bool:
    """Whether a name is that of a secret; with no more than a gap behind it, that of a flag."""
    begins = opening.start()
    floor = max(0, begins - _MAX_BEFORE)
    if opening["gap"] and not _FLAG.search(log, floor, begins):
        return False
    return any(it.end() > begins for it in _NAME.finditer(log, floor, opening.end()))

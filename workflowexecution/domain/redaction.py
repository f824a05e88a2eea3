"""Blanks secrets in text that leaves the program: logs, events, status, audit.

Never applied to the parameters that are passed to a run.
"""

from __future__ import annotations

import re

BLANK = "***REDACTED***"

_KEY = (
    r"(?:password|passwd|pwd|api[_-]?key|(?:aws[_-]?)?access[_-]?key(?:[_-]?id)?"
    r"|(?:aws[_-]?)?secret[_-]?access[_-]?key|connection[_-]?string|database[_-]?url"
    r"|authorization|auth|token|secret)"
)
_SECRET_KEY = re.compile(rf"(?:^|[_.\-]){_KEY}(?:$|[_.\-])", re.IGNORECASE)
# Every repetition that may fail has a bound: messages are as long as somebody makes them, and time
# must not grow with the square of that. A quote may be escaped (JSON in JSON) or, after a cut,
# unclosed.
_QUOTE = r"\\{0,4}[\"']"
_VALUE = r"(?:\\{0,4}\"[^\"]*\"?|\\{0,4}'[^']*'?|(?:Bearer|Basic)\s{1,8}\S+|[^\s,;&\"']+)"
# A key may carry a prefix (DB_PASSWORD) or a suffix, and quotes; after = or : stands its value.
_ASSIGNED = re.compile(
    rf"(?P<key>{_KEY}(?![A-Za-z])[A-Za-z0-9_.\-]{{0,64}}(?:{_QUOTE})?)"
    rf"(?P<sep>\s{{0,8}}[=:]\s{{0,8}}){_VALUE}",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s{1,8}[A-Za-z0-9+/._~\-]{8,}=*", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_\-]{5,}(?:\.[A-Za-z0-9_\-]*){0,2}")
_LONG = re.compile(r"(?P<key>secret|token|key)(?P<sep>\W{1,3})[A-Za-z0-9+/]{32,}=*", re.IGNORECASE)
# Texts without any of these cannot match: most lines cost one cheap search.
_HINT = re.compile(
    r"pass|pwd|key|connection|database|auth|token|secret|bearer|basic|eyJ", re.IGNORECASE
)


def redact(text: str) -> str:
    """Replace every value that looks secret by `key=***REDACTED***`, keeping the rest readable."""
    if not _HINT.search(text):
        return text
    text = _BEARER.sub(rf"\1 {BLANK}", text)
    text = _ASSIGNED.sub(lambda match: f"{match['key']}{match['sep']}{BLANK}", text)
    text = _JWT.sub(BLANK, text)
    return _LONG.sub(lambda match: f"{match['key']}{match['sep']}{BLANK}", text)


def redact_value(key: str, value: str) -> str:
    """Redact a value that stands under a key of its own, as in a structured log line."""
    return BLANK if _SECRET_KEY.search(key) else redact(value)

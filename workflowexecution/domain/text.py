"""Text that fits where it is going: byte budgets, label values."""

from __future__ import annotations

import hashlib
import re

CUT_MARK = "…[cut]"
LABEL_MAX = 63
_HASH_DIGITS = 10
_LABEL = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_NOT_LABEL = re.compile(r"[^-A-Za-z0-9_.]+")


def cut(text: str, max_bytes: int) -> str:
    """Shorten to a budget of UTF-8 bytes, on a character boundary and visibly.

    Args:
        text: what is to be kept.
        max_bytes: size of the result at most; at least the size of the mark.
    """
    raw = text.encode("utf-8", "replace")
    if len(raw) <= max_bytes:
        return raw.decode("utf-8")
    room = max_bytes - len(CUT_MARK.encode())
    return raw[:room].decode("utf-8", "ignore") + CUT_MARK


def label_value(value: str) -> str:
    """A valid label value that tells different texts apart.

    A text that is a valid value already is its own label. Any other is replaced by a readable
    prefix and a hash, since a blind cut makes two names one, or ends in a forbidden character.

    Source: Kubernetes, "Labels and Selectors", syntax and character set.
    """
    if value == "" or (_LABEL.fullmatch(value) and len(value) <= LABEL_MAX):
        return value
    digest = hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:_HASH_DIGITS]
    prefix = _NOT_LABEL.sub("_", value)[: LABEL_MAX - _HASH_DIGITS - 1].strip("-_.")
    return f"{prefix}-{digest}" if prefix else digest

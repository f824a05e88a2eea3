"""Text that fits where it is going: byte budgets, label values."""

from __future__ import annotations

import hashlib
import re

CUT_MARK = "…[cut]"
LABEL_MAX = 63
MAX_NAME_BYTES = 253
"""Of the longest name that Kubernetes takes; texts that should be names are cut there."""
_HASH_DIGITS = 10
_LABEL = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_NOT_LABEL = re.compile(r"[^-A-Za-z0-9_.]+")
# How a program colours its output and moves the cursor.
_ANSI = re.compile(r"\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]")
# Lone surrogates as well, which UTF-8 cannot say.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_ESCAPED = (b'"', b"\\", b"\n", b"\t")


def plain(text: str) -> str:
    """The text without control characters, newline and tab excepted.

    JSON writes six bytes for one of them, and a terminal obeys it. Line ends become newlines,
    colours go, and what is left of others is a question mark.
    """
    if text.isprintable():
        return text
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("?", _ANSI.sub("", lines))


def size(text: str) -> int:
    """Bytes of a plain text as it stands in JSON, its quotes not counted."""
    return _size(text.encode())


def cut(text: str, max_bytes: int) -> str:
    """Make plain, and shorten to a budget on a character boundary and visibly.

    Args:
        text: what is to be kept.
        max_bytes: size of the result at most, in UTF-8 and in JSON; at least that of the mark.
    """
    whole = plain(text)
    raw = whole.encode()
    # Most are far from their budget, and no byte takes more than two.
    if 2 * len(raw) <= max_bytes or _size(raw) <= max_bytes:
        return whole
    room = max_bytes - len(CUT_MARK.encode())
    head = raw[:room]
    while (over := _size(head) - room) > 0:
        head = head[: -((over + 1) // 2)]
    return head.decode(errors="ignore") + CUT_MARK


def tail(text: str, max_bytes: int) -> tuple[str, bool]:
    """The end of a plain text within a budget as of `cut`, and whether it is not all of it."""
    end = raw = text.encode()
    while (over := _size(end) - max_bytes) > 0:
        end = end[(over + 1) // 2 :]
    return end.decode(errors="ignore"), end is not raw


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


def _size(raw: bytes) -> int:
    return len(raw) + sum(raw.count(it) for it in _ESCAPED)

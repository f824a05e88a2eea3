"""How the value of a secret is written behind its name, and values that are known by their look.

All of them take time in proportion to the text: each repetition either cannot fail once it has
begun, and is possessive then, or has a bound. They are made for `re.IGNORECASE`.
"""

from __future__ import annotations

import re

BLANK = "***REDACTED***"

QUOTE = r"\\{0,8}[\"']"
"""A quote may be escaped: JSON in JSON."""
ASSIGNS = r"\s{0,64}(?:=>|:=|==|[=:])(?:[ \t]{0,256}+(?![ \t])|\s{0,8})"
"""Columns of a table are as wide as the longest name in it."""
FLAG_GAP = (
    rf"(?:[ \t]{{1,8}}|{QUOTE}\s{{0,8}},?\s{{0,8}}"
    rf"|(?:{QUOTE})?[ \t]{{0,8}}\r?\n[ \t]{{0,64}}(?:-[ \t]{{1,8}})?)"
)
"""All that can stand between a flag and its value: a gap, a comma of JSON, the end of a line."""

# A string ends at its quote, escaped as the first one was, or with the string around it. A shell
# writes a quote within as '\'' or '"'"', YAML and SQL double it.
_DOUBLE = r"\"(?s:[^\"\\]|\\.)*+\"(?:\"(?![\s,\]}])[^\"\r\n]*+\")*+"
_SINGLE = r"'(?s:[^'\\]|\\.)*+'(?:\\{1,8}'|\\{0,8}\"'{1,8}\\{0,8}\"|'[^'\r\n]*+')*+"
_ESCAPED_STRING = (
    r"(?P<escape>\\{1,8})(?P<quote>[\"'])"
    r"(?s:(?!(?<!\\)(?P=escape)?(?P=quote)).)*+(?:(?P=escape)(?P=quote)|(?=(?P=quote)))"
)
# One that never ends is none, but a word that begins with an apostrophe, or was cut: it ends with
# its line, and with the lines below that look like base64, the last of which may be cut as well.
# No more than one of each kind can be without an end in a text, so looking for it is cheap.
_LETTERS = r"[A-Za-z0-9+/=_\-]"
_OPAQUE_LINE = (
    rf"\r?\n(?:(?=[A-Za-z/_\-]{{0,128}}+[0-9+=])(?=[^\r\n]{{0,128}}?[A-Za-z]){_LETTERS}{{2,}}+"
    rf"|{_LETTERS}{{40,}}+)(?![^\r\n])"
)
_UNENDING = rf"\\{{0,8}}[\"'][^\r\n]*+(?:(?:{_OPAQUE_LINE})++(?:\r?\n{_LETTERS}{{1,128}}+\Z)?+)?+"
QUOTED = rf"(?:[bru]{{0,2}}|\$)(?:{_DOUBLE}|{_SINGLE}|{_ESCAPED_STRING}|{_UNENDING})"

_IN_A_LINE = r"\"(?:[^\"\\\r\n]++|\\.)*+\"|'(?:[^'\\\r\n]++|\\.)*+'"
# One of many lines is a whole member: behind an apostrophe the next one may be far away.
_OF_LINES = r"(?:(?<=[:,\[{])|(?<=[:,\[{]\s))\"(?:[^\"\\]++|\\.)*+\"(?=\s{0,8}[:,\]}])"
_WITHOUT_BRACKETS = r"\"(?:[^\"\\\r\n\[{]++|\\.)*+\"|'(?:[^'\\\r\n\[{]++|\\.)*+'"


def _bracketed(depth: int) -> str:
    """A list or an object, with so many more in it.

    Where it has no end, all behind it is read in vain, and again from the next that opens. What
    opens within a string does not count as one more of them, so there is a bound on such strings.
    """
    inner = f"|{_bracketed(depth - 1)}" if depth else ""
    plain = rf"\\.|{_WITHOUT_BRACKETS}|[^\[\]{{}}\\\"']++|(?!{_IN_A_LINE}|{_OF_LINES})[\"']{inner}"
    return rf"[\[{{](?s:(?:{plain})*+(?:{_IN_A_LINE}|{_OF_LINES})?+){{1,32}}+[\]}}]"


# Without an end it was cut, or there is none: then it ends with its line, and if that ends with a
# bracket or a comma, with the lines that are indented.
_GOES_ON = r"(?:(?<=[\[{,])|(?<=[\[{,][ \t]))[ \t]{0,8}(?:\r?\n[ \t]{1,64}[^\r\n]*+)++"
BRACKETED = rf"(?:{_bracketed(4)}|[\[{{][^\r\n]*+(?:{_GOES_ON})?+)"

# YAML: every line that is indented as the first is.
_BLOCK = (
    r"[|>][+\-0-9]{0,2}[ \t]{0,8}(?P<line>\r?\n|\\{1,4}n)(?P<indent>[ \t]{1,64})"
    r"(?:(?!(?P=line))[^\n])*+"
    r"(?:(?P=line)(?:(?P=indent)(?:(?!(?P=line))[^\n])*+|[ \t]{0,64}(?=(?P=line))))*+"
)
_SCHEME = r"(?:Bearer|Basic|Token|ApiKey|Digest|Negotiate|NTLM)\s{1,8}(?=[^\s,;&\"'])"
_PLAIN = r"(?:(?!\\{1,8}[\"'])[^\s,;&\"'])++"

VALUE = rf"(?:{re.escape(BLANK)}|{_BLOCK}|{QUOTED}|{BRACKETED}|(?:{_SCHEME})?{_PLAIN})"
"""What stands behind a name and its `=` or `:`. Once in a pattern, for its groups."""

HEADER = (
    rf"(?:{re.escape(BLANK)}|{QUOTED}|{BRACKETED}"
    r"|(?:=\\{0,8}\"[^\"\r\n]{0,1024}\"|(?!\\{0,8}[\"'])[^\r\n])++)"
)
"""What stands behind `Authorization`: schemes have parameters, with quotes of their own, up to the
end of the line or of the string that the header stands in."""

PROSE = (
    r"(?:is|are|was|has|must|may|should|can|cannot|or|and|not|requires?|needs?|flags?|options?"
    r"|arguments?|for|from|in|to|with|the|given)(?![\w\-]|\.\w)"
)
"""How a sentence about a flag goes on behind it, and no value does."""

TOKENS = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{10,}"
    r"|github_pat_[A-Za-z0-9_]{10,}|(?:xox[abeprs]|xapp)-[A-Za-z0-9\-]{8,}"
    r"|gl(?:pat|dt|rt|cbt|ptt|agent)-[A-Za-z0-9_\-]{10,}|hv[sb]\.[A-Za-z0-9_\-]{8,}"
    # Models of language, payments, package registries, Google, Grafana, Hugging Face, age.
    r"|sk-(?:[A-Za-z0-9]{32,}|(?:proj|svcacct|admin|ant|or)-[A-Za-z0-9_\-]{16,})"
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{10,}|npm_[A-Za-z0-9]{30,}|pypi-Ag[A-Za-z0-9_\-]{16,}"
    r"|dckr_[op]at_[A-Za-z0-9_\-]{16,}|AIza[A-Za-z0-9_\-]{30,}|ya29\.[A-Za-z0-9_.\-]{16,}"
    r"|gl(?:sa|c)_[A-Za-z0-9_+/]{20,}=*|hf_[A-Za-z0-9]{30,}|AGE-SECRET-KEY-1[A-Z0-9]{40,}"
    # "-----BEGIN " in base64, and behind it no "CERTIFI" nor "PUBLIC ".
    r"|LS0tLS1CRUdJTi(?!BDRVJUSUZJ|BQVUJMSUMg)[A-Za-z0-9+/]{8,}+={0,2}"
    r"(?:(?:\r?\n[A-Za-z0-9+/]{64,76}+)++(?:\r?\n[A-Za-z0-9+/]{1,76}+={0,2}(?![^\r\n]))?)?)"
)
"""Tokens that their makers have given a look of their own, and private keys in base64."""
JWT = re.compile(r"\beyJ[A-Za-z0-9_\-]{5,}(?:\.[A-Za-z0-9_\-]*){0,2}")
END_OF_KEY = re.compile(r"-----END [A-Z0-9 ]{0,64}?PRIVATE KEY[A-Z ]{0,16}-----")
PRIVATE_KEY = re.compile(
    rf"-----BEGIN [A-Z0-9 ]{{0,64}}?PRIVATE KEY(?s:.)*?(?:{END_OF_KEY.pattern}|\Z)"
    # Of one whose beginning was cut off, as many lines as a large one has.
    rf"|(?<![A-Za-z0-9+/=])(?:[A-Za-z0-9+/=]{{4,76}}(?:\r?\n|\\n)){{1,64}}{END_OF_KEY.pattern}"
)

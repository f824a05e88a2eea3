"""Blanks secrets in text that leaves the program: logs, events, status, audit.

Never applied to the parameters that are passed to a run. A text may be as long as an object or a
log may be, and the event loop waits meanwhile: of a long one the beginning is taken, of a log its
end (`logend`). What would be cut in two is left out.
"""

from __future__ import annotations

import re

from workflowexecution.domain import secretnames, secrettools, secretvalues, text

BLANK = secretvalues.BLANK
MAX_TEXT = 32 * 1024
"""Letters of a text that are looked through: several times what there is room for anywhere."""
AROUND = 8 * 1024
"""Letters around a cut in which a secret that it would part is looked for."""

_QUOTE, _ASSIGNS, _VALUE = secretvalues.QUOTE, secretvalues.ASSIGNS, secretvalues.VALUE
_NAME, _PROSE = secretnames.PATTERN, secretvalues.PROSE
_REST = r"[A-Za-z0-9_.\-]{0,64}+"

# To the end of the line: a scheme may be any word, and what follows it is all secret.
_HEADER = re.compile(
    rf"(?P<head>(?<![A-Za-z0-9.])authorization(?:{_QUOTE})?\]?{_ASSIGNS}){secretvalues.HEADER}",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s{1,8}[A-Za-z0-9+/._~\-]{8,}=*", re.IGNORECASE)
# What shells and `env` print, and columns of names: here a value has other ends than in a sentence.
_VARIABLE_OF_SECRET = rf"(?=\w{{0,64}}?{_NAME})[a-z_]\w{{0,127}}+"
_PRINTED = re.compile(
    r"^(?P<head>(?P<by>(?:\++[ \t]{1,4})?(?:(?:export|declare -[a-z]{1,8})[ \t]{1,4})?)"
    rf"(?P<name>{_VARIABLE_OF_SECRET})=|[ \t]{{0,64}}{_VARIABLE_OF_SECRET}:[ \t]{{2,256}}+)"
    rf"(?P<word>{_VALUE}(?:[^\s\"']|\"[^\"\r\n]*+\"|'[^'\r\n]*+'|[\"'])*+)"
    r"(?P<rest>[^\r\n]*+)",
    re.IGNORECASE | re.MULTILINE,
)
# What went wrong: all but a word of it stays, and so does all of it behind the value of another.
_WHY = re.compile(r"[A-Z]\w*_(?:ERROR|MESSAGE|REASON)")
_WHY_BEHIND = re.compile(r"[^\"']*?(?P<why>(?:;|&&|,)(?:[A-Z]\w{0,64}_)?(?:ERROR|MESSAGE|REASON)=)")
_VARIABLE = re.compile(r"[A-Za-z_]\w{0,127}+=")
_PAIR = re.compile(r"\s\w{1,128}+=")
# What stands in the line below may be the name of a member: it tells by itself what its value is.
_BELOW = "|".join(rf"(?<=\n\s{{{n}}}{dash})" for n in range(8) for dash in ("", r"-\s"))
_IS_MEMBER = rf"(?:{_BELOW})[\"']?[\w.\-]{{1,64}}+[\"']?:(?!\S)"
# A name may carry a prefix (DB_PASSWORD) or a suffix, and quotes; behind = or : stands its value,
# which may be the first of a list or a member of its own.
_ASSIGNED = re.compile(
    rf"(?P<name>{_NAME}{_REST})(?P<sep>(?:{_QUOTE})?\]?{_ASSIGNS}"
    rf"(?:(?<=\s)(?:-|(?:secret_?)?value(?:{_QUOTE})?:)[ \t]{{1,8}})?+)"
    rf"(?!{_IS_MEMBER})(?P<value>{_VALUE})",
    re.IGNORECASE,
)
# Variables and parameters of a pod: the name is a value, too.
_NAMED = re.compile(
    rf"(?P<head>\b(?:name|key)(?:{_QUOTE})?{_ASSIGNS}(?:{_QUOTE})?(?P<name>[A-Za-z0-9_.\-]{{1,128}}+)"
    rf"(?:{_QUOTE})?[\s,;]{{1,16}}(?:{_QUOTE})?value(?:{_QUOTE})?{_ASSIGNS}){_VALUE}",
    re.IGNORECASE,
)
# Begun once in a word, with its first dash that may be a flag's: nothing in it is read again from
# each of the others.
_FLAG = re.compile(
    r"(?P<head>(?<![\w.\-])(?>-|[\w\-]*+(?:\.(?!-)[\w\-]*+)*+\.-)"
    rf"(?>[\w.\-]*?{_NAME})[\w.\-]*+"
    rf"(?:[ \t]{{1,8}}|{_QUOTE}\s{{0,8}},?\s{{0,8}}(?={_QUOTE})))"
    rf"(?!-|{_PROSE}){_VALUE}",
    re.IGNORECASE,
)
# Arguments of which each has a line: what stands below a flag is its value if it begins as the flag
# does. A line that ends with a flag and another below it are mostly two sentences.
_FLAG_LINE = re.compile(
    r"(?P<head>^(?P<margin>[ \t]{1,64}(?:-[ \t]{1,8})?|-[ \t]{1,8})(?P<around>[\"']?)"
    rf"--?(?!-)[\w.\-]{{0,64}}?{_NAME}{_REST}(?P=around)[ \t]{{0,8}}\r?\n(?P=margin))"
    rf"(?![\s\-]|{_PROSE})(?:{secretvalues.QUOTED}|[^\r\n]++)",
    re.IGNORECASE | re.MULTILINE,
)
_CURL = re.compile(
    r"(?P<head>\bcurl\b[^\r\n]{0,256}?[\s\"'](?:-[A-Za-z]{0,8}u|--user|--proxy-user)"
    r"[\s\"',=\\]{0,12}[^\s:\"',\\]{1,128}:)[^\s\"'\\]{1,512}",
    re.IGNORECASE,
)
# A password without a gap behind its letter; `-p` alone asks for it, `-P` is a port.
_ATTACHED = re.compile(
    r"(?P<head>\b(?:mysql|mariadb|sshpass)(?:dump|admin|import|show|check|pump|sh|-[a-z]{1,16})?"
    r"(?=[\s\"'])[^\r\n]{0,256}?[\s\"']-p)(?![\s\-])(?:"
    + secretvalues.QUOTED
    + r"|[^\s\"'\\]{1,512}+)"
)
_ELEMENT = re.compile(
    rf"(?P<head>(?:<|\\u003c)[A-Za-z0-9_:.\-]{{0,64}}?{_NAME}{_REST}"
    r"(?:\s[^<>\\]{0,256}+)?(?:>|\\u003e))"
    r"(?:(?!<|\\u003c)(?s:.)){1,4096}+",
    re.IGNORECASE,
)
# A number up to a slash is a port, and what stands before a digest is a tag.
_USERINFO = re.compile(
    r"(?P<head>\b[a-z][a-z0-9+.\-]{0,31}://"
    r"(?:[^\s/?#:\"'<>]{0,256}:(?=[^\s/?#\"'<>]{1,512}@)"
    r"|[^\s/?#:@\"'<>]{0,256}:(?!\d{1,5}[/?#])(?=[^\s@\"'<>]{1,512}+@)))"
    r"(?:[^\s/?#\"'<>]{1,512}(?=@)|[^\s@\"'<>]{1,512}+(?=@))(?!@sha\d)",
    re.IGNORECASE,
)
_LONG = re.compile(
    r"(?P<name>secret|token|key)(?P<sep>\W{1,24})(?P<value>[A-Za-z0-9+/]{32,}=*)", re.IGNORECASE
)
_OPAQUE = re.compile(r"[A-Za-z0-9+/]{32,}=*")
# Small letters and slashes alone are a path.
_IS_MIXED = re.compile(r"[A-Z0-9+]")
# Texts without any of these cannot match: most cost a few cheap searches, in lower case.
_HINTS = (
    "pass", "pwd", "key", "connection", "database", "auth", "token", "secret", "credential",
    "bearer", "basic", "eyj", "akia", "asia", "xox", "xapp-", "github_pat", "npm_", "pypi-ag",
    "dckr_", "aiza", "ya29.", "glsa_", "glc_", "hf_", "curl", "mysql", "mariadb", "login",
    "redis-cli", "ldap", "mongo", "identified", "private-lines", "hvs.", "hvb.", "ls0tls1crudj",
    "@",
)  # fmt: skip
# Short ones stand in words, too: a look at what is around them is cheaper than all patterns. They
# begin with what stands for itself, so that it is searched for as fast as a word.
_SHORT_HINTS = (
    ("gh", re.compile(r"gh[pousr]_")),
    ("sk-", re.compile(r"sk-(?<![a-z0-9]sk-)[a-z0-9]")),
    ("k_", re.compile(r"(?<![a-z0-9])[rs]k_(?:live|test)_")),
    ("gl", re.compile(r"gl(?<![a-z0-9]gl)(?:pat|dt|rt|cbt|ptt|agent)-")),
)
# Letters beyond ASCII that are letters of it where case does not matter.
_ALIKE = (("\u0130", "i"), ("\u0131", "i"), ("\u017f", "s"), ("\u212a", "k"))
_BEFORE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/:")
_MAX_BEFORE = 256
_ACCOUNT = re.compile(r"system:serviceaccounts?:", re.IGNORECASE)
# Not a value, but where a pod takes it from.
_REFERENCE = re.compile(r"<set to the key ")
# How an error goes on behind what it is about ("open PATH: no such file"). A word that is none of
# these may be a password.
_ERROR = re.compile(
    r"(?:(?:eof|timeout|forbidden|unauthorized)(?![^\s\"'\\])"
    r"|(?:(?:access|already|bad|broken|can't|cannot|connect|connection|context|could|couldn't|denied"
    r"|dial|directory|does|error|exceeded|executable|failed|failure|file|forbidden|http|i/o|input"
    r"|internal|invalid|is|key|line|lstat|manifest|network|no|not|object|open|operation|permission"
    r"|proxyconnect|pull|read|received|remote|request|response|server|service|stat|stream|tcp"
    r"|temporary|text|timed|timeout|tls|too|unable|unauthorized|unexpected|unknown|waiting|write)"
    r":?|x509:|net/http:|http2:|[45]\d\d|\d{1,5}(?= of ))(?= [^\s#]))",
    re.IGNORECASE,
)
_BEHIND_A_PATH = re.compile(rf"(?:{_QUOTE})?: ")
_LOOKUP = re.compile(r"\blookup \Z")
# Results of tests: a count stands among others, a test has a name of its own or a time behind it.
_COUNT = re.compile(r"\d{1,4}(?![\w.\-/+=])")
_OTHER_COUNT = re.compile(
    rf"\b(?:x?fail(?:ed|ures?|s)?|skip(?:ped|s)?|errors)(?:{_QUOTE})?\s{{0,4}}[=:]\s{{0,4}}\d",
    re.IGNORECASE,
)
_NEAR = 64
_TEST = re.compile(
    r"(?:(?:Test|Example|Benchmark|Fuzz)[\w/.:\-]{0,256}+[ \t]{1,8}\S"
    r"|[A-Za-z][\w/.:\-]{0,256}+[ \t]{1,8}(?:\(\d|- ))"
)
_TOLD = re.compile(r"(?:\A|[\r\n]|--- )\Z")
_HASHED = re.compile(r"-[0-9a-f]{32}")
_HASH = re.compile(r"[0-9a-f]{32,}")
_IN_REGISTRY = re.compile(
    r"(?:(?:docker|oci)://)?(?:[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){1,8}|localhost)"
    r"(?::\d{1,5})?/"
)
_ENDED = r"(?![\w+/=&%$!~^*#?\-]|[.:@]\S)"
_VERSION = re.compile(
    r"(?:v?\d{1,8}(?:\.\d{1,8}){1,3}(?:[\-+][A-Za-z0-9.]{1,64}+)?|v\d{1,8}|latest)"
    rf"(?=@sha256:|{_ENDED})"
)
_TAG = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.\-]{{0,127}}(?=@sha256:|{_ENDED})")
_NO_IMAGE = re.compile(r"pass|pwd|api[_\-]?key|private[_\-]?key|credential", re.IGNORECASE)


_ALL = (
    secretvalues.PRIVATE_KEY, _USERINFO, _HEADER, _PRINTED, _BEARER, _NAMED, _ASSIGNED, _FLAG_LINE,
    _FLAG, _CURL, _ATTACHED, *secrettools.PATTERNS, _ELEMENT, secretvalues.JWT,
    secretvalues.TOKENS, _LONG,
)  # fmt: skip


def folded(whole: str) -> str:
    """The text without regard to case: as long as it was, each letter in its place."""
    if not whole.isascii():
        for letter, like in _ALIKE:
            whole = whole.replace(letter, like)
    return whole.lower()


def may_hold_secret(whole: str) -> bool:
    """Whether there is anything in a text, keys and values alike, that might have to be blanked."""
    lowered = folded(whole)
    # A loop: any() takes half as long again, and every line of the log comes by here.
    for hint in _HINTS:
        if hint in lowered:
            return True
    return any(short in lowered and known.search(lowered) for short, known in _SHORT_HINTS)


def redact(whole: str) -> str:
    """Replace every value that looks secret by `key=***REDACTED***`, keeping the rest readable.

    Of more than `MAX_TEXT` letters the beginning, visibly cut.
    """
    if len(whole) > MAX_TEXT:
        begins, _ = parted(whole, MAX_TEXT)
        return f"{redact(whole[:begins])}{text.CUT_MARK}"
    if not may_hold_secret(whole):
        return whole
    if "-----" in whole:
        whole = secretvalues.PRIVATE_KEY.sub(BLANK, whole)
    if "://" in whole and "@" in whole:
        whole = _USERINFO.sub(_keep_head, whole)
    whole = _HEADER.sub(_keep_head, whole)
    whole = _PRINTED.sub(_printed, whole)
    whole = _BEARER.sub(rf"\1 {BLANK}", whole)
    whole = _NAMED.sub(_named, whole)
    whole = _ASSIGNED.sub(_assigned, whole)
    whole = _FLAG_LINE.sub(_keep_head, whole)
    whole = _FLAG.sub(_keep_head, whole)
    whole = _CURL.sub(_keep_head, whole)
    whole = _ATTACHED.sub(_keep_head, whole)
    whole = secrettools.redact(whole, folded(whole))
    whole = _ELEMENT.sub(_keep_head, whole)
    whole = secretvalues.JWT.sub(BLANK, whole)
    whole = secretvalues.TOKENS.sub(BLANK, whole)
    return _LONG.sub(_long, whole)


def parted(whole: str, at: int) -> tuple[int, int]:
    """From where to where a cut would part what looks like a secret; twice the cut if nothing."""
    begins, ends, limit = at, at, at + AROUND
    for pattern in _ALL:
        for found in pattern.finditer(whole, max(0, at - AROUND), limit):
            if found.start() >= at:
                break
            # It may go on where the search ends, or end there only: what has no end by then ends
            # with its line.
            end = (pattern.match(whole, found.start()) or found).end()
            if end > at:
                begins, ends = min(begins, found.start()), max(ends, end)
    return begins, ends


def redact_value(key: str, value: str) -> str:
    """Redact a value that stands under a key of its own, as in a structured log line."""
    if secretnames.is_secret(key):
        return BLANK
    if key[-3:].lower() == "key" and _OPAQUE.fullmatch(value) and _IS_MIXED.search(value):
        return BLANK
    return redact(value)


def _keep_head(match: re.Match[str]) -> str:
    return f"{match['head']}{BLANK}"


def _named(match: re.Match[str]) -> str:
    return _keep_head(match) if secretnames.is_secret(match["name"]) else match[0]


def _printed(match: re.Match[str]) -> str:
    """A line of a shell, or of a table of variables, without its value."""
    name, word = match["name"], match.start("word")
    if _REFERENCE.match(match.string, word):
        return match[0]
    if why := _WHY_BEHIND.match(match["word"]):
        return f"{_keep_head(match)}{match['word'][why.start('why') :]}{match['rest']}"
    if name and not match["by"]:
        # Words in capitals are variables; others may begin a line of key-value pairs.
        if name != name.upper() or (name == "PASS" and _is_count(match, word)):
            return match[0]
        if _WHY.fullmatch(name):
            return match[0]
        if _is_among_variables(match) and not _PAIR.search(match["rest"]):
            return _keep_head(match)
    return f"{_keep_head(match)}{match['rest']}"


def _is_among_variables(match: re.Match[str]) -> bool:
    """Whether the line above or below is one of another variable, as `env` prints them."""
    text, start = match.string, match.start()
    above = text.rfind("\n", 0, max(0, start - 1)) + 1
    below = text.find("\n", match.end(), match.end() + 2) + 1
    return (start > 0 and _VARIABLE.match(text, above, start) is not None) or (
        below > 0 and _VARIABLE.match(text, below) is not None
    )


def _assigned(match: re.Match[str]) -> str:
    if _says_something_else(match):
        return match[0]
    if ":" in match["sep"] and (_is_part_of_a_name(match) or _is_of_an_error(match)):
        return match[0]
    return f"{match['name']}{match['sep']}{BLANK}"


def _long(match: re.Match[str]) -> str:
    if match["sep"] == "-" and _HASH.fullmatch(match["value"]):
        # The end of a generated name.
        return match[0]
    if not _IS_MIXED.search(match["value"]):
        return match[0]
    return f"{match['name']}{match['sep']}{BLANK}"


def _says_something_else(match: re.Match[str]) -> bool:
    """Whether no secret stands behind the name: where it is taken from, or the result of a test."""
    text, value = match.string, match.start("value")
    if _REFERENCE.match(text, value):
        return True
    if match["name"].lower() != "pass" or _before(match):
        return False
    if _is_count(match, value):
        return True
    start = match.start()
    return (
        match["name"] == "PASS"
        and match["sep"] == ": "
        and _TOLD.search(text, max(0, start - 4), start) is not None
        and _TEST.match(text, value) is not None
    )


def _is_count(match: re.Match[str], value: int) -> bool:
    """Whether a value is a number of tests, with that of others before or behind it."""
    text, near = match.string, max(0, match.start() - _NEAR)
    return (
        _COUNT.match(text, value) is not None
        and _OTHER_COUNT.search(text, near, value + _NEAR) is not None
    )


def _is_of_an_error(match: re.Match[str]) -> bool:
    """Whether the name is the end of a path, or that of a host, and an error of it follows."""
    if not _BEHIND_A_PATH.fullmatch(match["sep"]):
        return False
    text, start = match.string, match.start()
    is_named = "/" in _before(match) or _LOOKUP.search(text, max(0, start - 8), start)
    return bool(is_named) and _ERROR.match(text, match.start("value")) is not None


def _is_part_of_a_name(match: re.Match[str]) -> bool:
    """Whether the colon assigns nothing: a service account, a generated name, an image's tag.

    A tag that could be a password as well is one behind a registry's host only.
    """
    before = _before(match)
    if _ACCOUNT.match(before) or _HASHED.search(match["name"]):
        return True
    if match["sep"] != ":":
        return False
    name = before + match["name"]
    if _VERSION.match(match["value"]) and ("-" in name or "/" in name):
        return True
    repository = name.rpartition("/")[2]
    return (
        _IN_REGISTRY.match(name) is not None
        and _TAG.match(match["value"]) is not None
        and _NO_IMAGE.search(repository) is None
    )


def _before(match: re.Match[str]) -> str:
    """What stands before a match without a gap."""
    text, end = match.string, match.start()
    start, floor = end, max(0, end - _MAX_BEFORE)
    while start > floor and text[start - 1] in _BEFORE:
        start -= 1
    return text[start:end]

"""Secrets as widely used tools take and print them.

Each form has words without which it is not there; texts without them are not searched for it. All
of them take time in proportion to the text, as in `secretvalues`.
"""

from __future__ import annotations

import re

from workflowexecution.domain import secretnames, secretvalues

_NAME = secretnames.PATTERN
_QUOTE = secretvalues.QUOTE
# Options of one command; what stands behind it is another's.
_OPTIONS = r"[^\r\n;&|]{0,256}?[\s\"']"
_BETWEEN = r"[\s\"',]{1,4}"
_GAP = (
    r"(?:[ \t]{1,8}(?!-)|(?=[^\s\"'\-])"
    rf"|{_QUOTE}\s{{0,8}},?\s{{0,8}}(?={_QUOTE})(?!{_QUOTE}-))"
)
_WORD = rf"(?:{secretvalues.QUOTED}|[^\s\"'\\]{{1,512}}+)"

# How something is: words that are known, since a password may be a word as well.
_SAYS = (
    r"true|false|yes|no|none|ok|passed|failed|missing|invalid|expired|running|pending|active|opaque"
    r"|unauthorized|forbidden|eof|-|\d{1,4}[smhd]?|<[^>\s]{0,64}>|null|nil|undefined|n/a|unset|empty"
    r"|error|errored|fatal|warn|warning|info|debug|fail|success|succeeded|skipped|timeout|denied"
    r"|rejected|accepted|required|optional|valid|found|ready|available|bound|created|updated|deleted"
    r"|configured|changed|unchanged|enabled|disabled|synced|outofsync|healthy|degraded|progressing"
    r"|suspended|inactive|terminating|completed|unknown|evicted|oomkilled|notready|notfound"
    r"|containercreating|podinitializing|(?:crashloop|imagepull)backoff|err(?:image[a-z]{4,12})"
    r"|(?:create|run)container(?:config)?error|invalidimagename|init:[a-z0-9/:]{1,32}"
)
_ENDS = r"(?=[ \t]{0,64}(?:[\r\n]|\Z))"


def _option(command: str, flag: str) -> re.Pattern[str]:
    """A password behind a flag of one letter, which means something else to other commands."""
    return re.compile(
        rf"(?P<head>\b(?:{command})(?-i:{flag}){_GAP})(?!{secretvalues.PROSE}|:(?!\S)){_WORD}",
        re.IGNORECASE,
    )


_FORMS = (
    (("sshpass",), _option(rf"sshpass(?:{_BETWEEN}-[vh]){{0,2}}{_BETWEEN}", "-p")),
    (
        ("login",),
        _option(
            r"(?:docker|podman|nerdctl|buildah|skopeo|crane|oras|helm|az|oc)"
            rf"(?:{_BETWEEN}[a-z]{{1,16}}){{0,2}}?{_BETWEEN}login{_OPTIONS}",
            "-p",
        ),
    ),
    (("redis-cli",), _option(rf"redis-cli(?=[\s\"']){_OPTIONS}", "-a")),
    (
        ("ldap",),
        _option(
            rf"ldap(?:search|add|modify|modrdn|delete|passwd|whoami|compare)\b{_OPTIONS}", "-w"
        ),
    ),
    (
        ("mongo",),
        _option(rf"mongo(?:sh|dump|restore|import|export)?(?=[\s\"']){_OPTIONS}", "-p"),
    ),
    # The addresses of Go's driver for MySQL.
    (
        ("@tcp(", "@unix("),
        re.compile(
            r"(?P<head>(?<![\w.\-])[\w.\-]{1,64}+:)[^\s\"'<>]{1,256}?(?=@(?:tcp|unix)\()",
            re.IGNORECASE,
        ),
    ),
    # Vault.
    (
        ("unseal key", "recovery key"),
        re.compile(
            r"(?P<head>\b(?:unseal|recovery) key \d{1,3}:[ \t]{1,8})[^\s\"'\\]{1,512}+",
            re.IGNORECASE,
        ),
    ),
    # SQL, and the words of .netrc.
    (
        ("password '", "identified ", "password for "),
        re.compile(
            r"(?P<head>(?<![\w\-])(?:password"
            r"|identified(?: with \w{1,64}+)? (?:by|as)(?: password)?"
            r"|set password for [^\r\n=;]{1,256}=(?: ?password\()?)[ \t]{0,8})"
            rf"(?='){secretvalues.QUOTED}",
            re.IGNORECASE,
        ),
    ),
    (
        ("machine", "default"),
        re.compile(
            r"(?P<head>\b(?:machine\s{1,8}\S{1,256}+|default)\s{1,8}login\s{1,8}\S{1,256}+\s{1,8}"
            r"(?:account\s{1,8}\S{1,256}+\s{1,8})?password\s{1,8})\S{1,512}+",
            re.IGNORECASE,
        ),
    ),
    # PuTTY.
    (
        ("private-lines",),
        re.compile(
            r"(?P<head>\bprivate-lines: \d{1,4}(?:\r?\n|\\n))"
            r"[A-Za-z0-9+/=]{1,76}+(?:(?:\r?\n|\\n)[A-Za-z0-9+/=]{1,76}+(?![^\r\n\\]))*+",
            re.IGNORECASE,
        ),
    ),
    # Two columns, of which the second is one word, and none that says how something is.
    (
        ("   ",),
        re.compile(
            rf"(?P<head>^[ \t]{{0,8}}[a-z_]{{0,48}}?{_NAME}(?:_id)?[ \t]{{3,64}}+)"
            rf"(?![=:|]|(?:{_SAYS}){_ENDS})\S{{1,1024}}+{_ENDS}",
            re.IGNORECASE | re.MULTILINE,
        ),
    ),
    # Spoken names: at the beginning of a line and with one word behind them, or with a digit in it.
    # Elsewhere they stand in sentences.
    (
        (" key",),
        re.compile(
            r"(?P<head>^[ \t>*\-]{0,16}+(?:(?:your|secret) )?(?:api|access|private) key"
            rf"[ \t]{{0,8}}:[ \t]{{1,256}}+)(?!(?:{_SAYS}){_ENDS})\S{{1,1024}}+{_ENDS}",
            re.IGNORECASE | re.MULTILINE,
        ),
    ),
    (
        (" key",),
        re.compile(
            rf"(?P<head>(?<![a-z0-9])(?:api|access|private) key(?:{_QUOTE})?[ \t]{{0,8}}[:=]"
            rf"[ \t]{{1,256}}+(?:{_QUOTE})?)(?=[^\s,;&\"'\d]{{0,64}}+\d)"
            r"[^\s,;&\"':\\]{6,1024}+(?!:)",
            re.IGNORECASE,
        ),
    ),
)


def redact(whole: str, lowered: str) -> str:
    """Blank what tools print.

    Args:
        whole: the text.
        lowered: the same in lower case.
    """
    for words, pattern in _FORMS:
        if any(it in lowered for it in words):
            whole = pattern.sub(_keep_head, whole)
    return whole


def _keep_head(match: re.Match[str]) -> str:
    return f"{match['head']}{secretvalues.BLANK}"


PATTERNS = tuple(pattern for _, pattern in _FORMS)

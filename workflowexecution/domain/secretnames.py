"""Which names are those of secrets: keys of log lines, parameters, variables, members of JSON.

Words that mean nothing else count wherever they stand in a name. Short ones have to be a word of
their own (`DB_PASS`, `dbPass`, `x-auth`), since `compass`, `author` and `monkey` hold them too. A
`key` counts with a word before it that says which (`tls.key`): `event_key` names a record.
"""

from __future__ import annotations

import functools
import re

_CONTAINED = (
    r"pass[_\-]?(?:word|wd|phrase)|pwd|secret|token(?!i[sz])|credential"
    # The API group is no header.
    r"|authorization(?!\.k8s\.io)"
    r"|(?:api|access|private)[_.\-]?key|connection[_\-]?string|database[_\-]?url"
)
# A word begins behind what is no letter, or with the capital of camelCase; so does the next one.
_BEGIN = r"(?:(?<![A-Za-z])|(?-i:(?<=[a-z0-9])(?=[A-Z])))"
_END = r"(?:(?![A-Za-z])|(?-i:(?<=[a-z])(?=[A-Z])))"
_KINDS = (
    r"ssh|gpg|pgp|rsa|aes|hmac|ssl|tls|encryption|signing|master|deploy|license|account|storage"
    r"|shared|session|client|auth|host"
)
_OWNERS = r"db|pg|mysql|mongo|redis|user|root|admin|smtp|ldap|key|store"
_SHORT = (
    rf"{_BEGIN}(?:o?auth2?{_END}|(?:{_KINDS})[_.\-]?key{_END}"
    # Last of all: PASS_COUNT is a number.
    rf"|(?:{_OWNERS})?pass\d{{0,4}}(?![A-Za-z0-9_.\-]))"
)
PATTERN = rf"(?:{_CONTAINED}|{_SHORT})"
"""What makes a name that of a secret, wherever in it it is found; without regard to case."""

_SECRET = re.compile(PATTERN, re.IGNORECASE)


# Names are few, and the same again and again.
@functools.lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether what stands under this name is to be blanked as a whole."""
    return _SECRET.search(name) is not None

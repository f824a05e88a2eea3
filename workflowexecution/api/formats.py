"""How names are written that Kubernetes and registries give meaning to, and what is too much.

As texts of regular expressions without anchors: some are searched for, some stand in longer ones.
"""

from __future__ import annotations

from typing import Final

LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
"""A label of RFC 1123, as a namespace is named."""
_PART: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN: Final = rf"{_PART}(\.{_PART})*"
"""A subdomain of RFC 1123, as most objects are named; its length is `MAX_NAME`."""
DIGEST: Final = r"sha256:[0-9a-f]{64}"

MAX_NAME: Final = 253
MAX_TARGET: Final = 500
MIN_TIMEOUT_S: Final = 1
MAX_TIMEOUT_S: Final = 86400
"""Of a whole run; what is said of both to people has them as 1s and 24h."""

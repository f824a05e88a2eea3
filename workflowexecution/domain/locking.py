"""The lock of a target resource: what it is called.

The PipelineRun of the target's deterministic name is the lock: creating it is atomic. A name is a
function of the canonical target, so two executions that spell one target differently meet.
"""

from __future__ import annotations

import functools
import hashlib

NAME_PREFIX = "wfe-"
_DIGITS = 16
_REMEMBERED = 4096


def canonical_target(target: str) -> str:
    """The given target with its kind in lower case: `ns/Deployment/x` is `ns/deployment/x`."""
    parts = target.split("/")
    if len(parts) > 1:
        parts[-2] = parts[-2].lower()
    return "/".join(parts)


@functools.lru_cache(maxsize=_REMEMBERED)
def run_name(target: str) -> str:
    """Name of the PipelineRun of a target, in any spelling.

    `wfe-` and the first 16 hex digits of SHA-256 over the canonical target:
    `payment/deployment/payment-api` -> `wfe-cf0cc089293b1165`.
    """
    canonical = canonical_target(target).encode("utf-8", "replace")
    return NAME_PREFIX + hashlib.sha256(canonical).hexdigest()[:_DIGITS]


def target_label(name: str) -> str:
    """Value of the label kubernaut.ai/target on execution and run: the hash of the run's name."""
    return name.removeprefix(NAME_PREFIX)

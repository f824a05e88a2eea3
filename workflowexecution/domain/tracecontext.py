"""The trace of an execution: its ids are a function of the execution, in every process and life.

So a restart goes on in the same trace, and what is told twice is told under the same id.

Source: W3C Trace Context, level 2: a trace id's last 56 bits are random, as those of a UUID are,
and whether a trace is sampled may be read from them.
"""

from __future__ import annotations

import hashlib
import json
import uuid

ANNOTATION = "tekton.dev/pipelinerunSpanContext"
"""Where Tekton finds its parent: a JSON object of the headers that would carry it.

Source: tektoncd/pipeline pkg/reconciler/pipelinerun/tracing.go.
"""

ROOT, PENDING, RUNNING = "execution", "pending", "running"

_RANDOM_BITS = 56
_SPAN_BYTES = 8


def trace_id(uid: str) -> int:
    """The execution's UID itself, so that it finds its trace; of a UID of another form its hash."""
    try:
        number = uuid.UUID(uid).int
    except ValueError:
        number = 0
    return number or int.from_bytes(hashlib.sha256(uid.encode()).digest()[:16], "big")


def span_id(uid: str, what: str) -> int:
    """The span of an execution that there is once."""
    digest = hashlib.sha256(f"{uid}/{what}".encode()).digest()
    # Zero is no id.
    return int.from_bytes(digest[:_SPAN_BYTES], "big") or 1


def is_sampled(uid: str, ratio: float) -> bool:
    """Whether this is one of so many of all executions; every process says the same."""
    random = trace_id(uid) % (1 << _RANDOM_BITS)
    return random < ratio * (1 << _RANDOM_BITS)


def traceparent(trace: int, span: int, *, sampled: bool) -> str:
    """The header, or its place in an annotation."""
    return f"00-{trace:032x}-{span:016x}-{int(sampled):02x}"


def handed_on(uid: str, ratio: float) -> dict[str, str]:
    """What hands the trace on to Tekton, whose spans then belong to the run's."""
    parent = traceparent(trace_id(uid), span_id(uid, RUNNING), sampled=is_sampled(uid, ratio))
    return {ANNOTATION: json.dumps({"traceparent": parent}, separators=(",", ":"))}

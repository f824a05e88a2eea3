"""Leadership: whoever writes holds the lease at that time, by the server's word of both."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from tests.fake import kinds

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator

    from tests.chaos.checks.evidence import Evidence
    from tests.integration.audit import Request

_OWN = "workflowexecution/"
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


def wrong(found: Evidence) -> Iterator[str]:
    """Every write of ours that was done while another had the lease, or nobody."""
    takes = list(_takes(found))
    times = [at for _, at in takes]
    for it in found.requests:
        if not _is_work(it):
            continue
        # A write that came in the very moment of a take was sent by who had the lease before.
        number = bisect.bisect_left(times, it.at)
        holder, since = takes[number - 1] if number else (found.holder, None)
        if _who(it) != holder:
            by = f"{holder} had it since {since}" if since else f"{holder or 'nobody'} had it"
            yield f"{_who(it)} wrote at {it.at} without the lease, {by}: {it}"


def changed_hands(found: Evidence) -> bool:
    """Whether the lease had more than one holder."""
    return len({who for who, _ in _takes(found)}) > 1


def _takes(found: Evidence) -> Iterator[tuple[str, datetime.datetime]]:
    """Who had the lease, and when the server got the write that took it."""
    last = ""
    writes = (it for it in found.requests if _is_of_the_lease(it, found.world.runs))
    for it in sorted(writes, key=lambda each: each.at):
        if _who(it) != last:
            last = _who(it)
            yield last, it.at


def _is_of_the_lease(request: Request, namespace: str) -> bool:
    return (
        request.resource == kinds.LEASES.plural
        and request.namespace == namespace
        and request.verb in {"create", "patch"}
        and request.code < 300
        and request.agent.startswith(_OWN)
    )


def _is_work(request: Request) -> bool:
    """Whether a controller changed something by it, and not the lease."""
    return (
        request.agent.startswith(_OWN)
        and request.verb in _WRITES
        and request.resource != kinds.LEASES.plural
        and request.code < 300
    )


def _who(request: Request) -> str:
    """What the sender calls itself, in the lease as in its User-Agent."""
    return request.agent.rpartition("(")[2].removesuffix(")")

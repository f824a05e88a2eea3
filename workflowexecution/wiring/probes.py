"""What the probes are answered with: whether a restart would help, and whether work is possible.

Alive is about this process alone: the event loop turns, and every task that is to run does what is
due. Nothing of it depends on the API server, whose outage no restart ends. Ready is about what the
work needs: caches that are filled, and a server that answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from workflowexecution.runtime import manager, probes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LATE_S = 30.0
"""For a turn of the loop, the end of a wait, the cancellation of a reconcile: none is ever due."""
AWAY_S = 10.0
DEAF_S = 180.0
"""Bookmarks come each minute, and a silent watch is replaced before that; as in the alert
WorkflowExecutionWatchStale."""
DOUBT_S = 10.0
"""A list after an outage takes seconds; nothing is done meanwhile."""
REJECTED_S = 30.0
"""A rotated token is taken up within a minute, as a rule at its first rejection."""


class Watched(Protocol):
    """An informer."""

    @property
    def stuck_s(self) -> float:
        """By how many seconds something of its own is overdue."""
        ...

    @property
    def synced(self) -> bool:
        """Whether its cache has held a complete list."""
        ...

    @property
    def missing(self) -> bool:
        """Whether its API is not served."""
        ...


class Filled(Watched, Protocol):
    """An informer whose cache is what work is decided by."""

    @property
    def doubt_s(self) -> float:
        """For how many seconds it may have been of another past than the server's."""
        ...

    @property
    def last_event_age_s(self) -> float:
        """Seconds since the server was heard of what changes."""
        ...


class Loop(Protocol):
    """What measures the event loop."""

    @property
    def overdue_s(self) -> float:
        """By how many seconds a turn is late."""
        ...


class Workers(Protocol):
    """The controller."""

    @property
    def missing(self) -> int:
        """How many workers have gone."""
        ...


class Server(Protocol):
    """What requests tell of the API server."""

    @property
    def away_s(self) -> float:
        """For how many seconds it has not answered."""
        ...

    @property
    def rejected_s(self) -> float:
        """For how many seconds it has rejected every request."""
        ...


def service(
    address: str, *, alive: Mapping[str, probes.Check], ready: Mapping[str, probes.Check]
) -> manager.Service:
    """What answers the probes."""
    answering = probes.Probes(address=address, liveness=alive, readiness=ready)
    return manager.Service(name="probes", run=answering.run, ready=answering.wait_listening)


def liveness(
    *,
    loop: Loop,
    watches: Mapping[str, Watched],
    workers: Workers,
    working_s: Callable[[], list[float]],
    reconcile_deadline_s: float,
) -> dict[str, probes.Check]:
    """Whether everything that is to run does.

    Args:
        loop: measures the event loop.
        watches: the informers by what they watch.
        workers: the controller.
        working_s: for each key that is being worked on, how long.
        reconcile_deadline_s: after which a reconcile is cancelled.
    """

    def turns() -> str | None:
        late_s = loop.overdue_s
        return f"the event loop is {late_s:.0f} s late" if late_s > LATE_S else None

    def listens() -> str | None:
        stuck = [name for name, watched in watches.items() if watched.stuck_s > LATE_S]
        return f"no sign of life from: {', '.join(stuck)}" if stuck else None

    def works() -> str | None:
        if workers.missing > 0:
            return f"{workers.missing} workers are gone"
        longest_s = max(working_s(), default=0.0)
        if longest_s > reconcile_deadline_s + LATE_S:
            return f"a reconcile does not end, after {longest_s:.0f} s"
        return None

    return {"loop": turns, "watches": listens, "workers": works}


def readiness(
    *,
    server: Server,
    executions: Watched,
    caches: Mapping[str, Filled],
    engine: Callable[[], str],
    watch_idle_s: float,
) -> dict[str, probes.Check]:
    """Whether the caches are filled and the API server answers.

    Args:
        server: what requests tell of it.
        executions: the informer of the own resource.
        caches: every informer by what it watches.
        engine: why the engine's state is not known; empty when it is.
        watch_idle_s: a watch that is silent for so long is replaced.
    """
    deaf_s = max(DEAF_S, 2 * watch_idle_s)

    def reachable() -> str | None:
        if server.away_s > AWAY_S:
            return f"the API server has not answered for {server.away_s:.0f} s"
        if server.rejected_s > REJECTED_S:
            return f"the API server has rejected the credentials for {server.rejected_s:.0f} s"
        return None

    def listed() -> str | None:
        if executions.missing:
            return "the WorkflowExecution API is not served: is the CRD installed?"
        return None if executions.synced else "executions have not been listed yet"

    def certain() -> str | None:
        doubtful = [name for name, cache in caches.items() if cache.doubt_s > DOUBT_S]
        if doubtful:
            names = ", ".join(doubtful)
            return f"not listed since the API server was away, so all work waits: {names}"
        # One that has never been listed, or is not served, others tell of.
        known = [it for it in caches if caches[it].synced and not caches[it].missing]
        deaf = ", ".join(it for it in known if caches[it].last_event_age_s > deaf_s)
        return f"nothing heard for {deaf_s:.0f} s of changes in: {deaf}" if deaf else None

    return {
        "api": reachable,
        "executions": listed,
        "caches": certain,
        "engine": lambda: engine() or None,
    }

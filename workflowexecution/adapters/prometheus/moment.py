"""What is so at the moment somebody reads the metrics: looked up then, and never kept up to date.

Nothing is done for these values while the program works, so they cost nothing but the look.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from workflowexecution.adapters.prometheus import machinery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from workflowexecution.adapters.prometheus import book

FAILING_FROM = 3
"""A target with so many failures in a row is one that somebody should look at."""

_PROC = Path("/proc/self")


@dataclass(frozen=True, slots=True)
class Census:
    """The executions of a moment.

    Attributes:
        phases: how many executions are in each phase; always the same phases.
        lock_ages_s: how long each held lock has been held.
        failures: for each target that failed last, how often in a row.
    """

    phases: Mapping[str, int] = field(default_factory=dict)
    lock_ages_s: Sequence[float] = ()
    failures: Sequence[int] = ()


class Watched(Protocol):
    """An informer."""

    @property
    def last_event_age_s(self) -> float:
        """Seconds since the server was last heard."""
        ...

    @property
    def doubt_s(self) -> float:
        """Seconds for which the cache may be wrong about what the server holds."""
        ...

    @property
    def poisoned(self) -> int:
        """How many objects cannot be read."""
        ...


class Queue(Protocol):
    """The work queue."""

    @property
    def depth(self) -> int:
        """How many keys wait for a worker."""
        ...

    def oldest_s(self) -> float:
        """How long the key has waited that waits longest."""
        ...

    def working_s(self) -> list[float]:
        """For each key that is being worked on, how long."""
        ...


class Workers(Protocol):
    """The controller."""

    @property
    def workers(self) -> int:
        """How many reconciles may run."""
        ...

    @property
    def active(self) -> int:
        """How many reconciles run."""
        ...


class Server(Protocol):
    """What requests tell of the API server."""

    @property
    def away_s(self) -> float:
        """For how many seconds it has not answered."""
        ...

    def __len__(self) -> int:
        """How many keys wait for it."""
        ...


def add_executions(families: book.Book, take: Callable[[], Census]) -> None:
    """Add what is so of executions and targets; one look serves all."""
    seen = [Census()]

    def look() -> None:
        seen[0] = take()

    families.on_render(look)
    families.gauges(
        "workflowexecution_executions",
        "Executions in the cache, by phase",
        "phase",
        read=lambda: [((phase,), number) for phase, number in seen[0].phases.items()],
    )
    families.gauge(
        "workflowexecution_locks_held",
        "Targets that are locked by a running execution",
        lambda: len(seen[0].lock_ages_s),
    )
    families.gauge(
        "workflowexecution_lock_oldest_age_seconds",
        "How long the oldest of these locks has been held; 0 when there is none",
        lambda: max(seen[0].lock_ages_s, default=0.0),
    )
    families.gauge(
        "workflowexecution_consecutive_failures",
        "The most failures in a row that any target has now",
        lambda: max(seen[0].failures, default=0),
    )
    families.gauge(
        "workflowexecution_targets_failing",
        f"Targets with {FAILING_FROM} or more failures in a row",
        lambda: sum(number >= FAILING_FROM for number in seen[0].failures),
    )


def add_work(families: book.Book, *, work: Queue, workers: Workers) -> None:
    """Add what queue and workers do."""
    name = (machinery.NAME,)
    families.gauges(
        "workqueue_depth",
        "Keys that wait for a worker, delayed ones not counted",
        "name",
        read=lambda: [(name, work.depth)],
    )
    families.gauge(
        "workflowexecution_queue_oldest_seconds",
        "How long the key has waited for a worker that waits longest; 0 when none waits",
        work.oldest_s,
    )
    families.gauges(
        "workqueue_unfinished_work_seconds",
        "Seconds of work on keys that workers have now, added up",
        "name",
        read=lambda: [(name, sum(work.working_s()))],
    )
    families.gauges(
        "workqueue_longest_running_processor_seconds",
        "Seconds that the longest of them has taken",
        "name",
        read=lambda: [(name, max(work.working_s(), default=0.0))],
    )
    families.gauges(
        "controller_runtime_active_workers",
        "Reconciles that run now",
        "controller",
        read=lambda: [(name, workers.active)],
    )
    families.gauges(
        "controller_runtime_max_concurrent_reconciles",
        "Reconciles that may run at once",
        "controller",
        read=lambda: [(name, workers.workers)],
    )


def add_engine(families: book.Book, unavailable: Callable[[], str]) -> None:
    """Add whether there is an engine; `unavailable` says why not, or is empty."""
    families.gauge(
        "workflowexecution_engine_available",
        "1 while Tekton's API is served and its runs are known, so that something can be started",
        lambda: float(not unavailable()),
    )


def add_watches(
    families: book.Book,
    informers: Mapping[str, Watched],
    stores: Mapping[str, Callable[[], int]],
) -> None:
    """Add what informers and caches hold, by the plural of what they watch."""

    def each(value: Callable[[Watched], float]) -> Iterable[tuple[tuple[str, ...], float]]:
        return [((plural,), value(watched)) for plural, watched in informers.items()]

    families.gauges(
        "workflowexecution_watch_age_seconds",
        "Since the API server last told of changes, or by a bookmark that there are none",
        "resource",
        read=lambda: each(lambda watched: watched.last_event_age_s),
    )
    families.gauges(
        "workflowexecution_cache_doubt_seconds",
        "For how long no list has come in since the API server was away, so that work waits; or 0",
        "resource",
        read=lambda: each(lambda watched: watched.doubt_s),
    )
    families.gauges(
        "workflowexecution_unreadable_objects",
        "Objects that exist and cannot be read",
        "resource",
        read=lambda: each(lambda watched: watched.poisoned),
    )
    families.gauges(
        "workflowexecution_cached_objects",
        "Objects in the cache",
        "resource",
        read=lambda: [((plural,), count()) for plural, count in stores.items()],
    )


def add_server(families: book.Book, server: Server, *, skipped: Callable[[], int]) -> None:
    """Add whether the API server answers, and what it sends that is too much."""
    families.gauge(
        "workflowexecution_apiserver_away_seconds",
        "For how long the API server has not answered; 0 when it does",
        lambda: server.away_s,
    )
    families.gauge(
        "workflowexecution_held_keys",
        "Keys that wait for the API server to answer again, or for a cache in doubt",
        server.__len__,
    )
    long_lines = families.counter(
        "workflowexecution_watch_events_skipped_total",
        "Watch events of more than 8 MiB, which are skipped",
    ).series()

    def look() -> None:
        long_lines.value = float(skipped())

    families.on_render(look)


def add_backlog(
    families: book.Book,
    *,
    parked: Callable[[], int],
    events: Callable[[], int],
    skew_s: Callable[[], float],
) -> None:
    """Add what waits for others, and how far their clock is from ours."""
    families.gauge(
        "workflowexecution_parked_keys", "Keys that wait for the cache to have an own write", parked
    )
    families.gauge(
        "workflowexecution_events_waiting", "Kubernetes events that are still to be written", events
    )
    families.gauge(
        "workflowexecution_clock_skew_seconds",
        "How far the API server's clock is ahead of this machine's",
        skew_s,
    )


def add_process(families: book.Book, *, version: str, identity: str) -> None:
    """Add what is usual of a process; its identity is the one of its lease, logs and requests."""
    started = time.time()
    families.gauges(
        "workflowexecution_build_info",
        "Always 1; which version runs, and what it calls itself in lease, logs and requests",
        "version",
        "identity",
        read=lambda: [((version, identity), 1)],
    )
    families.gauge(
        "process_start_time_seconds", "When the process began, since the epoch", lambda: started
    )
    cpu = families.counter("process_cpu_seconds_total", "User and system time").series()

    def look() -> None:
        cpu.value = time.process_time()

    families.on_render(look)
    if _PROC.exists():
        families.gauge("process_resident_memory_bytes", "Memory in use", _resident_bytes)
        families.gauge("process_open_fds", "Open files and connections", _open_files)


def _resident_bytes() -> float:
    return float((_PROC / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _open_files() -> float:
    return float(len(os.listdir(_PROC / "fd")))  # noqa: PTH208 - iterdir makes a path of each

"""The machinery of a controller, under the names that controller-runtime and client-go give it.

Source: controller-runtime pkg/metrics/workqueue.go, pkg/internal/controller/metrics; client-go
tools/metrics. Their label `host` is left out: there is one API server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflowexecution.runtime.controller import Outcome

if TYPE_CHECKING:
    from workflowexecution.adapters.prometheus import book, series
    from workflowexecution.runtime.queue import Priority

NAME = "workflowexecution"
"""Value of the labels `controller` and `name`: there is one of each."""

BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
_QUEUE_BUCKETS_S = (0.001, 0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LAG_BUCKETS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)

_RESULTS = {
    Outcome.SUCCESS: "success",
    Outcome.CONFLICT: "requeue",
    Outcome.THROTTLED: "requeue",
    Outcome.ERROR: "error",
    Outcome.TERMINAL_ERROR: "error",
}
_FAILED = "<error>"


class Work:
    """Sees the queue."""

    def __init__(self, families: book.Book) -> None:
        """Count in this book."""
        self._added = families.counter(
            "workqueue_adds_total", "Keys that began to wait", "name"
        ).series(NAME)
        self._retries = families.counter(
            "workqueue_retries_total", "Keys that failed and come again", "name"
        ).series(NAME)
        self._waits = families.histogram(
            "workqueue_queue_duration_seconds",
            "How long keys waited for a worker, delays not counted",
            "name",
            buckets=_QUEUE_BUCKETS_S,
        ).series(NAME)
        self._works = families.histogram(
            "workqueue_work_duration_seconds",
            "How long workers had a key",
            "name",
            buckets=BUCKETS_S,
        ).series(NAME)

    def added(self, priority: Priority) -> None:
        """Count a key."""
        self._added.value += 1

    def started(self, wait_s: float) -> None:
        """Take note of a wait."""
        self._waits.observe(wait_s)

    def done(self, work_s: float) -> None:
        """Take note of work."""
        self._works.observe(work_s)

    def retried(self) -> None:
        """Count a retry."""
        self._retries.value += 1


class Reconciles:
    """Sees the workers."""

    def __init__(self, families: book.Book) -> None:
        """Count in this book."""
        totals = families.counter(
            "controller_runtime_reconcile_total",
            "Reconciles by result; requeue is a conflict, or a server that asked to wait",
            "controller",
            "result",
        )
        self._totals = {
            outcome: totals.series(NAME, result) for outcome, result in _RESULTS.items()
        }
        self._errors = families.counter(
            "controller_runtime_reconcile_errors_total", "Reconciles that failed", "controller"
        ).series(NAME)
        self._terminal = families.counter(
            "controller_runtime_terminal_reconcile_errors_total",
            "Reconciles that failed and are not tried again",
            "controller",
        ).series(NAME)
        self._times = families.histogram(
            "controller_runtime_reconcile_time_seconds",
            "How long reconciles took",
            "controller",
            buckets=BUCKETS_S,
        ).series(NAME)

    def reconciled(self, outcome: Outcome, duration_s: float) -> None:
        """Count a reconcile."""
        self._totals[outcome].value += 1
        self._times.observe(duration_s)
        if outcome is Outcome.ERROR or outcome is Outcome.TERMINAL_ERROR:
            self._errors.value += 1
        if outcome is Outcome.TERMINAL_ERROR:
            self._terminal.value += 1


class Requests:
    """Sees the client."""

    def __init__(self, families: book.Book) -> None:
        """Count in this book."""
        self._total = families.counter(
            "rest_client_requests_total",
            "Requests to the API server, by status and method",
            "code",
            "method",
        )
        self._series: dict[tuple[str, int], series.Count] = {}

    def answered(self, method: str, status: int, *, relayed: bool = False) -> None:
        """Count an answer."""
        known = self._series.get((method, status))
        if known is None:
            known = self._series[method, status] = self._total.series(str(status), method)
        known.value += 1

    def unanswered(self, method: str, *, relayed: bool = False) -> None:
        """Count a request without an answer."""
        self._total.series(_FAILED, method).add()


class Lags:
    """Sees how far cache and event loop are behind."""

    def __init__(self, families: book.Book) -> None:
        """Count in this book."""
        self._cache = families.histogram(
            "workflowexecution_cache_lag_seconds",
            "How long a key was parked until the cache had an own write; 0 when it came first",
            buckets=BUCKETS_S,
        ).series()
        self._loop = families.histogram(
            "workflowexecution_event_loop_lag_seconds",
            "How late the event loop gave a turn that was asked for once a second",
            buckets=_LAG_BUCKETS_S,
        ).series()

    def caught_up(self, lag_s: float) -> None:
        """Take note of the cache."""
        self._cache.observe(lag_s)

    def turned(self, lag_s: float) -> None:
        """Take note of the event loop."""
        self._loop.observe(lag_s)

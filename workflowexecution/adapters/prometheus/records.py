"""Audit records, changes of the settings, and the lease: counted elsewhere, looked up when read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from workflowexecution.adapters.breaker import State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from workflowexecution.adapters.prometheus import book


class Live(Protocol):
    """The settings in use."""

    applied: int
    refused: int
    current: bool

    @property
    def waiting(self) -> Collection[str]:
        """Keys of the file that differ from those in use until a restart."""
        ...


def add_audit(
    families: book.Book,
    *,
    counts: Callable[[], Mapping[str, int]],
    waiting: Callable[[], int],
    breaker: Callable[[], State | None],
) -> None:
    """Add what became of audit records.

    Args:
        families: the metrics.
        counts: by result, since the start; always of the same results.
        waiting: how many records are on their way.
        breaker: state of the circuit breaker; None without a Data Storage.
    """
    total = families.counter(
        "workflowexecution_audit_records_total",
        "Audit records by what became of them",
        "result",
        from_zero=True,
    )
    series = {result: total.series(result) for result in counts()}

    def look() -> None:
        for result, number in counts().items():
            series[result].value = float(number)

    families.on_render(look)
    families.gauge(
        "workflowexecution_audit_waiting", "Audit records on their way to the Data Storage", waiting
    )
    families.gauges(
        "workflowexecution_audit_breaker",
        "1 for the state that the circuit breaker before the Data Storage is in",
        "state",
        read=lambda: [((state.value,), float(state is breaker())) for state in State],
    )


def add_settings(families: book.Book, live: Live) -> None:
    """Add what became of changes of the configuration file."""
    total = families.counter(
        "workflowexecution_config_reloads_total",
        "Changed configuration files, by whether they were taken over",
        "result",
    )
    applied, refused = total.series("applied"), total.series("refused")

    def look() -> None:
        applied.value, refused.value = float(live.applied), float(live.refused)

    families.on_render(look)
    families.gauge(
        "workflowexecution_config_current",
        "1 while the file as it is now was taken over; 0 once it changed and was refused",
        lambda: float(live.current),
    )
    families.gauge(
        "workflowexecution_config_restart_needed",
        "1 while keys of the file differ from those in use and take a restart",
        lambda: float(bool(live.waiting)),
    )


def add_leader(
    families: book.Book,
    *,
    name: str,
    leading: Callable[[], bool],
    left_s: Callable[[], float],
) -> None:
    """Add whether this process may act, and for how long still.

    Source: client-go tools/leaderelection, metric of the same name.
    """
    families.gauges(
        "leader_election_master_status",
        "1 where this process holds the lease, or needs none",
        "name",
        read=lambda: [((name,), float(leading()))],
    )
    families.gauge(
        "workflowexecution_lease_left_seconds",
        "For how long this process may act without another renewal of its lease",
        left_s,
    )

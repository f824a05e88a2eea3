"""Who counts what, and who may read it: the metrics and their port."""

from __future__ import annotations

import ssl
from collections import Counter
from typing import TYPE_CHECKING, Any

import structlog

from workflowexecution import identity
from workflowexecution.adapters import metricsauth
from workflowexecution.adapters.prometheus import (
    book,
    eventcount,
    incidents,
    machinery,
    moment,
    outcomes,
)
from workflowexecution.api import tekton
from workflowexecution.api.status import Phase
from workflowexecution.runtime import looplag, manager, metricsserver, servingcert

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Iterable, Mapping

    from workflowexecution.reconciler import view
    from workflowexecution.runtime import client, store
    from workflowexecution.settings import Controller

_log = structlog.get_logger(__name__)


class CertificateError(Exception):
    """The certificate of the metrics port cannot be used; the text names the setting."""


class Meters:
    """Everything that counts, over one book."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.book = book.Book()
        self.outcomes = outcomes.Outcomes(self.book)
        self.incidents = incidents.Incidents(self.book)
        self.events = eventcount.EventCounts(self.book)
        self.work = machinery.Work(self.book)
        self.reconciles = machinery.Reconciles(self.book)
        self.requests = machinery.Requests(self.book)
        self.lags = machinery.Lags(self.book)
        moment.add_process(self.book, version=identity.version())


def services(controller: Controller, meters: Meters, api: client.Client) -> list[manager.Service]:
    """The port and what it needs.

    Raises:
        CertificateError: the files of `controller.metricsTLS` cannot be used.
    """
    certificate = _certificate(controller)
    admit = metricsserver.admit_anyone
    if controller.metrics_auth:
        admit = metricsauth.MetricsAuth(client=api).admit
        if certificate is None:
            _log.warning(
                "Metrics ask for tokens without TLS: whoever listens can use them",
                key="controller.metricsTLS",
            )
    server = metricsserver.MetricsServer(
        address=controller.metrics_addr,
        render=meters.book.render,
        admit=admit,
        certificate=certificate,
    )
    lag = looplag.LoopLag(observe=meters.lags.turned)
    return [
        manager.Service(name="loop-lag", run=lag.run),
        manager.Service(name="metrics", run=server.run, ready=server.wait_listening),
    ]


def _certificate(controller: Controller) -> servingcert.ServingCertificate | None:
    tls = controller.metrics_tls
    if not tls.cert_file:
        return None
    try:
        return servingcert.ServingCertificate(cert_file=tls.cert_file, key_file=tls.key_file)
    except (OSError, ssl.SSLError) as error:
        msg = f"controller.metricsTLS: {tls.cert_file}, {tls.key_file}: {error}"
        raise CertificateError(msg) from error


def sizes(caches: Mapping[str, store.Store[Any]]) -> dict[str, Callable[[], int]]:
    """How many objects each cache holds."""
    return {plural: cache.__len__ for plural, cache in caches.items()}


def take_census(executions: Iterable[view.Execution], now: datetime.datetime) -> moment.Census:
    """Look at all executions once.

    A lock is held by each execution in phase Running that is served here, from its start on.
    """
    phases = Counter(dict.fromkeys(Phase, 0))
    ages: list[float] = []
    last: dict[str, view.Execution] = {}
    for execution in executions:
        phases[execution.phase] += 1
        if execution.phase is Phase.RUNNING and execution.document is not None:
            started = tekton.parse_time(execution.document["status"].get("startTime"))
            ages.append(0.0 if started is None else max(0.0, (now - started).total_seconds()))
        elif execution.ended and execution.phase is not Phase.SKIPPED:
            before = last.get(execution.lock)
            if before is None or before.completion_time < execution.completion_time:
                last[execution.lock] = execution
    return moment.Census(
        phases={phase.value: number for phase, number in phases.items()},
        lock_ages_s=ages,
        failures=[it.consecutive_failures for it in last.values() if it.consecutive_failures],
    )

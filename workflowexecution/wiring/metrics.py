"""Who counts what, and who may read it: the metrics and their port."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import structlog

from workflowexecution import identity as who
from workflowexecution.adapters import metricsauth
from workflowexecution.adapters.prometheus import (
    book,
    eventcount,
    incidents,
    machinery,
    moment,
    outcomes,
)
from workflowexecution.runtime import looplag, manager, metricsserver, servingcert

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workflowexecution.reconciler import view
    from workflowexecution.runtime import client, store
    from workflowexecution.settings import Controller

_log = structlog.get_logger(__name__)


class CertificateError(Exception):
    """The certificate of the metrics port cannot be used; the text names the setting."""


class Meters:
    """Everything that counts, over one book."""

    def __init__(self, *, identity: str) -> None:
        """Begin at nothing.

        Args:
            identity: what this process calls itself, as in its lease and its logs.
        """
        self.book = book.Book()
        self.outcomes = outcomes.Outcomes(self.book)
        self.incidents = incidents.Incidents(self.book)
        self.events = eventcount.EventCounts(self.book)
        self.work = machinery.Work(self.book)
        self.reconciles = machinery.Reconciles(self.book)
        self.requests = machinery.Requests(self.book)
        self.lags = machinery.Lags(self.book)
        self.loop = looplag.LoopLag(observe=self.lags.turned)
        moment.add_process(self.book, version=who.version(), identity=identity)


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
    return [
        manager.Service(name="loop-lag", run=meters.loop.run),
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


def expecting(ends: outcomes.Outcomes) -> Callable[[store.Delta[view.Execution]], None]:
    """Who hears of executions, and so knows of which workflows an end is to be expected."""

    def changed(delta: store.Delta[view.Execution]) -> None:
        seen = delta.new
        if seen is not None and seen.workflow_id and seen.served and not seen.ended:
            ends.expect(seen.workflow_id)

    return changed

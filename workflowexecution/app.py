"""The wiring, with its parts in `wiring`: builds all, says who hears what, nests the services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from workflowexecution import identity as who
from workflowexecution.adapters import events, executions, guard, tekton
from workflowexecution.adapters.prometheus import moment, records
from workflowexecution.reconciler import deleted, reconciler, routing, sweeper, tools, view
from workflowexecution.runtime import (
    client,
    clock,
    connection,
    controller,
    errors,
    fence,
    freshness,
    manager,
    queue,
    reach,
    waiting,
)
from workflowexecution.settings import MAX_WORKERS, Settings
from workflowexecution.wiring import (
    caches,
    census,
    election,
    metrics,
    probes,
    reload,
    tracing,
    trail,
)

if TYPE_CHECKING:
    from pathlib import Path

    from workflowexecution import config
    from workflowexecution.runtime import resource

_log = structlog.get_logger(__name__)

RECONCILE_DEADLINE_S = 60.0
MAX_CONNECTIONS = MAX_WORKERS + 32
"""Each worker has one request on its way at most, and none waits for a connection of another's.

A connection is opened when it is needed. Beside the workers ask the sweeps, the events and reviews.
"""


class CannotStart(Exception):
    """The way to the cluster, or a file that a setting names, is missing or wrong."""


class Failed(Exception):
    """A part of the program failed, and with it the program; it has been logged."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster as this process reaches it.

    Attributes:
        api: the way to its server.
        clock: its time, kept right by what the server answers.
        identity: what this process calls itself there.
    """

    api: client.Client
    clock: clock.ServerClock
    identity: str


async def run(
    settings: Settings, *, kubeconfig: Path | None, identity: str, source: config.Source
) -> None:
    """Run the controller until a signal stops it, with what its source says meanwhile.

    Raises:
        CannotStart: there is no usable kubeconfig, service account or certificate.
        Failed: a service failed; the log says which and why.
    """
    try:
        way = await connection.connect(kubeconfig=str(kubeconfig or ""))
        server_clock = clock.ServerClock(now=clock.SteadyTime())
        chosen = election.prepare(settings.controller, way, identity=identity)
        traces = tracing.prepare(settings.tracing, identity=identity, clock=server_clock)
        api = client.Client(
            connection=way,
            user_agent=who.user_agent(identity),
            observe_date=server_clock.observe,
            max_connections=MAX_CONNECTIONS,
            fence=fence.NoFence() if chosen is None else chosen.fence,
            trace_configs=traces.requests,
        )
    except (errors.ConnectionConfigError, tracing.NotInstalled) as error:
        raise CannotStart(str(error)) from error
    _log.info("Starting", version=who.version(), server=way.server, identity=identity)
    if not settings.execution.allowed_bundles:
        _log.warning("execution.allowedBundles is empty: any bundle may run")
    try:
        cluster = Cluster(api, server_clock, identity)
        await _built(settings, cluster, chosen, source, traces).run()
    except BaseExceptionGroup as group:
        for cause in manager.causes(group):
            _log.error("Service failed", error=str(cause) or type(cause).__name__, exc_info=cause)
        raise Failed from group
    finally:
        await api.close()
        if chosen is not None:
            await chosen.api.close()
    _log.info("Stopped")


def _built(
    settings: Settings,
    cluster: Cluster,
    chosen: election.Election | None,
    source: config.Source,
    traces: tracing.Traces,
) -> App:
    try:
        return App(settings, cluster, chosen, source, traces)
    except (errors.ConnectionConfigError, metrics.CertificateError) as error:
        raise CannotStart(str(error)) from error


class App:
    """The program, built and not yet running."""

    def __init__(
        self,
        settings: Settings,
        cluster: Cluster,
        chosen: election.Election | None = None,
        source: config.Source | None = None,
        traces: tracing.Traces = tracing.OFF,
    ) -> None:
        """Build everything over one client.

        Without an election this process always acts; without a source its settings never change.

        Raises:
            CertificateError: the certificate of the metrics port cannot be used.
            errors.ConnectionConfigError: the way to the audit store is missing or wrong.
        """
        self._settings = settings
        self._api = api = cluster.api
        self._live = reload.Live(settings, source)
        self._clock = cluster.clock
        self._traces = traces
        self._meters = metrics.Meters(identity=cluster.identity)
        self._metrics = metrics.services(settings.controller, self._meters, api)
        self._caches = caches.Caches()
        self._queue = queue.WorkQueue(observer=self._meters.work)
        self._reach = reach.Reach(
            on_release=self._queue.add,
            on_back=lambda: self._watches.hurry(),
            in_doubt=lambda: self._watches.in_doubt,
            spares=self._is_long_deleted,
            observer=self._meters.requests,
        )
        api.observe(self._reach)
        self._freshness = freshness.Freshness(
            stores=self._caches.stores().get,
            on_unpark=self._queue.add,
            observer=self._meters.lags,
        )
        self._watches = caches.Watches(
            settings=settings,
            api=api,
            caches=self._caches,
            fresh=self._freshness,
            on_heard=self._reach.heard,
        )
        self._engine = tekton.TektonEngine(
            client=api,
            freshness=self._freshness,
            place=self._watches.place,
            runs=self._caches.runs,
            tasks=self._caches.tasks,
            gone=self._watches.gone,
            begun=self._watches.begun,
            informers=(self._watches.runs, self._watches.tasks),
        )
        self._events = events.Events(
            client=api, clock=self._clock, busy=self._busy, observer=self._meters.events
        )
        access = executions.Executions(client=api, freshness=self._freshness)
        self._trail = trail.prepare(
            settings,
            trail.Around(
                identity=cluster.identity,
                api=api,
                executions=self._caches.executions,
                writer=access,
                clock=self._clock,
                wake=self._wake,
                busy=self._moves,
                traced=traces.recording,
            ),
        )
        self._guard = guard.AdmissionGuard(client=api)
        self._kit = self._tools(access)
        self._controller = self._workers()
        self._live.obeyed_by(self._controller, self._wake_all)
        self._elector = election.candidate(chosen, self._is_idle, self._meters.requests)
        self._route()
        self._show()

    async def run(self) -> None:
        """Run until a signal, or until a service fails.

        Raises:
            BaseExceptionGroup: of the services' errors.
        """
        try:
            await manager.Manager(
                services=self._services(),
                shutdown_grace_s=self._settings.controller.shutdown_grace,
            ).run()
        finally:
            await self._trail.close()

    def _tools(self, access: executions.Executions) -> tools.Tools:
        mine = self._settings.controller
        return tools.Tools(
            executions=self._caches.executions,
            engine=self._engine,
            writer=access,
            reader=access,
            project=view.projection(mine.instance, mine.watch_namespace, whole=True),
            guard=self._guard,
            clock=self._clock,
            policies=lambda: self._live.policy,
            busy=self._busy,
            wake=self._wake,
            observers=(
                self._meters.outcomes,
                self._events,
                *self._trail.observers,
                *self._traces.observers,
            ),
            events=self._events,
            metrics=self._meters.incidents,
            audit=self._trail.audit,
            marks=self._traces.marks,
        )

    def _workers(self) -> controller.Controller:
        settings = self._settings
        reconcile = reconciler.WorkflowExecutionReconciler(self._kit).reconcile
        return controller.Controller(
            reconcile=self._traces.reconciling(reconcile, self._caches.executions),
            queue=self._queue,
            workers=settings.controller.workers,
            reconcile_deadline_s=RECONCILE_DEADLINE_S,
            held=lambda key, priority: (
                self._freshness.parked(key, priority) or self._reach.holds(key, priority)
            ),
            away=lambda: self._reach.is_away,
            observer=self._meters.reconciles,
        )

    def _route(self) -> None:
        router = routing.Router(
            executions=self._caches.executions,
            queue=self._queue,
            forget=self._forget,
            acknowledged=self._trail.audit.acknowledged,
            run_is_done=self._run_is_done,
        )
        self._watches.executions.subscribe(router.execution_changed)
        self._watches.runs.subscribe(router.run_changed)
        self._watches.tasks.subscribe(router.task_changed)
        self._watches.executions.on_state(self._reach.look)
        for watched in (self._watches.runs, self._watches.tasks):
            watched.on_state(self._reach.look)
            watched.on_state(router.engine_changed)

    def _show(self) -> None:
        """Say where the metrics of a moment come from."""
        families = self._meters.book
        taker = census.CensusTaker(self._caches.executions)
        self._watches.executions.subscribe(taker.changed)
        self._watches.executions.subscribe(metrics.expecting(self._meters.outcomes))
        moment.add_executions(
            families,
            lambda: taker.take(self._clock.now(), guarded=self._guard.last_in_force),
        )
        moment.add_work(
            families,
            work=self._queue,
            workers=self._controller,
        )
        moment.add_engine(families, self._engine.trouble)
        moment.add_watches(
            families,
            self._watches.by_name(),
            metrics.sizes({kind.plural: cache for kind, cache in self._caches.stores().items()}),
        )
        self._trail.show(families)
        records.add_settings(families, self._live)
        election.show(families, self._elector, name=election.lease_name(self._settings.controller))
        moment.add_server(families, self._reach, skipped=lambda: self._api.skipped_lines)
        moment.add_backlog(
            families,
            parked=self._freshness.__len__,
            events=self._events.__len__,
            skew_s=lambda: self._clock.offset_s,
        )

    def _services(self) -> list[manager.Service]:
        watched = self._watches.by_name()
        sweep = sweeper.Sweeper(self._kit, instance=self._settings.controller.instance)
        return [
            self._probes(),
            *self._metrics,
            manager.Service(name="credentials", run=self._api.keep_credentials),
            *self._live.services(),
            *self._traces.services,
            # All lists run at once; the workers wait for the last of them.
            *(manager.Service(name=f"watch-{it}", run=watched[it].run) for it in watched),
            manager.Service(name="caches", run=waiting.forever, ready=self._watches.wait_known),
            *election.services(self._elector),
            # Whatever writes comes after the leader: it starts with the lease and ends before it.
            manager.Service(name="events", run=self._events.run, stop=self._events.stop),
            *self._trail.services,
            manager.Service(name="workers", run=self._controller.run, stop=self._controller.stop),
            manager.Service(name="sweeper", run=sweep.run),
        ]

    def _probes(self) -> manager.Service:
        return probes.service(
            self._settings.controller.health_probe_addr,
            alive=probes.liveness(
                loop=self._meters.loop,
                watches=self._watches.by_name(),
                workers=self._controller,
                working_s=self._queue.working_s,
                reconcile_deadline_s=RECONCILE_DEADLINE_S,
            ),
            ready=probes.readiness(
                server=self._reach,
                executions=self._watches.executions,
                caches=self._watches.by_name(),
                engine=self._engine.trouble,
                watch_idle_s=self._settings.limits.watch_idle,
            ),
        )

    def _wake_all(self) -> None:
        for execution in self._caches.executions:
            self._queue.add(execution.key, queue.Priority.LOW)

    def _forget(self, gone: view.Execution) -> None:
        """Drop what is remembered of an execution beside its reconciles, which drop their own."""
        self._freshness.forget(gone.key)
        self._trail.audit.forget(gone.uid)

    def _is_long_deleted(self, key: resource.ObjectKey) -> bool:
        """Whether an execution holds up its namespace; only a cache of executions can tell."""
        seen = self._caches.executions.get(key)
        if seen is None or self._watches.executions.in_doubt:
            return False
        return deleted.is_overdue(self._kit, seen)

    def _is_idle(self) -> bool:
        return not (self._controller.interrupted or self._api.has_unsettled_writes)

    def _busy(self) -> bool:
        """Whether something more urgent than progress waits for a worker."""
        return self._queue.is_waiting(before=queue.Priority.LOW)

    def _moves(self) -> bool:
        """Whether an execution begins or ends, or is about to."""
        return self._busy() or self._queue.is_working(before=queue.Priority.LOW)

    def _wake(self, key: resource.ObjectKey) -> None:
        """Ask for a look that nobody waits for."""
        self._queue.add(key, queue.Priority.LOW)

    def _run_is_done(self, owner_uid: str) -> bool:
        run = self._engine.observe(owner_uid)
        return run is not None and run.is_done

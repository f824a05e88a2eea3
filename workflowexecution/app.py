"""The only wiring: builds every object, says who hears of what, and nests the services."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from workflowexecution import identity as who
from workflowexecution.adapters import events, executions, guard, tekton
from workflowexecution.adapters.prometheus import moment, records
from workflowexecution.reconciler import reconciler, routing, sweeper, tools, view
from workflowexecution.runtime import (
    client,
    clock,
    connection,
    controller,
    errors,
    fence,
    freshness,
    informer,
    leader,
    manager,
    probes,
    queue,
    store,
)
from workflowexecution.wiring import election, metrics, policy, trail

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workflowexecution.runtime import resource
    from workflowexecution.settings import Settings

_log = structlog.get_logger(__name__)

RECONCILE_DEADLINE_S = 60.0

T = TypeVar("T", bound=store.Cached)


class CannotStart(Exception):
    """The way to the cluster, or a file that a setting names, is missing or wrong."""


class Failed(Exception):
    """A part of the program failed, and with it the program; it has been logged."""


async def run(settings: Settings, *, kubeconfig: Path | None, identity: str) -> None:
    """Run the controller until a signal stops it.

    Raises:
        CannotStart: there is no usable kubeconfig, service account or certificate.
        Failed: a service failed; the log says which and why.
    """
    try:
        way = await connection.connect(kubeconfig=str(kubeconfig or ""))
        server_clock = clock.ServerClock()
        chosen = election.prepare(settings.controller, way, identity=identity)
        api = client.Client(
            connection=way,
            user_agent=who.user_agent(identity),
            observe_date=server_clock.observe,
            fence=fence.NoFence() if chosen is None else chosen.fence,
        )
    except errors.ConnectionConfigError as error:
        raise CannotStart(str(error)) from error
    _log.info("Starting", version=who.version(), server=way.server, identity=identity)
    if not settings.execution.allowed_bundles:
        _log.warning("execution.allowedBundles is empty: any bundle may run")
    try:
        await _built(settings, api, server_clock, chosen).run()
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
    api: client.Client,
    server_clock: clock.ServerClock,
    chosen: election.Election | None,
) -> App:
    try:
        return App(settings, api, server_clock, chosen)
    except (errors.ConnectionConfigError, metrics.CertificateError) as error:
        raise CannotStart(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Scope:
    """Which objects an informer watches, and how often it tells of them unasked."""

    namespace: str = ""
    label_selector: str = ""
    resync_period_s: float = 0.0


class App:
    """The program, built and not yet running."""

    def __init__(
        self,
        settings: Settings,
        api: client.Client,
        server_clock: clock.ServerClock,
        chosen: election.Election | None = None,
    ) -> None:
        """Build everything over one client; without an election this process always acts.

        Raises:
            CertificateError: the certificate of the metrics port cannot be used.
            errors.ConnectionConfigError: the way to the audit store is missing or wrong.
        """
        self._settings = settings
        self._clock = server_clock
        self._meters = metrics.Meters()
        self._metrics = metrics.services(settings.controller, self._meters, api)
        api.observe(self._meters.requests)
        self._executions = store.StoreWriter[view.Execution](view.indexes())
        self._runs = store.StoreWriter[tekton.Run](tekton.run_indexes())
        self._tasks = store.StoreWriter[tekton.Task](tekton.task_indexes())
        self._queue = queue.WorkQueue(observer=self._meters.work)
        self._freshness = freshness.Freshness(
            stores=self._stores().get,
            on_unpark=lambda key: self._queue.add(key, queue.Priority.HIGH),
            observer=self._meters.lags,
        )
        self._watch_executions = self._informer(
            api,
            view.EXECUTIONS,
            view.projection(
                settings.controller.instance, watch_namespace=settings.controller.watch_namespace
            ),
            self._executions,
            _Scope(resync_period_s=settings.limits.resync_period),
        )
        namespace = settings.execution.namespace
        ours = _Scope(namespace, tekton.owner_selector())
        self._watch_runs = self._informer(
            api, tekton.PIPELINERUNS, tekton.project_run, self._runs, ours
        )
        self._watch_tasks = self._informer(
            api, tekton.TASKRUNS, tekton.project_task, self._tasks, ours
        )
        self._engine = tekton.TektonEngine(
            client=api,
            freshness=self._freshness,
            namespace=namespace,
            runs=self._runs,
            tasks=self._tasks,
            informers=(self._watch_runs, self._watch_tasks),
        )
        self._events = events.Events(
            client=api, clock=server_clock, busy=self._busy, observer=self._meters.events
        )
        access = executions.Executions(client=api, freshness=self._freshness)
        self._trail = trail.prepare(
            settings,
            trail.Around(
                api=api,
                executions=self._executions,
                writer=access,
                clock=server_clock,
                wake=lambda key: self._queue.add(key, queue.Priority.LOW),
            ),
        )
        self._kit = self._tools(api, access)
        self._controller = self._workers()
        self._elector = None if chosen is None else self._candidate(chosen)
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

    def _stores(self) -> dict[resource.Resource, store.Store[Any]]:
        return {
            view.EXECUTIONS: self._executions,
            tekton.PIPELINERUNS: self._runs,
            tekton.TASKRUNS: self._tasks,
        }

    def _informer(
        self,
        api: client.Client,
        kind: resource.Resource,
        project: Callable[[resource.JsonObject], T],
        cache: store.StoreWriter[T],
        scope: _Scope,
    ) -> informer.Informer[T]:
        return informer.Informer(
            client=api,
            resource=kind,
            project=project,
            store=cache,
            namespace=scope.namespace,
            label_selector=scope.label_selector,
            freshness=self._freshness,
            watch_idle_s=self._settings.limits.watch_idle,
            resync_period_s=scope.resync_period_s,
        )

    def _tools(self, api: client.Client, access: executions.Executions) -> tools.Tools:
        mine = self._settings.controller
        return tools.Tools(
            executions=self._executions,
            engine=self._engine,
            writer=access,
            reader=access,
            project=view.projection(mine.instance, mine.watch_namespace, whole=True),
            guard=guard.AdmissionGuard(client=api),
            clock=self._clock,
            policy=policy.of(self._settings),
            busy=self._busy,
            observers=(self._meters.outcomes, self._events, *self._trail.observers),
            events=self._events,
            metrics=self._meters.incidents,
            audit=self._trail.audit,
        )

    def _workers(self) -> controller.Controller:
        settings = self._settings
        return controller.Controller(
            reconcile=reconciler.WorkflowExecutionReconciler(self._kit).reconcile,
            queue=self._queue,
            workers=settings.controller.workers,
            reconcile_deadline_s=RECONCILE_DEADLINE_S,
            held=self._freshness.parked,
            observer=self._meters.reconciles,
        )

    def _candidate(self, chosen: election.Election) -> leader.Elector:
        return leader.Elector(
            client=chosen.api,
            key=chosen.key,
            identity=chosen.identity,
            timing=chosen.timing,
            fence=chosen.fence,
            watchdog=chosen.watchdog,
            idle=lambda: not self._controller.interrupted,
        )

    def _route(self) -> None:
        router = routing.Router(
            executions=self._executions,
            queue=self._queue,
            forget=self._freshness.forget,
            run_is_done=self._run_is_done,
        )
        self._watch_executions.subscribe(router.execution_changed)
        self._watch_runs.subscribe(self._engine.note)
        self._watch_runs.subscribe(router.run_changed)
        self._watch_tasks.subscribe(router.task_changed)
        for watched in (self._watch_runs, self._watch_tasks):
            watched.on_state(router.engine_changed)

    def _show(self) -> None:
        """Say where the metrics of a moment come from."""
        families = self._meters.book
        moment.add_executions(
            families, lambda: metrics.take_census(self._executions, self._clock.now())
        )
        moment.add_work(
            families,
            work=self._queue,
            workers=self._controller,
            most_workers=self._settings.controller.workers,
        )
        moment.add_watches(
            families,
            {
                view.EXECUTIONS.plural: self._watch_executions,
                tekton.PIPELINERUNS.plural: self._watch_runs,
                tekton.TASKRUNS.plural: self._watch_tasks,
            },
            metrics.sizes({kind.plural: cache for kind, cache in self._stores().items()}),
        )
        records.add_audit(
            families,
            counts=self._trail.counts,
            waiting=self._trail.pending,
            breaker=self._trail.breaker,
        )
        elector = self._elector
        records.add_leader(
            families,
            name=self._settings.controller.leader_election_id,
            leading=lambda: elector is None or elector.is_leading,
        )
        moment.add_backlog(
            families,
            parked=self._freshness.__len__,
            events=self._events.__len__,
            skew_s=lambda: self._clock.offset_s,
        )

    def _services(self) -> list[manager.Service]:
        health = probes.Probes(
            address=self._settings.controller.health_probe_addr,
            liveness={},
            readiness={"executions": self._executions_ready, "engine": self._engine_ready},
        )
        sweep = sweeper.Sweeper(self._kit, instance=self._settings.controller.instance)
        watched = (
            ("executions", self._watch_executions),
            ("pipelineruns", self._watch_runs),
            ("taskruns", self._watch_tasks),
        )
        return [
            manager.Service(name="probes", run=health.run, ready=health.wait_listening),
            *self._metrics,
            # All lists run at once; the workers wait for the last of them.
            *(manager.Service(name=f"watch-{name}", run=it.run) for name, it in watched),
            manager.Service(name="caches", run=_forever, ready=self._caches_known),
            *self._leadership(),
            # Whatever writes comes after the leader: it starts with the lease and ends before it.
            manager.Service(name="events", run=self._events.run, stop=self._events.stop),
            *self._trail.services,
            manager.Service(name="workers", run=self._controller.run, stop=self._controller.stop),
            manager.Service(name="sweeper", run=sweep.run),
        ]

    def _leadership(self) -> list[manager.Service]:
        elector = self._elector
        if elector is None:
            return []
        ready, stop = elector.wait_leading, elector.stop
        return [manager.Service(name="leader", run=elector.run, ready=ready, stop=stop)]

    async def _caches_known(self) -> None:
        """Wait until every cache is filled, or its API is known to be missing.

        Without Tekton the workers still say so in each execution's status.
        """
        await self._watch_executions.wait_synced()
        for watched in (self._watch_runs, self._watch_tasks):
            await _known(watched)
        _log.info("Caches are filled", executions=len(self._executions), runs=len(self._runs))

    def _busy(self) -> bool:
        """Whether something more urgent than progress waits for a worker."""
        return self._queue.is_waiting(before=queue.Priority.LOW)

    def _run_is_done(self, owner_uid: str) -> bool:
        run = self._engine.observe(owner_uid)
        return run is not None and run.is_done

    def _executions_ready(self) -> str | None:
        if self._watch_executions.missing:
            return "the WorkflowExecution API is not served: is the CRD installed?"
        return None if self._watch_executions.synced else "executions have not been listed yet"

    def _engine_ready(self) -> str | None:
        return self._engine.unavailable() or None


async def _known(watched: informer.Informer[Any]) -> None:
    known = asyncio.Event()

    def look() -> None:
        if watched.synced or watched.missing:
            known.set()

    watched.on_state(look)
    look()
    await known.wait()


async def _forever() -> None:
    await asyncio.get_running_loop().create_future()

"""The only wiring: builds every object, says who hears of what, and nests the services."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from workflowexecution import identity as who
from workflowexecution import trail as trails
from workflowexecution.adapters import executions, tekton
from workflowexecution.domain import pipelinerun, validation
from workflowexecution.reconciler import reconciler, routing, tools, view
from workflowexecution.runtime import (
    client,
    clock,
    connection,
    controller,
    errors,
    freshness,
    informer,
    manager,
    probes,
    queue,
    store,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workflowexecution.runtime import resource
    from workflowexecution.settings import Settings

_log = structlog.get_logger(__name__)

RECONCILE_DEADLINE_S = 60.0

T = TypeVar("T", bound=store.Cached)


class CannotStart(Exception):
    """The way to the cluster is missing or wrong."""


class Failed(Exception):
    """A part of the program failed, and with it the program; it has been logged."""


async def run(settings: Settings, *, kubeconfig: Path | None, identity: str) -> None:
    """Run the controller until a signal stops it.

    Raises:
        CannotStart: there is no usable kubeconfig or service account.
        Failed: a service failed; the log says which and why.
    """
    try:
        way = await connection.connect(kubeconfig=str(kubeconfig or ""))
        server_clock = clock.ServerClock()
        api = client.Client(
            connection=way,
            user_agent=who.user_agent(identity),
            observe_date=server_clock.observe,
        )
    except errors.ConnectionConfigError as error:
        raise CannotStart(str(error)) from error
    _log.info("Starting", version=who.version(), server=way.server, identity=identity)
    for key in settings.without_effect():
        _log.warning("Setting has no effect in this version", key=key)
    if not settings.execution.allowed_bundles:
        _log.warning("execution.allowedBundles is empty: any bundle may run")
    try:
        await _built(settings, api, server_clock).run()
    except BaseExceptionGroup as group:
        for cause in manager.causes(group):
            _log.error("Service failed", error=str(cause) or type(cause).__name__, exc_info=cause)
        raise Failed from group
    finally:
        await api.close()
    _log.info("Stopped")


def _built(settings: Settings, api: client.Client, server_clock: clock.ServerClock) -> App:
    try:
        return App(settings, api, server_clock)
    except errors.ConnectionConfigError as error:
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
        self, settings: Settings, api: client.Client, server_clock: clock.ServerClock
    ) -> None:
        """Build everything over one client.

        Raises:
            errors.ConnectionConfigError: the way to the audit store is missing or wrong.
        """
        self._settings = settings
        self._executions = store.StoreWriter[view.Execution](view.indexes())
        self._runs = store.StoreWriter[tekton.Run](tekton.run_indexes())
        self._tasks = store.StoreWriter[tekton.Task](tekton.task_indexes())
        self._queue = queue.WorkQueue()
        self._freshness = freshness.Freshness(
            stores=self._stores().get,
            on_unpark=lambda key: self._queue.add(key, queue.Priority.HIGH),
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
        writer = executions.Executions(client=api, freshness=self._freshness)
        self._trail = trails.prepare(
            settings,
            trails.Around(
                api=api,
                executions=self._executions,
                writer=writer,
                clock=server_clock,
                wake=lambda key: self._queue.add(key, queue.Priority.LOW),
            ),
        )
        self._controller = self._workers(writer, server_clock)
        self._route()

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

    def _workers(
        self, writer: executions.Executions, server_clock: clock.ServerClock
    ) -> controller.Controller:
        settings = self._settings
        rules = validation.Rules(
            allowed_bundles=settings.execution.allowed_bundles,
            allowed_service_accounts=settings.execution.allowed_service_accounts,
            require_digest=settings.execution.require_digest,
        )
        defaults = pipelinerun.Defaults(
            namespace=settings.execution.namespace,
            service_account=settings.execution.service_account,
            timeout_s=settings.execution.default_timeout,
            instance=settings.controller.instance,
        )
        policy = tools.Policy(
            rules=rules,
            defaults=defaults,
            suspend=settings.execution.suspend,
            run_retention_s=settings.execution.run_retention,
            create_retry_for_s=settings.limits.create_retry_for,
            deletion_give_up_s=settings.limits.deletion_give_up,
        )
        kit = tools.Tools(
            executions=self._executions,
            engine=self._engine,
            writer=writer,
            clock=server_clock,
            policy=policy,
            busy=lambda: self._queue.is_waiting(before=queue.Priority.LOW),
            observers=self._trail.observers,
            audit=self._trail.audit,
        )
        return controller.Controller(
            reconcile=reconciler.WorkflowExecutionReconciler(kit).reconcile,
            queue=self._queue,
            workers=settings.controller.workers,
            reconcile_deadline_s=RECONCILE_DEADLINE_S,
            held=self._freshness.parked,
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

    def _services(self) -> list[manager.Service]:
        health = probes.Probes(
            address=self._settings.controller.health_probe_addr,
            liveness={},
            readiness={"executions": self._executions_ready, "engine": self._engine_ready},
        )
        watched = (
            ("executions", self._watch_executions),
            ("pipelineruns", self._watch_runs),
            ("taskruns", self._watch_tasks),
        )
        return [
            manager.Service(name="probes", run=health.run, ready=health.wait_listening),
            # All lists run at once; the workers wait for the last of them.
            *(manager.Service(name=f"watch-{name}", run=it.run) for name, it in watched),
            manager.Service(name="caches", run=_forever, ready=self._caches_known),
            *self._trail.services,
            manager.Service(name="workers", run=self._controller.run, stop=self._controller.stop),
        ]

    async def _caches_known(self) -> None:
        """Wait until every cache is filled, or its API is known to be missing.

        Without Tekton the workers still say so in each execution's status.
        """
        await self._watch_executions.wait_synced()
        for watched in (self._watch_runs, self._watch_tasks):
            await _known(watched)
        _log.info("Caches are filled", executions=len(self._executions), runs=len(self._runs))

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

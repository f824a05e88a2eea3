"""The wiring's part for what is watched: three caches, and the informers that fill them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from workflowexecution.adapters import begun, executions, gone, place, tekton
from workflowexecution.reconciler import view
from workflowexecution.runtime import informer, store

if TYPE_CHECKING:
    from collections.abc import Callable

    from workflowexecution.runtime import client, freshness, resource
    from workflowexecution.settings import Settings

_log = structlog.get_logger(__name__)

T = TypeVar("T", bound=store.Cached)


class Caches:
    """The executions, and the PipelineRuns and TaskRuns that were made for them."""

    def __init__(self) -> None:
        """Make them empty."""
        self.executions = store.StoreWriter[view.Execution](view.indexes())
        self.runs = store.StoreWriter[tekton.Run](tekton.run_indexes())
        self.tasks = store.StoreWriter[tekton.Task](tekton.task_indexes())

    def stores(self) -> dict[resource.Resource, store.Store[Any]]:
        """Every cache, by what it holds."""
        return {
            executions.EXECUTIONS: self.executions,
            tekton.PIPELINERUNS: self.runs,
            tekton.TASKRUNS: self.tasks,
        }


class Watches:
    """The informers of the caches."""

    def __init__(
        self,
        *,
        settings: Settings,
        api: client.Client,
        caches: Caches,
        fresh: freshness.Freshness,
        on_heard: Callable[[], None],
    ) -> None:
        """Build them; of Tekton's objects only what the program made is listed and watched.

        `on_heard` is called when something comes by any watch.
        """
        self._caches = caches
        self.place = place.Place(settings.execution.namespace)
        """Where the runs are."""

        def build(
            kind: resource.Resource,
            project: Callable[[resource.JsonObject], T],
            cache: store.StoreWriter[T],
            *,
            made_by_us: bool = True,
        ) -> informer.Informer[T]:
            return informer.Informer(
                client=place.Watched(api, self.place) if made_by_us else api,
                resource=kind,
                project=project,
                store=cache,
                namespace=settings.execution.namespace if made_by_us else "",
                label_selector=tekton.owner_selector() if made_by_us else "",
                freshness=fresh,
                on_heard=on_heard,
                watch_idle_s=settings.limits.watch_idle,
                resync_period_s=0.0 if made_by_us else settings.limits.resync_period,
            )

        mine = settings.controller
        ours = view.projection(mine.instance, watch_namespace=mine.watch_namespace)
        self.executions = build(executions.EXECUTIONS, ours, caches.executions, made_by_us=False)
        self.runs = build(tekton.PIPELINERUNS, tekton.project_run, caches.runs)
        self.tasks = build(tekton.TASKRUNS, tekton.project_task, caches.tasks)
        self.gone = gone.Gone(settings.execution.namespace, owner=self._owner)
        """Runs that the cache of them does not have."""
        self.executions.witness(self.gone.execution_changed)
        self.runs.witness(self.gone.run_changed)
        self.begun = begun.Begun(owner=self._owner)
        """TaskRuns that do not say any more that they have begun."""
        self.executions.witness(self.begun.execution_changed)
        self.tasks.witness(self.begun.task_changed)

    def by_name(self) -> dict[str, informer.Informer[Any]]:
        """Every informer, by the plural of what it watches."""
        return {
            executions.EXECUTIONS.plural: self.executions,
            tekton.PIPELINERUNS.plural: self.runs,
            tekton.TASKRUNS.plural: self.tasks,
        }

    @property
    def in_doubt(self) -> bool:
        """Whether one of them may be wrong about what the server holds."""
        return self.executions.in_doubt or self.runs.in_doubt or self.tasks.in_doubt

    def _owner(self, uid: str) -> view.Execution | None:
        return next(iter(self._caches.executions.by_index(view.BY_UID, uid)), None)

    def hurry(self) -> None:
        """Have each try again at once."""
        for watched in self.by_name().values():
            watched.hurry()

    async def wait_known(self) -> None:
        """Wait until every cache is filled; of the runs, until it is known why it cannot be.

        What needs no run goes on without them: refusals, deletions that give up, and a word to
        those that wait. Nothing starts, since the engine is unavailable until all are listed.
        """
        await self.executions.wait_synced()
        for watched in (self.runs, self.tasks):
            await watched.wait_known()
        held = self._caches
        if self.runs.synced and self.tasks.synced:
            _log.info("Caches are filled", executions=len(held.executions), runs=len(held.runs))
        else:
            _log.warning("Runs cannot be listed: executions wait", executions=len(held.executions))

"""Tekton as the engine: PipelineRuns and TaskRuns through the API server and the caches."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from workflowexecution import ports
from workflowexecution.adapters import podlogs, podwarnings
from workflowexecution.adapters.events import EVENTS
from workflowexecution.api import names, tekton
from workflowexecution.domain import locking
from workflowexecution.runtime import errors, pages, resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from workflowexecution.adapters import begun, gone, place
    from workflowexecution.runtime import client, freshness, store
    from workflowexecution.runtime.resource import ObjectKey

PIPELINERUNS = resource.Resource("tekton.dev", "v1", "pipelineruns", "PipelineRun")
TASKRUNS = resource.Resource("tekton.dev", "v1", "taskruns", "TaskRun")
PODS = podlogs.PODS
CRDS = resource.Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"
)

BY_OWNER = "owner"
BY_RUN = "run"
BY_COPIED = "copied"
_NOT_SERVED = "Tekton's API (tekton.dev/v1) is not served by this cluster"
_LIVE_PODS = "status.phase!=Succeeded,status.phase!=Failed"

T = TypeVar("T")


class Run(tekton.PipelineRun):
    """A run in the cache."""

    __slots__ = ()

    @property
    def key(self) -> resource.ObjectKey:
        """Where it is."""
        return resource.ObjectKey(self.namespace, self.name)

    @property
    def is_copy(self) -> bool:
        """Whether it carries the label of a target whose lock has another name.

        Nothing is created here under such a name: somebody has copied a run, its labels with it.
        """
        label = self.labels.get(names.LABEL_TARGET)
        return label is not None and label != locking.target_label(self.name)


class Task(tekton.TaskRun):
    """A TaskRun in the cache."""

    __slots__ = ()

    @property
    def key(self) -> resource.ObjectKey:
        """Where it is."""
        return resource.ObjectKey(self.namespace, self.name)


def project_run(raw: dict[str, Any]) -> Run:
    """The record of a run as the API gives it."""
    return tekton.project_pipelinerun(raw, Run)


def project_task(raw: dict[str, Any]) -> Task:
    """The record of a TaskRun as the API gives it."""
    return tekton.project_taskrun(raw, Task)


class Watched(Protocol):
    """What the engine asks of an informer."""

    @property
    def missing(self) -> bool:
        """Whether the API itself is not served."""
        ...

    @property
    def synced(self) -> bool:
        """Whether the cache has been filled."""
        ...


class TektonEngine:
    """The `ExecutionEngine` over Tekton's v1 API.

    Reads come from the caches but for those named `read`.
    """

    def __init__(  # noqa: PLR0913 - keyword-only collaborators, each of its own
        self,
        *,
        client: client.Client,
        freshness: freshness.Freshness,
        place: place.Place,
        runs: store.Store[Run],
        tasks: store.Store[Task],
        gone: gone.Gone,
        begun: begun.Begun,
        informers: Sequence[Watched],
    ) -> None:
        """Work in this place, over these caches."""
        self._client = client
        self._freshness = freshness
        self._place = place
        self._namespace = place.namespace
        self._runs = runs
        self._tasks = tasks
        self._informers = informers
        self._gone = gone
        self._begun = begun
        self._pod_logs = podlogs.PodLogs(client, place.namespace)
        self._pod_warnings = podwarnings.PodWarnings(client, place.namespace, self._live_pods)

    def unavailable(self) -> str:
        """Why nothing can be said about any run now, or the empty text."""
        if any(informer.missing for informer in self._informers):
            return _NOT_SERVED
        if not all(informer.synced for informer in self._informers):
            return self._place.trouble or "Tekton's runs have not been listed yet"
        return ""

    def closed(self) -> str:
        """Why the namespace of the runs refuses everything, by the last answers, or nothing."""
        return self._place.trouble

    def unsettled(self) -> str:
        """Why what that namespace refuses may be allowed in a moment, or nothing."""
        return self._place.unsettled

    def trouble(self) -> str:
        """Why nothing can be started now, or the empty text."""
        return self.unavailable() or self.closed()

    def observe(self, owner_uid: str) -> tekton.PipelineRun | None:
        """The run of an execution, from the cache; none until its tasks have been listed, too."""
        if not self._tasks.synced:
            return None
        found = self._runs.by_index(BY_OWNER, owner_uid)
        return next((run for run in found if not run.is_copy), None)

    def runs_of(self, owner_uid: str) -> Sequence[tekton.PipelineRun]:
        """All runs that carry the UID of an execution, from the cache; copies among them."""
        return self._runs.by_index(BY_OWNER, owner_uid)

    def copies(self, target_label: str) -> Sequence[tekton.PipelineRun]:
        """Runs of a target, from the cache, that do not have the name of its lock."""
        return self._runs.by_index(BY_COPIED, target_label)

    def children(self, run_uid: str) -> Sequence[tekton.TaskRun]:
        """The TaskRuns of a run, from the cache."""
        return tuple(map(self._begun.told, self._tasks.by_index(BY_RUN, run_uid)))

    def last_seen(self, owner_uid: str) -> tekton.PipelineRun | None:
        """The last known state of a run that the cache does not have."""
        return self._gone.last(owner_uid)

    async def create(self, owner: ObjectKey, manifest: dict[str, Any]) -> tekton.PipelineRun:
        """Create the run; atomic by its name."""
        key = resource.ObjectKey(self._namespace, manifest["metadata"]["name"])
        with self._freshness.writing(owner, PIPELINERUNS, key) as write:
            try:
                answer = await self._client.create(
                    PIPELINERUNS, self._namespace, manifest, deadline_s=ports.CREATE_DEADLINE_S
                )
            except errors.NotFound:
                self._place.absent()
                raise
            write.answered(answer)
        self._place.present()
        run = project_run(answer)
        if self.observe(run.owner_uid) is None:
            self._gone.created(run)
        return run

    async def read(self, name: str) -> tekton.PipelineRun | None:
        """The run of that name from the server itself; None when it is not there."""
        key = resource.ObjectKey(self._namespace, name)
        try:
            run = project_run(await self._client.get(PIPELINERUNS, key))
        except errors.Forbidden:
            self._place.shut()
            raise
        except errors.NotFound:
            self._place.opened()
            return None
        self._place.present()
        return run

    async def uninstalled(self) -> str:
        """Why an absent run may be gone with its API, or the empty text when the API is there.

        In the words of `unavailable`: an API that goes is told once, whoever sees it first.
        """
        name = f"{PIPELINERUNS.plural}.{PIPELINERUNS.group}"
        crd = await self._client.find(CRDS, resource.ObjectKey("", name))
        return _NOT_SERVED if crd is None or "deletionTimestamp" in crd["metadata"] else ""

    async def read_children(self, run_uid: str) -> Sequence[tekton.TaskRun]:
        """The TaskRuns of a run from the server itself."""
        children = await self._read_all(TASKRUNS, run_uid, project_task)
        return tuple(map(self._begun.told, children))

    async def has_live_pods(self, run_uid: str) -> bool:
        """Whether a pod of the run is outside Succeeded and Failed, from the server itself."""
        page = await self._client.list_page(
            PODS,
            namespace=self._namespace,
            label_selector=f"{tekton.RUN_UID_LABEL}={run_uid}",
            field_selector=_LIVE_PODS,
            limit=1,
        )
        return bool(page.items)

    async def read_pods(self, run_uid: str) -> Sequence[tekton.Pod]:
        """The pods of a run from the server itself."""
        return await self._read_all(PODS, run_uid, tekton.project_pod)

    async def _read_all(
        self, kind: resource.Resource, run_uid: str, project: Callable[[dict[str, Any]], T]
    ) -> Sequence[T]:
        """What the server has of a run; others have their turns while thousands are read.

        In one page, as most would be: a list in pieces may go past the server's cache.
        """
        selector = f"{tekton.RUN_UID_LABEL}={run_uid}"
        fetch = functools.partial(
            self._client.list_page, kind, namespace=self._namespace, label_selector=selector
        )
        found: list[T] = []
        await pages.read(fetch, lambda item: found.append(project(item)))
        return found

    async def read_log(self, pod: str, step: str) -> str:
        """The last lines that a step has written."""
        return await self._pod_logs.read(pod, step)

    async def read_pod_events(self, pod: str) -> Sequence[Mapping[str, Any]]:
        """The events about a pod from the server itself, as it gives them."""
        selector = f"involvedObject.kind=Pod,involvedObject.name={pod}"
        page = await self._client.list_page(
            EVENTS, namespace=self._namespace, field_selector=selector
        )
        return page.items

    @property
    def pod_warnings(self) -> podwarnings.PodWarnings:
        """What keeps the pods of tasks that are not done from starting."""
        return self._pod_warnings

    def _live_pods(self) -> frozenset[str]:
        tasks = self._tasks.values()
        return frozenset(it.pod_name for it in tasks if it.pod_name and not it.is_done)

    def runs(self) -> Iterable[tekton.PipelineRun]:
        """Every run in the cache; no await while it is iterated."""
        return self._runs.values()

    async def change(
        self, owner: ObjectKey, run: tekton.PipelineRun, changes: dict[str, Any]
    ) -> None:
        """Merge-patch exactly this run, whatever has become of it since it was seen.

        No resourceVersion stands in the way: Tekton writes all the time, and what is changed here
        is written by nobody else. The UID keeps the change off a run that has the name by now.
        """
        key = resource.ObjectKey(run.namespace, run.name)
        body = {**changes, "metadata": {**changes.get("metadata", {}), "uid": run.uid}}
        with self._freshness.writing(owner, PIPELINERUNS, key) as write:
            write.answered(await self._client.merge_patch(PIPELINERUNS, key, body, whole=False))

    async def delete(self, owner: ObjectKey, run: tekton.PipelineRun) -> None:
        """Delete exactly this run, its pods first; one that is gone is fine."""
        key = resource.ObjectKey(run.namespace, run.name)
        with self._freshness.writing(owner, PIPELINERUNS, key) as write:
            try:
                answer = await self._client.delete(PIPELINERUNS, key, uid=run.uid)
            except (errors.NotFound, errors.Conflict):
                # Gone, or another run has the name by now: this one is no more.
                return
            write.answered(answer)


def run_indexes() -> dict[str, Any]:
    """Runs by the UID of the execution they are of; copies by their target.

    What Tekton runs as a task of a run is that run's affair: it is in neither.
    """
    return {
        BY_OWNER: lambda run: (run.owner_uid,) if run.owner_uid and not run.is_child else (),
        BY_COPIED: lambda run: (
            (run.labels[names.LABEL_TARGET],) if run.is_copy and not run.is_child else ()
        ),
    }


def task_indexes() -> dict[str, Any]:
    """TaskRuns by the UID of their run."""
    return {BY_RUN: lambda task: (task.run_uid,) if task.run_uid else ()}


def owner_selector() -> str:
    """Label selector of the runs and TaskRuns of this program's making."""
    return names.LABEL_EXECUTION_UID

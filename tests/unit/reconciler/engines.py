"""An engine by hand: what is of a run on the server, and what of it the cache has."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from typing import TYPE_CHECKING, Any

from tests import builders
from tests.fake import objects
from tests.unit.reconciler import answers
from workflowexecution.api import names, tekton
from workflowexecution.domain import locking
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workflowexecution.runtime import resource


@dataclasses.dataclass
class FakeWarnings:
    """What is told of each pod, by a reading that holds for two seconds and a half."""

    journal: list[str]
    pods: Sequence[str] = (f"{locking.run_name(builders.TARGET)}-check-pod",)
    events: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    fails: bool = False
    known: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    due_at: float = -math.inf

    @property
    def due_in_s(self) -> float:
        return self.due_at - asyncio.get_running_loop().time()

    async def renew(self) -> None:
        if self.due_in_s <= 0:
            self.journal.append("warnings")
            self.known = {} if self.fails else dict.fromkeys(self.pods, self.events)
            self.due_at = asyncio.get_running_loop().time() + 2.5


@dataclasses.dataclass
class FakeEngine:
    """Holds runs and tasks on two sides: `live` is the server, `cached` what has come by watch."""

    journal: list[str]
    away: str = ""
    not_installed: str = ""
    shut: str = ""
    shut_before: str = ""
    live: dict[str, tekton.PipelineRun] = dataclasses.field(default_factory=dict)
    cached: dict[str, tekton.PipelineRun] = dataclasses.field(default_factory=dict)
    copied: list[tekton.PipelineRun] = dataclasses.field(default_factory=list)
    gone: dict[str, tekton.PipelineRun] = dataclasses.field(default_factory=dict)
    live_tasks: Sequence[tekton.TaskRun] = ()
    cached_tasks: Sequence[tekton.TaskRun] = ()
    working: set[str] = dataclasses.field(default_factory=set)
    create_error: errors.ClusterError | None = None
    create_lands: bool = False
    read_error: errors.ClusterError | None = None
    pods: Sequence[tekton.Pod] = ()
    pods_error: errors.ClusterError | None = None
    unreadable: str = ""
    """The list of what is of a run that may not be read."""
    log: str = ""
    log_error: errors.ClusterError | None = None
    pod_events: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    pod_warnings: FakeWarnings = dataclasses.field(init=False)
    change_error: errors.ClusterError | None = None
    changes: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    delete_error: errors.ClusterError | None = None
    manifests: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self.pod_warnings = FakeWarnings(self.journal)

    def unavailable(self) -> str:
        return self.away

    def closed(self) -> str:
        return self.shut

    def unsettled(self) -> str:
        return self.shut_before

    def observe(self, owner_uid: str) -> tekton.PipelineRun | None:
        return self.cached.get(owner_uid)

    def runs_of(self, owner_uid: str) -> Sequence[tekton.PipelineRun]:
        known = (*self.copied, *self.cached.values())
        return [run for run in known if run.owner_uid == owner_uid]

    def copies(self, target_label: str) -> Sequence[tekton.PipelineRun]:
        return [run for run in self.copied if run.labels[names.LABEL_TARGET] == target_label]

    def children(self, run_uid: str) -> Sequence[tekton.TaskRun]:
        return [task for task in self.cached_tasks if task.run_uid == run_uid]

    def last_seen(self, owner_uid: str) -> tekton.PipelineRun | None:
        return self.gone.get(owner_uid)

    async def create(
        self, owner: resource.ObjectKey, manifest: dict[str, Any]
    ) -> tekton.PipelineRun:
        self.journal.append("create")
        self.manifests.append(manifest)
        if self.create_error is not None and not self.create_lands:
            raise self.create_error
        name = manifest["metadata"]["name"]
        if name in self.live:
            raise answers.refusal(errors.AlreadyExists)
        identity = {
            "uid": f"run-of-{owner.name}",
            "resourceVersion": "1",
            "creationTimestamp": builders.stamp(),
        }
        run = tekton.project_pipelinerun(
            objects.merge(manifest, {"metadata": identity}), tekton.PipelineRun
        )
        self.live[name] = run
        if self.create_error is not None:
            raise self.create_error
        return run

    async def read(self, name: str) -> tekton.PipelineRun | None:
        self.journal.append("read")
        if self.read_error is not None:
            raise self.read_error
        return self.live.get(name)

    async def uninstalled(self) -> str:
        self.journal.append("uninstalled")
        return self.not_installed

    async def read_children(self, run_uid: str) -> Sequence[tekton.TaskRun]:
        self._list("read_children")
        return [task for task in self.live_tasks if task.run_uid == run_uid]

    async def has_live_pods(self, run_uid: str) -> bool:
        self._list("has_live_pods")
        return run_uid in self.working

    async def read_pods(self, run_uid: str) -> Sequence[tekton.Pod]:
        self._list("read_pods")
        if self.pods_error is not None:
            raise self.pods_error
        return self.pods

    def _list(self, what: str) -> None:
        self.journal.append(what)
        if what == self.unreadable:
            raise answers.refusal(errors.Unreadable, f"{what} is forbidden")

    async def read_log(self, pod: str, step: str) -> str:
        self.journal.append(f"log {pod} {step}")
        if self.log_error is not None:
            raise self.log_error
        return self.log

    async def read_pod_events(self, pod: str) -> Sequence[dict[str, Any]]:
        self.journal.append(f"events {pod}")
        if self.log_error is not None:
            raise self.log_error
        return self.pod_events

    def runs(self) -> Iterable[tekton.PipelineRun]:
        return self.cached.values()

    async def change(
        self, owner: resource.ObjectKey, run: tekton.PipelineRun, changes: dict[str, Any]
    ) -> None:
        self.journal.append(f"change {run.name}")
        if self.change_error is not None:
            raise self.change_error
        self.changes.append(changes)

    async def delete(self, owner: resource.ObjectKey, run: tekton.PipelineRun) -> None:
        self.journal.append(f"delete {run.name}")
        if self.delete_error is not None:
            raise self.delete_error

    def show(self, run: tekton.PipelineRun, *tasks: tekton.TaskRun) -> None:
        """Let a run and its tasks be on the server and in the cache."""
        self.live[run.name] = run
        self.cached[run.owner_uid] = run
        self.live_tasks = self.cached_tasks = tasks

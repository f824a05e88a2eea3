"""Everything a reconcile can do to the world, as small protocols.

The reconciler is handed implementations; `adapters/` has them. Errors are those of
`runtime.errors`, whatever the implementation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from workflowexecution.api import tekton
    from workflowexecution.api.status import Status
    from workflowexecution.api.workflowexecution import WorkflowExecution
    from workflowexecution.runtime.resource import ObjectKey


class Clock(Protocol):
    """The server's time, so that skew between machines moves no deadline."""

    def now(self) -> datetime.datetime:
        """Current time, aware, UTC."""
        ...


class ExecutionWriter(Protocol):
    """Writes to an execution; each carries the resourceVersion it was decided on."""

    async def patch(self, key: ObjectKey, changes: dict[str, Any], *, resource_version: str) -> str:
        """Merge-patch the object but for its status; returns the new resourceVersion.

        Raises:
            Conflict: the object is not at that resourceVersion any more.
            NotFound: it is gone.
        """
        ...

    async def patch_status(
        self, key: ObjectKey, changes: dict[str, Any], *, resource_version: str
    ) -> str:
        """Merge-patch the status; raises and returns as `patch`."""
        ...


@dataclass(frozen=True, slots=True)
class StatusWrite:
    """A status that the server has taken.

    Attributes:
        key: whose status it is.
        execution: what was decided on; its own status is the one before.
        after: the status as written.
        now: when it was decided.
    """

    key: ObjectKey
    execution: WorkflowExecution
    after: Status
    now: datetime.datetime


class Observer(Protocol):
    """Told of each status once the server has taken it: events, metrics, audit."""

    def wrote(self, change: StatusWrite) -> None:
        """Take note; must neither wait nor raise."""
        ...


class EventType(StrEnum):
    """Whether an event is as things should go."""

    NORMAL = "Normal"
    WARNING = "Warning"


class EventRecorder(Protocol):
    """Kubernetes events that are no change of phase; those are told by the `Observer`."""

    def record(
        self,
        key: ObjectKey,
        uid: str,
        reason: str,
        message: str,
        *,
        kind: EventType = EventType.NORMAL,
    ) -> None:
        """Say something of an execution; must neither wait nor raise.

        There is one event for each execution and reason: what is said again raises its count and
        replaces its message.
        """
        ...


class NoEvents:
    """Records nothing."""

    def record(
        self,
        key: ObjectKey,
        uid: str,
        reason: str,
        message: str,
        *,
        kind: EventType = EventType.NORMAL,
    ) -> None:
        """Ignore it."""


class Metrics(Protocol):
    """What happened and shows in no status; each call counts one. Must neither wait nor raise."""

    def lock_evicted(self) -> None:
        """A finished run was taken away so that its target can be used."""
        ...

    def late_run_cancelled(self) -> None:
        """A live run of an execution that had ended was met, and cancelled."""
        ...

    def foreign_run_met(self) -> None:
        """A run without a known owner holds a target."""
        ...

    def clearance_consumed(self) -> None:
        """A clearance took an execution out of its target's history."""
        ...

    def cancel_stuck(self) -> None:
        """A cancellation did not end its run; the lock stays."""
        ...

    def deletion_given_up(self) -> None:
        """A deleted execution was let go before its run; the run stays and holds the lock."""
        ...


class NoMetrics:
    """Counts nothing."""

    def lock_evicted(self) -> None:
        """Ignore it."""

    def late_run_cancelled(self) -> None:
        """Ignore it."""

    def foreign_run_met(self) -> None:
        """Ignore it."""

    def clearance_consumed(self) -> None:
        """Ignore it."""

    def cancel_stuck(self) -> None:
        """Ignore it."""

    def deletion_given_up(self) -> None:
        """Ignore it."""


class ExecutionEngine(Protocol):
    """What runs a workflow: Tekton here; a sibling could run Jobs."""

    def unavailable(self) -> str:
        """Why nothing can be said about any run now, or the empty text."""
        ...

    def observe(self, owner_uid: str) -> tekton.PipelineRun | None:
        """The run of an execution, from the cache."""
        ...

    def children(self, run_uid: str) -> Sequence[tekton.TaskRun]:
        """The TaskRuns of a run, from the cache."""
        ...

    def last_seen(self, owner_uid: str) -> tekton.PipelineRun | None:
        """The last state of a run that is gone, if this process saw it go."""
        ...

    async def create(self, owner: ObjectKey, manifest: dict[str, Any]) -> tekton.PipelineRun:
        """Create the run; atomic by its name.

        Raises:
            AlreadyExists: a run of that name is there.
            TransportError: the outcome is unknown.
            ClusterError: refused, or not possible now.
        """
        ...

    async def read(self, name: str) -> tekton.PipelineRun | None:
        """The run of that name from the server itself; None when it is not there.

        Raises:
            ClusterError: nothing is known about it; an API that is gone is such a case.
        """
        ...

    async def uninstalled(self) -> str:
        """Why an absent run may be gone with its API, or the empty text when the API is there."""
        ...

    async def read_children(self, run_uid: str) -> Sequence[tekton.TaskRun]:
        """The TaskRuns of a run from the server itself."""
        ...

    async def has_live_pods(self, run_uid: str) -> bool:
        """Whether a pod of the run is outside Succeeded and Failed, from the server itself."""
        ...

    async def delete(self, owner: ObjectKey, run: tekton.PipelineRun) -> None:
        """Delete exactly this run, its pods first; one that is gone is fine."""
        ...

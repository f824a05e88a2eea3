"""Everything a reconcile can do to the world, as small protocols.

The reconciler is handed implementations; `adapters/` has them. Errors are those of
`runtime.errors`, whatever the implementation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Mapping, Sequence

    from workflowexecution.api import tekton
    from workflowexecution.api.status import Status
    from workflowexecution.api.workflowexecution import WorkflowExecution
    from workflowexecution.domain import events
    from workflowexecution.domain.auditevent import Event
    from workflowexecution.runtime.resource import ObjectKey

CREATE_DEADLINE_S = 15.0
"""How long a create of a run is waited for: so long after a lost lease one may still be taken."""

_NOTHING: Mapping[str, str] = {}


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


class StatusWrite(NamedTuple):
    """A status that the server has taken.

    Attributes:
        key: whose status it is.
        execution: what was decided on; its own status is the one before.
        after: the status as written.
        now: when it was decided.
        version: the resourceVersion that the write made; empty where its answer was lost.
    """

    key: ObjectKey
    execution: WorkflowExecution
    after: Status
    now: datetime.datetime
    version: str = ""


class Observer(Protocol):
    """Told of each status once the server has taken it: events, metrics, audit."""

    def wrote(self, change: StatusWrite) -> None:
        """Take note; must neither wait nor raise."""
        ...


class EventRecorder(Protocol):
    """Kubernetes events that are no change of phase; those are told by the `Observer`."""

    def record(self, key: ObjectKey, uid: str, story: events.Story) -> None:
        """Say something of an execution; must neither wait nor raise.

        There is one event for each execution and reason: what is said again raises its count and
        replaces its message.
        """
        ...


class RunMarks(Protocol):
    """What else a run is to carry than what its execution asks for."""

    def annotations(self, uid: str) -> Mapping[str, str]:
        """Annotations of the run of the execution with this UID."""
        ...


class NoMarks:
    """Nothing."""

    def annotations(self, uid: str) -> Mapping[str, str]:
        """None at all."""
        return _NOTHING


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

    def cancel_stuck(self) -> None:
        """A cancellation did not end its run; the lock stays."""
        ...

    def deletion_given_up(self) -> None:
        """A deleted execution was let go before its run; the run stays and holds the lock."""
        ...


class ExecutionReader(Protocol):
    """Executions from the server itself, where the cache may be behind; as the API gives them."""

    async def read(self, key: ObjectKey) -> dict[str, Any] | None:
        """The execution of that name; None when it is not there."""
        ...


class TargetReader(ExecutionReader, Protocol):
    """The same, and all executions of a target."""

    async def list_target(self, label: str) -> list[dict[str, Any]]:
        """The executions of every namespace that carry the label of a target."""
        ...


class ClearanceGuard(Protocol):
    """Whether the API server itself sees to it that a clearance names who gave it."""

    async def in_force(self) -> bool:
        """Whether a clearance can be believed now; the answer may be half a minute old.

        Raises:
            ClusterError: it is not known, which is never a yes.
        """
        ...


class AuditListener(Protocol):
    """Hears what becomes of audit events; must neither wait nor raise."""

    def recorded(self, event: Event) -> None:
        """It is where it should be, for good."""
        ...

    def refused(self, event: Event, why: str) -> None:
        """It will never be taken as it is; it has been put aside, in full."""
        ...

    def shed(self, event: Event) -> None:
        """It was let go unsent, for want of room; it is to be offered again."""
        ...

    def room(self) -> None:
        """What was shed or turned away may be offered again."""
        ...


class AuditTrail(Protocol):
    """Takes audit events to where they are kept; an event is told by its key."""

    def has_room(self) -> bool:
        """Whether another event would be taken now; if not, listeners hear when there is room."""
        ...

    def offer(self, event: Event, *, doubtful: bool) -> bool:
        """Take an event, or turn it away; never waits. One that is on its way is taken once.

        Args:
            event: what is to be kept.
            doubtful: it may have been sent before, so that it is looked for first.

        Raises:
            OSError: its place is the log, which takes nothing now.
        """
        ...

    def listen(self, listener: AuditListener) -> None:
        """Tell this listener, too, what becomes of events; `offer` may do so before it returns."""
        ...


class Outbox(Protocol):
    """Keeps audit events whose execution goes before they are acknowledged."""

    async def put(self, events: Sequence[Event]) -> None:
        """Keep all of these, in one write.

        Raises:
            OutboxFull: there is no room for them.
            ClusterError: they are not known to be kept.
        """
        ...


class OutboxFull(Exception):
    """The outbox holds all it may."""


class PodWarnings(Protocol):
    """What the cluster's events say against pods; read for all of them at once, when asked to."""

    @property
    def due_in_s(self) -> float:
        """Seconds until they are to be read again; 0 and less: now."""
        ...

    @property
    def known(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """The telling events by pod, none where nothing is wrong; what is absent is unknown."""
        ...

    async def renew(self) -> None:
        """Read anew, if that is due; nothing is known for a while where it fails."""
        ...


class ExecutionEngine(Protocol):
    """What runs a workflow: Tekton here; a sibling could run Jobs."""

    def unavailable(self) -> str:
        """Why nothing can be said about any run now, or the empty text."""
        ...

    def closed(self) -> str:
        """Why the place of the runs refuses everything, by the last answers, or the empty text.

        It is not there, or this program has no rights in it: nothing that one execution is to
        blame for.
        """
        ...

    def unsettled(self) -> str:
        """Why a create that was just refused may be allowed in a moment, or the empty text.

        The place of the runs was closed until now, so no single refusal is of one execution.
        """
        ...

    def observe(self, owner_uid: str) -> tekton.PipelineRun | None:
        """The run of an execution, from the cache; "none" means nothing while it is unavailable.

        Never a copy of it that somebody has made.
        """
        ...

    def runs_of(self, owner_uid: str) -> Sequence[tekton.PipelineRun]:
        """All runs that carry the UID of an execution, from the cache; copies among them."""
        ...

    def copies(self, target_label: str) -> Sequence[tekton.PipelineRun]:
        """Runs of a target, from the cache, that do not have the name of its lock."""
        ...

    def children(self, run_uid: str) -> Sequence[tekton.TaskRun]:
        """The TaskRuns of a run, from the cache."""
        ...

    def last_seen(self, owner_uid: str) -> tekton.PipelineRun | None:
        """The last known state of a run that the cache does not have.

        This process saw it go, or made it a moment ago, or the execution itself once named it.
        """
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
            ClusterError: nothing is known about it; an API that is gone is such a case, and a
                place that is closed.
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

    async def read_pods(self, run_uid: str) -> Sequence[tekton.Pod]:
        """The pods of a run from the server itself."""
        ...

    async def read_log(self, pod: str, step: str) -> str:
        """The last lines that a step has written.

        Raises:
            ClusterError: the pod has gone, its log does not come in time, or it is not asked for
                while logs do not come.
        """
        ...

    async def read_pod_events(self, pod: str) -> Sequence[Mapping[str, Any]]:
        """The events about a pod from the server itself, as it gives them.

        Raises:
            ClusterError: they cannot be read.
        """
        ...

    @property
    def pod_warnings(self) -> PodWarnings:
        """What keeps the pods of tasks that are not done from starting."""
        ...

    def runs(self) -> Iterable[tekton.PipelineRun]:
        """Every run in the cache; no await while it is iterated."""
        ...

    async def change(
        self, owner: ObjectKey, run: tekton.PipelineRun, changes: dict[str, Any]
    ) -> None:
        """Merge-patch exactly this run.

        Raises:
            NotFound: it is gone.
            ApiError: Tekton refuses it, as it does once the run has ended.
        """
        ...

    async def delete(self, owner: ObjectKey, run: tekton.PipelineRun) -> None:
        """Delete exactly this run, its pods first; one that is gone is fine."""
        ...

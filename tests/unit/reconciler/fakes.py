"""The world of a reconcile, by hand: what its ports reach, and the cache it reads."""

from __future__ import annotations

import dataclasses
import datetime
from typing import TYPE_CHECKING, Any

from tests import builders
from tests.fake import objects
from tests.unit.clocks import WallClock
from tests.unit.reconciler import answers, engines
from workflowexecution import ports
from workflowexecution.api import names
from workflowexecution.api.status import Condition, ConditionType, Status
from workflowexecution.domain import (
    events,
    history,
    locking,
    pipelinerun,
    stopping,
    validation,
)
from workflowexecution.reconciler import duty, tools, view
from workflowexecution.runtime import errors, resource, store

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = resource.ObjectKey("payment", "restart-payment")
UID = "uid-restart-payment"
ACCOUNT = "kubernaut-workflow-runner"
HISTORY = history.Rules(cooldown_s=300.0, base_s=60.0, max_s=600.0, max_exponent=4, max_failures=5)


class FakeWriter:
    """Keeps executions as the API server does: merge patches under a precondition."""

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.stored: dict[resource.ObjectKey, dict[str, Any]] = {}
        self.patches: list[dict[str, Any]] = []
        self.error: errors.ClusterError | None = None
        self.status_error: errors.ClusterError | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        """What happens between a write that was taken and its answer."""

    async def patch(
        self, key: resource.ObjectKey, changes: dict[str, Any], *, resource_version: str
    ) -> str:
        return self._merge("patch", key, changes, resource_version)

    async def patch_status(
        self, key: resource.ObjectKey, changes: dict[str, Any], *, resource_version: str
    ) -> str:
        return self._merge("status", key, {"status": changes}, resource_version)

    def _merge(
        self, what: str, key: resource.ObjectKey, changes: dict[str, Any], version: str
    ) -> str:
        self.journal.append(what)
        error = self.error or (self.status_error if what == "status" else None)
        if error is not None:
            raise error
        found = self.stored[key]
        if found["metadata"]["resourceVersion"] != version:
            raise answers.refusal(errors.Conflict, "the object has been modified")
        merged = objects.merge(found, changes)
        written = str(int(version) + 1)
        merged["metadata"]["resourceVersion"] = written
        self.stored[key] = merged
        self.patches.append(changes)
        self.meanwhile()
        return written


class FakeReader:
    """Executions as the server has them: those of the writer, and others."""

    def __init__(self, journal: list[str], writer: FakeWriter) -> None:
        self.journal = journal
        self.writer = writer
        self.error: errors.ClusterError | None = None

    async def read(self, key: resource.ObjectKey) -> dict[str, Any] | None:
        self.journal.append("read execution")
        if self.error is not None:
            raise self.error
        return self.writer.stored.get(key)

    async def list_target(self, label: str) -> list[dict[str, Any]]:
        self.journal.append("list target")
        if self.error is not None:
            raise self.error
        return [
            raw
            for raw in self.writer.stored.values()
            if raw["metadata"].get("labels", {}).get(names.LABEL_TARGET) == label
        ]


@dataclasses.dataclass
class FakeGuard:
    """Says what it is told to."""

    guarded: bool = True
    error: errors.ClusterError | None = None

    async def in_force(self) -> bool:
        if self.error is not None:
            raise self.error
        return self.guarded


class FakeMetrics:
    """Keeps the names of what was counted."""

    def __init__(self) -> None:
        self.counted: list[str] = []

    def lock_evicted(self) -> None:
        self.counted.append("lock_evicted")

    def late_run_cancelled(self) -> None:
        self.counted.append("late_run_cancelled")

    def foreign_run_met(self) -> None:
        self.counted.append("foreign_run_met")

    def cancel_stuck(self) -> None:
        self.counted.append("cancel_stuck")

    def deletion_given_up(self) -> None:
        self.counted.append("deletion_given_up")


ABOUT = (
    "Workflow restart-deployment on payment/deployment/payment-api "
    "(RemediationRequest payment/rr-1): "
)
"""How a message begins about an execution of the builders that has no outcome."""


class FakeEvents:
    """Keeps what was said, as (name, type, reason, message)."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, str, str]] = []

    def record(self, key: resource.ObjectKey, uid: str, story: events.Story) -> None:
        kind = "Warning" if story.warning else "Normal"
        self.said.append((key.name, kind, story.reason, story.message))


class Listener:
    """An observer of statuses that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[ports.StatusWrite] = []

    def wrote(self, change: ports.StatusWrite) -> None:
        self.heard.append(change)


class World:
    """A reconcile's collaborators; `journal` is the order of what it did."""

    def __init__(self, **policy: Any) -> None:  # noqa: ANN401 - members of the policy
        self.journal: list[str] = []
        self.clock = WallClock(builders.NOW + datetime.timedelta(minutes=1))
        self.writer = FakeWriter(self.journal)
        self.engine = engines.FakeEngine(self.journal)
        self.reader = FakeReader(self.journal, self.writer)
        self.guard = FakeGuard()
        self.metrics = FakeMetrics()
        self.events = FakeEvents()
        self.executions = store.StoreWriter[view.Execution](view.indexes())
        self.busy = False
        self.woken: list[resource.ObjectKey] = []
        settled: dict[str, Any] = {
            "rules": validation.Rules((), (ACCOUNT,), require_digest=False),
            "defaults": pipelinerun.Defaults("kubernaut-workflows", ACCOUNT, 1800.0),
            "history": HISTORY,
            "limits": stopping.Limits(120.0, 600.0),
            "suspend": False,
            "run_retention_s": 300.0,
            "create_retry_for_s": 600.0,
            "deletion_give_up_s": 600.0,
            "log_tail": True,
        }
        self.policy = tools.Policy(**(settled | policy))
        self.tools = tools.Tools(
            executions=self.executions,
            engine=self.engine,
            writer=self.writer,
            reader=self.reader,
            project=view.projection("", "", whole=True),
            guard=self.guard,
            clock=self.clock,
            policies=lambda: self.policy,
            busy=lambda: self.busy,
            wake=self.woken.append,
            observers=(),
            metrics=self.metrics,
            events=self.events,
            audit=duty.NoAudit(),
            marks=ports.NoMarks(),
        )

    def put(self, **parts: Any) -> view.Execution:  # noqa: ANN401 - as raw_execution
        """Store an execution, and let the cache have it; one with a phase has the finalizer."""
        raw = builders.raw_execution(**parts)
        if "phase" in (parts.get("status") or {}):
            raw["metadata"].setdefault("finalizers", [names.FINALIZER])
        self.writer.stored[KEY] = raw
        return self.sync()

    def other(self, name: str, *, labelled: bool = True, **parts: Any) -> view.Execution:  # noqa: ANN401 - as raw_execution
        """Store another execution, as one that has been near a run, and let the cache have it."""
        raw = builders.raw_execution(name, **parts)
        if labelled:
            label = locking.target_label(locking.run_name(raw["spec"]["targetResource"]))
            raw["metadata"].setdefault("labels", {})[names.LABEL_TARGET] = label
        key = resource.ObjectKey("payment", name)
        self.writer.stored[key] = raw
        seen = view.projection("", "")(raw)
        self.executions.apply(seen)
        return seen

    def sync(self) -> view.Execution:
        """Let the cache have what is stored."""
        seen = view.projection("", "")(self.writer.stored[KEY])
        self.executions.apply(seen)
        return seen

    def case(self) -> tools.Case:
        """The execution as a reconcile opens it."""
        return tools.open_case(self.tools, self.sync())

    @property
    def status(self) -> Status:
        """The stored status."""
        return Status.model_validate(self.writer.stored[KEY].get("status", {}))

    def said(self, kind: ConditionType) -> Condition:
        """A condition of the stored status, which must be there."""
        found = self.status.condition(kind)
        assert found is not None, kind
        return found

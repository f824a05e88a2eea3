"""What the cache keeps of an execution.

Most executions have ended: of those only what retention and history ask for is kept. The document
of a live one is kept as it came, and becomes a model when it is reconciled.
"""

from __future__ import annotations

from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, Any

from workflowexecution.api import names
from workflowexecution.api.status import Phase
from workflowexecution.domain import audit, locking, status
from workflowexecution.runtime import resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

EXECUTIONS = resource.Resource(
    group=names.GROUP, version=names.VERSION, plural=names.PLURAL, kind=names.KIND
)
BY_UID = "uid"
BY_LOCK = "lock"

_PHASES = {phase.value: phase for phase in Phase}


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution in the cache.

    Attributes:
        lock: name of the run of its target.
        phase: as written; a phase nobody knows counts as Pending.
        completion_time: as written, for an execution that has ended.
        deletion_time: as written, for one that is being deleted.
        claimed: whether a run of it may have been created.
        due: transitions whose audit record is not acknowledged, by the status.
        correlation_id: name of the RemediationRequest, else of the execution.
        document: metadata, spec and status of one that has not.
    """

    key: resource.ObjectKey
    uid: str
    resource_version: str
    generation: int
    lock: str
    phase: Phase
    deleting: bool
    served: bool
    finalizers: tuple[str, ...]
    completion_time: str
    deletion_time: str
    correlation_id: str
    claimed: bool
    due: tuple[audit.Transition, ...]
    document: dict[str, Any] | None

    @property
    def essence(self) -> tuple[object, ...]:
        """What a change by somebody else shows in; the program's own writes leave it."""
        return self.generation, self.phase, self.deleting, self.served

    @property
    def ended(self) -> bool:
        """Whether the phase is terminal."""
        return self.phase in status.TERMINAL

    @property
    def held(self) -> bool:
        """Whether a finalizer of this program keeps it."""
        return any(name in self.finalizers for name in names.FINALIZERS)


def projection(instance: str, watch_namespace: str) -> Callable[[dict[str, Any]], Execution]:
    """How raw objects become entries of the cache.

    Args:
        instance: value of the label kubernaut.ai/instance that is served; others are history.
        watch_namespace: the only namespace that is served; empty serves all.
    """

    def project(raw: dict[str, Any]) -> Execution:
        metadata = raw["metadata"]
        said = _mapping(raw.get("status"))
        phase = _phase(said.get("phase"))
        ended = phase in status.TERMINAL
        spec = _mapping(raw.get("spec"))
        namespace = metadata.get("namespace", "")
        labels = metadata.get("labels") or {}
        served = labels.get(names.LABEL_INSTANCE, "") == instance
        if watch_namespace and namespace != watch_namespace:
            served = False
        deleting = "deletionTimestamp" in metadata
        return Execution(
            key=resource.ObjectKey(intern(namespace), metadata["name"]),
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            generation=metadata.get("generation", 1),
            lock=locking.run_name(str(spec.get("targetResource", ""))),
            phase=phase,
            deleting=deleting,
            served=served,
            finalizers=tuple(intern(name) for name in metadata.get("finalizers") or ()),
            completion_time=str(said.get("completionTime", "")) if ended else "",
            deletion_time=metadata.get("deletionTimestamp", ""),
            correlation_id=_correlation_id(spec, metadata["name"]),
            claimed=names.LABEL_TARGET in labels or "startTime" in said,
            due=audit.due_by(said),
            document=None if ended or not served else _kept(raw),
        )

    return project


def indexes() -> dict[str, Callable[[Execution], Iterable[str]]]:
    """By UID, for the way back from a run; by lock, for the others on a target."""
    return {BY_UID: lambda it: (it.uid,), BY_LOCK: lambda it: (it.lock,)}


def _correlation_id(spec: dict[str, Any], name: str) -> str:
    reference = spec.get("remediationRequestRef")
    remediation = reference.get("name") if isinstance(reference, dict) else None
    return remediation if isinstance(remediation, str) and remediation else name


def _phase(text: object) -> Phase:
    """A phase nobody knows counts as Pending, where the model's own check names it."""
    return _PHASES.get(text, Phase.PENDING) if isinstance(text, str) else Phase.PENDING


def _mapping(value: object) -> dict[str, Any]:
    """What a broken CRD may let through in place of a mapping counts as none."""
    return value if isinstance(value, dict) else {}


def _kept(raw: dict[str, Any]) -> dict[str, Any]:
    """Spec and status stay as they are, odd ones too: the model says what is wrong with them."""
    metadata = {key: value for key, value in raw["metadata"].items() if key != "managedFields"}
    return {
        "metadata": metadata,
        "spec": raw.get("spec") or {},
        "status": raw.get("status") or {},
    }

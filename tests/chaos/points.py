"""The one table of crash points: before and after each kind of write that the program makes.

A kind is told by what is written. Whoever adds a write to the program gets a test that fails until
its place is in `PLACES`, and a run that ends where a request is of no kind.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workflowexecution.api import names
from workflowexecution.runtime import lease

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from workflowexecution.runtime.resource import Resource


class Kind(enum.StrEnum):
    """What a write is for."""

    CLAIM = "claim"
    """Finalizer and target label: the write that goes before a create."""
    START_ATTEMPT = "start-attempt"
    """The same where both are there already."""
    FINALIZER_ADD = "finalizer-add"
    """Of an execution that gets a status and no run."""
    FINALIZER_REMOVE = "finalizer-remove"
    RUN_CREATE = "run-create"
    RUN_CANCEL = "run-cancel"
    RUN_NUDGE = "run-nudge"
    RUN_DELETE = "run-delete"
    STATUS_PENDING = "status-pending"
    STATUS_RUNNING = "status-running"
    STATUS_TERMINAL = "status-terminal"
    STATUS_SKIPPED = "status-skipped"
    STATUS_PROGRESS = "status-progress"
    """All that is no transition."""
    CLEARANCE = "clearance"
    """Its consumption."""
    ACKNOWLEDGEMENT = "acknowledgement"
    """Of audit records, where it does not ride on another write."""
    EVENT_CREATE = "event-create"
    EVENT_COUNT = "event-count"
    OUTBOX_CREATE = "outbox-create"
    OUTBOX_PUT = "outbox-put"
    OUTBOX_TAKE = "outbox-take"
    LEASE_CREATE = "lease-create"
    LEASE_TAKE = "lease-take"
    LEASE_RENEW = "lease-renew"
    LEASE_RELEASE = "lease-release"
    AUDIT_BATCH = "audit-batch"
    AUDIT_QUERY = "audit-query"
    """No write, but what stands between a doubt and a second batch."""


class When(enum.StrEnum):
    """On which side of it."""

    BEFORE = "before"
    """It is not sent."""
    AFTER = "after"
    """It was done, and nothing was made of its answer."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where a controller can be killed."""

    when: When
    kind: Kind

    def __str__(self) -> str:
        """As it is named in plans and results."""
        return f"{self.when.value}:{self.kind.value}"


POINTS = tuple(Point(when, kind) for kind in Kind for when in When)
"""Every point there is."""

SLOW = frozenset({Kind.RUN_NUDGE})
"""What takes minutes to come to, and so comes in no round."""

PLACES: Mapping[str, tuple[Kind, ...]] = {
    "adapters.auditstore:HttpTrail._send": (Kind.AUDIT_BATCH,),
    "adapters.events:Events._put": (Kind.EVENT_CREATE, Kind.EVENT_COUNT),
    "adapters.executions:Executions._patch": (
        Kind.CLAIM, Kind.START_ATTEMPT, Kind.FINALIZER_ADD, Kind.FINALIZER_REMOVE,
        Kind.STATUS_PENDING, Kind.STATUS_RUNNING, Kind.STATUS_TERMINAL, Kind.STATUS_SKIPPED,
        Kind.STATUS_PROGRESS, Kind.CLEARANCE, Kind.ACKNOWLEDGEMENT,
    ),
    "adapters.outbox:ConfigMapOutbox._try": (
        Kind.OUTBOX_CREATE, Kind.OUTBOX_PUT, Kind.OUTBOX_TAKE,
    ),
    "adapters.tekton:TektonEngine.create": (Kind.RUN_CREATE,),
    "adapters.tekton:TektonEngine.change": (Kind.RUN_CANCEL, Kind.RUN_NUDGE),
    "adapters.tekton:TektonEngine.delete": (Kind.RUN_DELETE,),
    "runtime.leader:Elector._write": (Kind.LEASE_CREATE,),
    "runtime.leader:Elector._patch": (Kind.LEASE_TAKE, Kind.LEASE_RENEW, Kind.LEASE_RELEASE),
}  # fmt: skip
"""Where in the program which kinds come from."""

COMMANDS = frozenset({"uninstall", "auditcommands"})
"""Modules of commands that run once and by themselves, where no controller runs."""


class UnknownWrite(Exception):
    """A request that would change something is of no kind in the table."""


_CREATES = {
    "pipelineruns": Kind.RUN_CREATE,
    "events": Kind.EVENT_CREATE,
    "configmaps": Kind.OUTBOX_CREATE,
    lease.LEASES.plural: Kind.LEASE_CREATE,
}
_PHASES = {
    "Pending": Kind.STATUS_PENDING,
    "Running": Kind.STATUS_RUNNING,
    "Completed": Kind.STATUS_TERMINAL,
    "Failed": Kind.STATUS_TERMINAL,
    "Skipped": Kind.STATUS_SKIPPED,
}


def of_create(kind: Resource) -> Kind:
    """The kind of a create.

    Raises:
        UnknownWrite: it is in no row.
    """
    try:
        return _CREATES[kind.plural]
    except KeyError:
        raise UnknownWrite(f"create {kind.plural}") from None


def of_delete(kind: Resource) -> Kind:
    """The kind of a delete.

    Raises:
        UnknownWrite: it is in no row.
    """
    if kind.plural != "pipelineruns":
        raise UnknownWrite(f"delete {kind.plural}")
    return Kind.RUN_DELETE


def of_patch(kind: Resource, patch: Mapping[str, Any], subresource: str) -> Kind:
    """The kind of a merge patch.

    Raises:
        UnknownWrite: it is in no row.
    """
    match kind.plural, subresource:
        case names.PLURAL, "status":
            return _of_status(patch["status"])
        case names.PLURAL, "":
            return _of_metadata(patch["metadata"])
        case "pipelineruns", "":
            nudges = names.ANNOTATION_NUDGED_AT in patch["metadata"]["annotations"]
            return Kind.RUN_NUDGE if nudges else Kind.RUN_CANCEL
        case "events", "":
            return Kind.EVENT_COUNT
        case "configmaps", "":
            return Kind.OUTBOX_PUT if any(patch["data"].values()) else Kind.OUTBOX_TAKE
        case lease.LEASES.plural, "":
            return _of_lease(patch["spec"])
        case _:
            raise UnknownWrite(f"patch {kind.plural}/{subresource}")


def _of_status(status: Mapping[str, Any]) -> Kind:
    if "phase" in status:
        return _PHASES[status["phase"]]
    if "clearanceRecordedAt" in status:
        return Kind.CLEARANCE
    return Kind.ACKNOWLEDGEMENT if "auditedTransitions" in status else Kind.STATUS_PROGRESS


def _of_metadata(metadata: Mapping[str, Any]) -> Kind:
    if "finalizers" in metadata:
        if names.FINALIZER not in (metadata["finalizers"] or ()):
            return Kind.FINALIZER_REMOVE
        return Kind.CLAIM if "labels" in metadata else Kind.FINALIZER_ADD
    if names.ANNOTATION_START_ATTEMPT in metadata.get("annotations", {}):
        return Kind.START_ATTEMPT
    raise UnknownWrite(f"patch of an execution: {sorted(metadata)}")


def _of_lease(spec: Mapping[str, Any]) -> Kind:
    if not spec["holderIdentity"]:
        return Kind.LEASE_RELEASE
    return Kind.LEASE_TAKE if spec["acquireTime"] == spec["renewTime"] else Kind.LEASE_RENEW


def parse(text: str) -> Point:
    """A point by its name."""
    when, _, kind = text.partition(":")
    return Point(When(when), Kind(kind))


def kinds_of_places() -> Iterator[Kind]:
    """Every kind that a place makes."""
    for kinds in PLACES.values():
        yield from kinds

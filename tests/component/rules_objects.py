"""What the rules of a safe target speak of: executions and their runs."""

from __future__ import annotations

import dataclasses
import enum

FORCED_S = 120.0
"""For a run to end, and for what outlives it, once Tekton was told to end it."""
LINGER_S = 60.0
"""For what outlives a run that nobody has told to end."""
DELETED_S = 60.0
"""For a run to be gone once it was deleted."""

PENDING, RUNNING, COMPLETED, FAILED, SKIPPED = (
    "Pending",
    "Running",
    "Completed",
    "Failed",
    "Skipped",
)


class End(enum.Enum):
    """What Tekton says at a run's end."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


@dataclasses.dataclass(eq=False, slots=True)
class Run:
    """A run. It can be gone while a pod of it still works."""

    owner: Execution
    made_at: float
    exists: bool = True
    begun: bool = False
    """It has a task."""
    worked: bool = False
    """A container of it has started."""
    works: bool = False
    """A pod of it has not ended."""
    stubborn: bool = False
    """That pod goes on when it is deleted."""
    end: End | None = None
    ended_at: float = 0.0
    asked_at: float | None = None
    forced_at: float | None = None
    removed_at: float | None = None
    noted: bool = False
    """Why it failed, or is deleted, was written down while it was there."""
    lingers_from: float = 0.0
    """When it was, of one that has ended and goes on."""
    dated: bool = True
    """When it ended is known."""
    stuck: bool = False
    """Its execution says that even its deletion was in vain."""

    @property
    def name(self) -> str:
        """For people."""
        return f"run of {self.owner.name}"

    @property
    def patience_s(self) -> float:
        """How long something of it may outlive its end."""
        return LINGER_S if self.asked_at is None else FORCED_S

    @property
    def lives(self) -> bool:
        """Tekton has not said the end, or has, but a pod works."""
        return self.works or (self.exists and self.end is None)

    def is_stuck(self, now: float) -> bool:
        """Even its deletion was in vain."""
        return self.exists and self.removed_at is not None and now >= self.removed_at + DELETED_S

    def remove(self, now: float) -> None:
        """Deleted, its pods first: a pod that goes on keeps it there."""
        self.removed_at = now
        self.works = self.works and self.stubborn
        self.exists = self.works


@dataclasses.dataclass(eq=False, slots=True)
class Execution:
    """An execution; what its status must say, and what its end means for those after it."""

    uid: str
    name: str
    target: str
    workflow: str
    asked_at: float
    faulty: bool = False

    phase: str = PENDING
    outcome: str | None = None
    reason: str | None = None
    other: str | None = None
    retry_at: float | None = None
    failures: int | None = None
    locked_until: float | None = None
    harmed: bool | None = None
    """It may have left its target half changed."""

    run: Run | None = None
    counts: bool = False
    """It failed before anything ran, and may be tried again, later and later."""
    found: frozenset[Execution] = frozenset()
    """The failures in a row before it, when it failed."""
    next_at: float = 0.0
    ended_at: float = 0.0
    told_at: float = 0.0
    """When its end was told, which is later where the program was down."""
    cancelled: bool = False
    cleared_at: float = 0.0
    deleted_at: float | None = None
    gone: bool = False

    @property
    def is_over(self) -> bool:
        """Its phase is terminal."""
        return self.phase in {COMPLETED, FAILED, SKIPPED}

    @property
    def cleared(self) -> bool:
        """A person has taken it out of its target's history."""
        return self.cleared_at > 0

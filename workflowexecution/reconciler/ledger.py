"""The account of one execution's audit records in this life."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workflowexecution.domain.audit import Transition
    from workflowexecution.runtime.resource import ObjectKey


@dataclass(slots=True)
class Ledger:
    """What is known of one execution's records in this life."""

    key: ObjectKey
    under_way: set[Transition] = field(default_factory=set)
    recorded: set[Transition] = field(default_factory=set)
    refused: dict[Transition, str] = field(default_factory=dict)
    moved: set[Transition] = field(default_factory=set)
    """To where they outlive the execution, whose finalizer may be refused to go even so."""

    def covers(self, transitions: Iterable[Transition], *, or_under_way: bool = False) -> bool:
        """Whether each of these is settled in this life, or under way."""
        return all(
            it in self.recorded
            or it in self.refused
            or it in self.moved
            or (or_under_way and it in self.under_way)
            for it in transitions
        )

    @property
    def is_empty(self) -> bool:
        """Whether it is as if there were none."""
        return not (self.under_way or self.recorded or self.refused or self.moved)

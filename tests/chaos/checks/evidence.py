"""What a round has left behind: the plan, the last statuses, the log, the rows of the store."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tests.integration import audit
from tests.integration.story import Story

if TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping

    from tests.chaos.plan import Plan, Wish
    from tests.integration.audit import Request
    from tests.integration.world import World

JsonObject = dict[str, Any]

ENDS = {"Completed": "completed", "Failed": "failed", "Skipped": "skipped"}
"""Last phases, and the record of each."""


@dataclass
class Evidence:
    """Everything that is judged.

    Attributes:
        wishes: executions of the plan, by name.
        probes: targets of the executions that show that these are free, by name.
        last: the last state of each execution that was seen, by name.
        ended: when each was first seen to have come to its end, by name.
        gone: when each was seen to go, by name.
        requests: the apiserver's audit log of the round.
        rows: of the store.
        holder: who had the lease when the round began; empty: nobody.
        jumped: whether a clock was moved, and the times of statuses with it.
    """

    plan: Plan
    world: World
    wishes: Mapping[str, Wish]
    probes: Mapping[str, int]
    last: Mapping[str, JsonObject]
    ended: Mapping[str, datetime.datetime] = field(default_factory=dict)
    gone: Mapping[str, datetime.datetime] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    rows: list[JsonObject] = field(default_factory=list)
    holder: str = ""
    jumped: bool = False

    @cached_property
    def story(self) -> Story:
        """The log, as far as it is about runs."""
        return Story(self.requests, self.world)

    @cached_property
    def created(self) -> list[Request]:
        """The creates of runs that the server did."""
        return [it for it in self.requests if it.kind == audit.CREATE and it.code < 300]

    @cached_property
    def runs(self) -> collections.Counter[str]:
        """How many runs were created for each UID of an execution."""
        return collections.Counter(it.owner for it in self.created)

    @cached_property
    def targets(self) -> dict[str, int]:
        """The target of each execution, by name."""
        return {**{name: it.target for name, it in self.wishes.items()}, **self.probes}

    @cached_property
    def names(self) -> dict[str, str]:
        """The name of each execution, by UID."""
        return {self.last[it]["metadata"]["uid"]: it for it in self.targets}

    def status(self, name: str) -> JsonObject:
        """The last status of an execution."""
        status: JsonObject = self.last[name].get("status") or {}
        return status

    def runs_of(self, name: str) -> int:
        """How many runs an execution has had."""
        return self.runs[self.last[name]["metadata"]["uid"]]

    def is_deleted(self, name: str) -> bool:
        """Whether an execution was deleted while the round was under way."""
        wish = self.wishes.get(name)
        return wish is not None and wish.delete_s is not None

    def is_stopped(self, name: str) -> bool:
        """Whether an execution was cancelled or deleted while the round was under way."""
        wish = self.wishes.get(name)
        return wish is not None and (wish.cancel_s, wish.delete_s) != (None, None)

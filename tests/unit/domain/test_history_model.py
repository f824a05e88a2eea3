"""History at random, against a model of it in the plainest words."""

from __future__ import annotations

import dataclasses
import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.pasts import (
    BUSY_UNTIL_CLEARED,
    EXHAUSTED,
    RECENTLY,
    RESTART,
    RULES,
    SCALE,
    completed,
    failed,
    past,
    ran,
    reason,
)
from workflowexecution.domain import history

if TYPE_CHECKING:
    from workflowexecution.api.status import SkipReason


@dataclass
class Model:
    """The table, in the plainest words; every list is in the order of time."""

    ends: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    cleared: set[int] = dataclasses.field(default_factory=set)

    def count(self) -> int:
        """Failures that changed nothing since the last success, without those cleared."""
        found = 0
        for index, (kind, _) in enumerate(self.ends):
            if index not in self.cleared and kind == "completed":
                found = 0
            elif index not in self.cleared and kind == "unrun":
                found += 1
        return found

    def verdict(self, workflow_id: str, now_s: float) -> SkipReason | None:
        standing = [(i, *end) for i, end in enumerate(self.ends) if i not in self.cleared]
        if any(kind == "ran" for _, kind, _ in standing):
            return BUSY_UNTIL_CLEARED
        if self.count() >= RULES.max_failures:
            return EXHAUSTED
        return RECENTLY if self._is_early(standing, workflow_id, now_s) else None

    def _is_early(
        self, standing: list[tuple[int, str, str]], workflow_id: str, now_s: float
    ) -> bool:
        for index, kind, workflow in reversed(standing):
            since_s = now_s - index * 100
            if kind == "completed" and workflow == workflow_id and since_s < RULES.cooldown_s:
                return True
        last = [index for index, kind, _ in standing if kind == "unrun"][-1:]
        # The wait is settled when an execution ends; a clearance later on does not shorten it.
        return self.count() > 0 and now_s < last[0] * 100 + self.waits[last[0]]

    waits: dict[int, float] = dataclasses.field(default_factory=dict)


class Target:
    """Executions of a target that end one after the other, 100 s apart, by the program."""

    def __init__(self) -> None:
        self.pasts: list[history.Past] = []

    def end(self, kind: str, workflow_id: str) -> float:
        """Returns the seconds of back-off that it has recorded."""
        after_s = len(self.pasts) * 100
        made = {"completed": completed, "ran": ran}.get(kind, past)(
            after_s,
            workflow_id=workflow_id,
            had_run=kind != "refused",
            cancelled=kind == "cancelled",
        )
        if made.counts:
            status = history.ended(failed(after_s), self.pasts, RULES)
            made = dataclasses.replace(
                made,
                failures=status.consecutive_failures or 0,
                next_allowed=status.next_allowed_execution,
            )
        self.pasts.append(made)
        return (made.next_allowed - made.ended_at).total_seconds() if made.next_allowed else 0.0

    def clear(self, index: int) -> None:
        cleared_at = self.pasts[-1].ended_at + datetime.timedelta(seconds=1)
        self.pasts[index] = dataclasses.replace(self.pasts[index], cleared_at=cleared_at)


KINDS = st.sampled_from(["completed", "ran", "unrun", "unrun", "unrun", "refused", "cancelled"])
STEPS = st.lists(
    st.tuples(KINDS, st.sampled_from([RESTART, SCALE]))
    | st.tuples(st.just("clear"), st.integers(0, 30)),
    max_size=16,
)


@given(STEPS, st.integers(0, 700), st.randoms(use_true_random=False))
def test_history_is_that_of_the_plain_model(
    steps: list[tuple[str, Any]],
    later_s: int,
    random: Any,  # noqa: ANN401 - of hypothesis
) -> None:
    target, model = Target(), Model()
    for kind, what in steps:
        if kind != "clear":
            model.waits[len(model.ends)] = target.end(kind, what)
            model.ends.append((kind, what))
            if kind == "unrun":
                expected = history.backoff_s(model.count(), RULES)
                assert model.waits[len(model.ends) - 1] == expected
        elif model.ends:
            target.clear(what % len(model.ends))
            model.cleared.add(what % len(model.ends))
        assert history.streak(target.pasts) == model.count()
    now_s = max(0, len(model.ends) - 1) * 100 + later_s
    random.shuffle(target.pasts)
    for workflow_id in (RESTART, SCALE):
        assert reason(target.pasts, now_s, workflow_id) is model.verdict(workflow_id, now_s)

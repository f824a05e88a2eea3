"""Glimpses: evidence of tasks that fail, or are about to, while their run goes on.

Tekton deletes the pod of a task that it ends, and `finally` may work on for long. So the log of the
step at work is read shortly before its task's time is over, and everything else at first sight of
the failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflowexecution.domain import failure, foresight
from workflowexecution.reconciler import evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workflowexecution.api import tekton
    from workflowexecution.api.status import FailureDetails
    from workflowexecution.reconciler import tools as common
    from workflowexecution.reconciler.evidence import Place, Tail
    from workflowexecution.runtime.resource import ObjectKey


class Glimpses:
    """Remembers, for running executions alone, what was seen of the task that is the cause so far.

    A restart in between loses it, and the end is told without.
    """

    def __init__(self, tools: common.Tools) -> None:
        """Look with these collaborators."""
        self._tools = tools
        self._failed: dict[ObjectKey, frozenset[str]] = {}
        self._seen: dict[ObjectKey, FailureDetails] = {}
        self._early: dict[ObjectKey, dict[Place, Tail | None]] = {}

    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered of an execution that is not running any more."""
        self._failed.pop(key, None)
        self._seen.pop(key, None)
        self._early.pop(key, None)

    def of(self, key: ObjectKey) -> FailureDetails | None:
        """The record of the failure so far."""
        return self._seen.get(key)

    def early(self, key: ObjectKey) -> Mapping[Place, Tail | None]:
        """The ends of logs that were read before their tasks' time was over, if there were any."""
        return self._early.get(key, {})

    def is_due(
        self, key: ObjectKey, run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
    ) -> bool:
        """Whether another task has failed since the last look, or one is about to."""
        if _failed(children) != self._failed.get(key, frozenset()):
            return True
        return bool(self._ending(key, run, children))

    async def look(
        self, case: common.Case, run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
    ) -> None:
        """Read what can be read of the task that failed; once, while it stays the cause."""
        key = case.seen.key
        for place in self._ending(key, run, children):
            # Once: what cannot be read now is asked for again when the task has failed.
            tail = await evidence.log_tail(self._tools, place)
            has_it = tail.text and tail.is_cut is not None
            self._early.setdefault(key, {})[place] = tail if has_it else None
        failed = _failed(children)
        if failed == self._failed.get(key, frozenset()):
            return
        self._failed[key] = failed
        if not failed:
            # Tekton has taken up again what had failed.
            return
        facts = failure.Facts(run, children)
        details = failure.classify_run(facts, case.subject, case.moment.now)
        before = self._seen.get(key)
        if before is None or not evidence.is_of_one_step(before, details):
            self._seen[key] = await evidence.gathered(
                self._tools, details, children, early=self.early(key)
            )

    def _ending(
        self, key: ObjectKey, run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
    ) -> list[Place]:
        """The steps at work whose time is nearly over, and whose log was not read before that."""
        if not self._tools.policy.log_tail:
            return []
        now, known = self._tools.clock.now(), self.early(key)
        found = []
        for child in children:
            at, step = foresight.due_at(run, child), child.current_step
            if at is None or at > now or step is None:
                continue
            place = evidence.Place(child.pod_name, step.name)
            if place not in known:
                found.append(place)
        return found


def _failed(children: Sequence[tekton.TaskRun]) -> frozenset[str]:
    return frozenset(child.name for child in children if child.has_failed)

"""Health of a run's pods: asked of the server only while a container of a task has not begun."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from workflowexecution.api import times
from workflowexecution.api.status import ConditionReason, ConditionStatus, ConditionType
from workflowexecution.domain import evidence, health, status
from workflowexecution.runtime import queue
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from workflowexecution.api import tekton
    from workflowexecution.api.status import Status
    from workflowexecution.reconciler import tools as common
    from workflowexecution.reconciler import view
    from workflowexecution.runtime.resource import ObjectKey

# What comes up between two looks is told within ten seconds all the same.
LOOK_EVERY_S = 5.0
# For all executions together: where a hundred pods wait, none waits longer for its look.
LOOKS_PER_S = 20.0


class Health:
    """Warns of pods that do not start.

    Remembers, for runs with such a pod alone, what their events said and when they were asked.
    """

    def __init__(self, tools: common.Tools) -> None:
        """Warn with these collaborators."""
        self._tools = tools
        self._asked: dict[ObjectKey, tuple[float, str | None]] = {}
        self._turns: dict[ObjectKey, float] = {}
        self._next_turn = 0.0

    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered of an execution that is not running any more."""
        self._asked.pop(key, None)
        self._turns.pop(key, None)

    def due_in_s(
        self, seen: view.Execution, children: Sequence[tekton.TaskRun], now: datetime.datetime
    ) -> float:
        """Seconds until a look might find a warning to give, or one to take back.

        0 and less: now; infinite: not before something changes. Costs no request.
        """
        is_warned = ConditionType.PODS_HEALTHY in seen.warnings
        if health.trouble(children):
            return math.inf if is_warned else 0.0
        waiting = health.waiting(children)
        if not waiting:
            is_over = is_warned and not health.never_began(children)
            return 0.0 if is_over else math.inf
        return self._asks_in_s(seen.key, waiting, now)

    async def told(
        self, case: common.Case, after: Status, children: Sequence[tekton.TaskRun]
    ) -> tuple[Status, Result]:
        """The status with what is wrong with the pods, and when to look again.

        A warning stays while nobody knows better, and when its task has failed without having
        begun: then it says why.
        """
        trouble: str | None = health.trouble(children)
        result = Result()
        waiting = health.waiting(children)
        if not waiting:
            self.forget(case.seen.key)
        elif not trouble:
            trouble, again_s = await self._ask(case, waiting)
            result = Result(requeue_after_s=again_s, priority=queue.Priority.LOW)
        if trouble:
            note = status.Note(
                ConditionType.PODS_HEALTHY,
                ConditionStatus.FALSE,
                ConditionReason.PODS_WAITING,
                trouble,
            )
        elif trouble is None or health.never_began(children):
            return after, result
        elif status.condition(after, ConditionType.PODS_HEALTHY) is not None:
            note = status.Note(
                ConditionType.PODS_HEALTHY, ConditionStatus.TRUE, ConditionReason.MOVING
            )
        else:
            return after, result
        return status.noted(after, case.moment, [note]), result

    async def _ask(
        self, case: common.Case, waiting: Sequence[tekton.TaskRun]
    ) -> tuple[str | None, float]:
        """What the events of the pods say, by an answer that may be some seconds old.

        None while there is no answer yet, as in a process that has just begun.
        """
        key, now = case.seen.key, case.moment.now
        wait_s = self._asks_in_s(key, waiting, now)
        if wait_s > 0:
            _, known = self._answer(key)
            return known, wait_s
        asked_at = asyncio.get_running_loop().time()
        del self._turns[key]
        said: str | None = ""
        for child in (it for it in waiting if health.look_in_s(it, now) <= 0):
            raws = await self._tools.engine.pod_warnings(child.pod_name)
            if raws is None:
                said = said or self._answer(key)[1]
                break
            origin = evidence.Origin("", times.parse(child.created), health.begun(child))
            said = said or health.trouble_by_events(child, evidence.pod_events(raws, origin))
        self._asked[key] = asked_at, said
        return said, LOOK_EVERY_S

    def _asks_in_s(
        self, key: ObjectKey, waiting: Sequence[tekton.TaskRun], now: datetime.datetime
    ) -> float:
        """Seconds until the server is asked about tasks that wait; 0 and less: now.

        The turn is drawn once there is something to ask.
        """
        asked_at, _ = self._answer(key)
        left_s = asked_at + LOOK_EVERY_S - asyncio.get_running_loop().time()
        soonest = max(left_s, min(health.look_in_s(child, now) for child in waiting))
        return soonest if soonest > 0 else self._turn_in_s(key)

    def _answer(self, key: ObjectKey) -> tuple[float, str | None]:
        """When the server was asked for this execution, and what it said."""
        return self._asked.get(key, (float("-inf"), None))

    def _turn_in_s(self, key: ObjectKey) -> float:
        """Seconds until the server may be asked for this execution; a turn, once given, is kept."""
        now = asyncio.get_running_loop().time()
        if key not in self._turns:
            self._turns[key] = max(now, self._next_turn)
            self._next_turn = self._turns[key] + 1 / LOOKS_PER_S
        return self._turns[key] - now


def lingering(case: common.Case, after: Status, why: str) -> Status:
    """The status with what is wrong with the pods of a run that has failed and is still there."""
    note = status.Note(
        ConditionType.PODS_HEALTHY,
        ConditionStatus.FALSE,
        ConditionReason.PODS_LINGERING,
        f"Tekton calls the run ended, and something of it still works or waits to begin: {why}",
    )
    return status.noted(after, case.moment, [note])


def ended(before: Status) -> list[status.Note]:
    """What is to be said of pods that have lingered, once all of them have ended."""
    told = status.condition(before, ConditionType.PODS_HEALTHY)
    if told is None or told.reason != ConditionReason.PODS_LINGERING:
        return []
    return [
        status.Note(ConditionType.PODS_HEALTHY, ConditionStatus.TRUE, ConditionReason.PODS_ENDED)
    ]

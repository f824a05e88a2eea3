"""Health of a run's pods: asked of the server only while a task waits for its pod to begin."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from workflowexecution.api.status import ConditionReason, ConditionStatus, ConditionType
from workflowexecution.domain import evidence, health, status
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workflowexecution.api import tekton
    from workflowexecution.api.status import Status
    from workflowexecution.reconciler import tools as common
    from workflowexecution.runtime.resource import ObjectKey

_log = structlog.get_logger(__name__)

LOOK_EVERY_S = 10.0


class Health:
    """Warns of pods that do not start.

    Remembers, for runs with such a pod alone, what their events said and when they were asked.
    """

    def __init__(self, tools: common.Tools) -> None:
        """Warn with these collaborators."""
        self._tools = tools
        self._asked: dict[ObjectKey, tuple[float, str]] = {}

    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered of an execution that is not running any more."""
        self._asked.pop(key, None)

    async def told(
        self, case: common.Case, after: Status, children: Sequence[tekton.TaskRun]
    ) -> tuple[Status, Result]:
        """The status with what is wrong with the pods, and when to look again."""
        trouble = health.trouble(children)
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
        elif status.condition(after, ConditionType.PODS_HEALTHY) is not None:
            note = status.Note(
                ConditionType.PODS_HEALTHY, ConditionStatus.TRUE, ConditionReason.MOVING
            )
        else:
            return after, result
        return status.noted(after, case.moment, [note]), result

    async def _ask(self, case: common.Case, waiting: Sequence[tekton.TaskRun]) -> tuple[str, float]:
        """What the events of the pods say, by an answer that may be some seconds old."""
        key, now = case.seen.key, asyncio.get_running_loop().time()
        at, said = self._asked.get(key, (float("-inf"), ""))
        if now - at < LOOK_EVERY_S:
            return said, LOOK_EVERY_S - (now - at)
        due = [child for child in waiting if health.look_in_s(child, case.moment.now) <= 0]
        if not due:
            return said, min(health.look_in_s(child, case.moment.now) for child in waiting)
        said = ""
        for child in due:
            said = said or await self._by_events(child)
        self._asked[key] = now, said
        return said, LOOK_EVERY_S

    async def _by_events(self, child: tekton.TaskRun) -> str:
        try:
            raws = await self._tools.engine.read_pod_events(child.pod_name)
        except errors.ClusterError as error:
            _log.info(
                "Events of a waiting pod cannot be read", pod=child.pod_name, error=str(error)
            )
            return ""
        return health.trouble_by_events(child, evidence.pod_events(raws))

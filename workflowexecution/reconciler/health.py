"""Health of a run: whether it moves, and what keeps its pods from starting.

Pods are asked of the server only while a container of a task has not begun.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from workflowexecution.api import times
from workflowexecution.api.status import ConditionReason, ConditionStatus, ConditionType
from workflowexecution.domain import evidence, health, status
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime.controller import Result

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from workflowexecution import ports
    from workflowexecution.api import tekton
    from workflowexecution.api.status import Status
    from workflowexecution.reconciler import view

# What comes up between two looks is told within ten seconds all the same.
LOOK_EVERY_S = 3.0


_GOES_ON = "something of it still works or waits to begin"


class Health:
    """Warns of pods that do not start; remembers nothing of any execution."""

    def __init__(self, tools: common.Tools) -> None:
        """Warn with these collaborators."""
        self._tools = tools

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
        asks_in_s = _asks_in_s(waiting, now)
        if asks_in_s > 0:
            return asks_in_s
        warnings = self._tools.engine.pod_warnings
        if warnings.due_in_s <= 0:
            return 0.0
        said = _said(warnings, waiting, now)
        if said is None:
            return warnings.due_in_s
        is_news = bool(said) != is_warned and (said or not health.never_began(children))
        return 0.0 if is_news else _looks_in_s(waiting, now)

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
        if waiting and not trouble:
            trouble, again_s = await self._ask(waiting, case.moment.now)
            result = common.later(again_s)
        if trouble:
            note = status.Note(
                ConditionType.PODS_HEALTHY,
                ConditionStatus.FALSE,
                ConditionReason.PODS_WAITING,
                trouble,
            )
        elif trouble is None or health.never_began(children):
            return after, result
        elif after.condition(ConditionType.PODS_HEALTHY) is not None:
            note = status.Note(
                ConditionType.PODS_HEALTHY, ConditionStatus.TRUE, ConditionReason.MOVING
            )
        else:
            return after, result
        return status.noted(after, case.moment, [note]), result

    async def _ask(
        self, waiting: Sequence[tekton.TaskRun], now: datetime.datetime
    ) -> tuple[str | None, float]:
        """What the events of the pods say, None while nobody knows; and seconds until it is old."""
        asks_in_s = _asks_in_s(waiting, now)
        if asks_in_s > 0:
            return None, asks_in_s
        warnings = self._tools.engine.pod_warnings
        await warnings.renew()
        said = _said(warnings, waiting, now)
        return said, warnings.due_in_s if said is None else _looks_in_s(waiting, now)


def _asks_in_s(waiting: Sequence[tekton.TaskRun], now: datetime.datetime) -> float:
    """Seconds until the first of the tasks has waited for long enough; 0 and less: it has."""
    return min(health.look_in_s(child, now) for child in waiting)


def _looks_in_s(waiting: Sequence[tekton.TaskRun], now: datetime.datetime) -> float:
    """Seconds until what was seen is to be seen again, or another task has waited for long."""
    others = (health.look_in_s(child, now) for child in waiting)
    return min((wait_s for wait_s in others if wait_s > 0), default=LOOK_EVERY_S)


def _said(
    warnings: ports.PodWarnings, waiting: Sequence[tekton.TaskRun], now: datetime.datetime
) -> str | None:
    """What events say of the first pod in trouble; None if it may be one that is unknown."""
    known, is_unknown = warnings.known, False
    for child in (it for it in waiting if health.look_in_s(it, now) <= 0):
        raws = known.get(child.pod_name)
        if raws is None:
            is_unknown = True
            continue
        origin = evidence.Origin("", times.parse(child.created), health.begun(child))
        said = health.trouble_by_events(child, evidence.pod_events(raws, origin))
        if said:
            return said
    return None if is_unknown else ""


def moving(case: common.Case, after: Status, stall: str) -> Status:
    """The status with what is to be said of a run that stands still, or moves again."""
    if stall:
        note = status.Note(
            ConditionType.PROGRESSING, ConditionStatus.FALSE, ConditionReason.STALLED, stall
        )
    elif after.condition(ConditionType.PROGRESSING) is not None:
        note = status.Note(ConditionType.PROGRESSING, ConditionStatus.TRUE, ConditionReason.MOVING)
    else:
        return after
    return status.noted(after, case.moment, [note])


def lingering(case: common.Case, after: Status, why: str) -> Status:
    """The status with what is wrong with the pods of a run that has failed and is still there."""
    return _lingering(case, after, f"Tekton calls the run ended, and {_GOES_ON}: {why}")


def survived(case: common.Case, after: Status, left: Sequence[tekton.TaskRun]) -> Status:
    """The status with what goes on of a run that somebody has deleted."""
    tasks = ", ".join(f"TaskRun {it.name}" for it in left if not it.is_done)
    return _lingering(case, after, f"The run is deleted, and {_GOES_ON}: {tasks or 'a pod'}")


def _lingering(case: common.Case, after: Status, message: str) -> Status:
    if lingers_since(after) is None:
        # That they waited to start was another trouble: this one has a time of its own.
        others = (it for it in after.conditions or () if it.type != ConditionType.PODS_HEALTHY)
        after = after.model_copy(update={"conditions": tuple(others)})
    note = status.Note(
        ConditionType.PODS_HEALTHY, ConditionStatus.FALSE, ConditionReason.PODS_LINGERING, message
    )
    return status.noted(after, case.moment, [note])


def lingers_since(said: Status) -> datetime.datetime | None:
    """When it was first said that pods linger, by the server's time; None: it is not."""
    told = said.condition(ConditionType.PODS_HEALTHY)
    if told is None or told.reason != ConditionReason.PODS_LINGERING:
        return None
    return told.last_transition_time


def known_since(said: Status) -> datetime.datetime | None:
    """From when what lingers has its minute, by the server's time; None: nothing is known yet.

    Not before the failure was written down: the condition may have been False for another trouble.
    """
    failed_at = said.failure_details.failed_at if said.failure_details is not None else None
    known = (lingers_since(said), failed_at)
    return max((it for it in known if it is not None), default=None)


def ended(before: Status) -> list[status.Note]:
    """What is to be said of pods that have lingered, once all of them have ended."""
    if lingers_since(before) is None:
        return []
    return [
        status.Note(ConditionType.PODS_HEALTHY, ConditionStatus.TRUE, ConditionReason.PODS_ENDED)
    ]

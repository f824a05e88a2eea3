"""Pacing: when a change that is no transition may be looked at, and written.

Mere progress is written seldom, keeps away from transitions, and gives way to whatever else is to
be done. A warning is worth something while there is time to act: it waits for nobody but the last
write of its own execution.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from workflowexecution.api.status import ConditionStatus, ConditionType
from workflowexecution.domain import status
from workflowexecution.reconciler import view

if TYPE_CHECKING:
    from collections.abc import Callable

    from workflowexecution.api.status import Status
    from workflowexecution.runtime.resource import ObjectKey

PROGRESS_EVERY_S = 2.0
# For all executions together: while many run, their progress leaves the server to starts and ends.
PROGRESS_PER_S = 5.0
AFTER_TRANSITION_S = 1.0
# A run may have to be stopped for what only a look shows: a wrong digest.
PUT_OFF_AT_MOST_S = 10.0


class Pace:
    """Spaces out the writes of each execution, and those of mere progress over all of them.

    Remembers, for running executions alone, when each was last written.
    """

    def __init__(self, *, busy: Callable[[], bool]) -> None:
        """Start with nothing written.

        Args:
            busy: whether other keys wait.
        """
        self._busy = busy
        self._written: dict[ObjectKey, float] = {}
        self._put_off: dict[ObjectKey, float] = {}
        self._next_slot = 0.0

    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered of an execution that is not running any more."""
        self._written.pop(key, None)
        self._put_off.pop(key, None)

    def moved(self, key: ObjectKey) -> None:
        """Note a transition: other changes keep away from it for a moment."""
        self._written[key] = _now() + AFTER_TRANSITION_S - PROGRESS_EVERY_S

    def warned(self, key: ObjectKey) -> None:
        """Note a write that nothing else had to make room for."""
        self._written[key] = _now()

    def progressed(self, key: ObjectKey) -> None:
        """Note a write of mere progress: the next one, whose ever it is, is due later."""
        self._written[key] = _now()
        self._next_slot = self._written[key] + 1 / PROGRESS_PER_S

    def warning_in_s(self, key: ObjectKey) -> float:
        """Seconds until a warning may be written, or taken back."""
        return max(0.0, self._written.get(key, 0.0) + PROGRESS_EVERY_S - _now())

    def progress_in_s(self, key: ObjectKey) -> float:
        """Seconds until progress may be written."""
        left = max(self.warning_in_s(key), self._next_slot - _now())
        if left > 0 or self._busy():
            return max(left, AFTER_TRANSITION_S)
        return 0.0

    def put_off_s(self, key: ObjectKey, wait_s: float) -> float:
        """Seconds by which a look is put off that would wait for so long; none is for ever."""
        if wait_s == 0 or _now() - self._put_off.setdefault(key, _now()) >= PUT_OFF_AT_MOST_S:
            self._put_off.pop(key, None)
            return 0.0
        return wait_s


def is_warning(before: Status, after: Status) -> bool:
    """Whether what is to be written warns of something, or takes a warning back."""
    return _warnings(before) != _warnings(after)


def _warnings(said: Status) -> frozenset[ConditionType]:
    told = ((kind, status.condition(said, kind)) for kind in view.WARNINGS)
    return frozenset(kind for kind, it in told if it and it.status is ConditionStatus.FALSE)


def _now() -> float:
    return asyncio.get_running_loop().time()

"""Pacing: when a run is looked at, and when a change that is no transition may be written.

Mere progress is written seldom, keeps away from transitions, and gives way to whatever else is to
be done. A warning is worth something while there is time to act: it waits for nobody but the last
write of its own execution.
"""

from __future__ import annotations

import asyncio
import datetime
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, TypeAlias

from workflowexecution.api.status import ConditionStatus, ConditionType
from workflowexecution.domain import foresight, stalling, stopping
from workflowexecution.reconciler import tools as common
from workflowexecution.reconciler import view
from workflowexecution.runtime import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workflowexecution.api import tekton
    from workflowexecution.api.status import Status
    from workflowexecution.runtime.controller import Result
    from workflowexecution.runtime.resource import ObjectKey

PROGRESS_EVERY_S = 2.0
# For all executions together: while many run, their progress leaves the server to starts and ends.
PROGRESS_PER_S = 5.0
AFTER_TRANSITION_S = 1.0
# Progress alone waits for this; what is urgent is seen without it.
PUT_OFF_AT_MOST_S = 60.0
# A task that has begun waits no longer to be known as such, however much is going on.
BEGUN_WITHIN = datetime.timedelta(minutes=2)


Sight: TypeAlias = "tuple[str, tekton.PipelineRun, Sequence[tekton.TaskRun]]"
"""What a look sees: the version of the execution, the run, its tasks."""


class _Line:
    """Those who wait to write progress; calls the first at each slot, if nothing else waits.

    Whoever waits is called, and does not look whether it is time: of a thousand that begin at once
    each would look every second, and all but one in vain. Whoever leaves makes room for the rest,
    be it called already: only a look shows whether there is anything to write.

    Lock-free: it changes only between awaits.
    """

    def __init__(self, *, busy: Callable[[], bool], call: Callable[[ObjectKey], None]) -> None:
        self._busy = busy
        self._call = call
        self._waiting: OrderedDict[ObjectKey, None] = OrderedDict()
        self._called: set[ObjectKey] = set()
        # One more than may write in a second, so that no timer's inaccuracy costs anyone its slot.
        self._used: deque[float] = deque(maxlen=int(PROGRESS_PER_S) + 1)
        self._next_slot = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def is_turn_of(self, key: ObjectKey) -> bool:
        """Whether the key may write now; if not, it waits from now on, and is called."""
        if key in self._called:
            if self._has_room():
                return True
            # It comes late, with others: after an outage all that were called in it do.
            self._called.discard(key)
            self._waiting[key] = None
            self._waiting.move_to_end(key, last=False)
        elif not (self._waiting or self._busy() or clock.loop_time() < self._next_slot):
            return True
        else:
            self._waiting.setdefault(key)
        self._arm()
        return False

    def used(self, key: ObjectKey) -> None:
        """Note that the key has written: who was not called for it takes a slot of the others."""
        self._used.append(clock.loop_time())
        if key in self._called:
            self._called.discard(key)
        else:
            self._next_slot = clock.loop_time() + 1 / PROGRESS_PER_S
        self._waiting.pop(key, None)

    def leave(self, key: ObjectKey) -> None:
        """Note that the key has nothing to write any more."""
        self._waiting.pop(key, None)
        if key in self._called:
            self._called.discard(key)
            # The next one has its slot.
            self._next_slot = min(self._next_slot, clock.loop_time())
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._arm()

    def _has_room(self) -> bool:
        """Whether fewer have written within the last second than may."""
        return len(self._used) <= PROGRESS_PER_S or clock.loop_time() - self._used[0] >= 1.0

    def _arm(self) -> None:
        if self._timer is None and self._waiting:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(self._next_slot, loop.time()), self._on_slot)

    def _on_slot(self) -> None:
        self._timer = None
        if self._waiting and clock.loop_time() >= self._next_slot:
            self._next_slot = clock.loop_time() + 1 / PROGRESS_PER_S
            if not self._busy():
                first, _ = self._waiting.popitem(last=False)
                self._called.add(first)
                self._call(first)
        self._arm()


class Pace:
    """Spaces out the writes of each execution, and those of mere progress over all of them.

    Remembers, for running executions alone, when each was last written, and who waits.
    """

    def __init__(self, *, busy: Callable[[], bool], call: Callable[[ObjectKey], None]) -> None:
        """Start with nothing written.

        Args:
            busy: whether other keys wait.
            call: asks for a look at an execution whose turn has come.
        """
        self._line = _Line(busy=busy, call=call)
        self._written: dict[ObjectKey, float] = {}
        self._put_off: dict[ObjectKey, float] = {}
        self._quiet: dict[ObjectKey, Sight] = {}

    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered of an execution that is not running any more."""
        self._line.leave(key)
        self._written.pop(key, None)
        self._put_off.pop(key, None)
        self._quiet.pop(key, None)

    def moved(self, key: ObjectKey) -> None:
        """Note a transition: other changes keep away from it for a moment."""
        self._written[key] = clock.loop_time() + AFTER_TRANSITION_S - PROGRESS_EVERY_S
        self._line.leave(key)

    def warned(self, key: ObjectKey) -> None:
        """Note a write that nothing else had to make room for."""
        self._written[key] = clock.loop_time()
        self._line.leave(key)

    def progressed(self, key: ObjectKey) -> None:
        """Note a write of mere progress: the next one, whose ever it is, is due later."""
        self._written[key] = clock.loop_time()
        self._line.used(key)

    def rests(self, key: ObjectKey, sight: Sight | None = None) -> None:
        """Note that there is nothing to write, by what was seen: who waits behind it goes on."""
        self._line.leave(key)
        if sight is not None:
            self._quiet[key] = sight

    def warning_in_s(self, key: ObjectKey) -> float:
        """Seconds until a warning may be written, or taken back."""
        return max(0.0, self._written.get(key, 0.0) + PROGRESS_EVERY_S - clock.loop_time())

    def progress_in_s(self, key: ObjectKey, sight: Sight | None = None) -> float:
        """Seconds until progress may be written, at most; who has to wait for others is called.

        Where the last look has seen the same, and had nothing to write, there is none.
        """
        if sight is not None and self._quiet.get(key) == sight:
            return PUT_OFF_AT_MOST_S
        left = self.warning_in_s(key)
        if left > 0:
            return max(left, AFTER_TRANSITION_S)
        return 0.0 if self._line.is_turn_of(key) else PUT_OFF_AT_MOST_S

    def put_off_s(self, key: ObjectKey, wait_s: float) -> float:
        """Seconds by which a look is put off that would wait for so long; none is for ever."""
        left = (
            self._put_off.setdefault(key, clock.loop_time()) + PUT_OFF_AT_MOST_S - clock.loop_time()
        )
        if wait_s == 0 or left <= 0:
            self._put_off.pop(key, None)
            return 0.0
        return min(wait_s, left)


def wake(
    tools: common.Tools, run: tekton.PipelineRun, children: Sequence[tekton.TaskRun]
) -> Result:
    """When a run that goes on is to be looked at though nothing of it has changed."""
    now, limits = tools.clock.now(), tools.policy.limits
    stalls_in_s = stalling.left_s(run, children, now, limits.stall_after_s)
    wait_s = wakes_in_s(run, children, now, limits, stalls_in_s)
    return common.later(wait_s)


def wakes_in_s(
    run: tekton.PipelineRun,
    children: Sequence[tekton.TaskRun],
    now: datetime.datetime,
    limits: stopping.Limits,
    stalls_in_s: float,
) -> float:
    """The same in seconds."""
    waits = [stalls_in_s]
    given_up = stopping.given_up_at(run, limits)
    if given_up is None and stopping.is_resolving(run):
        # That it was nudged may not have come back yet.
        waits.append(limits.stall_after_s)
    ends = (stopping.overdue_at(run, limits), given_up)
    waits.extend((at - now).total_seconds() for at in ends if at is not None)
    waits.append(foresight.left_s(run, children, now) or 0.0)
    coming = min((wait for wait in waits if wait > 0), default=limits.stall_after_s)
    # Times on the server are whole seconds.
    return coming + 1.0


def is_urgent(before: Status, after: Status, now: datetime.datetime) -> bool:
    """Whether what is to be written warns of something, takes a warning back, or is long overdue.

    That a task has begun is what its target is blocked by, should that not be seen any more.
    """
    return _warnings(before) != _warnings(after) or _begun(before, now) < _begun(after, now)


def _begun(said: Status, now: datetime.datetime) -> frozenset[str]:
    """Names of the tasks that have begun long ago."""
    since = now - BEGUN_WITHIN
    tasks = (it for it in said.task_runs or () if it.started)
    return frozenset(it.name for it in tasks if it.start_time is not None and it.start_time < since)


def _warnings(said: Status) -> frozenset[ConditionType]:
    told = ((kind, said.condition(kind)) for kind in view.WARNINGS)
    return frozenset(kind for kind, it in told if it and it.status is ConditionStatus.FALSE)

"""Admission: whether a pending execution may start on its target now.

First who holds the target, then what earlier executions mean, then whether an older one goes first.
The cache answers, at no request's cost, for a target that is free; what it says against a start is
checked with the server before it is told to anybody. Whoever passes is still stopped by the
atomic create when the cache was behind.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflowexecution.domain import history, locking
from workflowexecution.reconciler import tools as common
from workflowexecution.reconciler import view

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workflowexecution.runtime.resource import ObjectKey

YIELD_S = 5.0
"""For an older execution to go first, before the atomic create decides."""
STALE_S = 0.5
MAX_STALE_S = 4.0
"""Between two looks at a holder that only a late cache still knows; its end wakes the execution."""
READ_PER_TURN = 50
"""Executions of a target that are read before other tasks get their turn."""


@dataclass(frozen=True, slots=True)
class Held:
    """Another execution runs on the target."""

    holder: view.Execution


@dataclass(frozen=True, slots=True)
class Forbidden:
    """What happened before forbids it."""

    verdict: history.Verdict


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be said yet; look again after some seconds."""

    seconds: float


Obstacle = Held | Forbidden | Wait


class Admission:
    """Decides who may start.

    Remembers, for executions that let an older one go first, since when they do; and how often one
    was told by the server that the cache is late.
    """

    def __init__(self, tools: common.Tools) -> None:
        """Decide with these collaborators."""
        self._tools = tools
        self._yielding: dict[ObjectKey, float] = {}
        self._stale: dict[ObjectKey, int] = {}

    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered of an execution that is not pending any more."""
        self._yielding.pop(key, None)
        self._stale.pop(key, None)

    async def check(self, seen: view.Execution) -> Obstacle | None:
        """What stands in the way by the cache, each word of it confirmed by the server.

        Raises:
            ClusterError: the server did not answer; nothing is free because of that.
        """
        cache = self._tools.executions
        for running in cache.by_index(view.BY_LOCK_RUNNING, seen.lock):
            if running.uid != seen.uid:
                live = await self._confirmed(running)
                return Held(live) if live is not None else self._until_fresh(seen)
        self._stale.pop(seen.key, None)
        past = cache.by_index(view.BY_LOCK_PAST, seen.lock)
        verdict = await self._judge(seen, past) if past else None
        turn = self._turn(seen)
        if verdict is None and turn is None:
            return await self._away(seen)
        waits = turn if turn is not None and turn.seconds > 0 else None
        if verdict is None and waits is not None:
            return waits
        # Forbidden by the cache, or past another that has not gone first in time: the server says.
        return await self.check_live(seen) or waits

    async def check_live(self, seen: view.Execution) -> Obstacle | None:
        """What stands in the way by the server's own list of the target's executions.

        Raises:
            ClusterError: the server did not answer; nothing is free because of that.
        """
        listed, cached = await self._others(seen)
        while True:
            known = {**cached, **listed}.values()
            obstacle = await self._obstacle(seen, known)
            stands = _of(obstacle, cached)
            if obstacle is None or stands is None or stands.uid in listed:
                return obstacle
            # Only the cache knows it, so it may have gone.
            del cached[stands.uid]
            live = await common.read_same(self._tools, stands.key, stands.uid)
            if live is not None:
                listed[stands.uid] = live

    async def _others(
        self, seen: view.Execution
    ) -> tuple[dict[str, view.Execution], dict[str, view.Execution]]:
        """The other executions of the target by UID: by the server, and by the cache.

        The label by which the server finds them is on all that ever came near a run here; those of
        another making are in the cache alone.
        """
        tools = self._tools
        raws = await tools.reader.list_target(locking.target_label(seen.lock))
        listed = {}
        for number, raw in enumerate(raws, start=1):
            other = tools.project(raw)
            if other.lock == seen.lock:
                listed[other.uid] = other
            if number % READ_PER_TURN == 0:
                await asyncio.sleep(0)
        indexes = (view.BY_LOCK_RUNNING, view.BY_LOCK_PAST)
        cached = {
            it.uid: it for index in indexes for it in tools.executions.by_index(index, seen.lock)
        }
        for known in (listed, cached):
            known.pop(seen.uid, None)
        return listed, cached

    async def _obstacle(
        self, seen: view.Execution, others: Iterable[view.Execution]
    ) -> Held | Forbidden | None:
        held = next((it for it in others if self._holds(it)), None)
        if held is not None:
            return Held(held)
        verdict = await self._judge(seen, others)
        return Forbidden(verdict) if verdict is not None else None

    async def _confirmed(self, cached: view.Execution) -> view.Execution | None:
        """The execution as it is now, if it still holds the target."""
        live = await common.read_same(self._tools, cached.key, cached.uid)
        return live if live is not None and self._holds(live) else None

    async def _away(self, seen: view.Execution) -> Held | Wait | None:
        """Another that waits, of which a run may work where nobody looks."""
        for waiting in self._tools.executions.by_index(view.BY_LOCK_WAITING, seen.lock):
            if waiting.uid != seen.uid and self._holds(waiting):
                live = await self._confirmed(waiting)
                return Held(live) if live is not None else self._until_fresh(seen)
        return None

    def _holds(self, it: view.Execution) -> bool:
        """Whether a run of it may work on the target.

        Of one that is Pending the name of the run tells that, but for a run in another namespace.
        """
        if it.occupies:
            return True
        return it.served and not it.ended and bool(common.elsewhere(self._tools, it))

    async def _judge(
        self, seen: view.Execution, others: Iterable[view.Execution]
    ) -> history.Verdict | None:
        pasts = await common.pasts(self._tools, (it for it in others if it.uid != seen.uid))
        now = self._tools.clock.now()
        return history.judge(pasts, seen.workflow_id, now, self._tools.policy.history)

    def _until_fresh(self, seen: view.Execution) -> Wait:
        """Leave the cache longer each time, so that many who wait do not ask much."""
        looks = self._stale.get(seen.key, 0)
        self._stale[seen.key] = looks + 1
        return Wait(min(STALE_S * 2 ** min(looks, 8), MAX_STALE_S))

    def _turn(self, seen: view.Execution) -> Wait | None:
        """How long an older execution is still let go first; None when there is none."""
        waiting = self._tools.executions.by_index(view.BY_LOCK_WAITING, seen.lock)
        if not any(_goes_before(other, seen) for other in waiting):
            return None
        now = asyncio.get_running_loop().time()
        return Wait(max(0.0, self._yielding.setdefault(seen.key, now) + YIELD_S - now))


def _of(
    obstacle: Held | Forbidden | None, known: Mapping[str, view.Execution]
) -> view.Execution | None:
    """The execution that is the obstacle."""
    if isinstance(obstacle, Held):
        return obstacle.holder
    return known.get(obstacle.verdict.past.uid) if obstacle is not None else None


def _goes_before(other: view.Execution, seen: view.Execution) -> bool:
    return (
        other.uid != seen.uid
        and view.age(other) < view.age(seen)
        and not (other.deleting or other.cancelling or other.failing)
    )

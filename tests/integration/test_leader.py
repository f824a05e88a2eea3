"""Several controllers, of which one acts: by the apiserver's audit log, not by their own words."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from tests.integration import leaders, trail
from tests.integration.leaders import HANDED_OVER_S, RENEW_S, TAKEN_OVER_S, Leaders, Took
from tests.proxy import calls
from tests.proxy.rules import Point

if TYPE_CHECKING:
    from tests.integration.audit import AuditLog
    from tests.integration.controllers import Controllers
    from tests.stack.cluster import Stack
    from tests.support.program import Program

# So long that another could lead, be gone, and be followed.
FROZEN_S = 30.0
LOST = {1, -signal.SIGALRM}
"""Ended by itself, or by its last guard, where it could not run meanwhile."""


@pytest.fixture
def elected(controllers: Controllers) -> Leaders:
    return Leaders(controllers)


async def ended(program: Program, *, within_s: float) -> int:
    """Wait for the end of a program that nobody stops; returns its exit code."""
    return await asyncio.to_thread(program.process.wait, within_s)


async def killed_and_stopped(elected: Leaders, audit: AuditLog, turn: int) -> list[Took]:
    """One leader is killed, the next one stopped; how long each time until another acts."""
    async with elected.replicas(3) as (first, *others):
        assert first.is_called(await elected.leader())
        async with elected.load(f"load-{turn}"):
            await elected.works(f"before-{turn}")
            assert [len(elected.acts(audit, it)) for it in others] == [0, 0]
            first.kill()
            killed_at = leaders.now()
            await elected.works(f"after-the-kill-{turn}")
            heir = await elected.leader(first)
            second, third = sorted(others, key=lambda it: not it.is_called(heir))
            acts = await elected.acted(audit, second)
            taken_over_s = leaders.acted_after(killed_at, acts)
            assert elected.acts(audit, third) == []
            stopped_at = leaders.now()
            second.process.send_signal(signal.SIGTERM)
            await elected.works(f"after-the-stop-{turn}")
        acts = await elected.acted(audit, third)
        handed_over_s = leaders.acted_after(stopped_at, acts)
        assert await ended(second, within_s=leaders.GONE_S) == 0
        assert await elected.in_turn(audit, first, second, third)
        await elected.one_run_each(audit)
    return [Took(taken_over_s, TAKEN_OVER_S), Took(handed_over_s, HANDED_OVER_S)]


async def test_another_acts_in_time_when_the_leader_is_killed_or_stopped(
    elected: Leaders, audit: AuditLog
) -> None:
    await elected.in_time(lambda turn: killed_and_stopped(elected, audit, turn))


async def frozen_and_continued(elected: Leaders, audit: AuditLog, turn: int) -> list[Took]:
    """The leader is frozen, and continued when another leads; how long until that one acts."""
    async with elected.replicas(2) as (first, second), elected.load(f"load-{turn}"):
        await elected.works(f"before-{turn}")
        # It is ready before it asks.
        await trail.until(lambda: "get" in elected.asked_for_the_lease(audit, second))
        first.process.send_signal(signal.SIGSTOP)
        stopped_at = leaders.now()
        await elected.works(f"meanwhile-{turn}")
        acts = await elected.acted(audit, second)
        taken_over_s = leaders.acted_after(stopped_at, acts)
        await asyncio.sleep(FROZEN_S - (leaders.now() - stopped_at).total_seconds())
        continued_at = leaders.now()
        first.process.send_signal(signal.SIGCONT)
        assert await ended(first, within_s=leaders.GONE_S) != 0
        await elected.works(f"after-{turn}")
        # What it had sent before, a busy server may have received later; the turns tell of that.
        assert [it.kind for it in elected.acts(audit, first) if it.at > continued_at] == []
        assert await elected.in_turn(audit, first, second)
        await elected.one_run_each(audit)
    return [Took(taken_over_s, TAKEN_OVER_S)]


async def test_frozen_leader_does_nothing_when_it_is_continued(
    elected: Leaders, audit: AuditLog
) -> None:
    await elected.in_time(lambda turn: frozen_and_continued(elected, audit, turn))


async def test_leader_ends_before_another_acts_when_its_way_to_the_lease_is_a_black_hole(
    elected: Leaders, audit: AuditLog
) -> None:
    async with (
        elected.controllers.proxy() as proxy,
        elected.replica(proxy) as first,
        elected.replica() as second,
        elected.load(),
    ):
        await elected.works("before")
        for _ in range(20):
            proxy.hold(calls.is_of_a_lease, Point.BEFORE)
        assert await ended(first, within_s=RENEW_S + leaders.GONE_S) in LOST
        await elected.works("after")
        assert await elected.in_turn(audit, first, second)
        await elected.one_run_each(audit)


async def test_leader_keeps_a_lease_that_is_deleted_and_leaves_one_that_is_rewritten(
    elected: Leaders, audit: AuditLog
) -> None:
    async with elected.replicas(2) as (first, second):
        await elected.works("before")
        # It is ready before it asks, and one who never saw the lease takes it at once.
        await trail.until(lambda: "get" in elected.asked_for_the_lease(audit, second))
        (await elected.world.api.delete(*elected.place)).accept()
        assert first.is_called(await elected.leader())
        await elected.works("deleted")
        await asyncio.sleep(1)
        assert elected.acts(audit, second) == []
        await elected.told({"spec": {"holderIdentity": "somebody"}})
        assert await ended(first, within_s=leaders.GONE_S) == 1
        await elected.works("rewritten")
        assert await elected.in_turn(audit, first, second)


async def test_apiserver_that_is_away_ends_the_leader_and_no_one_else(
    elected: Leaders, stack: Stack
) -> None:
    async with (
        elected.replicas(2) as (first, second),
        elected.controllers.running(controller={"instance": "alone"}) as alone,
    ):
        await elected.works("before")
        stack.kill("kube-apiserver")
        try:
            assert await ended(first, within_s=RENEW_S + leaders.GONE_S) in LOST
        finally:
            await asyncio.to_thread(stack.start, "kube-apiserver")
            await elected.served()
        await elected.works("after")
        assert (second.process.poll(), alone.process.poll()) == (None, None)
        assert await asyncio.to_thread(alone.wait_probe, "/readyz", 200)

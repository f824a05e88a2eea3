"""Several controllers, of which one acts: by the apiserver's audit log, not by their own words."""

from __future__ import annotations

import asyncio
import datetime
import signal
from typing import TYPE_CHECKING

import pytest

from tests.integration import leaders
from tests.integration.leaders import HANDED_OVER_S, RENEW_S, TAKEN_OVER_S, Leaders
from tests.proxy.rules import Point

if TYPE_CHECKING:
    from tests.integration.audit import AuditLog
    from tests.integration.controllers import Controllers
    from tests.proxy.calls import Call
    from tests.stack.cluster import Stack
    from tests.support.program import Program

FROZEN_S = 30.0


@pytest.fixture
def elected(controllers: Controllers) -> Leaders:
    return Leaders(controllers)


async def ended(program: Program, *, within_s: float) -> int:
    """Wait for the end of a program that nobody stops; returns its exit code."""
    return await asyncio.to_thread(program.process.wait, within_s)


async def test_another_acts_in_time_when_the_leader_is_killed_or_stopped(
    elected: Leaders, audit: AuditLog
) -> None:
    async with elected.replicas(3) as (first, *others):
        assert leaders.is_of(first, await elected.leader())
        async with elected.load():
            await elected.works("before")
            assert [len(elected.acts(audit, it)) for it in others] == [0, 0]
            first.kill()
            killed_at = leaders.now()
            await elected.works("after-the-kill")
            heir = await elected.leader(first)
            second, third = sorted(others, key=lambda it: not leaders.is_of(it, heir))
            acts = elected.acts(audit, second)
            assert leaders.acted_after(killed_at, acts) < TAKEN_OVER_S
            assert elected.acts(audit, third) == []
            stopped_at = leaders.now()
            second.process.send_signal(signal.SIGTERM)
            await elected.works("after-the-stop")
        acts = elected.acts(audit, third)
        assert leaders.acted_after(stopped_at, acts) < HANDED_OVER_S
        assert await ended(second, within_s=10) == 0
        assert leaders.in_turn(elected.acts(audit, first), elected.acts(audit, second))
        assert leaders.in_turn(elected.acts(audit, second), elected.acts(audit, third))
        await elected.one_run_each()


async def test_frozen_leader_does_nothing_when_it_is_continued(
    elected: Leaders, audit: AuditLog
) -> None:
    async with elected.replicas(2) as (first, second), elected.load():
        await elected.works("before")
        assert elected.asked_for_the_lease(audit, second) == ["get"]
        first.process.send_signal(signal.SIGSTOP)
        stopped_at = leaders.now()
        await elected.works("meanwhile")
        acts = elected.acts(audit, second)
        assert leaders.acted_after(stopped_at, acts) < TAKEN_OVER_S
        await asyncio.sleep(FROZEN_S - (leaders.now() - stopped_at).total_seconds())
        first.process.send_signal(signal.SIGCONT)
        assert await ended(first, within_s=5) != 0
        await elected.works("after")
        # What it had sent before, the server may have received a moment later.
        late = stopped_at + datetime.timedelta(seconds=1)
        assert [it.kind for it in elected.acts(audit, first) if it.at > late] == []
        assert leaders.in_turn(elected.acts(audit, first), elected.acts(audit, second))
        await elected.one_run_each()


def _is_of_the_lease(call: Call) -> bool:
    return "/leases" in call.path


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
            proxy.hold(_is_of_the_lease, Point.BEFORE)
        assert await ended(first, within_s=RENEW_S + 4) == 1
        await elected.works("after")
        assert leaders.in_turn(elected.acts(audit, first), elected.acts(audit, second))


async def test_leader_keeps_a_lease_that_is_deleted_and_leaves_one_that_is_rewritten(
    elected: Leaders, audit: AuditLog
) -> None:
    async with elected.replicas(2) as (first, second):
        await elected.works("before")
        (await elected.world.api.delete(*elected.place)).accept()
        assert leaders.is_of(first, await elected.leader())
        await elected.works("deleted")
        await asyncio.sleep(1)
        assert elected.acts(audit, second) == []
        await elected.told({"spec": {"holderIdentity": "somebody"}})
        assert await ended(first, within_s=5) == 1
        await elected.works("rewritten")
        assert leaders.in_turn(elected.acts(audit, first), elected.acts(audit, second))


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
            assert await ended(first, within_s=RENEW_S + 4) == 1
        finally:
            await asyncio.to_thread(stack.start, "kube-apiserver")
            await elected.served()
        await elected.works("after")
        assert (second.process.poll(), alone.process.poll()) == (None, None)
        assert await asyncio.to_thread(alone.wait_probe, "/readyz", 200, deadline_s=5)

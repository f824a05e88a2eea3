"""No leader writes when its lease may have ended, and none leads without doing its work.

By the apiserver's audit log; `test_leader` has the kill, the clean stop, the frozen process and the
black hole.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.integration import leaders, trail
from tests.integration.leaders import RENEW_S, TAKEN_OVER_S, Leaders, Took
from tests.proxy import calls
from tests.proxy.rules import Point
from tests.support import sabotage

if TYPE_CHECKING:
    from tests.integration.audit import AuditLog
    from tests.integration.controllers import Controllers
    from tests.support.program import Program

SABOTAGE = "tests.support.sabotage"
BLOCK_S = 20.0


@pytest.fixture
def elected(controllers: Controllers) -> Leaders:
    return Leaders(controllers)


async def ended(program: Program, *, within_s: float) -> int:
    """Wait for the end of a program that nobody stops; returns its exit code."""
    return await asyncio.to_thread(program.process.wait, within_s)


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(429, id="429"),
        pytest.param(502, id="502", marks=pytest.mark.long),
        pytest.param(0, id="reset", marks=pytest.mark.long),
    ],
)
async def test_leader_bears_short_trouble_and_ends_before_another_acts_in_long(
    elected: Leaders, audit: AuditLog, status: int
) -> None:
    async with (
        elected.controllers.proxy() as proxy,
        elected.replica(proxy) as first,
        elected.replica() as second,
        elected.load(),
    ):
        await elected.works("before")
        short = proxy.fail(calls.is_of_a_lease, status, Point.BEFORE, times=2)
        await trail.until(lambda: short.left == 0)
        await asyncio.sleep(RENEW_S)
        assert first.process.poll() is None
        assert elected.acts(audit, second) == []
        proxy.fail(calls.is_of_a_lease, status, Point.BEFORE, times=None)
        assert await ended(first, within_s=RENEW_S + leaders.GONE_S) == 1
        await elected.works("after")
        assert await elected.in_turn(audit, first, second)
        await elected.one_run_each(audit)


async def broken(elected: Leaders, audit: AuditLog, turn: int) -> list[Took]:
    """The work of the leader dies; how long until another acts."""
    async with elected.replica(module=SABOTAGE) as first, elected.replica() as second:
        await elected.works(f"before-{turn}")
        first.process.send_signal(signal.SIGUSR1)
        died_at = leaders.now()
        await asyncio.to_thread(first.wait_line, sabotage.BROKEN)
        # Whoever takes the next key from the queue meets the error.
        await elected.works(f"after-{turn}")
        assert await ended(first, within_s=leaders.GONE_S) == 1
        assert "Unforeseen" in first.tail()
        acts = await elected.acted(audit, second)
        assert await elected.in_turn(audit, first, second)
    return [Took(leaders.acted_after(died_at, acts), TAKEN_OVER_S)]


async def test_another_leads_in_time_when_the_work_of_the_leader_dies(
    elected: Leaders, audit: AuditLog
) -> None:
    await elected.in_time(lambda turn: broken(elected, audit, turn))


@pytest.mark.long
async def test_leader_whose_loop_does_not_turn_is_ended_before_another_acts(
    elected: Leaders, audit: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, sabotage.BLOCK_S, str(BLOCK_S))
    async with (
        elected.replica(module=SABOTAGE) as first,
        elected.replica() as second,
        elected.load(),
    ):
        await elected.works("before")
        first.process.send_signal(signal.SIGUSR2)
        assert await ended(first, within_s=BLOCK_S - 2) == 1
        assert "time.sleep" in first.tail() or "_block" in first.tail()
        await elected.works("after")
        assert await elected.in_turn(audit, first, second)
        await elected.one_run_each(audit)

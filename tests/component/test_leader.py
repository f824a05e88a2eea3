"""Replicas of the whole program: one acts, and whoever may not any more does not."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.component import replicas, world
from tests.fake import faults
from tests.fake.paths import Match
from workflowexecution.runtime import errors, manager

if TYPE_CHECKING:
    from tests.component.world import World

pytestmark = pytest.mark.looptime


async def until_holder(here: World, name: str, *, within_s: float = 60) -> None:
    await world.until(lambda: replicas.holder(here) == name, within_s=within_s)


async def test_only_the_holder_of_the_lease_writes(here: World) -> None:
    async with replicas.replica(here, "a") as first:
        await until_holder(here, "a")
        async with replicas.replica(here, "b") as other:
            here.ask()
            await here.until_phase("Running")
            here.end_run()
            await here.until_phase("Completed")
            assert len(first.writes()) == 4
            assert other.writes() == []


async def test_another_goes_on_when_the_leader_is_killed(here: World) -> None:
    async with replicas.replica(here, "a") as first, replicas.replica(here, "b") as other:
        await world.until(lambda: replicas.holder(here))
        leader, heir = (first, other) if replicas.holder(here) == "a" else (other, first)
        here.ask()
        await here.until_phase("Running")
        await leader.kill()
        here.end_run()
        await until_holder(here, heir.name, within_s=15.1)
        await here.until_phase("Completed")
        assert len(heir.writes()) == 1


@pytest.mark.parametrize("effect", [faults.Hang(), faults.bad_gateway()], ids=["hang", "502"])
async def test_program_ends_and_writes_nothing_more_when_it_loses_the_lease(
    here: World, effect: faults.Effect
) -> None:
    async with replicas.replica(here, "a") as first:
        await until_holder(here, "a")
        here.ask()
        await here.until_phase("Running")
        here.cluster.faults.add(effect, Match(resource="leases"), times=None)
        error = await first.ended()
        assert error is not None
        assert errors.LeaseLost in {type(it) for it in manager.causes(error)}
        before = len(first.writes())
        here.end_run()
        await asyncio.sleep(60)
        assert len(first.writes()) == before


async def test_write_under_way_is_cut_off_when_the_lease_is_lost(here: World) -> None:
    async with replicas.replica(here, "a") as first:
        await until_holder(here, "a")
        began = asyncio.get_running_loop().time()
        hang = faults.Hang()
        here.cluster.faults.add(hang, Match(resource="leases"), times=None)
        here.cluster.faults.add(hang, Match(resource="pipelineruns", verbs=("create",)))
        here.ask()
        assert await first.ended() is not None
        assert asyncio.get_running_loop().time() - began <= 10 + 2.1


async def test_lease_is_given_back_last_when_the_leader_is_stopped(here: World) -> None:
    async with replicas.replica(here, "a") as first:
        await until_holder(here, "a")
        held = here.cluster.faults.hold(Match(resource="pipelineruns", verbs=("create",)))
        here.ask()
        await held.reached.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(5)
        assert replicas.holder(here) == "a"
        held.release()
        assert await first.ended() is None
        assert replicas.holder(here) == ""
        last = here.cluster.requests.matching(Match(agent="a/", verbs=("create", "patch")))[-1]
        assert last.call.resource == "leases"
        assert (here.execution() or {})["status"]["phase"] == "Running"


async def test_lease_is_not_given_back_when_a_reconcile_had_to_be_cut_off(here: World) -> None:
    async with replicas.replica(here, "a", controller__shutdownGrace="3s") as first:
        await until_holder(here, "a")
        held = here.cluster.faults.hold(Match(resource="pipelineruns", verbs=("create",)))
        here.ask()
        await held.reached.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await first.ended(within_s=10) is None
        assert replicas.holder(here) == "a"


async def test_lease_is_not_given_back_when_any_other_write_had_to_be_cut_off(here: World) -> None:
    lost = builders.raw_run(owner="gone", condition=("Unknown", "Running", "x"))
    lost["metadata"]["name"] = "wfe-0000000000000000"
    here.cluster.create(lost)
    async with replicas.replica(here, "a") as first:
        held = here.cluster.faults.hold(Match(resource="pipelineruns", verbs=("patch",)))
        async with asyncio.timeout(600):
            await held.reached.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await first.ended(within_s=10) is None
        assert replicas.holder(here) == "a"


async def test_stop_of_one_that_waits_for_the_lease_is_clean(here: World) -> None:
    async with replicas.replica(here, "a"):
        await until_holder(here, "a")
        async with replicas.replica(here, "b") as other:
            await asyncio.sleep(5)
            os.kill(os.getpid(), signal.SIGTERM)
            assert await other.ended(within_s=1) is None
        assert replicas.holder(here) == "a"

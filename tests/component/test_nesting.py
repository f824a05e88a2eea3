"""What runs inside what: a standby rests with warm caches, and who tells ends after who acts."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests import builders
from tests.component import replicas, world
from tests.fake import faults, kinds
from tests.fake.paths import Match

if TYPE_CHECKING:
    from tests.component.world import World

pytestmark = pytest.mark.looptime

AUDITED: dict[str, Any] = {"audit__sink": "log"}
CREATE_RUN = Match(verbs=("create",), resource="pipelineruns")
FORBIDDEN = faults.Answer(403, '{"kind":"Status","reason":"Forbidden","code":403}')
WATCHED = ("workflowexecutions", "pipelineruns", "taskruns")
AT_REST = {(verb, it) for verb in ("list", "watch") for it in WATCHED} | {
    ("get", "leases"),
    ("watch", "leases"),
}


async def until_holder(here: World, name: str) -> None:
    await world.until(lambda: replicas.holder(here) == name)


def asked(here: World, name: str) -> set[tuple[str, str]]:
    """What a replica has asked the server for."""
    found = here.cluster.requests.matching(Match(agent=f"{name}/"))
    return {(it.call.verb, it.call.resource) for it in found}


async def test_standby_fills_its_caches_and_asks_for_the_lease_and_for_nothing_else(
    here: World,
) -> None:
    lost = builders.raw_run(owner="gone", condition=("Unknown", "Running", "x"))
    lost["metadata"]["name"] = "wfe-0000000000000000"
    here.cluster.create(lost)
    async with replicas.replica(here, "a", **AUDITED):
        await until_holder(here, "a")
        # The leader cannot do what it would, so that there is something to do for a second one.
        refused = Match(verbs=("patch", "create"), agent="a/", resource="pipelineruns")
        here.cluster.faults.add(FORBIDDEN, refused, times=None)
        async with replicas.replica(here, "b", **AUDITED):
            here.ask()
            await asyncio.sleep(600)
            assert asked(here, "b") == AT_REST
            assert {("patch", "pipelineruns"), ("get", "configmaps")} <= asked(here, "a")


@pytest.mark.parametrize("resource", WATCHED)
async def test_lease_is_not_taken_before_every_cache_is_filled(here: World, resource: str) -> None:
    held = here.cluster.faults.hold(Match(verbs=("list",), resource=resource, agent="a/"))
    async with replicas.replica(here, "a"):
        await held.reached.wait()
        await asyncio.sleep(10)
        assert here.cluster.get(kinds.LEASES, *replicas.KEY) is None
        held.release()
        await until_holder(here, "a")


async def test_lease_is_held_until_what_the_last_reconcile_tells_is_written(here: World) -> None:
    async with replicas.replica(here, "a") as leader:
        await until_holder(here, "a")
        started = here.cluster.faults.hold(CREATE_RUN)
        told = here.cluster.faults.hold(Match(verbs=("create",), resource="events"))
        here.ask()
        await started.reached.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(1)
        started.release()
        async with asyncio.timeout(60):
            await told.reached.wait()
        await asyncio.sleep(1)
        assert replicas.holder(here) == "a"
        told.release()
        assert await leader.ended() is None
    assert [it["reason"] for it in here.cluster.items(kinds.EVENTS)] == ["PipelineRunCreated"]
    assert replicas.holder(here) == ""

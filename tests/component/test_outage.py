"""The API server is away for ten minutes: little is asked meanwhile, all is made good soon."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.component import world
from tests.fake import faults, kinds
from tests.fake.paths import Match

if TYPE_CHECKING:
    from tests.component.world import World

pytestmark = pytest.mark.looptime

AWAY_S = 600.0
BACK_S = 5.0
UNNOTICED_S = 50.0
MANY = 10
PER_S = 3
CREATE = Match(verbs=("create",), resource="pipelineruns")


def phase_of(here: World, name: str) -> str:
    """What the execution says of itself."""
    status = (here.execution(name) or {}).get("status") or {}
    return str(status.get("phase", ""))


def go_away(here: World, effect: faults.Effect) -> None:
    """From now on nobody is answered, and no watch goes on."""
    here.cluster.faults.add(effect, Match(agent=world.AGENT), times=None)
    here.cluster.faults.drop_watches(ending=faults.Ending.RESET)


@pytest.mark.parametrize(
    "effect",
    [
        pytest.param(faults.Drop(), id="reset"),
        pytest.param(faults.bad_gateway(), id="502"),
    ],
)
async def test_all_is_made_good_soon_when_the_server_is_back_after_long(
    here: World, effect: faults.Effect
) -> None:
    names = [f"e-{number}" for number in range(MANY)]
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        # They are being started when the server goes.
        here.cluster.faults.add(effect, CREATE, times=None)
        for name in names:
            here.ask(name, spec={"targetResource": f"payment/deployment/{name}"})
        await asyncio.sleep(1)
        go_away(here, effect)
        before = len(here.cluster.requests.entries)
        here.end_run()
        await asyncio.sleep(AWAY_S)
        assert len(here.cluster.requests.entries) - before < PER_S * AWAY_S
        here.cluster.faults.heal()
        await world.until(
            lambda: {phase_of(here, it) for it in names} == {"Running"} or None, within_s=BACK_S
        )
        await here.until_phase("Completed")
    # That of the first one is kept from when its end could be told.
    assert len(here.cluster.items(kinds.PIPELINE_RUNS)) == MANY + 1


async def test_outage_leaves_no_back_off_when_the_watches_have_not_noticed_it(here: World) -> None:
    async with here.controller():
        here.ask()
        await here.until_phase("Running")
        # Its watches stay open, so no cache is in doubt, and an end comes by one of them.
        here.cluster.faults.add(faults.Drop(), Match(agent=world.AGENT), times=None)
        here.end_run()
        await asyncio.sleep(UNNOTICED_S)
        here.cluster.faults.heal()
        await world.until(lambda: phase_of(here, "restart-payment") == "Completed", within_s=BACK_S)

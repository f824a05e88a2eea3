"""Kubelets are silent: the logs that only they have do not come, and nothing else waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing

from tests.component import hands, world
from tests.fake import faults, kinds
from tests.fake.paths import Match
from workflowexecution.adapters import podlogs
from workflowexecution.domain import locking

if TYPE_CHECKING:
    from tests.component.world import World

pytestmark = pytest.mark.looptime

MANY = 48
LOGS = Match(resource="pods", subresource="log", agent=world.AGENT)
SOON_S = podlogs.DEADLINE_S + 0.5
"""All workers may wait for the first logs that do not come, and for those alone."""
CANCEL = {"spec": {"cancel": {"requestedBy": "jane", "reason": "wrong target"}}}


def on(name: str) -> dict[str, Any]:
    return {"targetResource": f"payment/deployment/{name}"}


def run_of(here: World, name: str) -> dict[str, Any]:
    return here.run(locking.run_name(f"payment/deployment/{name}")) or {}


def tail_of(here: World, name: str) -> str:
    """What stands in the place of the log, once it has failed."""
    status = (here.execution(name) or {}).get("status") or {}
    return str((status.get("failureDetails") or {}).get("logTail") or "")


async def fail_all(here: World, effect: faults.Effect) -> list[str]:
    """Many runs that fail at one moment, with this effect on the reading of their logs."""
    names = [f"w-{number}" for number in range(MANY)]
    plays = hands.Hands(here.cluster)
    for name in (*names, "wrong"):
        here.ask(name, spec=on(name))
    for name in (*names, "wrong"):
        await here.until_phase("Running", name)
        plays.begin(run_of(here, name))
    for pod in here.cluster.items(kinds.PODS, world.NAMESPACE):
        place = (world.NAMESPACE, pod["metadata"]["name"], "step-run")
        here.cluster.reviews.logs[place] = "it went wrong"
    await asyncio.sleep(5)
    here.cluster.faults.add(effect, LOGS, times=None)
    for name in names:
        plays.end(run_of(here, name), hands.FAILED)
    return names


async def test_silent_kubelets_hold_up_no_cancellation_and_no_start(here: World) -> None:
    with structlog.testing.capture_logs() as logs:
        async with here.controller():
            names = await fail_all(here, faults.Hang())
            await asyncio.sleep(0.2)
            here.cluster.patch(kinds.EXECUTIONS, world.TEAM, "wrong", CANCEL)
            here.ask("new", spec=on("new"))
            await world.until(lambda: run_of(here, "new"), within_s=SOON_S)
            await world.until(lambda: run_of(here, "wrong")["spec"].get("status"), within_s=SOON_S)
            for name in names:
                await here.until_phase("Failed", name)
            assert asyncio.get_running_loop().time() < 30
    told = {tail_of(here, name).partition("cannot be read: ")[2] for name in names}
    assert {it[:11] for it in told} <= {"it has not ", "it was not "}
    assert not [line for line in logs if line["event"].startswith("API server does not answer")]


@pytest.mark.parametrize("takes_s", [0.2, 1.2])
async def test_every_log_of_many_that_fail_at_once_is_read(here: World, takes_s: float) -> None:
    async with here.controller():
        names = await fail_all(here, faults.Delay(takes_s))
        for name in names:
            await here.until_phase("Failed", name)
    assert {tail_of(here, name) for name in names} == {"it went wrong"}

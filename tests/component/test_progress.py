"""Progress: written seldom, in turns, and of everyone in the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.component import world
from tests.fake import kinds
from workflowexecution.domain import locking
from workflowexecution.reconciler import pacing

if TYPE_CHECKING:
    from tests.component.world import World

pytestmark = pytest.mark.looptime

MANY = 120
# What is left of the wait after their start, and the way of the last one's look and write.
MARGIN_S = 3.0


def target_of(number: int) -> str:
    return f"payment/deployment/many-{number}"


class Many:
    """Executions that run, of which Tekton says something in one moment."""

    def __init__(self, here: World) -> None:
        self.here = here

    async def start(self) -> None:
        for number in range(MANY):
            self.here.ask(f"many-{number}", spec={"targetResource": target_of(number)})
        for number in range(MANY):
            await self.here.until_phase("Running", f"many-{number}")

    def go_on(self, turn: int) -> None:
        """Play Tekton: every run says something else."""
        said = builders.raw_run(condition=("Unknown", "Running", f"turn {turn}"))["status"]
        for number in range(MANY):
            place = kinds.PIPELINE_RUNS, world.NAMESPACE, locking.run_name(target_of(number))
            self.here.cluster.patch(*place, {"status": said}, subresource="status")

    async def until_told(self, turn: int) -> None:
        """Wait until every status has what its run says."""

        def told() -> bool:
            found = (self.here.execution(f"many-{number}") or {} for number in range(MANY))
            return all(f"turn {turn}" in str(it["status"].get("pipelineRunStatus")) for it in found)

        await world.until(told, within_s=600)


async def test_progress_of_many_is_written_in_turns_and_as_fast_as_it_may(here: World) -> None:
    many = Many(here)
    loop = asyncio.get_running_loop()
    async with here.controller():
        await many.start()
        for turn in range(2):
            since = loop.time()
            before = len(here.writes(subresource="status"))
            many.go_on(turn)
            await many.until_told(turn)
            took_s = loop.time() - since
            assert took_s >= MANY / pacing.PROGRESS_PER_S - 1
            assert took_s <= MANY / pacing.PROGRESS_PER_S + MARGIN_S
            assert len(here.writes(subresource="status")) - before == MANY

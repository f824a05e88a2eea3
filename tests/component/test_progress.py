"""Progress: written seldom, in turns, and of everyone in the end."""

from __future__ import annotations

import asyncio
import collections
import statistics
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.component import world
from tests.fake import kinds
from workflowexecution.domain import locking
from workflowexecution.reconciler import pacing, running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.component.world import World
    from workflowexecution.reconciler import view

pytestmark = pytest.mark.looptime

MANY = 120
# Of a single change: half a second for all that Tekton says at once, the look, and some that wait.
SOON_S = 1.5
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

    def go_on(self, turn: int, of: Sequence[int] = range(MANY)) -> None:
        """Play Tekton: runs say something else, all of them or these."""
        said = builders.raw_run(condition=("Unknown", "Running", f"turn {turn}"))["status"]
        for number in of:
            place = kinds.PIPELINE_RUNS, world.NAMESPACE, locking.run_name(target_of(number))
            self.here.cluster.patch(*place, {"status": said}, subresource="status")

    async def until_told(self, turn: int, of: Sequence[int] = range(MANY)) -> None:
        """Wait until the statuses have what their runs say."""

        def told() -> bool:
            found = (self.here.execution(f"many-{number}") or {} for number in of)
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


async def test_single_changes_are_told_soon_after_a_burst_and_then_nobody_looks_again(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, looks = Many(here), collections.Counter[str]()
    look = running.Mirror.put_off_s

    def counted(mirror: running.Mirror, seen: view.Execution) -> float:
        looks[seen.key.name] += 1
        return look(mirror, seen)

    monkeypatch.setattr(running.Mirror, "put_off_s", counted)
    loop = asyncio.get_running_loop()
    # A watch that is opened anew wakes everybody.
    async with here.controller(limits__watchIdle="24h"):
        await many.start()
        many.go_on(0)
        await many.until_told(0)
        took = []
        for turn in range(1, 61):
            since, chosen = loop.time(), [turn * 7 % MANY]
            many.go_on(turn, chosen)
            await many.until_told(turn, chosen)
            took.append(loop.time() - since)
        assert statistics.median(took[10:]) <= SOON_S
        await asyncio.sleep(2 * pacing.PUT_OFF_AT_MOST_S)
        looks.clear()
        await asyncio.sleep(3 * pacing.PUT_OFF_AT_MOST_S)
        # But for the resync, which comes by each once.
        assert max(looks.values(), default=0) <= 1

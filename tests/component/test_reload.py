"""Settings that change while the program runs."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.component.world import World
from workflowexecution.wiring import reload

if TYPE_CHECKING:
    import pathlib

pytestmark = pytest.mark.looptime


@pytest.fixture
def file(tmp_path: "pathlib.Path") -> "pathlib.Path":
    return tmp_path / "config.yaml"


async def test_what_waits_starts_when_suspension_is_taken_out_of_the_file(
    here: World, file: "pathlib.Path"
) -> None:
    file.write_text("execution: {suspend: true}")
    async with here.following(file):
        here.ask()
        await here.until_phase("Pending")
        file.write_text("execution: {suspend: false}")
        await here.until_phase("Running")
        file.write_text("execution: {suspend: perhaps}")
        here.end_run()
        await here.until_phase("Completed")


async def test_cooldown_of_the_new_file_holds_for_the_next_execution(
    here: World, file: "pathlib.Path"
) -> None:
    file.write_text("execution: {cooldownPeriod: 1h}")
    async with here.following(file):
        here.ask("first")
        await here.until_phase("Running", "first")
        here.end_run()
        await here.until_phase("Completed", "first")
        here.ask("second")
        status = await here.until_phase("Skipped", "second")
        assert status["skipDetails"]["reason"] == "RecentlyRemediated"
        file.write_text("execution: {cooldownPeriod: 0s}")
        await asyncio.sleep(3 * reload.LOOK_EVERY_S)
        here.ask("third")
        await here.until_phase("Running", "third")

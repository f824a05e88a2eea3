"""When a successor's troubles begin, and what is noted of a death."""

from __future__ import annotations

import asyncio
import dataclasses
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from tests.chaos import mishaps, plan, trap
from tests.chaos.checks import exits
from tests.chaos.round import KILLED_S, SUCCEEDED_S, Round

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from tests.chaos.plan import Mishap
    from tests.chaos.stage import Stage

pytestmark = pytest.mark.looptime

SEED = 4
OLD, NEW = "vm-1", "vm-2"


class FakeStage:
    """A lease, and one replica."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.audit_log = folder / "audit.log"
        self.audit_log.touch()
        self.replicas = [SimpleNamespace(ends=[], look=lambda: True)]
        self.last: dict[str, object] = {}
        self.gone: dict[str, object] = {}
        self.held = OLD
        self.alive = True

    def kill(self) -> None:
        """The holder dies, and is found dead."""
        self.alive = False
        self.replicas[0].ends.append(exits.End(exits.KILLED, self.folder))

    def take(self, who: str) -> None:
        """Somebody alive takes the lease."""
        self.held, self.alive = who, True

    async def holder(self) -> str:
        """Who has the lease."""
        return self.held

    async def leader(self) -> object | None:
        """Whether that one is alive."""
        return self.replicas[0] if self.alive else None


@pytest.fixture
def stage(tmp_path: Path) -> FakeStage:
    """Where the old one leads."""
    return FakeStage(tmp_path)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When each mishap was begun; none of them meets anybody."""
    times: list[float] = []

    async def play(_: Stage, mishap: Mishap, __: random.Random, **___: float) -> bool:
        assert mishap.name
        times.append(asyncio.get_running_loop().time())
        return False

    monkeypatch.setattr(mishaps, "play", play)
    return times


def round_on(stage: FakeStage) -> Round:
    """A round with an aftermath and no mishap before; its executions never settle."""
    return Round(cast("Stage", stage), dataclasses.replace(plan.draw(SEED), mishaps=()))


async def test_aftermath_begins_when_a_successor_has_the_lease(
    stage: FakeStage, begun: list[float]
) -> None:
    played = round_on(stage)
    async with asyncio.TaskGroup() as group:
        group.create_task(played._aftermath(OLD))
        await asyncio.sleep(1)
        stage.kill()
        await asyncio.sleep(3)
        assert not begun
        stage.take(NEW)
    assert begun == pytest.approx([4.0] * len(played.plan.aftermath), abs=0.1)
    assert played.followed
    assert played.unmet == [it.name for it in played.plan.aftermath]
    assert played.mishaps == played.plan.aftermath


async def test_aftermath_is_not_for_the_dead(stage: FakeStage, begun: list[float]) -> None:
    stage.take("vm-3")
    async with asyncio.TaskGroup() as group:
        stage.kill()
        group.create_task(round_on(stage)._aftermath(OLD))
        await asyncio.sleep(3)
        assert not begun
        stage.take(NEW)
    assert begun


async def test_round_without_a_death_goes_on(stage: FakeStage, begun: list[float]) -> None:
    played = round_on(stage)
    stage.take(NEW)
    await played._aftermath(OLD)
    assert (played.followed, begun, played.mishaps) == (False, [], ())
    assert asyncio.get_running_loop().time() == pytest.approx(KILLED_S, abs=0.1)


async def test_round_in_which_nobody_new_leads_goes_on(
    stage: FakeStage, begun: list[float]
) -> None:
    played = round_on(stage)
    stage.kill()
    stage.take(OLD)
    await played._aftermath(OLD)
    assert (played.followed, begun) == (False, [])
    assert asyncio.get_running_loop().time() == pytest.approx(SUCCEEDED_S, abs=0.1)


@pytest.mark.parametrize("step", ["busy", "probed", "swept"])
def test_death_is_noted_with_its_step(stage: FakeStage, step: str) -> None:
    played = round_on(stage)
    for name in ("set up", "busy", "settled", "probed", "swept"):
        if name == step:
            (stage.folder / trap.FIRED).touch()
        played._step(name)
    assert (played.fired, played.fired_in) == (True, step)


def test_death_of_the_round_before_is_not_noted(stage: FakeStage) -> None:
    (stage.folder / trap.FIRED).touch()
    played = round_on(stage)
    played._forget()
    played._step("set up")
    assert (played.fired, played.fired_in) == (False, "")

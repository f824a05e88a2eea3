"""A person has taken a failed execution out of its target's history."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.api.status import ConditionStatus, ConditionType
from workflowexecution.domain import events
from workflowexecution.reconciler import clearance, ended
from workflowexecution.runtime import errors

UNGUARDED = ConditionType.CLEARANCE_UNGUARDED
GIVEN = {
    "clearedAt": builders.stamp(30),
    "clearedBy": "ann",
    "clearReason": "rolled it back by hand",
    "clearMethod": "StatusField",
}
FAILED: dict[str, Any] = {"phase": "Failed", "completionTime": builders.stamp()}


class Cleared:
    """An execution with a clearance, which the cache may know from before."""

    def __init__(self, *, guarded: bool = True, **said: Any) -> None:  # noqa: ANN401 - members of a status
        self.world = fakes.World()
        self.world.guard.guarded = guarded
        self.listener = fakes.Listener()
        self.tools = dataclasses.replace(self.world.tools, observers=(self.listener,))
        self.seen = self.world.put(status=FAILED | {"blockClearance": GIVEN} | said)

    async def take(self) -> bool:
        return await clearance.take(self.tools, self.seen)

    @property
    def told(self) -> list[bool]:
        """Of each status that was told, whether a clearance is taken up by it."""
        heard = self.listener.heard
        return [events.is_cleared(it.execution.status, it.after) for it in heard]


async def test_a_clearance_is_consumed_once() -> None:
    it = Cleared()
    assert await it.take()
    assert it.world.status.clearance_recorded_at == it.world.clock.now()
    assert it.world.journal == ["read execution", "status"]
    assert it.world.writer.patches == [{"status": {"clearanceRecordedAt": builders.stamp(60)}}]
    assert it.told == [True]
    # The cache still has it as it was.
    assert not await it.take()
    assert it.world.journal == ["read execution", "status", "read execution"]
    assert it.told == [True]


async def test_a_clearance_that_nothing_guards_is_not_honoured_and_says_so() -> None:
    it = Cleared(guarded=False)
    assert await it.take()
    assert it.world.status.clearance_recorded_at is None
    said = it.world.said(UNGUARDED)
    assert (said.status, said.reason) == (ConditionStatus.TRUE, "PolicyMissing")
    assert said.message == (
        "The admission policy that ties a clearance to the person who gives it is not in force: "
        "the clearance is not honoured"
    )
    assert it.told == [False]
    assert not await it.take()
    assert it.world.journal == ["read execution", "status", "read execution"]


async def test_a_clearance_is_honoured_once_the_policy_is_there() -> None:
    it = Cleared(guarded=False)
    await it.take()
    it.world.guard.guarded = True
    await it.take()
    assert it.world.said(UNGUARDED).status is ConditionStatus.FALSE
    assert it.world.said(UNGUARDED).reason == "PolicyInForce"
    assert it.world.status.clearance_recorded_at is not None


async def test_one_that_was_not_honoured_is_looked_at_again_with_its_execution() -> None:
    it = Cleared(guarded=False)
    it.world.engine.show(builders.run(condition=("False", "Failed", "")))
    await ended.Retention(it.tools).reconcile(it.seen)
    assert it.world.said(UNGUARDED).status is ConditionStatus.TRUE
    it.world.guard.guarded = True
    await ended.Retention(it.tools).reconcile(it.world.sync())
    assert it.world.status.clearance_recorded_at is not None


async def test_a_clearance_says_nothing_of_a_policy_that_was_always_there() -> None:
    it = Cleared()
    await it.take()
    assert it.world.status.condition(UNGUARDED) is None


@pytest.mark.parametrize("what", ["gone", "another", "taken-back", "odd"])
async def test_what_is_not_there_is_not_consumed(what: str) -> None:
    it = Cleared()
    stored = it.world.writer.stored
    if what == "gone":
        stored.clear()
    elif what == "another":
        stored[fakes.KEY]["metadata"]["uid"] = "new"
    elif what == "taken-back":
        del stored[fakes.KEY]["status"]["blockClearance"]
    else:
        stored[fakes.KEY]["status"]["blockClearance"] = {"clearedBy": "ann"}
    await it.take()
    assert it.world.journal == ["read execution"]
    assert it.told == []


@pytest.mark.parametrize("where", ["guard", "reader", "writer"])
async def test_nothing_is_said_of_a_clearance_while_nothing_is_known(where: str) -> None:
    it = Cleared()
    getattr(it.world, where).error = errors.TransportError("away")
    with pytest.raises(errors.TransportError):
        await it.take()
    assert it.world.status.clearance_recorded_at is None
    assert it.told == []

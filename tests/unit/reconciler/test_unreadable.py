"""An execution that waits for what it may not read of a run: no failure, and no silence."""

from __future__ import annotations

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from tests.unit.reconciler.mirrored import FAILED, FAILURE, LOCK, Running
from tests.unit.reconciler.test_stopped import CANCEL, Stopping
from workflowexecution.api.status import ConditionStatus, ConditionType, Phase
from workflowexecution.reconciler import pending, running
from workflowexecution.reconciler import tools as common
from workflowexecution.runtime import errors

pytestmark = pytest.mark.looptime

AVAILABLE = ConditionType.ENGINE_AVAILABLE
UNWATCHED = common.later(running.UNWATCHED_S)
LISTS = ["read_children", "has_live_pods", "read_pods"]


@pytest.mark.parametrize("which", LISTS)
async def test_a_failed_run_waits_until_all_of_it_may_be_read(which: str) -> None:
    it = Running()
    it.show(FAILURE, FAILED)
    it.world.engine.unreadable = which
    for _ in range(2):
        assert await it.reconcile() == UNWATCHED
    said = it.world.said(AVAILABLE)
    assert (said.status, said.reason) == (ConditionStatus.FALSE, "EngineUnavailable")
    assert f"may not be read: 400 Test: {which} is forbidden" in said.message
    assert it.phase() is Phase.RUNNING
    assert it.world.journal.count("status") == 1
    it.world.engine.unreadable = ""
    await it.reconcile()
    assert it.phase() is Phase.FAILED
    assert it.world.said(AVAILABLE).status is ConditionStatus.TRUE


@pytest.mark.parametrize("which", LISTS[:2])
async def test_what_is_left_of_a_run_that_is_gone_is_waited_for_unread(which: str) -> None:
    it = Running()
    it.world.engine.unreadable = which
    assert await it.reconcile() == UNWATCHED
    assert it.phase() is Phase.RUNNING
    assert it.world.said(AVAILABLE).status is ConditionStatus.FALSE
    it.world.engine.unreadable = ""
    await it.reconcile()
    assert it.phase() is Phase.FAILED
    assert it.world.said(AVAILABLE).status is ConditionStatus.UNKNOWN


async def test_a_run_that_may_be_neither_changed_nor_read_is_waited_for() -> None:
    it = Stopping(spec=CANCEL)
    it.has()
    it.world.engine.change_error = answers.refusal(errors.Forbidden, "no role there")
    it.world.engine.read_error = answers.refusal(errors.Unreadable, "no role there")
    assert await it.reconcile() == UNWATCHED
    assert it.world.said(AVAILABLE).status is ConditionStatus.FALSE


async def test_a_write_that_is_forbidden_is_no_read_that_is() -> None:
    it = Running()
    it.show(FAILURE, FAILED)
    it.world.writer.status_error = answers.refusal(errors.Forbidden, "not allowed")
    with pytest.raises(errors.Forbidden):
        await it.reconcile()
    assert it.world.journal.count("status") == 1


@pytest.mark.parametrize("which", LISTS[:2])
@pytest.mark.parametrize("lost", [False, True], ids=["taken", "answer-lost"])
async def test_one_whose_name_is_taken_waits_until_all_of_that_run_may_be_read(
    which: str, *, lost: bool
) -> None:
    world = fakes.World()
    world.put()
    world.engine.live[LOCK] = builders.run(owner="other", condition=FAILURE)
    world.engine.unreadable = which
    world.engine.create_error = errors.TransportError("lost") if lost else None
    for _ in range(2):
        with pytest.raises(errors.Unreadable):
            await pending.Start(world.tools).reconcile(world.case())
    assert world.status.phase is Phase.PENDING
    said = world.said(AVAILABLE)
    assert (said.status, said.reason) == (ConditionStatus.FALSE, "EngineUnavailable")
    assert f"may not be read: 400 Test: {which} is forbidden" in said.message
    assert world.journal.count("status") == 1

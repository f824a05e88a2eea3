"""A running execution whose run does not leave resolution, and may not be nudged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.reconciler import answers
from tests.unit.reconciler.mirrored import BUSY, LOCK, ONE, later
from tests.unit.reconciler.test_stop_refused import DELETE, POLICY, WEBHOOK, end_of_deleted
from tests.unit.reconciler.test_stopped import CONFIRMED, GOING_ON, RESOLVING, Stopping
from workflowexecution.api import names
from workflowexecution.api.status import ConditionStatus, ConditionType
from workflowexecution.domain import stopping
from workflowexecution.reconciler import failures, ladder, running
from workflowexecution.reconciler.tools import LOOK_AT_ONCE
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime


class Unresolved(Stopping):
    """Tekton does not find the pipeline, and the run may not be changed."""

    def __init__(self, error: errors.ClusterError = WEBHOOK) -> None:
        super().__init__()
        self.status, self.children = {}, ()
        self.has(RESOLVING, timeout="24h")
        self.world.engine.change_error = error

    async def waits(self, seconds: float) -> Result:
        """Look at it after a while."""
        self.world.clock.advance(seconds)
        await later(seconds)
        return await self.reconcile()


@pytest.mark.parametrize(
    "error", [WEBHOOK, POLICY, answers.refusal(errors.Conflict), errors.TransportError("lost")]
)
async def test_a_stall_is_warned_of_though_the_nudge_fails(error: errors.ClusterError) -> None:
    it = Unresolved(error)
    again = await it.waits(600)
    assert again.requeue_after_s == ladder.NUDGE_AGAIN_S
    assert it.world.said(ConditionType.PROGRESSING).status is ConditionStatus.FALSE
    it.world.engine.change_error = None
    await it.waits(60)
    assert names.ANNOTATION_NUDGED_AT in it.marks()


async def test_a_run_that_may_not_be_nudged_is_given_up_like_one_that_was_in_vain() -> None:
    it = Unresolved()
    await it.waits(600)
    for _ in range(8):
        await it.waits(60)
    await it.waits(59)
    before = it.world.status
    assert before.failure_details is None
    # The first look was a minute after its start.
    assert await it.waits(1) == LOOK_AT_ONCE
    told = it.world.status.failure_details
    assert told is not None
    assert "did not resolve the pipeline within 20m0s" in told.message
    await it.waits(1)
    assert DELETE in it.world.journal
    it.vanish()
    await it.reconcile()
    assert it.world.status.failure_reason == "DeadlineExceeded"
    assert it.world.said(CONFIRMED).status is ConditionStatus.TRUE


async def test_a_run_that_may_be_changed_at_the_last_moment_is_nudged_and_has_its_time() -> None:
    it = Unresolved()
    await it.waits(1300)
    assert await it.waits(60) == LOOK_AT_ONCE
    it.world.engine.change_error = None
    await it.waits(1)
    assert names.ANNOTATION_NUDGED_AT in it.marks()
    it.has(RESOLVING, timeout="24h", marks=it.marks())
    await it.waits(599)
    assert len(it.world.engine.changes) == 1
    assert DELETE not in it.world.journal


async def test_nobody_is_given_up_for_a_nudge_that_was_refused_once() -> None:
    """As when no controller ran for long."""
    it = Unresolved()
    await it.waits(7200)
    assert it.world.status.condition(CONFIRMED) is None
    assert it.world.said(ConditionType.PROGRESSING).status is ConditionStatus.FALSE
    it.world.engine.change_error = None
    await it.waits(60)
    assert names.ANNOTATION_NUDGED_AT in it.marks()
    assert it.world.status.condition(CONFIRMED) is None


async def given_up() -> Unresolved:
    """Its record is written, and it is about to be deleted."""
    it = Unresolved()
    await it.waits(1300)
    assert await it.waits(60) == LOOK_AT_ONCE
    assert it.world.status.failure_details is not None
    return it


async def goes_on(it: Unresolved) -> None:
    """Tekton has resolved the pipeline after all, and a task works."""
    it.status, it.children = ONE, (BUSY,)
    it.has(GOING_ON, marks=it.marks())
    await it.waits(30)


async def test_words_on_a_run_that_was_given_up_are_taken_back_when_it_goes_on() -> None:
    it = await given_up()
    it.world.engine.delete_error = WEBHOOK
    for _ in range(4):
        with pytest.raises(errors.ServerError):
            await it.waits(20)
    assert it.world.said(CONFIRMED).reason == "StillAlive"
    it.world.engine.change_error = it.world.engine.delete_error = None
    writes = it.world.journal.count("status")
    await it.waits(30)
    it.has(RESOLVING, marks=it.marks(), timeout="24h")
    await it.waits(1)
    back = it.world.status
    assert (back.failure_details, back.condition(CONFIRMED)) == (None, None)
    assert it.world.journal.count("status") == writes + 1
    await goes_on(it)
    assert "was deleted by somebody else" in await end_of_deleted(it)


async def test_words_on_a_run_stay_when_a_nudge_finds_that_it_is_gone() -> None:
    """Its deletion was taken, the answer lost, and the cache has not heard of it yet."""
    it = await given_up()
    it.world.engine.delete_error = errors.TransportError("lost")
    with pytest.raises(errors.TransportError):
        await it.waits(1)
    said = it.world.status.failure_details
    it.world.engine.live.clear()
    it.world.engine.change_error = answers.refusal(errors.NotFound)
    await it.waits(60)
    assert said is not None
    assert it.world.status.failure_details == said
    it.vanish()
    await it.reconcile()
    details = it.world.status.failure_details
    assert details is not None
    assert "did not resolve the pipeline" in details.message


async def test_nothing_is_left_of_a_deletion_that_was_lost_when_the_run_goes_on() -> None:
    it = await given_up()
    it.world.engine.delete_error = errors.TransportError("lost")
    with pytest.raises(errors.TransportError):
        await it.waits(1)
    it.world.engine.change_error = None
    await it.waits(60)
    await goes_on(it)
    assert "was deleted by somebody else" in await end_of_deleted(it)


async def test_words_on_a_run_that_was_given_up_stay_while_its_nudge_is_refused() -> None:
    """Though the time of its refusals begins anew, as when no controller ran for a while."""
    it = await given_up()
    await it.waits(2 * failures.SILENCE_S)
    assert DELETE not in it.world.journal
    assert it.world.status.failure_details is not None


@pytest.mark.parametrize("restarted", [True, False])
async def test_a_run_that_was_given_up_and_hangs_in_deletion_is_said_to_be_there(
    *, restarted: bool
) -> None:
    """No webhook that is back has it be nudged any more."""
    it = await given_up()
    await it.waits(1)
    assert DELETE in it.world.journal
    it.world.engine.change_error = None
    it.has(RESOLVING, timeout="24h", deleted=True)
    if restarted:
        it.mirror = running.Mirror(it.world.tools)
    await it.waits(stopping.DELETED_S)
    assert it.world.engine.changes == []
    said = it.world.said(CONFIRMED)
    assert (said.status, said.reason) == (ConditionStatus.FALSE, "StillAlive")
    assert it.world.status.failure_details is not None


async def test_a_run_that_somebody_deletes_is_not_nudged_nor_given_up() -> None:
    it = Unresolved()
    it.has(RESOLVING, timeout="24h", deleted=True)
    await it.waits(1300)
    assert it.world.status.condition(CONFIRMED) is None
    assert it.world.said(ConditionType.PROGRESSING).status is ConditionStatus.FALSE
    assert f"change {LOCK}" not in it.world.journal

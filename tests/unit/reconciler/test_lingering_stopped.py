"""Whether a failed run of which something was left is said to have been stopped."""

from __future__ import annotations

import pytest

from tests.unit.reconciler import fakes
from tests.unit.reconciler.lingering import FORCED, Lingering
from tests.unit.reconciler.mirrored import FAILURE, LOCK, later
from tests.unit.reconciler.test_stopped import CANCEL, CANCELLED, CANCELLED_RUN, CONFIRMED
from workflowexecution.api import names
from workflowexecution.api.status import ConditionStatus, Outcome, Phase
from workflowexecution.domain import stopping
from workflowexecution.reconciler import running
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime


async def test_cancelled_run_that_lingered_is_confirmed_when_it_is_gone() -> None:
    it = Lingering(spec=CANCEL)
    it.has(CANCELLED_RUN, marks={names.ANNOTATION_CANCEL_CAUSE: "user"})
    await it.reconcile()
    it.world.engine.gone = dict(it.world.engine.cached)
    it.vanish()
    await it.reconcile()
    said = it.world.said(CONFIRMED)
    assert (said.status, said.message) == (ConditionStatus.TRUE, CANCELLED)
    assert it.world.status.outcome == Outcome.CANCELLED


@pytest.mark.parametrize("seen_gone", [True, False])
@pytest.mark.parametrize("told", [True, False], ids=["told-to-end", "ended-by-itself"])
async def test_run_that_is_deleted_for_what_it_has_left_was_stopped_if_it_was_told_to_end(
    *, told: bool, seen_gone: bool
) -> None:
    """Also where the program begins anew, and has not seen it."""
    it = Lingering()
    marks = FORCED | {names.ANNOTATION_CANCEL_CAUSE: "deadline"} if told else {}
    it.has(CANCELLED_RUN if told else FAILURE, marks=marks)
    await it.reconcile()
    it.world.clock.advance(stopping.FORCED_S if told else stopping.LINGER_S)
    await later()
    await it.reconcile()
    assert f"delete {LOCK}" in it.world.journal
    it.world.engine.gone = dict(it.world.engine.cached) if seen_gone else {}
    it.vanish()
    it.mirror = running.Mirror(it.world.tools)
    assert await it.reconcile() == Result()
    said = it.world.said(CONFIRMED)
    answer = ("True", "Cancelled") if told else ("False", "Completed")
    assert (said.status, said.reason) == answer
    assert it.phase() is Phase.FAILED


@pytest.mark.parametrize("seen_gone", [True, False])
@pytest.mark.parametrize("deleted", [True, False], ids=["after-the-deletion", "before-it"])
async def test_cancel_of_a_run_that_had_come_to_its_own_end_has_stopped_nothing(
    *, deleted: bool, seen_gone: bool
) -> None:
    it = Lingering()
    it.has(FAILURE)
    await it.reconcile()
    wanted = it.world.writer.stored[fakes.KEY]["spec"]
    if not deleted:
        wanted |= CANCEL
        await it.reconcile()
    it.world.clock.advance(stopping.LINGER_S)
    await later()
    await it.reconcile()
    wanted |= CANCEL
    assert f"delete {LOCK}" in it.world.journal
    it.world.engine.gone = dict(it.world.engine.cached) if seen_gone else {}
    it.vanish()
    it.mirror = running.Mirror(it.world.tools)
    await it.reconcile()
    said = it.world.said(CONFIRMED)
    assert (said.status, said.reason) == ("False", "Completed")
    assert it.world.status.outcome == Outcome.FAILED


async def test_run_that_was_deleted_for_a_cancel_was_stopped_though_it_could_not_be_told() -> None:
    """It carries no mark, but its record was written before its deletion."""
    it = Lingering(spec=CANCEL)
    it.has(FAILURE)
    await it.reconcile()
    it.world.clock.advance(stopping.LINGER_S)
    await later()
    await it.reconcile()
    it.world.writer.stored[fakes.KEY]["status"]["failureDetails"]["reason"] = "Cancelled"
    it.vanish()
    it.mirror = running.Mirror(it.world.tools)
    await it.reconcile()
    said = it.world.said(CONFIRMED)
    assert (said.status, said.reason) == ("True", "Cancelled")

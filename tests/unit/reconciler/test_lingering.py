"""A run that Tekton calls failed while something of it is still there: no end, no waiting."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler.test_running import FAILURE, LOCK, REF, later
from tests.unit.reconciler.test_stopped import (
    CANCEL,
    CANCELLED,
    CANCELLED_RUN,
    CONFIRMED,
    Stopping,
)
from workflowexecution.api import names
from workflowexecution.api.status import ConditionStatus, Outcome, Phase
from workflowexecution.domain import stopping
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

WAITING = builders.step(ran=False, exit_code=1)


class Lingering(Stopping):
    """A failed run whose pod has not begun, and might."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401 - as Stopping
        super().__init__(**parts)
        condition = ("False", "CreateContainerConfigError", "configmap x not found")
        self.children = (builders.task(condition=condition, steps=[WAITING]),)
        self.world.engine.working = {REF["uid"]}

    def vanish(self) -> None:
        """The run goes with its pod, and nobody has seen it go."""
        self.world.engine.live.clear()
        self.world.engine.cached.clear()
        self.world.engine.working.clear()


async def test_what_is_known_is_written_down_at_first_sight() -> None:
    it = Lingering()
    it.has(FAILURE)
    await it.reconcile()
    now = it.world.status
    assert now.phase is Phase.RUNNING
    assert now.failure_details is not None
    assert now.failure_details.reason == "ConfigurationError"
    assert now.failure_details.was_execution_failure
    assert "may have run" in now.failure_details.natural_language_summary
    writes = it.world.journal.count("status")
    await it.reconcile()
    assert it.world.journal.count("status") == writes


async def test_run_is_deleted_when_it_lingers_for_a_minute() -> None:
    it = Lingering()
    it.has(FAILURE)
    await it.reconcile()
    it.world.clock.advance(stopping.LINGER_S)
    await later()
    await it.reconcile()
    assert f"delete {LOCK}" in it.world.journal
    assert it.phase() is Phase.RUNNING
    assert "was deleted" in it.world.said(CONFIRMED).message


async def test_end_is_what_was_written_down_when_the_run_is_gone() -> None:
    it = Lingering()
    it.has(FAILURE)
    await it.reconcile()
    it.vanish()
    assert await it.reconcile() == Result()
    now = it.world.status
    assert (now.phase, now.outcome) == (Phase.FAILED, Outcome.FAILED)
    assert now.failure_reason == "ConfigurationError"
    assert now.requires_manual_review


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


async def test_run_that_lingers_no_more_ends_by_itself() -> None:
    it = Lingering()
    it.has(FAILURE)
    await it.reconcile()
    it.world.engine.working.clear()
    assert await it.reconcile() == Result()
    now = it.world.status
    assert now.phase is Phase.FAILED
    assert now.failure_details is not None
    assert not now.failure_details.was_execution_failure

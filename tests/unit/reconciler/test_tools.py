"""What the phases share: a status is written once, and told of once it stands."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from workflowexecution.api.status import ConditionReason, ConditionStatus, ConditionType
from workflowexecution.domain import status
from workflowexecution.reconciler import tools
from workflowexecution.runtime import controller, errors

if TYPE_CHECKING:
    from workflowexecution.api import tekton

NOTE = status.Note(ConditionType.SUSPENDED, ConditionStatus.TRUE, ConditionReason.SUSPENDED)


class Heard:
    """A world with somebody listening."""

    def __init__(self) -> None:
        self.world = fakes.World()
        self.listener = fakes.Listener()
        self.tools = dataclasses.replace(self.world.tools, observers=(self.listener,))
        self.world.put()
        self.case = self.world.case()


async def test_observer_hears_of_a_status_that_stands() -> None:
    it = Heard()
    after = status.pending(it.case.status, it.case.moment, [NOTE])
    await tools.write(it.tools, it.case, after)
    (change,) = it.listener.heard
    assert (change.key, change.after, change.now) == (fakes.KEY, after, it.case.moment.now)
    assert change.execution.status == it.case.status


async def test_observer_hears_nothing_of_a_status_that_is_refused() -> None:
    it = Heard()
    it.world.writer.error = answers.refusal(errors.Conflict)
    with pytest.raises(errors.Conflict):
        await tools.write(it.tools, it.case, status.pending(it.case.status, it.case.moment, [NOTE]))
    assert it.listener.heard == []


async def test_observer_hears_nothing_when_nothing_changed() -> None:
    it = Heard()
    await tools.write(it.tools, it.case, it.case.status)
    assert it.world.journal == []
    assert it.listener.heard == []


DONE = ("True", "Succeeded", "")


@pytest.mark.parametrize(
    ("run", "tasks", "working", "live"),
    [
        pytest.param(builders.run(), [], False, True, id="not-done"),
        pytest.param(builders.run(condition=DONE), [builders.task()], False, True, id="task-open"),
        pytest.param(builders.run(condition=DONE), [builders.task(condition=DONE)], True, True,
                     id="pod-open"),
        pytest.param(builders.run(condition=DONE), [builders.task(condition=DONE)], False, False,
                     id="all-ended"),
    ],
)  # fmt: skip
async def test_a_run_is_live_while_anything_of_it_works(
    run: tekton.PipelineRun, tasks: list[tekton.TaskRun], working: bool, live: bool
) -> None:
    world = fakes.World()
    world.engine.live_tasks = tasks
    world.engine.working = {run.uid} if working else set()
    assert await tools.is_live(world.tools, run) is live


@pytest.mark.parametrize(
    ("results", "seconds"),
    [
        pytest.param([], None, id="none"),
        pytest.param([None, None], None, id="nobody-asks"),
        pytest.param([None, 5.0, 2.0], 2.0, id="the-first"),
        pytest.param([3.0, 0.0], 0.0, id="at-once"),
    ],
)
def test_what_asks_to_come_again_first_counts(
    results: list[float | None], seconds: float | None
) -> None:
    found = tools.sooner(*(controller.Result(requeue_after_s=it) for it in results))
    assert found.requeue_after_s == seconds


CLEARED = {"phase": "Failed", "blockClearance": {"clearedAt": builders.stamp()}}


@pytest.mark.parametrize("guarded", [True, False])
async def test_a_clearance_counts_only_while_its_giving_is_guarded(guarded: bool) -> None:
    world = fakes.World()
    world.guard.guarded = guarded
    (past,) = await tools.pasts(world.tools, [world.other("other", status=CLEARED)])
    assert (past.cleared_at is not None) is guarded


async def test_the_guard_is_asked_only_where_there_is_a_clearance() -> None:
    world = fakes.World()
    world.guard.error = errors.TransportError("away")
    others = [world.other("ended", status={"phase": "Failed"}), world.other("live")]
    assert [past.name for past in await tools.pasts(world.tools, others)] == ["ended"]

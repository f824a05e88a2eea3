"""A pending execution that is about to end unstarted asks first for the run of a former try."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from workflowexecution.api import names
from workflowexecution.api.status import ConditionStatus, ConditionType, Phase
from workflowexecution.domain import locking
from workflowexecution.reconciler import pending
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

LOCK = locking.run_name(builders.TARGET)
LABELS = {names.LABEL_TARGET: locking.target_label(LOCK)}
CLAIMED = {"finalizers": [names.FINALIZER], "labels": LABELS}
NEW = {"finalizers": [names.FINALIZER]}
CANCELLED = {"cancel": {"requestedBy": "ann", "reason": "wrong target"}}
REFUSED = {"parameters": {"TARGET_RESOURCE": "x"}}
QUOTA = answers.refusal(errors.Forbidden, "exceeded quota: q")
LOOK_AGAIN = Result(requeue_after_s=10.0, priority=queue.Priority.LOW)

ENDS = [
    pytest.param("cancelled", Phase.FAILED, id="cancelled"),
    pytest.param("refused", Phase.FAILED, id="refused"),
    pytest.param("forbidden-by-history", Phase.SKIPPED, id="history"),
    pytest.param("over-quota", Phase.FAILED, id="quota"),
]


def ending(why: str, metadata: dict[str, Any]) -> fakes.World:
    """An execution that is to end before its start, for a reason."""
    world = fakes.World()
    spec = {"cancelled": CANCELLED, "refused": REFUSED}.get(why, {})
    world.put(spec=spec, metadata=metadata, status={"phase": "Pending"})
    if why == "forbidden-by-history":
        run = {"name": LOCK, "uid": "earlier"}
        world.other("earlier", status={"phase": "Failed", "pipelineRunRef": run})
    if why == "over-quota":
        world.engine.create_error = QUOTA
    return world


async def reconcile(world: fakes.World) -> Result:
    return await pending.Start(world.tools).reconcile(world.case())


@pytest.mark.parametrize(("why", "_phase"), ENDS)
async def test_a_run_that_only_the_server_knows_is_taken_on(why: str, _phase: Phase) -> None:
    """Its create was done and its answer lost, and the watch of runs is late."""
    world = ending(why, CLAIMED)
    world.engine.live[LOCK] = builders.run()
    assert await reconcile(world) == Result(requeue_after_s=0.0)
    assert world.status.phase is Phase.RUNNING
    assert world.status.pipeline_run_ref is not None
    assert world.status.pipeline_run_ref.uid == builders.run().uid


@pytest.mark.parametrize(("why", "phase"), ENDS)
@pytest.mark.parametrize("owner", ["", "other"], ids=["no-run", "run-of-another"])
async def test_it_ends_when_there_is_no_run_of_it(why: str, phase: Phase, owner: str) -> None:
    world = ending(why, CLAIMED)
    if owner:
        world.engine.live[LOCK] = builders.run(owner=owner)
    assert await reconcile(world) == Result()
    assert world.status.phase is phase


@pytest.mark.parametrize(("why", "phase"), ENDS)
async def test_nobody_is_asked_for_a_run_of_one_that_was_never_claimed(
    why: str, phase: Phase
) -> None:
    world = ending(why, NEW)
    await reconcile(world)
    assert world.status.phase is phase
    # A create that is forbidden asks whether the place as a whole is.
    assert world.journal.count("read") == (1 if why == "over-quota" else 0)


@pytest.mark.parametrize("why", ["cancelled", "refused"])
async def test_it_waits_for_the_api_that_may_hold_its_run(why: str) -> None:
    world = ending(why, CLAIMED)
    world.engine.away = "no Tekton"
    assert await reconcile(world) == LOOK_AGAIN
    assert world.status.phase is Phase.PENDING
    assert world.said(ConditionType.ENGINE_AVAILABLE).status is ConditionStatus.FALSE


@pytest.mark.parametrize(("why", "_phase"), ENDS)
async def test_it_stays_as_it_is_while_its_run_cannot_be_read(why: str, _phase: Phase) -> None:
    world = ending(why, CLAIMED)
    world.engine.read_error = errors.TransportError("away")
    with pytest.raises(errors.TransportError):
        await reconcile(world)
    assert world.status.phase is Phase.PENDING

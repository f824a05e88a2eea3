"""What kept an execution waiting is not said for good: it ends, or waits for something else."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.unit.reconciler import answers, deletions, fakes
from workflowexecution.api import names
from workflowexecution.api.status import ConditionType, Phase
from workflowexecution.domain import locking
from workflowexecution.reconciler import pending
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from workflowexecution.api.status import Status

LOCK = locking.run_name(builders.TARGET)
CANCEL = {"cancel": {"requestedBy": "ann", "reason": "wrong target"}}
SUSPENDED, ENGINE, LOCKED = "Suspended", "EngineAvailable", "ResourceLocked"
CREATED = "TektonPipelineCreated"


async def kept_waiting(by: str) -> fakes.World:
    world = fakes.World(suspend=by == SUSPENDED)
    world.put()
    world.engine.away = "no Tekton" if by == ENGINE else ""
    if by == LOCKED:
        over = ("True", "Succeeded", "")
        world.engine.live[LOCK] = builders.run(owner="other", condition=over)
    await pending.Start(world.tools).reconcile(world.case())
    assert world.status.phase is Phase.PENDING
    assert list(said(world.status)) == [by]
    return world


def said(status: Status) -> dict[str, tuple[str, str]]:
    return {it.type: (it.status, it.reason) for it in status.conditions or ()}


OVER = pytest.mark.parametrize(
    ("by", "answer"), [(SUSPENDED, "False"), (ENGINE, "Unknown"), (LOCKED, "False")]
)


@OVER
async def test_one_that_is_cancelled_waits_no_more(by: str, answer: str) -> None:
    world = await kept_waiting(by)
    world.engine.away = ""
    world.writer.stored[fakes.KEY]["spec"] |= CANCEL
    await pending.Start(world.tools).reconcile(world.case())
    assert world.status.phase is Phase.FAILED
    assert said(world.status)[by] == (answer, "Completed")
    assert said(world.status)["Ready"] == ("False", "Cancelled")


@OVER
async def test_one_that_is_skipped_waits_no_more(by: str, answer: str) -> None:
    world = await kept_waiting(by)
    world.engine.away = ""
    world.policy = fakes.World().policy
    world.engine.live[LOCK] = builders.run(owner="other")
    await pending.Start(world.tools).reconcile(world.case())
    assert world.status.phase is Phase.SKIPPED
    busy = ("True", "TargetResourceBusy")
    assert said(world.status)[by] == (busy if by == LOCKED else (answer, "Completed"))
    assert said(world.status)[LOCKED] == busy


@OVER
async def test_one_that_is_deleted_waits_no_more(by: str, answer: str) -> None:
    world = await kept_waiting(by)
    world.engine.away = ""
    world.engine.live.clear()
    metadata = world.writer.stored[fakes.KEY]["metadata"]
    metadata |= {"deletionTimestamp": builders.stamp(), "finalizers": [names.FINALIZER]}
    await deletions.reconcile(world)
    assert world.status.phase is Phase.FAILED
    assert said(world.status)[by] == (answer, "Completed")


WAITS = {
    SUSPENDED: ("True", "Suspended"),
    ENGINE: ("False", "EngineUnavailable"),
    LOCKED: ("False", "Releasing"),
    CREATED: ("False", "PipelineCreationFailed"),
}


def keep_waiting(world: fakes.World, by: str) -> None:
    """Nothing but this keeps it from now on."""
    engine, over = world.engine, ("True", "Succeeded", "")
    world.policy = fakes.World(suspend=by == SUSPENDED).policy
    engine.away = "no Tekton" if by == ENGINE else ""
    engine.live = {LOCK: builders.run(owner="other", condition=over)} if by == LOCKED else {}
    broken = answers.refusal(errors.ServerError, "failed calling webhook")
    engine.create_error = broken if by == CREATED else None


@pytest.mark.parametrize("by", WAITS)
@pytest.mark.parametrize("before", [SUSPENDED, ENGINE, LOCKED])
async def test_one_that_waits_for_something_else_says_so_in_one_write(before: str, by: str) -> None:
    world = await kept_waiting(before)
    start = pending.Start(world.tools)
    keep_waiting(world, by)
    for _ in range(2):
        with contextlib.suppress(errors.ServerError):
            await start.reconcile(world.case())
    suspended = "Unknown" if by == ENGINE else "False"
    no_more = {
        SUSPENDED: (suspended, WAITS[by][1]),
        ENGINE: ("True", "EngineAvailable"),
        LOCKED: ("Unknown", WAITS[by][1]),
    }
    assert said(world.status) == {before: no_more[before]} | {by: WAITS[by]}
    assert world.journal.count("status") == (1 if by == before else 2)


async def test_one_that_is_deleted_is_not_said_to_have_no_run_while_nobody_knows() -> None:
    world = await kept_waiting(LOCKED)
    world.engine.live.clear()
    world.engine.create_error = errors.TransportError("lost")
    world.engine.create_lands = True
    world.engine.read_error = errors.TransportError("lost")
    with pytest.raises(errors.TransportError):
        await pending.Start(world.tools).reconcile(world.case())
    assert LOCK in world.engine.live
    metadata = world.writer.stored[fakes.KEY]["metadata"]
    metadata |= {"deletionTimestamp": builders.stamp()}
    world.clock.advance(700)
    await deletions.reconcile(world)
    assert world.status.phase is Phase.FAILED
    assert said(world.status)[LOCKED] == ("False", "Releasing")
    assert "whether a run of it was created is not known" in str(world.status.message)


async def tried_in_vain(*, waits: bool) -> fakes.World:
    """One whose create has failed, and that waits for something else since."""
    world = fakes.World()
    world.put()
    start = pending.Start(world.tools)
    world.engine.create_error = answers.refusal(errors.ServerError, "failed calling webhook")
    with pytest.raises(errors.ServerError):
        await start.reconcile(world.case())
    if waits:
        world.engine.away = "no Tekton"
        await start.reconcile(world.case())
        world.engine.away = ""
    return world


HOW = pytest.mark.parametrize(
    ("waits", "reason", "words"),
    [(True, "Completed", "ended without a run"), (False, "PipelineCreationFailed", "webhook")],
    ids=["waits", "failed"],
)


@HOW
@pytest.mark.parametrize("end", [Phase.SKIPPED, Phase.FAILED], ids=["skipped", "deleted"])
async def test_its_create_waits_no_more_and_says_what_it_failed_of(
    end: Phase, reason: str, words: str, *, waits: bool
) -> None:
    world = await tried_in_vain(waits=waits)
    if end is Phase.SKIPPED:
        world.other("older", status={"phase": "Running"})
        await pending.Start(world.tools).reconcile(world.case())
    else:
        metadata = world.writer.stored[fakes.KEY]["metadata"]
        metadata |= {"deletionTimestamp": builders.stamp()}
        await deletions.reconcile(world)
    assert world.status.phase is end
    created = world.said(ConditionType.TEKTON_PIPELINE_CREATED)
    assert (created.status, created.reason) == ("False", reason)
    assert words in created.message


async def test_what_was_never_said_is_not_said_at_the_end() -> None:
    world = fakes.World()
    world.put(spec=CANCEL)
    await pending.Start(world.tools).reconcile(world.case())
    assert set(said(world.status)) == {ConditionType.TEKTON_PIPELINE_CREATED, ConditionType.READY}

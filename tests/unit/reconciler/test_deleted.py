"""An execution that somebody deletes."""

from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.api import names
from workflowexecution.api.status import ConditionType, FailureReason, Outcome, Phase
from workflowexecution.domain import locking, status
from workflowexecution.reconciler import deleted
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result

LOCK = locking.run_name(builders.TARGET)
DELETE = f"delete {LOCK}"
AT_ONCE = Result(requeue_after_s=0.0, priority=queue.Priority.HIGH)
LATER = Result(requeue_after_s=deleted.LOOK_AGAIN_S, priority=queue.Priority.LOW)
RUN = builders.run()
GOING = builders.run(
    metadata=builders.raw_run()["metadata"] | {"deletionTimestamp": builders.stamp()}
)
REF = {"name": LOCK, "namespace": "kubernaut-workflows", "uid": RUN.uid}


def world(
    said: dict[str, Any] | None = None, *, finalizers: tuple[str, ...] = (names.FINALIZER,)
) -> fakes.World:
    made = fakes.World(deletion_give_up_s=600.0)
    metadata = {"deletionTimestamp": builders.stamp(), "finalizers": list(finalizers)}
    made.put(metadata=metadata, status=said or {"phase": "Completed"})
    return made


async def reconcile(made: fakes.World) -> Result:
    return await deleted.reconcile(made.tools, made.sync())


def finalizers(made: fakes.World) -> object:
    return made.writer.stored[fakes.KEY]["metadata"].get("finalizers")


async def test_one_that_nothing_of_ours_holds_is_left_alone() -> None:
    made = world(finalizers=("other/one",))
    assert await reconcile(made) == Result()
    assert made.journal == []


async def test_one_without_a_run_is_released() -> None:
    made = world(finalizers=("other/one", names.FINALIZER, names.LEGACY_FINALIZER))
    assert await reconcile(made) == Result()
    assert made.journal == ["read", "patch"]
    assert finalizers(made) == ["other/one"]


@pytest.mark.parametrize("claimed", [False, True])
async def test_one_that_was_never_claimed_goes_without_the_engine(claimed: bool) -> None:
    made = world()
    metadata = made.writer.stored[fakes.KEY]["metadata"]
    metadata["labels"] = {names.LABEL_TARGET: "x"} if claimed else {}
    made.engine.read_error = fakes.refusal(errors.EndpointMissing)
    if claimed:
        with pytest.raises(errors.EndpointMissing):
            await reconcile(made)
    else:
        await reconcile(made)
    assert (finalizers(made) is None) is not claimed


async def test_its_run_is_deleted_and_waited_for_first() -> None:
    made = world()
    made.engine.show(RUN)
    assert await reconcile(made) == LATER
    made.engine.show(GOING)
    assert await reconcile(made) == LATER
    assert made.journal == [DELETE]
    made.engine.cached.clear()
    made.engine.live.clear()
    assert await reconcile(made) == Result()
    assert finalizers(made) is None


async def test_a_run_that_the_cache_lacks_is_deleted_too() -> None:
    made = world()
    made.engine.live[LOCK] = RUN
    assert await reconcile(made) == LATER
    assert made.journal == ["read", DELETE]


async def test_the_run_of_another_is_never_touched() -> None:
    made = world()
    made.engine.live[LOCK] = builders.run(owner="other")
    assert await reconcile(made) == Result()
    assert made.journal == ["read", "patch"]


@pytest.mark.parametrize("phase", ["", "Pending"])
async def test_one_that_was_never_started_is_said_to_be_cancelled(phase: str) -> None:
    made = world({"phase": phase})
    assert await reconcile(made) == AT_ONCE
    assert made.journal == ["read", "status"]
    found = made.status
    assert (found.phase, found.outcome) == (Phase.FAILED, Outcome.CANCELLED)
    assert (found.failure_reason, found.requires_manual_review) == (FailureReason.CANCELLED, False)
    assert found.message == "The execution was deleted before it had ended"
    assert status.condition(found, ConditionType.TEKTON_PIPELINE_COMPLETE) is None
    assert await reconcile(made) == Result()
    assert finalizers(made) is None


@pytest.mark.parametrize("there", [True, False], ids=["run-there", "run-gone"])
async def test_one_that_was_started_proves_nothing(there: bool) -> None:
    made = world({"phase": "Running", "pipelineRunRef": REF, "message": "going on"})
    if there:
        made.engine.show(RUN)
    assert await reconcile(made) == AT_ONCE
    found = made.status
    assert (found.outcome, found.failure_reason) == (Outcome.CANCELLED, FailureReason.CANCELLED)
    assert found.requires_manual_review
    said = "The execution was deleted before it had ended, and its run with it"
    assert found.message == said
    assert made.said(ConditionType.TEKTON_PIPELINE_COMPLETE).reason == "PipelineFailed"


async def test_one_with_an_odd_spec_is_let_go_as_well() -> None:
    made = world({"phase": "Pending"})
    made.writer.stored[fakes.KEY]["spec"] = 7
    assert await reconcile(made) == AT_ONCE
    assert made.status.phase is Phase.FAILED


async def test_it_waits_while_nothing_is_known_of_its_run() -> None:
    made = world()
    made.engine.read_error = errors.TransportError("away")
    made.clock.advance(540)
    with pytest.raises(errors.TransportError):
        await reconcile(made)
    assert finalizers(made) == [names.FINALIZER]
    made.clock.advance(1)
    assert await reconcile(made) == Result()
    assert finalizers(made) is None


async def test_it_does_not_wait_for_ever_for_its_run_to_go() -> None:
    made = world()
    made.engine.show(GOING)
    made.clock.advance(540)
    assert await reconcile(made) == LATER
    made.clock.advance(1)
    assert await reconcile(made) == Result()
    assert made.journal == ["patch"]


async def test_a_run_is_deleted_once_however_late_it_is() -> None:
    made = world()
    made.engine.show(RUN)
    made.clock.advance(10**6)
    assert await reconcile(made) == LATER
    assert made.journal == [DELETE]


@pytest.mark.parametrize("kind", [errors.Conflict, errors.Throttled])
async def test_a_passing_refusal_releases_nothing_however_late_it_is(
    kind: type[errors.ApiError],
) -> None:
    made = world()
    made.engine.show(RUN)
    made.engine.delete_error = fakes.refusal(kind)
    made.clock.advance(10**6)
    with pytest.raises(kind):
        await reconcile(made)
    assert made.journal == [DELETE]


async def test_a_deletion_time_that_cannot_be_read_is_never_overdue() -> None:
    made = world()
    made.writer.stored[fakes.KEY]["metadata"]["deletionTimestamp"] = "soon"
    made.engine.show(GOING)
    made.clock.advance(10**6)
    assert await reconcile(made) == LATER

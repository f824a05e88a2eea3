"""An execution whose run is in another namespace than runs are looked for: nobody knows of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog import testing

from tests import builders
from tests.unit.reconciler import deletions, fakes
from tests.unit.reconciler.deletions import finalizers
from tests.unit.reconciler.mirrored import REF, Running
from tests.unit.reconciler.test_vanished import AWAY
from workflowexecution.api import names
from workflowexecution.api.status import ConditionStatus, ConditionType, Phase
from workflowexecution.domain import locking, pipelinerun
from workflowexecution.reconciler import admission, ended, failures, pending
from workflowexecution.runtime import errors, resource
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

FORMER = REF | {"namespace": "former"}
WHY = (
    "Its run was made in namespace 'former', which is not looked into: "
    "execution.namespace is 'kubernaut-workflows'"
)
WORKS = {"phase": "Running", "startTime": builders.stamp(), "pipelineRunRef": FORMER}
MAY_BE = "A run of it may have been" + WHY.removeprefix("Its run was")
LOCK = locking.run_name(builders.TARGET)
MARKS = {
    names.ANNOTATION_CLAIMED: f"restart-payment/{fakes.UID}",
    names.ANNOTATION_CLAIMED_IN: "former",
}
CLAIMED = {
    "finalizers": [names.FINALIZER],
    "labels": {names.LABEL_TARGET: locking.target_label(LOCK)},
    "annotations": MARKS,
}
PENDING = {"phase": "Pending"}
HELD = {"finalizers": [names.FINALIZER]}


async def test_a_running_one_waits_and_says_why_and_asks_for_nothing() -> None:
    it = Running(pipelineRunRef=FORMER)
    assert [await it.reconcile() for _ in range(3)] == [AWAY] * 3
    assert it.phase() is Phase.RUNNING
    said = it.world.said(ConditionType.ENGINE_AVAILABLE)
    assert (said.status, said.message) == (ConditionStatus.FALSE, WHY)
    assert it.world.journal == ["status"]


async def test_it_goes_on_where_its_run_is_looked_for_again() -> None:
    it = Running(pipelineRunRef=FORMER)
    await it.reconcile()
    defaults = pipelinerun.Defaults("former", fakes.ACCOUNT, 1800.0)
    it.world.policy = fakes.World(defaults=defaults).policy
    assert await it.reconcile() == Result()
    assert it.phase() is Phase.FAILED


async def test_nothing_starts_beside_it_and_a_person_is_needed() -> None:
    world = fakes.World()
    world.other("first", status=WORKS)
    world.put()
    await pending.Start(world.tools).reconcile(world.case())
    assert "create" not in world.journal
    details = world.status.skip_details
    assert details is not None
    assert (details.reason, details.retry_at) == ("ResourceBusy", None)
    assert f"payment/first through PipelineRun former/{REF['name']}" in details.message


async def test_a_holder_of_another_installation_is_ended_by_that_one() -> None:
    world = fakes.World()
    other = {"labels": {names.LABEL_INSTANCE: "blue"}}
    world.other("first", metadata=other, status=WORKS)
    world.put()
    await pending.Start(world.tools).reconcile(world.case())
    details = world.status.skip_details
    assert details is not None
    assert (details.reason, details.retry_at is None) == ("ResourceBusy", False)


async def test_an_ended_one_keeps_its_finalizer_and_that_is_logged_once() -> None:
    world = fakes.World()
    done = {"phase": "Completed", "completionTime": builders.stamp(), "pipelineRunRef": FORMER}
    world.put(metadata=HELD, status=done)
    world.clock.advance(10**6)
    retention = ended.Retention(world.tools)
    with testing.capture_logs() as lines:
        assert [await retention.reconcile(world.sync()) for _ in range(2)] == [Result()] * 2
    assert world.journal == []
    kept = "Finalizers of ended executions are kept"
    assert [(it["event"], it["reason"]) for it in lines] == [(kept, WHY)]


@pytest.mark.parametrize("said", [WORKS, WORKS | {"phase": "Failed"}], ids=["running", "ended"])
async def test_a_deleted_one_is_let_go_when_it_is_given_up_and_that_is_told(
    said: dict[str, Any],
) -> None:
    made, failing = deletions.world(said), failures.Failures()

    async def fails() -> None:
        with pytest.raises(errors.ClusterError, match="Its run was made in namespace 'former'"):
            await deletions.reconcile(made, failing)

    if said["phase"] == "Running":
        await deletions.reconcile(made, failing)
        assert made.status.phase is Phase.FAILED
        assert made.status.requires_manual_review
        assert "what has become of its run is not known" in str(made.status.message)
    await fails()
    made.clock.advance(600)
    for _ in range(2):
        await fails()
        made.clock.advance(30)
    assert made.metrics.counted == []
    assert finalizers(made) == [names.FINALIZER]
    assert await deletions.reconcile(made, failing) == Result()
    assert finalizers(made) is None
    ((_, kind, reason, message),) = made.events.said
    assert (reason, kind) == ("CleanupFailed", "Warning")
    assert f"Released without PipelineRun former/{REF['name']} being deleted: {WHY}" in message
    assert made.metrics.counted == ["deletion_given_up"]


async def test_what_carries_its_name_and_labels_here_is_ended_with_it_first() -> None:
    made = deletions.world(WORKS | {"phase": "Failed"})
    copy = builders.run(condition=("True", "Succeeded", ""), metadata={"uid": "another"})
    made.engine.live[deletions.LOCK] = copy
    assert await deletions.reconcile(made) == deletions.LATER
    assert made.journal == ["read", deletions.DELETE]
    assert finalizers(made) == [names.FINALIZER]


@pytest.mark.parametrize(
    ("spec", "blocked"),
    [
        pytest.param({}, False, id="to-start"),
        pytest.param({"cancel": {"requestedBy": "ann", "reason": "r"}}, False, id="cancelled"),
        pytest.param({"parameters": {"TARGET_RESOURCE": "x"}}, False, id="refused"),
        pytest.param({}, True, id="to-skip"),
    ],
)
async def test_a_pending_one_waits_where_a_run_of_it_may_be(
    spec: dict[str, Any], *, blocked: bool
) -> None:
    world = fakes.World()
    world.put(spec=spec, metadata=CLAIMED, status=PENDING)
    if blocked:
        world.other("earlier", status={"phase": "Failed", "pipelineRunRef": REF | {"uid": "e"}})
    world.engine.copied = [builders.run(metadata={"name": "copy", "uid": "copy"})]
    assert [await pending.Start(world.tools).reconcile(world.case()) for _ in range(2)] == [
        AWAY
    ] * 2
    assert world.status.phase is Phase.PENDING
    said = world.said(ConditionType.ENGINE_AVAILABLE)
    assert (said.status, said.message) == (ConditionStatus.FALSE, MAY_BE)
    assert world.journal == ["status"]


async def test_a_run_of_it_that_is_here_is_taken_on_all_the_same() -> None:
    world = fakes.World()
    world.put(metadata=CLAIMED, status=PENDING)
    world.engine.show(builders.run())
    await pending.Start(world.tools).reconcile(world.case())
    assert world.status.phase is Phase.RUNNING


@pytest.mark.parametrize(
    "marks",
    [
        pytest.param({}, id="before-there-were-marks"),
        pytest.param(MARKS | {names.ANNOTATION_CLAIMED: "other/another"}, id="of-another"),
        pytest.param(MARKS | {names.ANNOTATION_CLAIMED_IN: "kubernaut-workflows"}, id="here"),
    ],
)
async def test_one_that_was_not_claimed_elsewhere_starts_here(marks: dict[str, str]) -> None:
    world = fakes.World()
    world.put(metadata=CLAIMED | {"annotations": marks}, status=PENDING)
    await pending.Start(world.tools).reconcile(world.case())
    assert world.status.phase is Phase.RUNNING
    written = world.writer.stored[fakes.KEY]["metadata"]["annotations"]
    assert written[names.ANNOTATION_CLAIMED_IN] == "kubernaut-workflows"
    assert world.journal == ["patch", "create", "status"]


async def test_one_made_out_of_an_old_one_starts_here_though_it_had_to_wait_first() -> None:
    world = fakes.World(suspend=True)
    world.put(metadata={"annotations": MARKS | {names.ANNOTATION_CLAIMED: "other/another"}})
    start = pending.Start(world.tools)
    await start.reconcile(world.case())
    held = world.writer.stored[fakes.KEY]["metadata"]["annotations"]
    assert held == {names.ANNOTATION_CLAIMED: MARKS[names.ANNOTATION_CLAIMED]}
    world.policy = fakes.World().policy
    await start.reconcile(world.case())
    assert world.status.phase is Phase.RUNNING
    written = world.writer.stored[fakes.KEY]["metadata"]["annotations"]
    assert written[names.ANNOTATION_CLAIMED_IN] == "kubernaut-workflows"


async def test_a_restored_one_is_refused_wherever_its_former_run_was() -> None:
    world = fakes.World()
    marks = MARKS | {names.ANNOTATION_CLAIMED: "restart-payment/another"}
    world.put(metadata=CLAIMED | {"annotations": marks})
    await pending.Start(world.tools).reconcile(world.case())
    assert world.status.phase is Phase.FAILED


@pytest.mark.parametrize("created", [-1, 1], ids=["older", "younger"])
async def test_one_whose_run_may_be_elsewhere_holds_its_target(created: int) -> None:
    world = fakes.World()
    marks = MARKS | {names.ANNOTATION_CLAIMED: "first/uid-first"}
    metadata = {"annotations": marks, "creationTimestamp": builders.stamp(created)}
    world.other("first", metadata=metadata, status=PENDING)
    world.put()
    start = pending.Start(world.tools)
    await start.reconcile(world.case())
    await asyncio.sleep(6)
    await start.reconcile(world.case())
    assert "create" not in world.journal
    details = world.status.skip_details
    assert details is not None
    assert (details.reason, details.retry_at) == ("ResourceBusy", None)


async def test_one_that_only_a_late_cache_has_elsewhere_is_looked_at_again() -> None:
    world = fakes.World()
    marks = MARKS | {names.ANNOTATION_CLAIMED: "first/uid-first"}
    metadata = {"annotations": marks, "creationTimestamp": builders.stamp(1)}
    world.other("first", metadata=metadata, status=PENDING)
    del world.writer.stored[resource.ObjectKey("payment", "first")]
    world.put()
    result = await pending.Start(world.tools).reconcile(world.case())
    assert result.requeue_after_s == admission.STALE_S
    assert world.journal == ["read execution"]


async def test_a_deleted_pending_one_is_given_up_and_that_is_told() -> None:
    made, failing = fakes.World(deletion_give_up_s=600.0), failures.Failures()
    made.put(metadata=CLAIMED | {"deletionTimestamp": builders.stamp()}, status=PENDING)

    async def fails() -> None:
        with pytest.raises(
            errors.ClusterError, match="A run of it may have been made in namespace 'former'"
        ):
            await deletions.reconcile(made, failing)

    await fails()
    made.clock.advance(600)
    await deletions.reconcile(made, failing)
    assert "whether a run of it was created is not known" in str(made.status.message)
    for _ in range(2):
        await fails()
        made.clock.advance(30)
    assert finalizers(made) == [names.FINALIZER]
    await deletions.reconcile(made, failing)
    assert finalizers(made) is None
    assert made.metrics.counted == ["deletion_given_up"]


async def test_one_that_had_ended_without_a_run_goes_at_once_when_it_is_deleted() -> None:
    made = fakes.World(deletion_give_up_s=600.0)
    ended_before = {"phase": "Failed", "completionTime": builders.stamp(-1)}
    made.put(metadata=CLAIMED | {"deletionTimestamp": builders.stamp()}, status=ended_before)
    assert await deletions.reconcile(made) == Result()
    assert finalizers(made) is None

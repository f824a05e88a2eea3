"""The name of the run is taken when it is to be created."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from workflowexecution.api import names, tekton
from workflowexecution.api.status import (
    ConditionReason,
    ConditionStatus,
    ConditionType,
    Phase,
    SkipReason,
)
from workflowexecution.domain import locking
from workflowexecution.reconciler import admission, collision
from workflowexecution.runtime import errors, queue, resource
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

LOCK = locking.run_name(builders.TARGET)
PLACE = f"kubernaut-workflows/{LOCK}"
OVER = ("True", "Succeeded", "Tasks Completed: 1")
WORKING = builders.run(owner="other")
KEPT = builders.run(owner="other", condition=OVER)
LOOKED = ["read", "read_children", "has_live_pods", "read execution"]
ENDED: dict[str, Any] = {"phase": "Completed", "completionTime": builders.stamp(-600)}
RELEASING = Result(requeue_after_s=collision.RELEASING_S, priority=queue.Priority.NORMAL)


class Taken:
    """An execution whose claim stands, and the run that it meets under the name of its own."""

    def __init__(self, run: tekton.PipelineRun | None, owner: dict[str, Any] | None = None) -> None:
        self.world = fakes.World()
        self.world.put()
        if owner is not None:
            self.world.other("other", status=owner)
        if run is not None:
            self.world.engine.live[LOCK] = run
        self.collision = collision.Collision(
            self.world.tools, admission.Admission(self.world.tools)
        )

    async def meet(self) -> Result:
        case = self.world.case()
        version = await self.world.writer.patch(
            fakes.KEY, {"metadata": {"annotations": {"a": "1"}}}, resource_version="1"
        )
        self.world.journal.clear()
        return await self.collision.meet(case, version)

    def skipped(self) -> SkipReason | None:
        details = self.world.status.skip_details
        return details.reason if details else None


async def test_it_comes_again_when_the_name_is_free_by_now() -> None:
    it = Taken(None)
    again = Result(requeue_after_s=collision.GONE_AGAIN_S, priority=queue.Priority.HIGH)
    assert await it.meet() == again
    assert it.world.journal == ["read"]


@pytest.mark.parametrize(
    "run", [builders.run(), builders.run(condition=OVER)], ids=["working", "ended"]
)
async def test_a_run_of_its_own_is_taken_on(run: tekton.PipelineRun) -> None:
    it = Taken(run)
    assert await it.meet() == Result(requeue_after_s=0.0)
    assert it.world.journal == ["read", "status"]
    assert it.world.status.phase is Phase.RUNNING
    ref = it.world.status.pipeline_run_ref
    assert ref is not None
    assert ref.uid == run.uid


async def test_a_run_of_its_name_but_another_uid_is_not_its_own() -> None:
    """As of an execution that was deleted and made anew under the same name."""
    labels = builders.raw_run()["metadata"]["labels"] | {names.LABEL_EXECUTION_UID: "uid-former"}
    it = Taken(builders.run(metadata={"labels": labels}))
    await it.meet()
    assert it.skipped() is SkipReason.RESOURCE_BUSY


@pytest.mark.parametrize(
    ("run", "owner", "counted"),
    [
        pytest.param(WORKING, {"phase": "Running"}, [], id="live-of-another"),
        pytest.param(WORKING, None, [], id="live-of-one-that-is-gone"),
        pytest.param(WORKING, ENDED, [], id="live-of-one-that-is-over"),
        pytest.param(builders.run(metadata={"labels": {}}), None, ["foreign_run_met"],
                     id="live-of-nobody"),
        pytest.param(builders.run(metadata={"labels": {}}, condition=OVER), None,
                     ["foreign_run_met"], id="ended-of-nobody"),
    ],
)  # fmt: skip
async def test_a_run_that_is_not_known_to_be_over_skips_it(
    run: tekton.PipelineRun, owner: dict[str, Any] | None, counted: list[str]
) -> None:
    it = Taken(run, owner)
    assert await it.meet() == Result()
    assert it.skipped() is SkipReason.RESOURCE_BUSY
    assert it.world.metrics.counted == counted
    assert it.world.journal == ["read", "status"]


@pytest.mark.parametrize("what", ["task", "pod", "execution"])
async def test_a_run_that_tekton_calls_done_is_live_while_anything_of_it_is(what: str) -> None:
    """Tekton says "done" while tasks that were cancelled or timed out still work."""
    owner = {"phase": "Running"} if what == "execution" else ENDED
    it = Taken(KEPT, owner)
    if what == "task":
        it.world.engine.live_tasks = [builders.task(owner="other")]
    if what == "pod":
        it.world.engine.working = {KEPT.uid}
    assert await it.meet() == Result()
    assert it.skipped() is SkipReason.RESOURCE_BUSY


@pytest.mark.parametrize(
    "owner",
    [
        pytest.param(ENDED, id="over"),
        pytest.param(ENDED | {"phase": "Skipped"}, id="never-its-own-run"),
        pytest.param(None, id="gone"),
    ],
)
async def test_a_kept_run_makes_room(owner: dict[str, Any] | None) -> None:
    it = Taken(KEPT, owner)
    it.world.engine.live_tasks = [builders.task(condition=OVER, owner="other")]
    assert await it.meet() == RELEASING
    assert it.world.journal == [*LOOKED, "list target", f"delete {LOCK}", "status"]
    assert it.world.metrics.counted == ["lock_evicted"]
    assert it.world.status.phase is Phase.PENDING
    said = it.world.said(ConditionType.RESOURCE_LOCKED)
    assert (said.status, said.reason) == (ConditionStatus.FALSE, ConditionReason.RELEASING)
    assert said.message == f"PipelineRun {PLACE} has ended and is being deleted"


async def test_a_kept_run_of_a_namesake_of_its_execution_makes_room() -> None:
    it = Taken(KEPT)
    it.world.other("other", status={"phase": "Running"}, metadata={"uid": "new"}, spec={
        "targetResource": "node/a"
    })  # fmt: skip
    assert await it.meet() == RELEASING


async def test_a_kept_run_that_is_going_is_deleted_once_and_told_of_once() -> None:
    going = builders.run(
        owner="other", condition=OVER, metadata={"deletionTimestamp": builders.stamp()}
    )
    it = Taken(going, ENDED)
    assert await it.meet() == RELEASING
    assert "status" in it.world.journal
    assert f"delete {LOCK}" not in it.world.journal
    assert it.world.metrics.counted == []
    again = it.world.case()
    it.world.journal.clear()
    assert await it.collision.meet(again, again.seen.resource_version) == RELEASING
    assert it.world.journal == [*LOOKED, "list target"]


@pytest.mark.parametrize(
    ("owner", "reason"),
    [
        pytest.param({"phase": "Completed", "completionTime": builders.stamp()},
                     SkipReason.RECENTLY_REMEDIATED, id="cooling-down"),
        pytest.param({"phase": "Failed", "completionTime": builders.stamp(),
                      "pipelineRunRef": {"name": LOCK}},
                     SkipReason.PREVIOUS_EXECUTION_FAILED, id="blocked"),
    ],
)  # fmt: skip
async def test_history_is_asked_again_before_a_kept_run_is_deleted(
    owner: dict[str, Any], reason: SkipReason
) -> None:
    """The cache that let it come so far may be behind: the server's list decides."""
    it = Taken(KEPT, owner)
    it.world.executions.remove(resource.ObjectKey("payment", "other"))
    assert await it.meet() == Result()
    assert it.skipped() is reason
    assert f"delete {LOCK}" not in it.world.journal


async def test_a_target_that_another_runs_on_by_now_is_not_freed() -> None:
    it = Taken(KEPT, ENDED)
    it.world.other("third", status={"phase": "Running"})
    assert await it.meet() == Result()
    assert it.skipped() is SkipReason.RESOURCE_BUSY
    assert f"delete {LOCK}" not in it.world.journal


@pytest.mark.parametrize("where", ["engine", "reader"])
async def test_nothing_is_free_because_the_server_does_not_answer(where: str) -> None:
    it = Taken(KEPT, ENDED)
    lost = errors.TransportError("away")
    if where == "engine":
        it.world.engine.read_error = lost
    else:
        it.world.reader.error = lost
    with pytest.raises(errors.TransportError):
        await it.meet()
    assert it.world.status.phase is None


@pytest.mark.parametrize(
    "error",
    [
        errors.TransportError("lost"),
        errors.ServerError(errors.Refusal(status=503)),
        answers.refusal(errors.Throttled),
    ],
    ids=["lost", "gateway", "throttled"],
)
async def test_a_deletion_that_fails_leaves_it_pending_without_a_word(
    error: errors.ClusterError,
) -> None:
    it = Taken(KEPT, ENDED)
    it.world.engine.delete_error = error
    with pytest.raises(type(error)):
        await it.meet()
    assert it.world.metrics.counted == []
    assert it.world.status.phase is None


async def test_a_deletion_that_is_refused_is_said_once_whatever_the_words_are() -> None:
    it = Taken(KEPT, ENDED)
    first, second = (answers.refusal(errors.Forbidden, said) for said in ("kept here", "not you"))
    it.world.engine.delete_error = first
    with pytest.raises(errors.Forbidden):
        await it.meet()
    said = it.world.said(ConditionType.RESOURCE_LOCKED)
    assert (said.status, said.reason) == (ConditionStatus.FALSE, ConditionReason.RELEASING)
    assert said.message == f"PipelineRun {PLACE} has ended and cannot be deleted: {first}"
    assert it.world.status.phase is Phase.PENDING
    it.world.engine.delete_error = second
    again = it.world.case()
    with pytest.raises(errors.Forbidden):
        await it.collision.meet(again, again.seen.resource_version)
    assert it.world.journal.count("status") == 1
    assert it.world.metrics.counted == []
    it.world.engine.delete_error = None
    assert await it.collision.meet(again, again.seen.resource_version) == RELEASING
    said = it.world.said(ConditionType.RESOURCE_LOCKED)
    assert said.message.endswith("is being deleted")

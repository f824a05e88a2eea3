"""A pending execution: claimed and started, taken on again, or kept waiting."""

from __future__ import annotations

import datetime

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from tests.unit.reconciler.starts import (
    AT_ONCE,
    CLAIMED,
    HELD_FIRST,
    LOCK,
    MARK,
    STARTED,
    claim,
    reconcile,
)
from workflowexecution.api import names
from workflowexecution.api.status import ConditionStatus, ConditionType, Phase
from workflowexecution.reconciler import pending
from workflowexecution.runtime import errors
from workflowexecution.runtime.controller import Result

PLACE = {names.ANNOTATION_CLAIMED_IN: MARK[names.ANNOTATION_CLAIMED_IN]}


async def test_a_start_claims_creates_and_says_so() -> None:
    world = fakes.World()
    world.put()
    assert await reconcile(world) == STARTED
    assert world.journal == ["patch", "create", "status"]
    assert claim(world) == CLAIMED
    assert world.status.phase is Phase.RUNNING
    assert world.status.start_time == builders.NOW
    ref = world.status.pipeline_run_ref
    assert ref is not None
    assert ref.model_dump() == {
        "api_version": "tekton.dev/v1",
        "kind": "PipelineRun",
        "namespace": "kubernaut-workflows",
        "name": LOCK,
        "uid": "run-of-restart-payment",
    }
    (manifest,) = world.engine.manifests
    assert manifest["metadata"]["labels"][names.LABEL_EXECUTION_UID] == fakes.UID


@pytest.mark.parametrize(
    ("attempt", "next_one"),
    [
        pytest.param(None, "1", id="first"),
        pytest.param("1", "2", id="second"),
        pytest.param("many", "1", id="no-number"),
        pytest.param("9" * 400, "1", id="too-long"),
    ],
)
async def test_a_start_counts_attempts_when_the_claim_stands_already(
    attempt: str | None, next_one: str
) -> None:
    world = fakes.World()
    marks = {names.ANNOTATION_START_ATTEMPT: attempt} if attempt else {}
    world.put(metadata={**CLAIMED, "annotations": MARK | marks})
    await reconcile(world)
    assert claim(world) == {"annotations": {names.ANNOTATION_START_ATTEMPT: next_one, **PLACE}}


async def test_a_claim_of_before_there_were_marks_is_given_one() -> None:
    world = fakes.World()
    world.put(metadata={**CLAIMED, "annotations": None})
    await reconcile(world)
    assert claim(world) == {"annotations": {names.ANNOTATION_START_ATTEMPT: "1", **MARK}}


async def test_a_start_is_looked_at_again_when_tekton_never_says_a_word() -> None:
    """Timers stand for deadlines: here the run's timeout comes before it may stand still."""
    world = fakes.World()
    world.put(spec={"executionConfig": {"timeout": "5m"}})
    assert (await reconcile(world)).requeue_after_s == 300 + 120 - 60 + 1


async def test_a_start_keeps_the_finalizers_of_others() -> None:
    world = fakes.World()
    world.put(metadata={"finalizers": ["other/one"]})
    await reconcile(world)
    assert claim(world)["finalizers"] == ["other/one", names.FINALIZER]


@pytest.mark.parametrize("part", ["finalizers", "labels"])
async def test_a_start_claims_anew_when_half_of_the_claim_is_gone(part: str) -> None:
    world = fakes.World()
    world.put(metadata={part: CLAIMED[part]})
    await reconcile(world)
    assert claim(world) == CLAIMED


async def test_the_status_tells_which_generation_it_is_about() -> None:
    world = fakes.World()
    world.put(metadata={"generation": 4})
    await reconcile(world)
    assert world.status.observed_generation == 4


async def test_nothing_is_created_when_the_claim_is_refused() -> None:
    world = fakes.World()
    world.put()
    case = world.case()
    world.writer.stored[fakes.KEY]["metadata"]["resourceVersion"] = "2"
    with pytest.raises(errors.Conflict):
        await pending.Start(world.tools).reconcile(case)
    assert world.journal == ["patch"]


@pytest.mark.parametrize("where", ["cached", "gone"])
async def test_a_run_of_a_former_life_is_adopted(where: str) -> None:
    world = fakes.World()
    world.put(status={"conditions": None})
    run = builders.run(metadata={"creationTimestamp": builders.stamp(-600)} | IDENTITY)
    getattr(world.engine, where)[fakes.UID] = run
    assert await reconcile(world) == AT_ONCE
    assert world.journal == HELD_FIRST
    assert world.status.phase is Phase.RUNNING
    assert world.status.start_time == builders.NOW - datetime.timedelta(seconds=600)


IDENTITY = {"name": LOCK, "namespace": "kubernaut-workflows", "uid": "old", "resourceVersion": "1"}


async def test_adoption_lifts_what_kept_it_waiting() -> None:
    world = fakes.World(suspend=True)
    world.put()
    await reconcile(world)
    assert world.said(ConditionType.SUSPENDED).status is ConditionStatus.TRUE
    world.engine.show(builders.run())
    await reconcile(world)
    assert world.said(ConditionType.SUSPENDED).status is ConditionStatus.FALSE


async def test_an_engine_that_is_away_keeps_it_waiting() -> None:
    world = fakes.World()
    world.put()
    world.engine.away = "Tekton is not there"
    assert await reconcile(world) == Result()
    assert world.status.phase is Phase.PENDING
    said = world.said(ConditionType.ENGINE_AVAILABLE)
    assert (said.status, said.message) == (ConditionStatus.FALSE, "Tekton is not there")
    world.journal.clear()
    await reconcile(world)
    assert world.journal == []


async def test_suspension_keeps_it_waiting() -> None:
    world = fakes.World(suspend=True)
    world.put(metadata={"finalizers": ["other/finalizer"]})
    assert await reconcile(world) == Result()
    assert world.journal == HELD_FIRST
    mark = {names.ANNOTATION_CLAIMED: MARK[names.ANNOTATION_CLAIMED]}
    held = {"finalizers": ["other/finalizer", names.FINALIZER], "annotations": mark}
    assert claim(world) == held
    said = world.said(ConditionType.SUSPENDED)
    assert (said.status, said.message) == (
        ConditionStatus.TRUE,
        "execution.suspend is set: nothing new starts",
    )

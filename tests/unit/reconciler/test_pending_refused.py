"""A pending execution that can never run is refused before anything is created."""

from __future__ import annotations

from typing import Any

import pytest
import structlog.testing

from tests.unit.reconciler import fakes
from tests.unit.reconciler.starts import CLAIMED, CREATED, HELD_FIRST, reconcile
from workflowexecution.api import names
from workflowexecution.api.status import ConditionReason, Outcome, Phase
from workflowexecution.domain import redaction
from workflowexecution.runtime.controller import Result


async def test_every_problem_of_a_spec_is_told() -> None:
    world = fakes.World()
    world.put(spec={"targetResource": "ns/pods/x", "parameters": {"TARGET_RESOURCE": "x"}})
    await reconcile(world)
    message = world.status.message
    assert message is not None
    first, second = message.split("; ")
    assert first.startswith("spec.targetResource: ")
    assert second.startswith("spec.parameters.TARGET_RESOURCE: ")


async def test_a_line_of_the_log_tells_as_many_problems_as_it_has_room_for() -> None:
    world = fakes.World()
    world.put(spec={"parameters": {f"-key={number}": "" for number in range(5000)}})
    with structlog.testing.capture_logs() as lines:
        await reconcile(world)
    (line,) = (it for it in lines if it["event"] == "Execution refused")
    assert line["problems"][0].startswith("spec.parameters: '-key=0'")
    assert line["found"] == 5000
    assert sum(map(len, line["problems"])) < redaction.MAX_TEXT + 100


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        pytest.param({"targetResource": "ns/pods/x"}, "must be written 'pod'", id="check"),
        pytest.param({"workflowRef": {}}, "spec.workflowRef.workflowId: ", id="schema"),
        pytest.param({"targetResource": 7}, "spec.targetResource: ", id="type"),
    ],
)
async def test_a_spec_that_cannot_run_is_refused(spec: dict[str, Any], problem: str) -> None:
    world = fakes.World()
    world.put(spec=spec)
    assert await reconcile(world) == Result()
    assert world.journal == HELD_FIRST
    details = world.status.failure_details
    assert details is not None
    assert (details.reason, details.was_execution_failure) == ("ConfigurationError", False)
    assert problem in details.message
    assert (world.status.phase, world.status.outcome) == (Phase.FAILED, Outcome.FAILED)
    assert world.said(CREATED).reason == ConditionReason.PIPELINE_CREATION_FAILED


@pytest.mark.parametrize("finalizers", [[names.FINALIZER], []], ids=["held", "released"])
async def test_a_restored_copy_is_refused_and_its_mark_stays(finalizers: list[str]) -> None:
    """Also while nothing starts: what keeps others waiting would come to an end."""
    world = fakes.World(suspend=True)
    mark = {names.ANNOTATION_CLAIMED: "restart-payment/uid-of-before"}
    world.put(metadata={**CLAIMED, "finalizers": finalizers, "annotations": mark})
    assert await reconcile(world) == Result()
    assert world.journal == ["read", *(["status"] if finalizers else HELD_FIRST)]
    details = world.status.failure_details
    assert details is not None
    assert (details.reason, details.was_execution_failure) == ("ConfigurationError", False)
    assert "(UID uid-of-before)" in details.message
    assert world.writer.stored[fakes.KEY]["metadata"]["annotations"] == mark

"""Executions that have ended, as an earlier life of the program left them in the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests import builders
from tests.component import world
from tests.fake import kinds
from workflowexecution.domain import locking

if TYPE_CHECKING:
    from tests.component.world import World
    from tests.fake.statuses import JsonObject

WORKFLOW = "restart-deployment"
OTHER = "scale-deployment"


def spec(workflow: str = WORKFLOW, target: str = builders.TARGET) -> dict[str, Any]:
    """What is asked for."""
    reference = {"workflowId": workflow, "version": "1.0.0", "containerImage": "r/w:1"}
    return {"workflowRef": reference, "targetResource": target}


def leave(
    here: World, name: str, status: JsonObject, *, ago_s: float, workflow: str = WORKFLOW
) -> JsonObject:
    """Store an execution that ended so long before the test began; returns it."""
    label = locking.target_label(world.RUN)
    made = here.ask(name, spec=spec(workflow), metadata={"labels": {"kubernaut.ai/target": label}})
    said = {"completionTime": builders.stamp(-ago_s), **status}
    here.cluster.patch(kinds.EXECUTIONS, world.TEAM, name, {"status": said}, subresource="status")
    return made


def completed() -> JsonObject:
    """It was a success."""
    return {
        "phase": "Completed", "outcome": "Success", "consecutiveFailures": 0,
        "pipelineRunRef": {"name": world.RUN, "uid": "gone"},
    }  # fmt: skip


def failed(
    *, ran: bool, failures: int | None = None, next_in_s: float | None = None, had_run: bool = True
) -> JsonObject:
    """It failed, with its container or before it; `next_in_s` is the rest of its back-off."""
    details = {
        "reason": "TaskFailed", "message": "x", "failedAt": builders.stamp(),
        "executionTimeBeforeFailure": "1s", "naturalLanguageSummary": "x",
        "wasExecutionFailure": ran,
    }  # fmt: skip
    said: JsonObject = {
        "phase": "Failed", "outcome": "Failed", "failureReason": "TaskFailed",
        "failureDetails": details, "requiresManualReview": ran,
    }  # fmt: skip
    if had_run:
        said["pipelineRunRef"] = {"name": world.RUN, "uid": "gone"}
    if failures is not None:
        said["consecutiveFailures"] = failures
    if next_in_s is not None:
        said["nextAllowedExecution"] = builders.stamp(next_in_s)
    return said

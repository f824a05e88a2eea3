"""A running execution with its mirror, and what its run may be like."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.domain import locking
from workflowexecution.reconciler import running

if TYPE_CHECKING:
    from workflowexecution.api import tekton
    from workflowexecution.api.status import Phase
    from workflowexecution.runtime.controller import Result

LOCK = locking.run_name(builders.TARGET)
REF = {
    "apiVersion": "tekton.dev/v1",
    "kind": "PipelineRun",
    "namespace": "kubernaut-workflows",
    "name": LOCK,
    "uid": "run-of-restart-payment",
}
ONE = {"childReferences": [builders.child()], "pipelineSpec": {"tasks": [{"name": "restart"}]}}
SUCCESS = ("True", "Succeeded", "Tasks Completed: 1 (Failed: 0, Cancelled 0), Skipped: 0")
FAILURE = ("False", "Failed", "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 0")
DONE = builders.task(condition=("True", "Succeeded", ""), steps=[builders.step(exit_code=0)])
FAILED = builders.task(condition=("False", "Failed", "bad"), steps=[builders.step(exit_code=3)])
NEVER = builders.task(
    condition=("False", "TaskRunImagePullFailed", "no image"),
    steps=[builders.step(exit_code=1, ran=False)],
)
BUSY = builders.task(steps=[builders.step(running=True)])


class Running:
    """A running execution with its mirror, long after its start."""

    def __init__(self, **status: Any) -> None:  # noqa: ANN401 - members of a status
        self.world = fakes.World()
        self.mirror = running.Mirror(self.world.tools)
        said = {"phase": "Running", "startTime": builders.stamp(), "pipelineRunRef": REF, **status}
        self.world.put(status=said)

    async def reconcile(self) -> Result:
        return await self.mirror.reconcile(self.world.case())

    def phase(self) -> Phase | None:
        return self.world.status.phase

    def show(self, condition: tuple[str, str, str] | None, *tasks: tekton.TaskRun) -> None:
        self.world.engine.show(builders.run(condition=condition, status=ONE), *tasks)


async def later(seconds: float = 60.0) -> None:
    await asyncio.sleep(seconds)

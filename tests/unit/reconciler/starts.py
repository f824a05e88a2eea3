"""A pending execution's way to its start, and the claim that goes before it."""

from __future__ import annotations

from typing import Any

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.api import names
from workflowexecution.api.status import ConditionType
from workflowexecution.domain import locking
from workflowexecution.reconciler import pending
from workflowexecution.runtime import queue
from workflowexecution.runtime.controller import Result

LOCK = locking.run_name(builders.TARGET)
AT_ONCE = Result(requeue_after_s=0.0)
# It was created a minute ago: no change of it may come for another nine, to the whole second.
STARTED = Result(requeue_after_s=541.0, priority=queue.Priority.LOW)
CREATED = ConditionType.TEKTON_PIPELINE_CREATED
# What no create goes before has its finalizer before its first status all the same.
HELD_FIRST = ["patch", "status"]
MARK = {
    names.ANNOTATION_CLAIMED: f"restart-payment/{fakes.UID}",
    names.ANNOTATION_CLAIMED_IN: "kubernaut-workflows",
}
CLAIMED = {
    "finalizers": [names.FINALIZER],
    "labels": {names.LABEL_TARGET: locking.target_label(LOCK)},
    "annotations": MARK,
}


async def reconcile(world: fakes.World) -> Result:
    return await pending.Start(world.tools).reconcile(world.case())


def claim(world: fakes.World) -> dict[str, Any]:
    """The write that went before the create."""
    found: dict[str, Any] = world.writer.patches[0]["metadata"]
    return found

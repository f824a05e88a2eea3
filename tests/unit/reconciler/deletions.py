"""An execution that somebody deletes, and the runs that it may have."""

from __future__ import annotations

from typing import Any

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.api import names, tekton
from workflowexecution.domain import locking
from workflowexecution.reconciler import deleted, failures
from workflowexecution.runtime import queue
from workflowexecution.runtime.controller import Result

LOCK = locking.run_name(builders.TARGET)
CHANGE, DELETE = f"change {LOCK}", f"delete {LOCK}"
AT_ONCE = Result(requeue_after_s=0.0)
LATER = Result(requeue_after_s=deleted.LOOK_AGAIN_S, priority=queue.Priority.LOW)
OVER = ("True", "Succeeded", "")
GONE_SOON = {"deletionTimestamp": builders.stamp()}
RUN, KEPT = builders.run(), builders.run(condition=OVER)
GOING = builders.run(condition=OVER, metadata=GONE_SOON)
REF = {"name": LOCK, "namespace": "kubernaut-workflows", "uid": RUN.uid}
ENDED = {"phase": "Running", "startTime": builders.stamp(), "pipelineRunRef": REF}
DIGEST = "sha256:" + "a" * 64


def world(
    said: dict[str, Any] | None = None, *, finalizers: tuple[str, ...] = (names.FINALIZER,)
) -> fakes.World:
    made = fakes.World(deletion_give_up_s=600.0)
    metadata = {"deletionTimestamp": builders.stamp(), "finalizers": list(finalizers)}
    made.put(metadata=metadata, status=said or {"phase": "Completed"})
    return made


async def reconcile(made: fakes.World, failing: failures.Failures | None = None) -> Result:
    known = failures.Failures() if failing is None else failing
    return await deleted.reconcile(made.tools, made.sync(), known)


def finalizers(made: fakes.World) -> object:
    return made.writer.stored[fakes.KEY]["metadata"].get("finalizers")


def working(marks: dict[str, str]) -> tekton.PipelineRun:
    """A run with a task that has begun, long ago."""
    return builders.run(
        metadata={"annotations": marks, "creationTimestamp": builders.stamp(-(10**7))},
        status={"childReferences": [builders.child()]},
    )


def deleted_at(seconds: float, said: dict[str, Any] = ENDED) -> fakes.World:
    """An execution that is deleted so long after its start, and of which no end was told."""
    made = world(said)
    stored = made.writer.stored[fakes.KEY]
    stored["metadata"]["deletionTimestamp"] = builders.stamp(seconds)
    stored["spec"]["workflowRef"]["containerDigest"] = DIGEST
    return made

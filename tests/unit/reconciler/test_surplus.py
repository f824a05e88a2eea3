"""Runs that carry an execution's UID and are not the one that it waits for."""

from __future__ import annotations

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from workflowexecution.api import names, tekton
from workflowexecution.domain import locking
from workflowexecution.reconciler import surplus
from workflowexecution.reconciler.reconciler import WorkflowExecutionReconciler
from workflowexecution.runtime import errors
from workflowexecution.runtime.controller import Result

LOCK = locking.run_name(builders.TARGET)
OWN = "run-of-restart-payment"
OVER = ("True", "Succeeded", "")
RUNNING = {
    "phase": "Running",
    "pipelineRunRef": {"name": LOCK, "uid": OWN},
    "startTime": builders.stamp(),
}
CHANGE = f"change {LOCK}-copy"


def copy(**parts: object) -> tekton.PipelineRun:
    labels = {
        names.LABEL_EXECUTION: "restart-payment",
        names.LABEL_EXECUTION_UID: fakes.UID,
        names.LABEL_TARGET: locking.target_label(LOCK),
    }
    metadata = {"name": f"{LOCK}-copy", "uid": "copy", "labels": labels}
    return builders.run(metadata=metadata, **parts)


def world(own: tekton.PipelineRun, copied: tekton.PipelineRun) -> fakes.World:
    made = fakes.World()
    made.put(status=RUNNING)
    made.engine.show(own)
    made.engine.copied.append(copied)
    made.engine.live[copied.name] = copied
    return made


async def test_a_copy_beside_a_run_is_stopped_and_told_while_the_run_goes_on() -> None:
    made = world(builders.run(condition=("Unknown", "Running", "")), copy())
    await WorkflowExecutionReconciler(made.tools).reconcile(fakes.KEY)
    assert CHANGE in made.journal
    assert f"change {LOCK}" not in made.journal
    assert made.metrics.counted == ["late_run_cancelled"]
    ((_, _, reason, message),) = made.events.said
    assert reason == "CancelRequested"
    assert f"{LOCK}-copy is a copy of this execution's run" in message


async def test_an_end_is_mirrored_when_a_copy_cannot_be_stopped() -> None:
    made = world(builders.run(condition=OVER), copy())
    made.engine.change_error = errors.TransportError("lost")
    with pytest.raises(errors.TransportError):
        await WorkflowExecutionReconciler(made.tools).reconcile(fakes.KEY)
    assert made.status.phase == "Completed"


async def test_what_is_over_is_no_surplus() -> None:
    made = world(builders.run(), copy(condition=OVER))
    assert surplus.beside(made.tools, made.sync()) == []
    assert await surplus.left(made.tools, made.sync()) == []
    assert made.journal == []


async def test_a_copy_is_left_only_when_the_server_has_it() -> None:
    made = world(builders.run(), copy())
    assert await surplus.left(made.tools, made.sync()) == [copy()]
    made.engine.live.clear()
    assert await surplus.left(made.tools, made.sync()) == []


@pytest.mark.parametrize(
    ("live", "works", "stands"),
    [
        pytest.param(copy(), False, True, id="goes-on"),
        pytest.param(copy(condition=OVER), True, True, id="lingers"),
        pytest.param(copy(condition=OVER), False, False, id="over"),
        pytest.param(builders.run(metadata={"uid": "another"}), True, False, id="another"),
        pytest.param(None, True, False, id="gone"),
    ],
)
async def test_a_target_is_taken_while_a_copy_works_on_it(
    live: tekton.PipelineRun | None, *, works: bool, stands: bool
) -> None:
    made = world(builders.run(condition=OVER), copy())
    made.engine.live.clear()
    if live is not None:
        made.engine.live[f"{LOCK}-copy"] = live
    made.engine.working = {"copy"} if works else set()
    found = await surplus.on_target(made.tools, LOCK)
    assert (found is not None) is stands
    assert await surplus.on_target(made.tools, "wfe-another") is None


@pytest.mark.parametrize(
    ("error", "deletes"),
    [
        pytest.param(answers.refusal(errors.Forbidden), 1, id="refused"),
        pytest.param(answers.refusal(errors.ServerError), 1, id="webhook"),
        pytest.param(answers.refusal(errors.Conflict), 0, id="conflict"),
        pytest.param(answers.refusal(errors.Throttled), 0, id="throttled"),
        pytest.param(errors.ServerError(errors.Refusal(status=503)), 0, id="gateway"),
    ],
)
async def test_a_copy_is_deleted_when_it_may_not_be_told_to_end(
    error: errors.ApiError, deletes: int
) -> None:
    made, kind = world(builders.run(condition=OVER), copy()), type(error)
    made.engine.change_error = error
    for step_s in (0, 59):
        made.clock.advance(step_s)
        with pytest.raises(kind):
            await surplus.stop(made.tools, made.sync(), [copy()])
    assert made.metrics.counted == []
    made.clock.advance(1)
    try:
        again = await surplus.stop(made.tools, made.sync(), [copy()])
    except kind:
        again = Result()
    assert again == (Result(requeue_after_s=60.0) if deletes else Result())
    assert made.journal.count(f"delete {LOCK}-copy") == deletes
    assert made.metrics.counted == ["late_run_cancelled"] * deletes


async def test_refusals_count_anew_once_a_run_was_told() -> None:
    made = world(builders.run(condition=OVER), copy())
    for _ in range(2):
        made.engine.change_error = answers.refusal(errors.Forbidden)
        with pytest.raises(errors.Forbidden):
            await surplus.stop(made.tools, made.sync(), [copy()])
        made.engine.change_error = None
        await surplus.stop(made.tools, made.sync(), [copy()])
        made.clock.advance(90)
    assert f"delete {LOCK}-copy" not in made.journal


async def test_a_run_that_is_made_anew_beside_what_is_left_of_the_own_one_is_no_own_one() -> None:
    made = world(builders.run(), copy())
    made.engine.cached.clear()
    made.engine.copied[:] = [builders.run(metadata={"name": LOCK, "uid": "another"})]
    (found,) = surplus.beside(made.tools, made.sync())
    made.engine.live[LOCK] = found
    await surplus.stop(made.tools, made.sync(), [found])
    ((*_, message),) = made.events.said
    assert "is a copy of this execution's run" in message

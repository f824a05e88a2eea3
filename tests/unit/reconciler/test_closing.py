"""What was said of a running execution on its way is not said of its end for good."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import deletions, fakes
from tests.unit.reconciler.mirrored import DONE, FAILED, FAILURE, ONE, SUCCESS, Running, later
from tests.unit.reconciler.test_stopped import Stopping
from tests.unit.reconciler.test_waits_no_more import said
from workflowexecution.api.status import Phase

pytestmark = pytest.mark.looptime

ENDED = "The execution has ended"


def told(kind: str, answer: str, reason: str) -> dict[str, Any]:
    return {
        "type": kind, "status": answer, "reason": reason, "message": "m",
        "lastTransitionTime": builders.stamp(1),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(("Progressing", "False", "Stalled"), ("Unknown", "Completed"), id="stalled"),
        pytest.param(("Progressing", "True", "Moving"), ("True", "Moving"), id="moving"),
        pytest.param(("ResourceLocked", "True", "Executing"), ("False", "Completed"), id="locked"),
        pytest.param(("Suspended", "False", "Executing"), ("False", "Executing"), id="resumed"),
        pytest.param(("PodsHealthy", "False", "PodsWaiting"), ("True", "Completed"), id="pods"),
        pytest.param(("PodsHealthy", "True", "Moving"), ("True", "Moving"), id="pods-began"),
    ],
)
async def test_a_success_says_what_is_so_at_its_end(
    before: tuple[str, str, str], after: tuple[str, str]
) -> None:
    it = Running(conditions=[told(*before)])
    it.show(SUCCESS, DONE)
    await it.reconcile()
    assert it.phase() is Phase.COMPLETED
    assert said(it.world.status)[before[0]] == after
    words = {c.type: c.message for c in it.world.status.conditions or ()}
    assert words[before[0]] == (ENDED if after[1] == "Completed" else "m")


async def test_a_failure_still_says_what_its_pods_have_waited_for() -> None:
    it = Running(conditions=[
        told("Progressing", "False", "Stalled"), told("PodsHealthy", "False", "PodsWaiting")
    ])  # fmt: skip
    it.show(FAILURE, FAILED)
    await it.reconcile()
    assert it.phase() is Phase.FAILED
    assert said(it.world.status)["Progressing"] == ("Unknown", "Completed")
    assert said(it.world.status)["PodsHealthy"] == ("False", "PodsWaiting")


async def test_nothing_is_said_at_an_end_that_was_not_said_before() -> None:
    it = Running()
    it.show(SUCCESS, DONE)
    await it.reconcile()
    run, complete = "TektonPipelineRunning", "TektonPipelineComplete"
    assert set(said(it.world.status)) == {run, complete, "Ready"}
    assert len(it.world.writer.patches) == 1


async def test_a_run_that_stood_still_and_ends_before_the_next_look_stands_still_no_more() -> None:
    it = Stopping()
    it.has()
    it.world.clock.advance(600)
    await later()
    await it.reconcile()
    assert said(it.world.status)["Progressing"] == ("False", "Stalled")
    it.children = (DONE,)
    it.has(SUCCESS)
    await it.reconcile()
    assert it.phase() is Phase.COMPLETED
    assert said(it.world.status)["Progressing"] == ("Unknown", "Completed")


async def test_an_engine_that_is_back_when_the_run_is_gone_is_not_said_to_be_away() -> None:
    it = Running()
    it.world.engine.away = "no Tekton"
    await it.reconcile()
    assert said(it.world.status)["EngineAvailable"] == ("False", "EngineUnavailable")
    it.world.engine.away = ""
    await it.reconcile()
    assert it.phase() is Phase.FAILED
    assert said(it.world.status)["EngineAvailable"] == ("Unknown", "Completed")


async def test_a_success_that_its_deletion_finds_says_so_too() -> None:
    made = deletions.deleted_at(31)
    status = made.writer.stored[fakes.KEY]["status"]
    made.writer.stored[fakes.KEY]["status"] = status | {
        "conditions": [told("Progressing", "False", "Stalled")]
    }
    made.engine.show(builders.run(condition=SUCCESS))
    await deletions.reconcile(made)
    assert made.status.phase is Phase.COMPLETED
    assert said(made.status)["Progressing"] == ("Unknown", "Completed")


@pytest.mark.parametrize("was_over", [True, False], ids=["failed-before", "ended-by-that"])
@pytest.mark.parametrize("gone", [True, False], ids=["gone", "there"])
async def test_a_failure_that_comes_with_a_deletion_says_so_too(
    *, was_over: bool, gone: bool
) -> None:
    made = deletions.deleted_at(31)
    status = made.writer.stored[fakes.KEY]["status"]
    made.writer.stored[fakes.KEY]["status"] = status | {
        "conditions": [
            told("Progressing", "False", "Stalled"),
            told("EngineAvailable", "False", "EngineUnavailable"),
            told("ResourceLocked", "True", "Executing"),
        ]
    }
    run = builders.run(condition=FAILURE if was_over else None, status=ONE)
    if gone:
        made.engine.gone[fakes.UID] = run
    else:
        made.engine.show(run)
    await deletions.reconcile(made)
    assert made.status.phase is Phase.FAILED
    now = said(made.status)
    assert now["Progressing"] == ("Unknown", "Completed")
    # To an end that the run has told itself, Tekton has answered.
    engine = ("True", "EngineAvailable") if was_over else ("Unknown", "Completed")
    assert now["EngineAvailable"] == engine
    assert now["ResourceLocked"] == (("False", "Completed") if gone else ("True", "Executing"))

"""When an execution ended: by Tekton's clock, within what the server's time allows."""

from __future__ import annotations

import datetime

import pytest

from tests import builders
from tests.unit.reconciler import deletions, fakes
from tests.unit.reconciler.mirrored import DONE, FAILED, FAILURE, ONE, REF, SUCCESS, Running
from workflowexecution.api.status import Phase

pytestmark = pytest.mark.looptime

ENDS = pytest.mark.parametrize(
    ("told_s", "ended_s", "took"),
    [
        pytest.param(30, 30, "30s", id="between"),
        pytest.param(60, 60, "1m0s", id="now"),
        pytest.param(3600, 60, "1m0s", id="in-the-future"),
        pytest.param(0, 0, "0s", id="at-the-start"),
        pytest.param(-3600, 60, "1m0s", id="before-the-start"),
    ],
)


def at(seconds: float) -> datetime.datetime:
    return builders.NOW + datetime.timedelta(seconds=seconds)


def ended(it: Running) -> tuple[datetime.datetime | None, str | None, datetime.datetime | None]:
    status = it.world.status
    details = status.failure_details
    return status.completion_time, status.duration, details.failed_at if details else None


@ENDS
@pytest.mark.parametrize("gone", [False, True], ids=["there", "gone"])
async def test_an_end_is_neither_in_the_future_nor_before_the_start(
    told_s: float, ended_s: float, took: str, *, gone: bool
) -> None:
    it = Running()
    said = {**ONE, "completionTime": builders.stamp(told_s)}
    run = builders.run(condition=SUCCESS, status=said)
    if gone:
        it.world.engine.gone[fakes.UID] = run
    else:
        it.world.engine.show(run, DONE)
    await it.reconcile()
    assert it.phase() is Phase.COMPLETED
    assert ended(it) == (at(ended_s), took, None)
    assert it.world.status.locked_until == at(ended_s + 300)


@ENDS
@pytest.mark.parametrize("gone", [False, True], ids=["there", "gone"])
async def test_the_end_of_a_failure_is_so_too(
    told_s: float, ended_s: float, took: str, *, gone: bool
) -> None:
    it = Running()
    said = {**ONE, "completionTime": builders.stamp(told_s)}
    run = builders.run(condition=FAILURE, status=said)
    if gone:
        it.world.engine.gone[fakes.UID] = run
        it.world.engine.cached_tasks = (FAILED,)
    else:
        it.world.engine.show(run, FAILED)
    await it.reconcile()
    assert it.phase() is Phase.FAILED
    completion_time, duration, failed_at = ended(it)
    assert (completion_time, duration) == (at(ended_s), took)
    assert failed_at is not None
    assert failed_at <= at(60)


@pytest.mark.parametrize("told_s", [-3600, 59, 60, 3600])
async def test_an_end_is_not_before_a_start_that_the_server_has_dated_a_moment_ahead(
    told_s: float,
) -> None:
    it = Running(startTime=builders.stamp(60))
    it.world.clock.advance(-0.6)
    run = builders.run(condition=SUCCESS, status={**ONE, "completionTime": builders.stamp(told_s)})
    it.world.engine.show(run, DONE)
    await it.reconcile()
    assert ended(it) == (at(60), "0s", None)


async def test_an_end_that_nobody_saw_is_not_before_a_start_a_moment_ahead_either() -> None:
    it = Running(startTime=builders.stamp(60))
    it.world.clock.advance(-0.6)
    await it.reconcile()
    assert it.phase() is Phase.FAILED
    assert ended(it) == (at(60), "0s", at(60))


async def test_the_end_of_a_deleted_one_is_not_before_its_start() -> None:
    running = {"phase": "Running", "startTime": builders.stamp(), "pipelineRunRef": REF}
    made = deletions.world(running)
    made.writer.stored[fakes.KEY]["metadata"]["deletionTimestamp"] = builders.stamp(40)
    early = {"completionTime": builders.stamp(-3600)}
    made.engine.show(builders.run(condition=SUCCESS, status=early))
    await deletions.reconcile(made)
    assert (made.status.phase, made.status.completion_time) == (Phase.COMPLETED, at(60))

"""A create that goes on failing is given up; time in which nothing was tried does not count."""

from __future__ import annotations

from typing import Any

import pytest
import structlog.testing

from tests import builders
from tests.unit.reconciler import answers, fakes
from workflowexecution.api.status import ConditionStatus, ConditionType, FailureReason, Phase
from workflowexecution.domain import locking
from workflowexecution.reconciler import pending
from workflowexecution.runtime import errors, resource
from workflowexecution.runtime.controller import Result

LOCK = locking.run_name(builders.TARGET)
CREATED = ConditionType.TEKTON_PIPELINE_CREATED
LOST = errors.TransportError("no answer")
BROKEN = answers.refusal(errors.ServerError, "failed calling webhook")
REFUSED = answers.refusal(errors.Conflict, "admission webhook denied the request")
UNKNOWN = answers.refusal(errors.Unauthorized, "Unauthorized")
BUSY = answers.refusal(errors.Throttled, "too many requests")


class Process:
    """One life of the controller over a world."""

    def __init__(self, world: fakes.World) -> None:
        self.world = world
        self.start = pending.Start(world.tools)

    async def once(self) -> Result:
        return await self.start.reconcile(self.world.case())

    async def fails(self, seconds: float) -> None:
        """The create fails, over and over, for some time, and is not given up."""
        error = self.world.engine.create_error
        assert error is not None
        for step in (0.0, seconds / 2, seconds / 2):
            self.world.clock.advance(step)
            with pytest.raises(type(error)):
                await self.once()
        assert self.world.status.phase is Phase.PENDING

    async def gives_up(self) -> bool:
        """One more try: whether it is the last."""
        try:
            await self.once()
        except errors.ClusterError:
            return False
        return self.world.status.phase is Phase.FAILED


def failing(error: errors.ClusterError = BROKEN, **policy: Any) -> Process:  # noqa: ANN401 - as World
    world = fakes.World(**{"create_retry_for_s": 300.0, **policy})
    world.put()
    world.engine.create_error = error
    return Process(world)


@pytest.mark.parametrize("error", [BROKEN, BUSY], ids=["broken", "busy"])
async def test_a_create_is_given_up_after_its_time(error: errors.ApiError) -> None:
    it = failing(error)
    await it.fails(299)
    it.world.clock.advance(1)
    assert await it.once() == Result()
    details = it.world.status.failure_details
    assert details is not None
    assert (details.reason, details.was_execution_failure) == (FailureReason.UNKNOWN, False)
    assert f"could not be created for 0:05:00: {error}" in details.message
    assert "not be created for 0:05:00: «" in details.natural_language_summary
    assert it.world.journal[-3:] == ["create", "read", "status"]


@pytest.mark.parametrize("error", [REFUSED, UNKNOWN], ids=["conflict", "unauthorized"])
async def test_a_refusal_that_does_not_pass_is_told_and_given_up(error: errors.ApiError) -> None:
    it = failing(error)
    for step in (0, 9):
        it.world.clock.advance(step)
        assert not await it.gives_up()
    assert it.world.status.phase is None
    assert it.world.journal == ["patch", "create"] * 2
    it.world.clock.advance(1)
    await it.fails(299)
    said = it.world.said(CREATED)
    assert (said.status, said.reason) == (ConditionStatus.FALSE, "PipelineCreationFailed")
    assert error.message in said.message
    it.world.clock.advance(1)
    assert await it.gives_up()
    assert it.world.journal[-3:] == ["create", "read", "status"]


@pytest.mark.parametrize("how", ["releasing", "suspended", "older", "place", "closed"])
async def test_a_refusal_that_has_passed_does_not_last_while_it_waits_for_something_else(
    how: str,
) -> None:
    it = failing(REFUSED)
    world, settled = it.world, it.world.policy
    assert not await it.gives_up()
    missing = answers.refusal(errors.NotFound, "not here")
    closed = answers.refusal(errors.Forbidden, "no runs there")
    world.engine.create_error = {"place": missing, "closed": closed}.get(how)
    if how == "closed":
        world.engine.read_error, world.engine.shut = closed, "no runs there"
    if how == "suspended":
        world.policy = fakes.World(suspend=True).policy
    if how == "older":
        world.other("older", metadata={"creationTimestamp": builders.stamp(-9)})
    if how == "releasing":
        world.engine.live[LOCK] = builders.run(owner="other", condition=("True", "Succeeded", ""))
    assert not await it.gives_up()
    world.clock.advance(90)
    world.policy, world.engine.create_error, world.engine.read_error = settled, REFUSED, None
    world.engine.live.clear()
    world.executions.remove(resource.ObjectKey("payment", "older"))
    assert not await it.gives_up()
    told = {c.type: c.reason for c in world.status.conditions or ()}
    assert told.get(CREATED) != "PipelineCreationFailed"


async def test_the_log_tells_when_a_create_begins_to_fail_and_when_it_is_given_up() -> None:
    it = failing(REFUSED)
    with structlog.testing.capture_logs() as logs:
        assert not await it.gives_up()
        assert logs == []
        it.world.clock.advance(10)
        await it.fails(299)
        assert [(log["event"], log["log_level"]) for log in logs] == [
            ("PipelineRun cannot be created so far", "warning")
        ]
        it.world.clock.advance(1)
        assert await it.gives_up()
    assert logs[-1]["event"] == "PipelineRun is not created, and given up"
    assert REFUSED.message in logs[0]["error"]
    assert REFUSED.message in logs[1]["error"]


async def test_a_refusal_that_passes_soon_is_told_where_a_failure_is_told_already() -> None:
    it = failing()
    await it.fails(20)
    it.world.engine.create_error = REFUSED
    later = Process(it.world)
    await later.fails(0)
    assert "admission webhook denied" in it.world.said(CREATED).message


async def test_a_create_that_landed_is_adopted_when_its_time_is_over_on_a_busy_server() -> None:
    it = failing(BUSY)
    await it.fails(299)
    it.world.clock.advance(1)
    it.world.engine.create_lands = True
    assert await it.once() == Result(requeue_after_s=0.0)
    assert it.world.status.phase is Phase.RUNNING


async def test_a_limit_below_a_minute_is_kept() -> None:
    it = failing(create_retry_for_s=10.0)
    await it.fails(9)
    it.world.clock.advance(1)
    assert await it.gives_up()


@pytest.mark.parametrize("how", ["engine", "api", "place", "suspended"])
async def test_time_in_which_it_waits_for_something_else_does_not_count(how: str) -> None:
    it = failing()
    world, settled = it.world, it.world.policy
    await it.fails(200)
    if how == "suspended":
        world.policy = fakes.World(create_retry_for_s=300.0, suspend=True).policy
    world.engine.away = "no Tekton" if how == "engine" else ""
    gone = {"api": errors.EndpointMissing, "place": errors.NotFound}.get(how)
    world.engine.create_error = answers.refusal(gone, "not here") if gone else BROKEN
    assert not await it.gives_up()
    said = world.said(CREATED)
    reason = "Suspended" if how == "suspended" else "EngineUnavailable"
    assert (said.status, said.reason) == (ConditionStatus.UNKNOWN, reason)
    world.clock.advance(600)
    world.policy, world.engine.away, world.engine.create_error = settled, "", BROKEN
    await it.fails(299)
    assert world.said(CREATED).status is ConditionStatus.FALSE
    world.clock.advance(1)
    assert await it.gives_up()


async def test_it_is_not_said_to_fail_while_a_kept_run_makes_room() -> None:
    it = failing()
    await it.fails(200)
    it.world.engine.create_error = None
    it.world.engine.live[LOCK] = builders.run(owner="other", condition=("True", "Succeeded", ""))
    await it.once()
    said = it.world.said(CREATED)
    assert (said.status, said.reason) == (ConditionStatus.UNKNOWN, "Releasing")


async def test_one_that_has_not_been_tried_yet_says_nothing_of_its_create_while_it_waits() -> None:
    it = failing()
    it.world.engine.away = "no Tekton"
    assert await it.once() == Result()
    assert [c.type for c in it.world.status.conditions or ()] == [ConditionType.ENGINE_AVAILABLE]


async def test_time_in_which_no_controller_ran_does_not_count() -> None:
    it = failing()
    await it.fails(10)
    it.world.clock.advance(900)
    later = Process(it.world)
    await later.fails(59)
    it.world.clock.advance(1)
    assert await later.gives_up()


async def test_time_in_which_the_server_was_away_does_not_count() -> None:
    it = failing()
    await it.fails(200)
    it.world.engine.create_error = it.world.engine.read_error = LOST
    for _ in range(90):
        it.world.clock.advance(10)
        with pytest.raises(errors.TransportError):
            await it.once()
    it.world.engine.create_error, it.world.engine.read_error = BROKEN, None
    await it.fails(59)


async def test_what_failed_is_forgotten_when_it_is_pending_no_more() -> None:
    it = failing()
    await it.fails(299)
    it.world.clock.advance(1)
    it.start.forget(fakes.KEY)
    assert not await it.gives_up()

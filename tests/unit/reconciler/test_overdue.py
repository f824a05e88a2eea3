"""A deleted execution that is on its way out for longer than `limits.deletionGiveUp`.

It may have been deleted while no controller ran, so that nothing was done yet.
"""

from __future__ import annotations

from typing import Any

import pytest
import structlog.testing

from tests import builders
from tests.unit.reconciler import answers, deletions, fakes
from tests.unit.reconciler.deletions import (
    AT_ONCE,
    CHANGE,
    DELETE,
    GOING,
    KEPT,
    LATER,
    LOCK,
    REF,
    RUN,
    finalizers,
    working,
)
from workflowexecution.api import names
from workflowexecution.api.status import Outcome, Phase
from workflowexecution.domain import audit, stopping
from workflowexecution.domain.audit import Transition
from workflowexecution.reconciler import failures, ladder
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result

BROKEN = answers.refusal(errors.ServerError, "etcdserver: leader changed")
MISSING = answers.refusal(errors.EndpointMissing)
LOST = errors.TransportError("no answer")
LONG_S = 10.0**6
RUNNING = {"phase": "Running", "pipelineRunRef": REF, "startTime": builders.stamp()}
CLAIM = {names.LABEL_TARGET: "x"}


class Life:
    """One life of the controller, in which an execution is on its way out for a time already."""

    def __init__(
        self, said: dict[str, Any] | None = None, *, for_s: float = LONG_S, claimed: bool = True
    ) -> None:
        self.world = deletions.world(said)
        if claimed:
            self.world.writer.stored[fakes.KEY]["metadata"]["labels"] = CLAIM
        self.world.clock.advance(for_s - 60)
        self.failing = failures.Failures()

    async def once(self) -> Result:
        return await deletions.reconcile(self.world, self.failing)

    async def fails(self, error: errors.ClusterError, *, for_s: float) -> None:
        """It fails, over and over, for some time."""
        for step in (0.0, for_s / 2, for_s / 2):
            self.world.clock.advance(step)
            with pytest.raises(type(error)):
                await self.once()
        assert finalizers(self.world) == [names.FINALIZER]


async def test_one_failure_is_no_reason_to_let_it_go() -> None:
    it = Life()
    it.world.engine.read_error = BROKEN
    await it.fails(BROKEN, for_s=59)
    it.world.engine.read_error = None
    assert await it.once() == Result()
    assert it.world.metrics.counted == []


async def test_it_is_let_go_when_nothing_is_to_be_known_of_its_run_for_long() -> None:
    it = Life(for_s=500)
    it.world.engine.read_error = LOST
    await it.fails(LOST, for_s=100)
    it.world.clock.advance(1)
    assert await it.once() == Result()
    assert finalizers(it.world) is None
    assert it.world.metrics.counted == ["deletion_given_up"]


async def test_what_is_refused_after_an_outage_has_not_lasted_through_it() -> None:
    it = Life()
    gateway = errors.ServerError(errors.Refusal(status=503))
    for error in (gateway, LOST):
        it.world.engine.read_error = error
        with pytest.raises(type(error)):
            await it.once()
        it.world.clock.advance(59)
    it.world.engine.read_error = BROKEN
    await it.fails(BROKEN, for_s=59)


async def test_what_goes_well_between_failures_begins_their_time_anew() -> None:
    it = Life()
    it.world.engine.show(KEPT)
    for error in (BROKEN, None, BROKEN):
        it.world.engine.delete_error = error
        if error is None:
            await it.once()
        else:
            await it.fails(error, for_s=59)
        it.world.clock.advance(1)


@pytest.mark.parametrize("kind", [errors.Conflict, errors.Throttled])
@pytest.mark.parametrize("at_last", [False, True], ids=["at-first", "at-last"])
async def test_a_passing_refusal_releases_nothing_however_late_it_is(
    kind: type[errors.ApiError], at_last: bool
) -> None:
    it = Life()
    it.world.engine.show(RUN if at_last else KEPT)
    it.world.engine.delete_error = answers.refusal(kind)
    if at_last:
        it.world.engine.change_error = BROKEN
        await it.fails(BROKEN, for_s=59)
        it.world.clock.advance(1)
    with pytest.raises(kind):
        await it.once()
    assert it.world.journal[-1] == DELETE
    assert finalizers(it.world) == [names.FINALIZER]


async def test_one_that_is_let_go_after_a_failure_is_told_and_counted() -> None:
    it = Life()
    it.world.engine.show(KEPT)
    refusal = it.world.engine.delete_error = answers.refusal(errors.Forbidden, "not allowed")
    await it.fails(refusal, for_s=59)
    it.world.clock.advance(1)
    with structlog.testing.capture_logs() as logs:
        assert await it.once() == Result()
    ((_, kind, reason, message),) = it.world.events.said
    assert (reason, kind) == ("CleanupFailed", "Warning")
    assert message.startswith(fakes.ABOUT)
    assert "not allowed" in message
    assert f"kubernaut-workflows/{LOCK}" in message
    assert [line["run"] for line in logs] == [f"kubernaut-workflows/{LOCK}"]
    assert it.world.metrics.counted == ["deletion_given_up"]


async def test_a_run_that_works_is_asked_to_end_first_however_late_it_is() -> None:
    it = Life()
    it.world.engine.show(working({}))
    assert await it.once() == Result(requeue_after_s=ladder.AGAIN_S)
    assert it.world.journal == ["read", CHANGE]
    assert it.world.engine.changes[-1]["spec"] == {"status": "CancelledRunFinally"}


@pytest.mark.parametrize("give_up_s", [600.0, 100.0])
async def test_a_run_has_as_long_as_others_from_where_it_was_asked(give_up_s: float) -> None:
    """`finally` has its time; then the run is deleted, on whichever step of the ladder it is."""
    it = Life()
    it.world.policy = fakes.World(deletion_give_up_s=give_up_s).policy
    asked = {names.ANNOTATION_CANCEL_REQUESTED_AT: builders.stamp(LONG_S)}
    it.world.engine.show(working(asked))
    left_s = min(give_up_s, stopping.GRACE_S)
    assert (await it.once()).requeue_after_s == left_s
    forced = {names.ANNOTATION_CANCEL_FORCED_AT: builders.stamp(LONG_S + give_up_s - 10)}
    it.world.engine.show(working(asked | forced))
    it.world.clock.advance(give_up_s - 1)
    expected = Result(requeue_after_s=1.0, priority=queue.Priority.LOW)
    assert await it.once() == expected
    it.world.clock.advance(1)
    assert await it.once() == LATER
    assert it.world.journal == ["read", "read", "read", DELETE]


async def test_a_run_that_was_asked_long_before_has_as_long_from_the_deletion() -> None:
    it = Life(for_s=599)
    asked = {names.ANNOTATION_CANCEL_REQUESTED_AT: builders.stamp(-LONG_S)}
    forced = {names.ANNOTATION_CANCEL_FORCED_AT: builders.stamp(590)}
    it.world.engine.show(working(asked | forced))
    assert (await it.once()).requeue_after_s == 1.0
    it.world.clock.advance(2)
    assert await it.once() == LATER
    assert it.world.journal[-1] == DELETE


async def test_a_run_that_cannot_be_told_is_deleted_before_it_is_left_alone() -> None:
    it = Life()
    it.world.engine.show(RUN)
    it.world.engine.change_error = BROKEN
    await it.fails(BROKEN, for_s=59)
    it.world.clock.advance(1)
    assert await it.once() == LATER
    assert it.world.journal[-1] == DELETE
    assert finalizers(it.world) == [names.FINALIZER]
    assert len(it.failing) == 0


@pytest.mark.parametrize("then", ["deleting", "refused"])
async def test_it_is_let_go_when_even_the_last_step_is_in_vain(then: str) -> None:
    it = Life(RUNNING)
    it.world.engine.show(GOING if then == "deleting" else RUN)
    it.world.engine.delete_error = BROKEN
    it.world.writer.status_error = BROKEN
    await it.fails(BROKEN, for_s=59)
    it.world.clock.advance(1)
    assert await it.once() == Result()
    assert finalizers(it.world) is None
    assert it.world.metrics.counted == ["deletion_given_up"]


async def test_a_run_that_has_ended_is_deleted_at_once_and_once() -> None:
    it = Life()
    it.world.engine.show(KEPT)
    assert await it.once() == LATER
    it.world.engine.show(GOING)
    it.world.clock.advance(-LONG_S)
    assert await it.once() == LATER
    assert it.world.journal == ["read", DELETE]


async def test_the_server_says_what_has_become_of_its_run() -> None:
    """The cache of runs may be in doubt, and what is overdue does not wait for it."""
    it = Life()
    it.world.engine.cached[fakes.UID] = RUN
    assert await it.once() == Result()
    assert it.world.journal == ["read", "patch"]
    assert it.world.metrics.counted == []


class TestEnd:
    """What is under way has its end said, whatever fails."""

    async def test_is_said_before_it_goes_though_the_first_write_of_it_fails(self) -> None:
        it = Life(RUNNING)
        it.world.engine.show(RUN)
        it.world.writer.error = BROKEN
        await it.fails(BROKEN, for_s=30)
        it.world.writer.error = None
        assert await it.once() == AT_ONCE
        assert it.world.status.phase is Phase.FAILED
        assert finalizers(it.world) == [names.FINALIZER]

    @pytest.mark.parametrize("for_s", [60, LONG_S], ids=["soon", "late"])
    @pytest.mark.parametrize("error", [MISSING, BROKEN, LOST], ids=["missing", "broken", "lost"])
    async def test_needs_no_engine_when_it_runs(
        self, error: errors.ClusterError, for_s: float
    ) -> None:
        it = Life(RUNNING, for_s=for_s)
        it.world.engine.read_error = error
        assert await it.once() == AT_ONCE
        found = it.world.status
        assert (found.phase, found.outcome) == (Phase.FAILED, Outcome.CANCELLED)
        assert found.requires_manual_review
        assert found.message == (
            "The execution was deleted before it had ended; what has become of its run is not known"
        )
        assert it.world.sync().was_running_when_deleted
        assert Transition.FAILED in audit.due(found)

    async def test_waits_for_the_engine_where_only_that_tells_whether_it_has_begun(self) -> None:
        it = Life({"phase": "Pending"}, for_s=500)
        it.world.engine.read_error = MISSING
        await it.fails(MISSING, for_s=100)
        assert it.world.status.phase is Phase.PENDING
        it.world.clock.advance(1)
        assert await it.once() == AT_ONCE
        found = it.world.status
        assert (found.phase, found.outcome) == (Phase.FAILED, Outcome.CANCELLED)
        assert found.requires_manual_review
        assert found.message == (
            "The execution was deleted before it had ended; whether a run of it was created is "
            "not known"
        )
        assert found.start_time is None

    async def test_is_that_nothing_was_started_where_nothing_was_claimed(self) -> None:
        it = Life({"phase": "Pending"}, claimed=False)
        it.world.engine.read_error = BROKEN
        assert await it.once() == AT_ONCE
        assert it.world.status.message == "The execution was deleted before it had ended"
        assert it.world.status.requires_manual_review is False

    async def test_is_that_its_run_is_gone_where_the_watch_has_told_so(self) -> None:
        it = Life({"phase": "Pending"})
        it.world.engine.gone[fakes.UID] = RUN
        it.world.engine.read_error = BROKEN
        assert await it.once() == AT_ONCE
        message = it.world.status.message or ""
        assert message.endswith("its run is gone")

    async def test_waits_when_a_busy_server_says_when_to_ask_again(self) -> None:
        it = Life(RUNNING)
        it.world.engine.read_error = answers.refusal(errors.Throttled)
        with pytest.raises(errors.Throttled):
            await it.once()
        assert it.world.status.phase is Phase.RUNNING

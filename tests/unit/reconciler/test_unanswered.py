"""A status write without an answer: told once the cache shows that it was taken."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from tests import builders
from tests.unit.reconciler import answers, fakes
from tests.unit.reconciler.audited import ALL, Bed
from workflowexecution.api import names
from workflowexecution.api import workflowexecution as api
from workflowexecution.api.status import (
    ConditionReason,
    ConditionStatus,
    ConditionType,
    FailureReason,
    Phase,
)
from workflowexecution.domain import auditevent, status
from workflowexecution.domain.audit import Transition
from workflowexecution.reconciler import reconciler, tools
from workflowexecution.reconciler.duty import Settled
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from workflowexecution.api.status import Status

pytestmark = pytest.mark.looptime

NOTE = status.Note(ConditionType.SUSPENDED, ConditionStatus.TRUE, ConditionReason.SUSPENDED)
RUN = {"namespace": "kubernaut-workflows", "name": "wfe-1", "uid": "run-of-restart-payment"}
RUNNING: dict[str, Any] = {
    "phase": "Running",
    "startTime": builders.stamp(),
    "pipelineRunRef": RUN,
}
LOST = errors.TransportError("lost")


def raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


class One:
    """An execution, who writes its status, and who hears of it."""

    def __init__(self, **said: Any) -> None:  # noqa: ANN401 - members of a status
        self.world = fakes.World()
        self.listener = fakes.Listener()
        self.tools = dataclasses.replace(self.world.tools, observers=(self.listener,))
        self.world.put(metadata={"finalizers": [names.FINALIZER]}, status=said or None)
        self.case = self.world.case()

    @property
    def heard(self) -> list[Phase | None]:
        return [it.after.phase for it in self.listener.heard]

    async def write(self, after: Status) -> None:
        await tools.write(self.tools, self.case, after)

    async def lose(self, after: Status, error: BaseException = LOST, *, taken: bool = True) -> None:
        """Write a status whose answer does not come, whether or not it was taken."""
        if taken:
            self.world.writer.meanwhile = raising(error)
        else:
            assert isinstance(error, errors.ClusterError)
            self.world.writer.error = error
        with pytest.raises(type(error)):
            await self.write(after)
        self.world.writer.error, self.world.writer.meanwhile = None, lambda: None

    def catch_up(self) -> None:
        with structlog.testing.capture_logs():
            tools.catch_up(self.tools, self.world.sync())

    def started(self) -> Status:
        return tools.adopt(self.case, builders.run())

    def ended(self) -> Status:
        return status.completed(self.case.status, self.case.moment, self.case.moment.now)


@pytest.mark.parametrize(
    "error", [LOST, answers.refusal(errors.ServerError)], ids=["transport", "server"]
)
async def test_status_without_an_answer_is_told_once_the_cache_has_it(error: Exception) -> None:
    it = One()
    after = it.started()
    await it.lose(after, error)
    tools.catch_up(it.tools, it.case.seen)
    assert it.heard == []
    it.catch_up()
    it.catch_up()
    (change,) = it.listener.heard
    assert (change.key, change.after, change.now) == (fakes.KEY, after, it.case.moment.now)
    assert (change.execution.status, change.version) == (it.case.status, "")
    assert len(it.tools.unanswered) == 0


async def test_status_is_told_after_the_deadline_of_its_reconcile() -> None:
    it = One(**RUNNING)
    await it.lose(it.ended(), asyncio.CancelledError())
    it.catch_up()
    assert it.heard == [Phase.COMPLETED]


async def test_status_that_was_never_sent_displaces_none_in_doubt() -> None:
    it = One(**RUNNING)
    first = it.ended()
    await it.lose(first)
    it.case = it.case._replace(moment=it.case.moment._replace(now=it.world.clock.now()))
    later = first.model_copy(update={"message": "another"})
    await it.lose(later, errors.TransportError("away", sent=False), taken=False)
    it.catch_up()
    assert [change.after for change in it.listener.heard] == [first]


async def test_status_that_was_not_taken_is_told_by_the_next_write_alone() -> None:
    it = One(**RUNNING)
    await it.lose(it.ended(), taken=False)
    it.catch_up()
    assert it.heard == []
    await it.write(it.ended())
    it.catch_up()
    assert it.heard == [Phase.COMPLETED]


async def test_retry_whose_answer_is_lost_too_is_told_once() -> None:
    it = One(**RUNNING)
    await it.lose(it.ended())
    # Decided on the old state, and some seconds later.
    it.world.clock.advance(5)
    moment = it.case.moment._replace(now=it.world.clock.now())
    it.case = it.case._replace(moment=moment)
    await it.lose(it.ended(), taken=False)
    it.catch_up()
    it.catch_up()
    assert it.heard == [Phase.COMPLETED]


async def test_refused_retry_leaves_the_first_in_doubt() -> None:
    it = One(**RUNNING)
    await it.lose(it.ended())
    with pytest.raises(errors.Conflict):
        await it.write(it.ended())
    it.catch_up()
    assert it.heard == [Phase.COMPLETED]


@pytest.mark.parametrize("kind", [errors.Conflict, errors.Throttled, errors.Invalid])
async def test_refusal_leaves_no_doubt(kind: type[errors.ApiError]) -> None:
    it = One(**RUNNING)
    await it.lose(it.ended(), answers.refusal(kind), taken=False)
    assert len(it.tools.unanswered) == 0


async def test_change_that_moves_nothing_on_is_not_told_later_and_displaces_nothing() -> None:
    it = One(**RUNNING)
    noted = status.noted(it.case.status, it.case.moment, [NOTE])
    await it.lose(noted, taken=False)
    assert len(it.tools.unanswered) == 0
    await it.lose(it.ended())
    await it.lose(noted, taken=False)
    it.catch_up()
    assert it.heard == [Phase.COMPLETED]


async def test_other_answer_means_that_it_was_not_taken() -> None:
    it = One(**RUNNING)
    await it.lose(it.ended(), taken=False)
    await it.write(status.noted(it.case.status, it.case.moment, [NOTE]))
    assert len(it.tools.unanswered) == 0


async def test_clearance_is_told() -> None:
    given = {
        "clearedAt": builders.stamp(),
        "clearedBy": "ann",
        "clearReason": "r",
        "clearMethod": "StatusField",
    }
    it = One(phase="Failed", outcome="Failed", blockClearance=given)
    case = tools.open_case(it.tools, it.tools.project(it.world.writer.stored[fakes.KEY]))
    it.case = case
    after = case.status.model_copy(update={"clearance_recorded_at": case.moment.now})
    await it.lose(after, taken=False)
    it.catch_up()
    assert it.heard == []
    await it.lose(after)
    it.catch_up()
    assert it.heard == [Phase.FAILED]


async def test_another_of_the_same_name_is_not_meant() -> None:
    it = One(**RUNNING)
    await it.lose(it.ended())
    stored = it.world.writer.stored[fakes.KEY]
    stored["metadata"]["uid"] = "another"
    it.catch_up()
    assert (it.heard, len(it.tools.unanswered)) == ([], 0)


@pytest.mark.parametrize("how", ["gone", "unserved"])
async def test_nothing_is_kept_of_one_that_is_gone(how: str) -> None:
    it = One(**RUNNING)
    await it.lose(it.ended())
    if how == "gone":
        it.world.executions.remove(fakes.KEY)
    else:
        it.world.put(metadata={"labels": {names.LABEL_INSTANCE: "blue"}})
    await reconciler.WorkflowExecutionReconciler(it.tools).reconcile(fakes.KEY)
    assert (it.heard, len(it.tools.unanswered)) == ([], 0)


async def test_reconcile_tells_before_it_goes_on() -> None:
    it = One(**RUNNING)
    await it.lose(it.ended())
    it.world.sync()
    with structlog.testing.capture_logs() as lines:
        await reconciler.WorkflowExecutionReconciler(it.tools).reconcile(fakes.KEY)
    assert it.heard == [Phase.COMPLETED]
    assert [(line["event"], line["phase"]) for line in lines] == [
        ("Status was taken though its answer was lost", "Completed")
    ]


class TestAudit:
    async def lost_end(self) -> Bed:
        bed = Bed()
        await bed.start()
        bed.trail.record("created", "started")
        bed.world.writer.meanwhile = raising(LOST)
        with pytest.raises(errors.TransportError):
            await bed.end()
        bed.world.writer.meanwhile = lambda: None
        return bed

    async def test_records_are_offered_when_it_is_told(self) -> None:
        bed = await self.lost_end()
        bed.trail.offers.clear()
        tools.catch_up(bed.tools, bed.world.sync())
        async with bed.sweeping():
            assert bed.trail.offers == [("completed", True)]
        bed.trail.record("completed")
        assert await bed.auditor.settle(bed.world.sync()) is Settled.WRITTEN
        # What stands is not known for certain.
        assert (bed.audited, bed.reads) == (ALL, 2)

    @pytest.mark.parametrize("sent", [True, False], ids=["lost", "never-sent"])
    async def test_the_record_is_of_the_end_that_stands(self, sent: bool) -> None:
        bed = Bed()
        case = bed.case()
        bed.world.writer.meanwhile = raising(LOST)
        with pytest.raises(errors.TransportError):
            await tools.refuse(bed.tools, case, FailureReason.FORBIDDEN, "forbidden", [])
        bed.world.writer.meanwhile = lambda: None
        bed.world.clock.advance(40)
        later = case._replace(moment=case.moment._replace(now=bed.world.clock.now()))
        bed.world.writer.error = errors.TransportError("away", sent=sent)
        with pytest.raises(errors.TransportError):
            await tools.refuse(
                bed.tools, later, FailureReason.CONFIGURATION_ERROR, "terminating", []
            )
        bed.world.writer.error = None
        tools.catch_up(bed.tools, bed.world.sync())
        async with bed.sweeping():
            stands = api.parse_execution(bed.world.writer.stored[fakes.KEY])
            truth = auditevent.build(stands, Transition.FAILED, bed.style)
            assert bed.trail.events["failed"] == truth

    async def test_records_that_the_sweep_has_offered_are_not_doubled(self) -> None:
        bed = await self.lost_end()
        bed.world.sync()
        async with bed.sweeping():
            assert bed.trail.offers[2:] == [("completed", True)]
            bed.trail.record("completed")
            tools.catch_up(bed.tools, bed.world.sync())
            await asyncio.sleep(5)
        assert bed.trail.offers[2:] == [("completed", True)]
        assert await bed.auditor.settle(bed.world.sync()) is Settled.WRITTEN
        assert bed.audited == ALL
